"""The door for features into a metric; a feature network comes in as a function from images to vectors."""

import numpy as np

from dwikit.common.errors import InputError


def as_features(features: np.ndarray, name: str = "features", at_least: int = 2) -> np.ndarray:
    """Check features and return them as float64 (n, d).

    Args:
        features: (n, d), one vector an image, such as a feature network gives them.
        name: what the message of an error calls them.
        at_least: how many vectors are needed.

    Raises:
        InputError: another shape, too few vectors, NaN or infinity.
    """
    features = np.asarray(features, np.float64)
    if features.ndim != 2:
        raise InputError(f"{name} must have the shape (n, d), one vector an image, not {features.shape}.")
    if len(features) < at_least:
        raise InputError(f"{name}: {at_least} or more are needed, and there are {len(features)}.")
    if not np.isfinite(features).all():
        raise InputError(f"{name} contain NaN or infinity; look at the images and at the feature network.")
    return features


def same_space(one: np.ndarray, other: np.ndarray, names: tuple[str, str]) -> None:
    """Refuse features of two different networks."""
    if one.shape[1] != other.shape[1]:
        raise InputError(
            f"{names[0]} have {one.shape[1]} features and {names[1]} {other.shape[1]}; take both from one feature network."
        )
