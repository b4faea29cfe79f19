"""What each preset sets, value by value, with its source.

``paper``: what the paper says; where it is silent, the released code; where training would fail without it, the cited
original. ``released``: the authors' code. ``canonical``: the cited originals. Channels are those of 128 x 128 images,
listed from the image inwards; ``fit_channels`` cuts or extends them for other sizes.
"""

import difflib
import math
import numbers
from collections.abc import Mapping
from typing import Any

from dwikit.common.errors import InputError

VAE_PAPER = {
    "channels": (32, 64, 128, 256),  # 4 convolutions: sec. 3.2; widths: released code
    "latent_size": 200,  # sec. 3.2
    "norm": "batch",  # sec. 3.2
    "slope": 0.3,  # released code (Keras 2 default of LeakyReLU)
    "initializer": "glorot_uniform",  # released code (Keras default)
    "upsampling": "nearest",  # sec. 3.2; "transposed" is faster on a CPU
    "sigma_exponent": 0.5,  # sigma = exp(log_variance / 2): sec. 2.2, read as it must be
    "kl_reduction": "mean",  # released code; the printed weights make sense only so
    "reconstruction_weight": 409.6,  # 0.025 * 128 * 128: sec. 3.2
    "learning_rate": 1e-4,  # sec. 3.2
    "decay": 0.0,  # learning rate / (1 + decay * steps): neither paper nor code
    "beta_1": 0.9,  # Adam's default, released code
    "batch_size": 64,  # sec. 3.2
}
VAE_RELEASED = {
    **VAE_PAPER,
    "latent_size": 200,  # second half of the script; 128 in its first half
    "sigma_exponent": 1.0,  # sigma = exp(head), though the KL term takes the same head for a log-variance
}
VAE_CANONICAL = {
    # Hou et al., Deep Feature Consistent VAE, its plain (pixel) baseline; its decoder ends without an activation and
    # starts twice as wide, ours ends in a sigmoid
    **VAE_PAPER,
    "channels": (64, 128, 256, 512, 512),
    "latent_size": 100,
    "slope": 0.2,
    "kl_reduction": "sum",
    "reconstruction_weight": 0.5 * 128 * 128,  # half the squared error summed over pixels
    "learning_rate": 5e-4,  # halved during training in the original
    "beta_1": 0.5,
    "batch_size": 40,
}

DFC_PAPER = {
    **{name: value for name, value in VAE_PAPER.items() if name != "reconstruction_weight"},
    "features": "imagenet",  # sec. 3.2; or the path of a pretext network (features.py)
    "feature_network": "vgg16",  # sec. 2.3
    "feature_layers": ("block1_conv1", "block2_conv1", "block3_conv1"),  # released code; "three ReLU layers": sec. 3.2
    "feature_input": "unit",  # grey repeated three times in [0, 1], no mean subtracted: released code
    "feature_reduction": "sum",  # over features and layers: released code
    "feature_weight": 2e-9,  # sec. 3.2
    "reference_batch": 64,  # sec. 3.2; the released loss sums over its batch, ours is the mean times this number
    "pretext_weight": 409.6,  # the VAE's, since the pretext network's features come in the pixels' units (features.py)
}
DFC_RELEASED = {
    **DFC_PAPER,
    "sigma_exponent": 1.0,  # as in the released VAE
    "feature_weight": 2e-8,  # alpha = 2 * 10e-9 in the script: ten times the printed weight
}
DFC_CANONICAL = {
    # Hou et al., VAE-123 of the content model
    **DFC_PAPER,
    "channels": (32, 64, 128, 256, 256),
    "latent_size": 100,
    "slope": 0.2,
    "kl_reduction": "sum",
    "feature_network": "vgg19",
    "feature_input": "caffe",  # 255 times the image minus the ImageNet mean
    "feature_reduction": "mean",
    "feature_weight": 0.5 / 40,  # 0.5 beside a KL divergence summed over the batch of 40
    "reference_batch": 1,
    "learning_rate": 5e-4,  # halved during training in the original
    "beta_1": 0.5,
    "batch_size": 40,
}

