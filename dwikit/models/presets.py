"""What each preset sets, value by value, with its source.

``paper``: what the paper says; where it is silent, the released code; where training would fail without it, the cited
original. ``released``: the authors' code. ``canonical``: the cited originals. Channels are those of 128 x 128 images;
``fit_channels`` cuts or extends them for other sizes.
"""

import difflib
from typing import Any

from dwikit.errors import InputError

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "vae": {
        "paper": {
            "channels": (32, 64, 128, 256),  # 4 convolutions: sec. 3.2; widths: released code
            "latent_size": 200,  # sec. 3.2
            "norm": "batch",  # sec. 3.2
            "slope": 0.3,  # released code (Keras 2 default of LeakyReLU)
            "kl_reduction": "mean",  # released code; the printed weights make sense only so
            "reconstruction_weight": 409.6,  # 0.025 * 128 * 128: sec. 3.2
            "learning_rate": 1e-4,  # sec. 3.2
            "beta_1": 0.9,  # Adam's default, released code
            "batch_size": 64,  # sec. 3.2
        },
    },
}
PRESETS["vae"]["released"] = {
    **PRESETS["vae"]["paper"],
    "latent_size": 200,  # second half of the script; 128 in its first half
}
PRESETS["vae"]["canonical"] = {
    # Hou et al., Deep Feature Consistent VAE, its plain (pixel) baseline
    "channels": (64, 128, 256, 512, 512),
    "latent_size": 100,
    "norm": "batch",
    "slope": 0.2,
    "kl_reduction": "sum",
    "reconstruction_weight": 0.5 * 128 * 128,  # half the squared error summed over pixels
    "learning_rate": 5e-4,
    "beta_1": 0.5,
    "batch_size": 40,
}


def fit_channels(channels: tuple[int, ...], image_size: int, width: float = 1.0) -> tuple[int, ...]:
    """Channels for another image size: one level fewer for each halving of 128, the last repeated for each doubling.

    Args:
        channels: one entry a level, for 128 x 128 images.
        image_size: a power of two from 32 up.
        width: multiplies every entry (rounded to a multiple of 8, at least 8).

    Raises:
        InputError: image_size is not a power of two from 32 up.
    """
    if image_size < 32 or image_size & (image_size - 1):
        raise InputError(f"image_size must be a power of two from 32 up, not {image_size}.")
    levels = len(channels) + image_size.bit_length() - (128).bit_length()
    fitted = (tuple(channels) + (channels[-1],) * levels)[:levels]
    return fitted if width == 1.0 else tuple(max(8, 8 * round(width * n / 8)) for n in fitted)


def preset(key: str, name: str, image_size: int, width: float, overrides: dict[str, Any]) -> dict[str, Any]:
    """All constructor arguments of the model ``key`` at one preset.

    Args:
        key: the model's key, e.g. ``"vae"``.
        name: ``"paper"``, ``"released"`` or ``"canonical"``.
        image_size: pixels along one side.
        width: multiplies the channels of the preset; channels given as an override are taken as they are.
        overrides: values that replace the preset's.

    Raises:
        InputError: unknown preset or override; the message lists the known ones.
    """
    if name not in PRESETS[key]:
        raise InputError(f"There is no preset {name!r} of {key}. Known: {', '.join(PRESETS[key])}.")
    values = dict(PRESETS[key][name])
    for unknown in sorted(set(overrides) - set(values)):
        near = difflib.get_close_matches(unknown, values, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InputError(f"{key} has no setting {unknown!r}.{hint} Known: {', '.join(values)}.")
    for entry in [entry for entry in values if entry.endswith("channels")]:
        values[entry] = fit_channels(values[entry], image_size, width)
    return {**values, **overrides, "image_size": image_size, "preset": name}
