"""How alike two images look: multi-scale structural similarity, and the diversity that follows from it."""

import numpy as np
from scipy import ndimage

from dwikit.common.errors import InputError
from dwikit.metrics.images import as_images, same_size, unit

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Weights of the scales, from fine to coarse (Wang et al. 2003); those used are rescaled to sum to 1."""
WINDOW, SD, BATCH = 11, 1.5, 64
CONSTANTS = (0.01**2, 0.03**2)
"""Constants added to squared means and to variances (Wang et al. 2004), for images in [0, 1]."""


def scales(image_size: int) -> int:
    """Number of scales: 3 at 64 pixels and above, 2 at 32, 1 below; the coarsest image must hold the 11 x 11 window."""
    return 3 if image_size >= 64 else 2 if image_size >= 32 else 1


def ms_ssim(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Multi-scale structural similarity of pairs of images (Wang et al. 2003), equal to ``tf.image.ssim_multiscale``.

    Gaussian window of 11 pixels and sd 1.5 without padding, constants 0.01 and 0.03, range 1, ``scales(H)`` scales. All
    scales but the coarsest count contrast and structure only; negative values count as 0.

    Args:
        one: (N, H, W) images.
        other: (N, H, W) images, each paired with the one at the same position.

    Returns:
        (N,) float64 in [0, 1]; 1 for equal images.

    Raises:
        InputError: sets of different lengths or sizes, or images smaller than the window.
    """
    one, other = as_images(one, "first images"), as_images(other, "second images")
    same_size(one, other, ("first images", "second images"))
    if len(one) != len(other):
        raise InputError(f"Pairs need as many first as second images, not {len(one)} and {len(other)}.")
    if min(one.shape[1:]) < WINDOW:
        raise InputError(f"MS-SSIM uses a window of {WINDOW} pixels; images of {one.shape[1:]} are too small.")
    weights = np.array(WEIGHTS[: scales(min(one.shape[1:]))])
    blocks = (slice(start, start + BATCH) for start in range(0, len(one), BATCH))
    return np.concatenate([_over_scales(unit(one[i]), unit(other[i]), weights / weights.sum()) for i in blocks])


def _over_scales(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> np.ndarray:
    similarity = np.ones(len(one))
    for scale, weight in enumerate(weights, 1):
        whole, structural = _ssim(one, other)
        similarity *= np.maximum(whole if scale == len(weights) else structural, 0) ** weight
        one, other = _halved(one), _halved(other)
    return similarity


def _ssim(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SSIM of pairs (n, H, W) and its contrast-and-structure part, both (n,) means over pixels."""
    mean, other_mean = _seen(one), _seen(other)
    product, squares = mean * other_mean, mean**2 + other_mean**2
    covariance, variances = _seen(one * other) - product, _seen(one**2 + other**2) - squares
    structural = (2 * covariance + CONSTANTS[1]) / (variances + CONSTANTS[1])
    whole = (2 * product + CONSTANTS[0]) / (squares + CONSTANTS[0]) * structural
    return whole.mean(axis=(1, 2)), structural.mean(axis=(1, 2))


def _seen(images: np.ndarray) -> np.ndarray:
    """Window means at every position where the window lies within the image."""
    edge = WINDOW // 2
    return ndimage.gaussian_filter(images, SD, radius=edge, axes=(1, 2))[:, edge:-edge, edge:-edge]


def _halved(images: np.ndarray) -> np.ndarray:
    """Means of blocks of 2 x 2 pixels; the last row or column of an odd number counts twice."""
    n, height, width = images.shape
    even = np.pad(images, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    return even.reshape(n, -(-height // 2), 2, -(-width // 2), 2).mean(axis=(2, 4))


def ms_ssim_diversity(samples: np.ndarray, pairs: int = 1000, seed: int = 0) -> float:
    """Mean MS-SSIM of random pairs of different samples (Odena et al. 2017): high means that they look alike.

    Args:
        samples: (N, H, W) images, N at least 2.
        pairs: number of pairs to draw.
        seed: of the draw.
    """
    samples = as_images(samples, "samples", at_least=2)
    rng = np.random.default_rng(seed)
    first = rng.integers(len(samples), size=pairs)
    second = (first + rng.integers(1, len(samples), size=pairs)) % len(samples)
    return float(ms_ssim(samples[first], samples[second]).mean())
