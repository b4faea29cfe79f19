"""Presets are data: each value of a network's config with its source, in ``models/<key>/presets.py``.

``paper``: what the paper says; where it is silent, the released code; where training would fail without it, the cited
original. ``released``: the authors' code. ``canonical``: the cited originals. Channels are those of 128 x 128 images,
listed from the image inwards; ``fit_channels`` cuts or extends them for other sizes.
"""

import math
import numbers
from typing import Any, NamedTuple

from dwikit.common.errors import InputError, choose


class Setting(NamedTuple):
    """One value of a preset and its source: a section of the paper, code, or another work."""

    value: Any
    source: str = ""


TAKEN = ("name", "image_size", "width", "seed", "preset")
"""Arguments of ``from_preset`` and of every network, which no setting may be called."""


def settings(network: type, name: str) -> dict[str, Setting]:
    """One preset of a network, value by value.

    Args:
        network: its class.
        name: of the preset, e.g. ``"paper"``.

    Raises:
        InputError: no such preset, one without a batch size, or one with a setting that is called as an argument of
            ``from_preset`` (``TAKEN``) and so could not be chosen.
    """
    if not network.presets:
        raise InputError(f'{network.key} has no presets: the class must set presets = {{"paper": {{"batch_size": 16, ...}}}}.')
    found = choose(network.presets, name, f"preset of {network.key}")
    if "batch_size" not in found:
        raise InputError(f"The preset {name!r} of {network.key} has no batch_size, which every training needs: add one.")
    if taken := [entry for entry in TAKEN if entry in found]:
        raise InputError(
            f"The preset {name!r} of {network.key} has a setting called {taken[0]!r}, which is an argument of every network. "
            "Give it another name."
        )
    plain = {entry: value if isinstance(value, Setting) else Setting(value) for entry, value in found.items()}
    return {e: s._replace(value=tuple(s.value)) if isinstance(s.value, list) else s for e, s in plain.items()}


def as_text(value: Any) -> str:
    """A value as tables show it."""
    return "–".join(map(str, value)) if isinstance(value, tuple) else f"{value:.6g}" if isinstance(value, float) else str(value)


def fit_channels(channels: tuple[int, ...], image_size: int, width: float = 1.0) -> tuple[int, ...]:
    """Channels for another image size: one level fewer per halving of 128, the last repeated per doubling.

    Args:
        channels: one entry per level, for 128 x 128 images.
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
        InputError: an image of that size cannot be halved that often.
    """
    size = image_size >> halvings
    if size < 1:
        raise InputError(f"{image_size} pixels cannot be halved {halvings} times: give fewer {what}.")
    return size


def preset(
    network: type,
    name: str = "paper",
    image_size: int = 128,
    width: float = 1.0,
    overrides: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """All constructor arguments of a network for one preset.

    Args:
        network: its class.
        name: of the preset: the paper's networks have ``"paper"``, ``"released"`` and ``"canonical"``.
        image_size: pixels along one side.
        width: multiplies the channels of the preset; channels given as an override are taken as they are.
        overrides: values that replace the preset's.

    Raises:
        InputError: unknown preset or override, an override of a different type from the preset's value, or an impossible size;
            the message lists what is known.
    """
    values, overrides = {entry: setting.value for entry, setting in settings(network, name).items()}, overrides or {}
    for entry, value in overrides.items():
        _check_kind(entry, value, like=choose(values, entry, f"setting of {network.key}"))
    for entry in [entry for entry, value in values.items() if entry.endswith("channels") and isinstance(value, tuple)]:
        values[entry] = fit_channels(values[entry], image_size, width)
    return {**values, **overrides, "image_size": int(image_size), "preset": name}


NONE = {"minibatch_group"}
"""Whole numbers that may be 0, meaning none; so may any that are 0 in the preset. All others must be 1 or more."""


def _check_kind(entry: str, value: Any, like: Any) -> None:
    """Refuse a value of a different type from the preset's: text for a number, a fraction for a count, infinity."""
    if like is None or (entry == "norm" and value is None):  # anything; no normalization
        return
    if isinstance(like, tuple):
        if not isinstance(value, list | tuple) or (like and not value):
            raise InputError(f"{entry} must be a list such as {list(like)}, not {value!r}.")
        for part in value:
            _check_kind(f"each of {entry}", part, like[0] if like else None)
        return
    least = 1 if type(like) is int and like > 0 and entry not in NONE else 0
    kinds = {
        bool: (bool, "true or false"),
        int: (numbers.Integral, f"a whole number of {least} or more"),
        float: (numbers.Real, "a number of 0 or more"),
        str: (str, "text"),
    }
    if type(like) not in kinds:
        return
    kind, what = kinds[type(like)]
    right = isinstance(value, kind) and isinstance(value, bool) == isinstance(like, bool)
    if not right or (isinstance(value, numbers.Real) and not least <= value < math.inf):
        raise InputError(f"{entry} must be {what}, such as {like!r}, not {value!r}.")