INTRO_PAPER = {
    "channels": (16, 32, 64, 128, 256, 512),  # "as PGGAN": sec. 3.2; widths: released code
    "latent_size": 256,  # sec. 3.2
    "architecture": "residual",  # sec. 3.2; "plain" is the VAE's pair of networks
    "block": "released",  # 1 x 1 convolution first: released code
    "norm": "batch",  # released code, with statistics that are updated on real slices only
    "slope": 0.0,  # ReLU: released code
    "upsampling": "nearest",  # sec. 3.2; used by the residual networks always, by the plain ones as said
    "output": "sigmoid",  # released code
    "margin": 110.0,  # m: sec. 3.2
    "real_weight": 0.25,  # "KL scaled by 0.25": sec. 3.2, read as all KL terms
    "adversarial_weight": 0.25,  # alpha: sec. 3.2
    "generator_weight": 0.25,  # alpha in the generator's loss: sec. 3.2
    "reconstruction_weight": 0.5,  # beta: sec. 3.2; of the squared error summed over pixels (released code)
    "warmup_steps": 0,  # steps as a plain VAE first: neither paper nor code
    "ema": 0.0,  # moving average of the decoder: neither paper nor code
    "learning_rate": 2e-4,  # sec. 3.2
    "decay": 0.0,  # learning rate / (1 + decay * steps): neither paper nor code
    "beta_1": 0.9,  # Adam's default, released code
    "batch_size": 8,  # sec. 3.2
}
INTRO_RELEASED = {
    **INTRO_PAPER,
    "norm": "affine",  # the training loop never switches batch statistics on: what is left is a scale and an offset
    "real_weight": 1.0,  # train.py: alpha stands before the adversarial terms only
    "reconstruction_weight": 2.5,  # test.py, the network of the figures (train.py: 0.1, m 40, batch 64)
}
INTRO_CANONICAL = {
    # Huang et al., official code at 256 x 256, with the widths that Soft-IntroVAE uses at 128
    **INTRO_PAPER,
    "channels": (64, 128, 256, 512, 512),
    "block": "canonical",
    "slope": 0.2,
    "output": "linear",
    "margin": 120.0,
    "real_weight": 1.0,
    "generator_weight": 0.5,  # the original multiplies its 0.5 in the encoder's loss only
    "reconstruction_weight": 0.05,
    "batch_size": 16,
}

STYLE_PAPER = {
    "channels": (32, 64, 128, 256, 512, 512),  # a width that the printed hardware could train in the printed time
    "critic_channels": (32, 64, 128, 256, 512, 512),  # "as PGGAN": sec. 3.2; as wide as the generator
    "latent_size": 512,  # sec. 3.2
    "mapping_layers": 2,  # sec. 3.2
    "mapping_width": 512,  # sec. 3.2
    "mapping_slope": 0.1,  # released code
    "mapping_multiplier": 1.0,  # learning rate of the mapping network times this (with "equalized")
    "normalize_latents": False,  # released code
    "constant_size": 4,  # released code; 8 is quicker
    "constant": "dense",  # a dense layer of 1: released code; "ones" or "normal"
    "block_convolutions": 2,  # released code
    "upsampling": "bilinear",  # released code
    "blur": False,  # released code
    "order": "style_first",  # style, noise, activation: released code; "style_last" in the original
    "noise": "uniform",  # one uniform image, cropped for each level: released code; or "normal", fresh for each layer
    "slope": 0.01,  # released code
    "output": "sigmoid",  # released code; "dark_sigmoid" or "linear"
    "mixing": 0.0,  # "no style mixing": sec. 3.2
    "equalized": False,  # He normal initialization: sec. 3.2
    "critic": "progressive",  # PGGAN's: sec. 3.2; "strided" or "released"
    "critic_slope": 0.2,  # PGGAN
    "critic_range": "unit",  # of the images it sees: released code; "signed" is [-1, 1]
    "minibatch_group": 4,  # PGGAN
    "dropout": 0.0,  # of the released critic
    "loss": "wasserstein",  # sec. 2.5, eq. 11-12; "least_squares" or "logistic"
    "penalty": 10.0,  # gradient penalty, WGAN-GP: the paper states no Lipschitz constraint, and training fails without
    "penalty_interval": 1,  # steps between penalties, which are then multiplied by it
    "drift": 1e-3,  # PGGAN
    "ema": 0.0,  # released code
    "learning_rate": 1e-4,  # sec. 3.2
    "decay": 0.0,  # learning rate / (1 + decay * steps): sec. 3.2 has none
    "beta_1": 0.0,  # released code
    "beta_2": 0.99,  # released code
    "batch_size": 4,  # released code
}
STYLE_RELEASED = {
    **STYLE_PAPER,
    "channels": (16, 32, 64, 128, 192, 512),
    "critic_channels": (16, 32, 64, 128, 192),
    "critic": "released",
    "critic_slope": 0.01,
    "minibatch_group": 0,
    "dropout": 0.6,
    "loss": "least_squares",
    "penalty": 10.0,  # R1; 5 times the squared gradient in the code, which is 10 in the convention with a half
    "drift": 0.0,
    "learning_rate": 3e-4,  # the script's call; 1e-4 is the class's default
    "decay": 1e-5,
}
STYLE_CANONICAL = {
    # Karras et al., StyleGAN, official code without progressive growing
    "channels": (128, 256, 512, 512, 512, 512),
    "critic_channels": (128, 256, 512, 512, 512, 512),
    "latent_size": 512,
    "mapping_layers": 8,
    "mapping_width": 512,
    "mapping_slope": 0.2,
    "mapping_multiplier": 0.01,
    "normalize_latents": True,
    "constant_size": 4,
    "constant": "ones",
    "block_convolutions": 2,
    "upsampling": "nearest",
    "blur": True,
    "order": "style_last",
    "noise": "normal",
    "slope": 0.2,
    "output": "linear",
    "mixing": 0.9,
    "equalized": True,
    "critic": "progressive",
    "critic_slope": 0.2,
    "critic_range": "signed",
    "minibatch_group": 4,
    "dropout": 0.0,
    "loss": "logistic",
    "penalty": 10.0,  # R1, gamma
    "penalty_interval": 1,
    "drift": 0.0,
    "ema": 0.5 ** (32 / 10_000),  # half-life of 10,000 images
    "learning_rate": 1.5e-3,  # at 128 pixels
    "decay": 0.0,
    "beta_1": 0.0,
    "beta_2": 0.99,
    "batch_size": 32,  # at 128 pixels
}

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "vae": {"paper": VAE_PAPER, "released": VAE_RELEASED, "canonical": VAE_CANONICAL},
    "dfc_vae": {"paper": DFC_PAPER, "released": DFC_RELEASED, "canonical": DFC_CANONICAL},
    "intro_vae": {"paper": INTRO_PAPER, "released": INTRO_RELEASED, "canonical": INTRO_CANONICAL},
    "style_gan": {"paper": STYLE_PAPER, "released": STYLE_RELEASED, "canonical": STYLE_CANONICAL},
}


