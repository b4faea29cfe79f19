"""Normalization (sec. 3.1): clip intensities at a percentile, divide by the maximum that remains, store as uint8."""

import numpy as np

from dwikit.common.errors import InputError


def normalize(image: np.ndarray, cap: float | np.ndarray) -> np.ndarray:
    """Intensities clipped to [0, cap] and divided by cap (sec. 3.1).

    Args:
        image: any shape, in the scanner's units.
        cap: upper limit, for example the 95th percentile; an array is broadcast against the image.

    Returns:
        float64 in [0, 1].
    """
    cap = np.asarray(cap, np.float64)
    return np.clip(image, 0, cap) / np.maximum(cap, np.finfo(np.float32).tiny)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Values as the nearest of 256 grey levels, uint8: 0 and less is 0, 1 and more is 255."""
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def shrink(image: np.ndarray, image_size: int) -> np.ndarray:
    """Slices (L, H, W) at a smaller size: means of square blocks of pixels.

    Raises:
        InputError: image_size does not divide W.
    """
    factor, rest = divmod(image.shape[-1], image_size)
    if rest or factor < 1:
        raise InputError(f"image_size must divide {image.shape[-1]}, but {image_size} does not.")
    return image.reshape(len(image), image_size, factor, image_size, factor).mean(axis=(2, 4)) if factor > 1 else image
