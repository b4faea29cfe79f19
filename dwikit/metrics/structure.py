"""How alike two images look: multi-scale structural similarity, and the diversity that follows from it."""

import numpy as np

from dwikit.errors import InputError
from dwikit.metrics.images import as_images, same_size, unit

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the scales, from fine to coarse (Wang et al. 2003); the first few are used and made to sum to 1."""
WINDOW, BATCH = 11, 64


def scales(image_size: int) -> int:
    """Scales that fit: 3 at 64 pixels and above, 2 at 32, 1 below; the coarsest image must hold the 11 x 11 window."""
    return 3 if image_size >= 64 else 2 if image_size >= 32 else 1


def ms_ssim(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Multi-scale structural similarity of pairs of images (Wang et al. 2003), by ``tf.image.ssim_multiscale``.

    Gaussian window of 11 pixels and sd 1.5 without padding, constants 0.01 and 0.03, range 1, ``scales(H)`` scales.

    Args:
        one: (N, H, W) images.
        other: (N, H, W) images, each beside the one of the same position.

    Returns:
        (N,) float64 in [0, 1]; 1 for equal images.

    Raises:
        InputError: sets of different lengths or sizes, or images smaller than the window.
    """
    import tensorflow as tf

    one, other = as_images(one, "first images"), as_images(other, "second images")
    same_size(one, other, ("first images", "second images"))
    if len(one) != len(other):
        raise InputError(f"Pairs need as many first images as second ones, not {len(one)} and {len(other)}.")
    if min(one.shape[1:]) < WINDOW:
        raise InputError(f"MS-SSIM looks through a window of {WINDOW} pixels; images of {one.shape[1:]} are too small.")
    weights = np.array(WEIGHTS[: scales(min(one.shape[1:]))])
    weights = (weights / weights.sum()).tolist()
    values = []
    with tf.device("CPU"):  # another backend may hold the GPU
        for start in range(0, len(one), BATCH):
            pair = [unit(images[start : start + BATCH], np.float32)[..., None] for images in (one, other)]
            values.append(tf.image.ssim_multiscale(*pair, max_val=1.0, power_factors=weights, filter_size=WINDOW).numpy())
    return np.concatenate(values).astype(np.float64)


def ms_ssim_diversity(samples: np.ndarray, pairs: int = 1000, seed: int = 0) -> float:
    """Mean MS-SSIM of random pairs of different samples (Odena et al. 2017): high means that they look alike.

    Args:
        samples: (N, H, W) images, N at least 2.
        pairs: how many pairs are drawn.
        seed: of the draw.
    """
    samples = as_images(samples, "samples", at_least=2)
    rng = np.random.default_rng(seed)
    first = rng.integers(len(samples), size=pairs)
    second = (first + rng.integers(1, len(samples), size=pairs)) % len(samples)
    return float(ms_ssim(samples[first], samples[second]).mean())
