"""Kernel Inception Distance (Binkowski et al. 2018): the squared maximum mean discrepancy of features, without bias."""

from typing import NamedTuple

import numpy as np
from sklearn.metrics.pairwise import polynomial_kernel

from dwikit.common.errors import InputError
from dwikit.metrics.features import as_features, same_space


class Blocks(NamedTuple):
    """Mean and standard deviation over blocks."""

    mean: float
    sd: float


def kernel_distance(originals: np.ndarray, samples: np.ndarray, blocks: int = 10, seed: int = 0) -> Blocks:
    """Squared maximum mean discrepancy in blocks that share no image and so give independent estimates.

    Unlike the Frechet distance it is right on average for any number of images, so it can fall below 0; the standard error
    of the mean is about sd / sqrt(blocks).

    Args:
        originals: features (n, d) of real images.
        samples: features (m, d) of generated images.
        blocks: number of blocks, each of ``min(n, m) // blocks`` images of both.
        seed: of the assignment of images to blocks.

    Raises:
        InputError: fewer than two images per block, or features that cannot be compared.
    """
    originals = as_features(originals, "features of the originals")
    samples = as_features(samples, "features of the samples")
    same_space(originals, samples, ("originals", "samples"))
    size = min(len(originals), len(samples)) // blocks
    if size < 2:
        raise InputError(f"{blocks} blocks need {2 * blocks} originals and as many samples; ask for fewer blocks.")
    rng = np.random.default_rng(seed)
    one, other = (rng.permutation(len(x))[: size * blocks].reshape(blocks, size) for x in (originals, samples))
    values = [discrepancy(originals[i], samples[j]) for i, j in zip(one, other)]
    return Blocks(float(np.mean(values)), float(np.std(values, ddof=1)) if blocks > 1 else float("nan"))


def discrepancy(one: np.ndarray, other: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy of features (n, d) and (m, d), with the kernel (x . y / d + 1)^3."""
    n, m = len(one), len(other)
    own, others = polynomial_kernel(one), polynomial_kernel(other)  # degree 3, gamma 1 / d and offset 1 by default
    within = (own.sum() - np.trace(own)) / (n * (n - 1)) + (others.sum() - np.trace(others)) / (m * (m - 1))
    return float(within - 2 * polynomial_kernel(one, other).mean())
