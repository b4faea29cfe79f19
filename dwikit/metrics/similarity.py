"""Dataset Similarity, Intra-Sample Diversity and its minimum (sec. 2.6).

DS and ISD are means of squared pixel distances over pairs of images. A mean over pairs needs no pairs: with
|s|^2 the squared norm of an image and D its number of pixels,

    DS  = (mean |s|^2 + mean |o|^2 - 2 mean(s) . mean(o)) / D
    ISD = 2 n / (n - 1) * (mean |s|^2 - |mean s|^2) / D

so one pass over the images is enough. Only the minimum looks at pairs. (As printed, DS and ISD lack a second 1 / N; the
published values are means over pairs.)
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from dwikit.metrics.images import BLOCK, as_images, blocks, same_size, squared_norms
from dwikit.metrics.neighbours import nearest_distances


class Moments(NamedTuple):
    """First and second moment of a set of images as vectors of D pixels in [0, 1]."""

    n: int
    mean: np.ndarray
    """(D,) mean image."""
    square: float
    """Mean squared norm of an image."""


def moments(images: np.ndarray, rows: np.ndarray | None = None) -> Moments:
    """Moments of images (N, H, W) in one pass.

    For uint8 images they are sums of whole numbers, without rounding; floating point is summed in double precision.

    Args:
        images: (N, H, W) or (N, H, W, 1); a memory map is read block by block, never as a whole.
        rows: positions of the images to use; None means all.
    """
    images = as_images(images)
    rows = np.arange(len(images)) if rows is None else np.asarray(rows)
    integers = images.dtype == np.uint8
    parts = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
    total, square = np.zeros(images[0].size), 0.0
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy releases the interpreter lock while it sums
        for block_total, block_square in pool.map(lambda chosen: _sums(images, chosen), parts):
            total += block_total
            square += block_square
    scale = 255.0 if integers else 1.0
    return Moments(len(rows), total / scale / len(rows), square / scale**2 / len(rows))


def _sums(images: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, float]:
    """Sum of some images, pixel by pixel, and the sum of all their squares."""
    if rows[-1] - rows[0] == len(rows) - 1:
        rows = slice(rows[0], rows[-1] + 1)  # neighbours in the file: no copy
    block = images[rows].reshape(-1, images[0].size)
    exact = np.uint16 if images.dtype == np.uint8 else np.float64  # 256 times 255 fits
    return np.add.reduce(block, axis=0, dtype=exact), float(squared_norms(block).sum())


def dataset_similarity(samples: np.ndarray, originals: np.ndarray | Moments) -> float:
    """Mean squared pixel distance over all pairs of a sample and an original (DS, sec. 2.6).

    Args:
        samples: (N, H, W) images.
        originals: (M, H, W) images, or their ``moments``, so that these are computed once for all models.

    Returns:
        DS >= 0, on the scale of squared intensities in [0, 1]; lower is more similar.
    """
    samples = as_images(samples, "samples")
    if not isinstance(originals, Moments):
        originals = as_images(originals, "originals")
        same_size(samples, originals, ("samples", "originals"))
        originals = moments(originals)
    ours = moments(samples)
    return max(0.0, float(ours.square + originals.square - 2 * ours.mean @ originals.mean) / ours.mean.size)


def intra_sample_diversity(samples: np.ndarray | Moments) -> float:
    """Mean squared pixel distance over all pairs of two different samples (ISD, sec. 2.6).

    Args:
        samples: (N, H, W) images, N at least 2, or their ``moments``.

    Returns:
        ISD >= 0, on the scale of squared intensities in [0, 1]; higher is more diverse.
    """
    if not isinstance(samples, Moments):
        samples = moments(as_images(samples, "samples", at_least=2))
    n, mean, square = samples
    return max(0.0, 2 * n / (n - 1) * float(square - mean @ mean) / mean.size)


def minimum_intra_sample_diversity(samples: np.ndarray) -> float:
    """Mean over samples of the squared pixel distance to the nearest other sample (Minimum ISD, sec. 2.6, eq. 13).

    Args:
        samples: (N, H, W) images, N at least 2.

    Returns:
        Minimum ISD >= 0; exactly 0 if every sample has a duplicate.
    """
    return float(nearest_distances(samples)[0].mean())


# ==== The same, image by image ====


def distances_to(samples: np.ndarray, originals: Moments) -> np.ndarray:
    """Mean squared pixel distance of each sample to all originals; their mean is DS.

    Args:
        samples: (N, H, W) images.
        originals: moments of the originals.

    Returns:
        (N,) float64, >= 0.
    """
    samples = as_images(samples, "samples")
    parts = [np.einsum("ij,ij->i", b, b) + originals.square - 2 * (b @ originals.mean) for b in blocks(samples)]
    return np.maximum(np.concatenate(parts), 0) / originals.mean.size


def distances_to_others(samples: np.ndarray) -> np.ndarray:
    """Mean squared pixel distance of each sample to all other samples; their mean is ISD.

    Args:
        samples: (N, H, W) images, N at least 2.

    Returns:
        (N,) float64, >= 0.
    """
    samples = as_images(samples, "samples", at_least=2)
    return distances_to(samples, moments(samples)) * len(samples) / (len(samples) - 1)
