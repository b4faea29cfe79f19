"""Checks of features before a metric uses them; a feature network is a function from images to vectors."""

import numpy as np

from dwikit.common.errors import InputError


def as_features(features: np.ndarray, name: str = "features", at_least: int = 2) -> np.ndarray:
    """Check features and return them as float64 (n, d).

    Args:
        features: (n, d), one vector per image, as a feature network gives them.
        name: what error messages call them.
        at_least: how many vectors are needed.

    Raises:
        InputError: another shape, too few vectors, NaN or infinity.
    """
    features = np.asarray(features, np.float64)
    if features.ndim != 2:
        raise InputError(f"{name} must have the shape (n, d), one vector per image, not {features.shape}.")
    if len(features) < at_least:
        raise InputError(f"{name}: {at_least} or more are needed, but there are only {len(features)}.")
    if not np.isfinite(features).all():
        raise InputError(f"{name} contain NaN or infinity; check the images and the feature network.")
    return features


def same_space(one: np.ndarray, other: np.ndarray, names: tuple[str, str]) -> None:
    """Refuse features of two different networks."""
    if one.shape[1] != other.shape[1]:
        raise InputError(
            f"{names[0]} have {one.shape[1]} features and {names[1]} {other.shape[1]}; take both from the same feature network."
        )
