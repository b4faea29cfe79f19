"""Checks of images before a metric uses them."""

import math
from collections.abc import Iterator

import numpy as np

from dwikit.common.errors import InputError

BLOCK = 256
"""Images converted to floating point at a time."""
FEW = 16
"""Images that fit the processor's cache."""


def as_images(images: np.ndarray, name: str = "images", at_least: int = 1) -> np.ndarray:
    """Check images and return them as (N, H, W), uint8 0-255 or float in [0, 1], without copying.

    Args:
        images: (N, H, W) or (N, H, W, 1); an array on disk (memory map) stays there.
        name: what error messages call them.
        at_least: how many images are needed.

    Raises:
        InputError: another shape or type, too few images, values outside [0, 1], NaN or infinity.
    """
    if not isinstance(images, np.ndarray):
        images = np.asarray(images)
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if images.ndim != 3:
        raise InputError(f"{name} must have the shape (N, H, W) or (N, H, W, 1), not {images.shape}.")
    if 0 in images.shape[1:]:
        raise InputError(f"{name} have {images.shape[1]} x {images.shape[2]} pixels; that is not an image.")
    if len(images) < at_least:
        raise InputError(f"{name}: {at_least} or more images are needed, but there are only {len(images)}.")
    if images.dtype == np.uint8:
        return images
    if images.dtype not in (np.float16, np.float32, np.float64):
        raise InputError(
            f"{name} are of type {images.dtype}; they must be uint8 in 0-255 or floating point in [0, 1]."
            + (" A mask of True and False is not an image." if images.dtype == bool else "")
        )
    for start in range(0, len(images), BLOCK):
        low, high = images[start : start + BLOCK].min(), images[start : start + BLOCK].max()
        if not (np.isfinite(low) and np.isfinite(high)):
            raise InputError(f"{name} {start} to {start + BLOCK} contain NaN or infinity; remove or repair those images.")
        if low < -1e-6 or high > 1 + 1e-6:
            hint = "Divide 0-255 values by 255." if high > 2 else "Clip or scale them first."
            hint = "Values of -1 to 1 become (x + 1) / 2." if -1 <= low < -1e-6 and high <= 1 + 1e-6 else hint
            outside = " and ".join(str(value) for value, out in ((low, low < -1e-6), (high, high > 1 + 1e-6)) if out)
            raise InputError(f"{name} must lie in [0, 1], but hold {outside}. {hint}")
    return images


def same_size(one: np.ndarray, other: np.ndarray, names: tuple[str, str]) -> None:
    """Refuse two sets of images whose height or width differ."""
    if one.shape[1:] != other.shape[1:]:
        raise InputError(
            f"{names[0]} are {one.shape[1]} x {one.shape[2]} pixels and {names[1]} {other.shape[1]} x {other.shape[2]}; "
            "resize them to one size first."
        )


def blocks(images: np.ndarray, size: int = BLOCK, dtype=np.float64) -> Iterator[np.ndarray]:
    """Checked images as rows (n, H * W) in [0, 1], ``size`` of them at a time."""
    for start in range(0, len(images), size):
        yield unit(images[start : start + size], dtype).reshape(len(images[start : start + size]), -1)


def opencv():
    """OpenCV, imported only where it is used: training does not need it.

    Raises:
        InputError: it is not installed, or cannot be imported.
    """
    try:
        import cv2
    except ImportError as error:
        raise InputError(
            f"The Laplace variance and the reading of PNG need OpenCV, which cannot be imported ({error}). Install it: "
            "python -m pip install opencv-python-headless"
        ) from None
    return cv2


def unit(images: np.ndarray, dtype=np.float64) -> np.ndarray:
    """Checked images as floating point in [0, 1], a copy."""
    values = images.astype(dtype)
    if images.dtype == np.uint8:
        values *= dtype(1 / 255)
    return values


def squared_norms(images: np.ndarray) -> np.ndarray:
    """Sum of squares of each image (n, ...), as float64 (n,); exact for uint8.

    The squares of 256 whole numbers up to 255 sum to less than 2**24, which single precision holds.
    """
    vectors = images.reshape(len(images), -1)
    norms = np.empty(len(vectors))
    for start in range(0, len(vectors), FEW):
        few = vectors[start : start + FEW]
        if images.dtype == np.uint8:
            parts = few.reshape(len(few), -1, math.gcd(few.shape[1], 256)).astype(np.float32)
            norms[start : start + FEW] = np.einsum("ijk,ijk->ij", parts, parts).sum(axis=1, dtype=np.float64)
        else:
            norms[start : start + FEW] = np.square(few, dtype=np.float64).sum(axis=1)
    return norms