def choose(options: Mapping[str, Any], name: str, what: str) -> Any:
    """``options[name]``.

    Raises:
        InputError: no such option; the message names the nearest and lists all.
    """
    if name in options:
        return options[name]
    near = difflib.get_close_matches(str(name), options, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise InputError(f"There is no {what} {name!r}.{hint} Known: {', '.join(options)}.")


def fit_channels(channels: tuple[int, ...], image_size: int, width: float = 1.0) -> tuple[int, ...]:
    """Channels for another image size: one level fewer for each halving of 128, the last repeated for each doubling.

    Args:
        channels: one entry a level, for 128 x 128 images.
        image_size: a power of two from 32 up.
        width: multiplies every entry (rounded to a multiple of 8, at least 8).

    Raises:
        InputError: image_size is not a power of two from 32 up, or width is not positive.
    """
    if image_size != int(image_size) or image_size < 32 or int(image_size).bit_count() != 1:
        raise InputError(f"image_size must be a power of two from 32 up, not {image_size}.")
    if not width > 0:
        raise InputError(f"width multiplies the channels and must be positive, not {width}.")
    levels = len(channels) + int(image_size).bit_length() - (128).bit_length()
    fitted = (tuple(channels) + (channels[-1],) * levels)[:levels]
    return fitted if width == 1.0 else tuple(max(8, 8 * round(width * n / 8)) for n in fitted)


def base_size(image_size: int, halvings: int, what: str = "channels") -> int:
    """Pixels along one side after some halvings.

    Raises:
        InputError: an image of that size cannot be halved so often.
    """
    size = image_size >> halvings
    if size < 1:
        raise InputError(f"{image_size} pixels cannot be halved {halvings} times: give fewer {what}.")
    return size


def preset(key: str, name: str, image_size: int, width: float, overrides: dict[str, Any]) -> dict[str, Any]:
    """All constructor arguments of the model ``key`` at one preset.

    Args:
        key: the model's key, e.g. ``"vae"``.
        name: ``"paper"``, ``"released"`` or ``"canonical"``.
        image_size: pixels along one side.
        width: multiplies the channels of the preset; channels given as an override are taken as they are.
        overrides: values that replace the preset's.

    Raises:
        InputError: unknown preset or override, an override of another kind than the preset's value, or an impossible size;
            the message lists what is known.
    """
    values = dict(choose(PRESETS[key], name, f"preset of {key}"))
    for entry, value in overrides.items():
        _check_kind(entry, value, like=choose(values, entry, f"setting of {key}"))
    for entry in [entry for entry in values if entry.endswith("channels")]:
        values[entry] = fit_channels(values[entry], image_size, width)
    return {**values, **overrides, "image_size": int(image_size), "preset": name}


NONE = {"warmup_steps", "minibatch_group"}
"""Whole numbers that may be 0, which means none; all others count something that must be there."""


def _check_kind(entry: str, value: Any, like: Any) -> None:
    """Refuse a value of another kind than a preset's: text for a number, a fraction for a count, infinity."""
    if entry == "norm" and value is None:  # no normalization
        return
    if isinstance(like, tuple):
        if not isinstance(value, list | tuple):
            raise InputError(f"{entry} must be a list such as {list(like)}, not {value!r}.")
        for part in value:
            _check_kind(f"each of {entry}", part, like[0])
        return
    least = 1 if type(like) is int and entry not in NONE else 0
    kind, what = {
        bool: (bool, "true or false"),
        int: (numbers.Integral, f"a whole number of {least} or more"),
        float: (numbers.Real, "a number of 0 or more"),
        str: (str, "text"),
    }[type(like)]
    right = isinstance(value, kind) and isinstance(value, bool) == isinstance(like, bool)
    if not right or (isinstance(value, numbers.Real) and not least <= value < math.inf):
        raise InputError(f"{entry} must be {what}, such as {like!r}, not {value!r}.")
