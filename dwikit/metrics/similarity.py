"""Dataset Similarity, Intra-Sample Diversity and its minimum (sec. 2.6).

DS and ISD are means of squared pixel distances over pairs of images. A mean over pairs needs no pairs: with
|s|^2 the squared norm of an image and D its number of pixels,

    DS  = (mean |s|^2 + mean |o|^2 - 2 mean(s) . mean(o)) / D
    ISD = 2 n / (n - 1) * (mean |s|^2 - |mean s|^2) / D

so one pass over the images is enough. Only the minimum looks at pairs. (As printed, DS and ISD lack a second 1 / N; the
published values are means over pairs.)
"""

from typing import NamedTuple

import numpy as np

from dwikit.metrics.images import as_images, blocks, same_size

CANDIDATES = 8
"""Nearest images that single precision proposes; their distances are then computed exactly."""
QUERY_BLOCK, REFERENCE_BLOCK = 1024, 4096


class Moments(NamedTuple):
    """First and second moment of a set of images as vectors of D pixels in [0, 1]."""

    n: int
    mean: np.ndarray
    """(D,) mean image."""
    square: float
    """Mean squared norm of an image."""


def moments(images: np.ndarray) -> Moments:
    """Moments of images (N, H, W), in one pass and double precision."""
    images = as_images(images)
    total, square = np.zeros(images[0].size), 0.0
    for block in blocks(images):
        total += block.sum(axis=0)
        square += np.vdot(block, block)
    return Moments(len(images), total / len(images), square / len(images))


def dataset_similarity(samples: np.ndarray, originals: np.ndarray | Moments) -> float:
    """Mean squared pixel distance over all pairs of a sample and an original (DS, sec. 2.6).

    Args:
        samples: (N, H, W) images.
        originals: (M, H, W) images, or their ``moments``, which need not be computed anew for every model.

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


def intra_sample_diversity(samples: np.ndarray) -> float:
    """Mean squared pixel distance over all pairs of two different samples (ISD, sec. 2.6).

    Args:
        samples: (N, H, W) images, N at least 2.

    Returns:
        ISD >= 0, on the scale of squared intensities in [0, 1]; higher is more diverse.
    """
    n, mean, square = moments(as_images(samples, "samples", at_least=2))
    return max(0.0, 2 * n / (n - 1) * float(square - mean @ mean) / mean.size)


def minimum_intra_sample_diversity(samples: np.ndarray) -> float:
    """Mean over samples of the squared pixel distance to the nearest other sample (Minimum ISD, sec. 2.6, eq. 13).

    Args:
        samples: (N, H, W) images, N at least 2.

    Returns:
        Minimum ISD >= 0; exactly 0 if every sample has a duplicate.
    """
    return float(nearest_distances(samples)[0].mean())


def nearest_distances(samples: np.ndarray, references: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean squared pixel distance of each sample to its nearest reference, and that reference's index.

    Matrix products in single precision, in blocks, propose the nearest few; their distances are computed exactly, so that
    duplicates are exactly 0 apart.

    Args:
        samples: (N, H, W) images.
        references: (M, H, W) images; None means the other samples.

    Returns:
        Distances (N,) float64 and indices (N,) int64.
    """
    alone = references is None
    samples = as_images(samples, "samples", at_least=2 if alone else 1)
    references = samples if alone else as_images(references, "references")
    same_size(samples, references, ("samples", "references"))
    centre = next(blocks(references)).mean(axis=0).astype(np.float32)  # centred, single precision loses little
    distances, indices = [], []
    for start, queries in _centred(samples, QUERY_BLOCK, centre):
        near = _nearest_candidates(queries, references, centre, start if alone else None)
        exact = _exact_distances(samples[start : start + len(queries)], references, near)
        best = exact.argmin(axis=1)[:, None]
        distances.append(np.take_along_axis(exact, best, axis=1)[:, 0])
        indices.append(np.take_along_axis(near, best, axis=1)[:, 0])
    return np.concatenate(distances), np.concatenate(indices)


def _centred(images: np.ndarray, size: int, centre: np.ndarray):
    start = 0
    for block in blocks(images, size, np.float32):
        block -= centre
        yield start, block
        start += len(block)


def _nearest_candidates(queries, references, centre, own_start: int | None) -> np.ndarray:
    """Indices (n, k) of the k references nearest to each query, by single-precision distance; never the query itself."""
    k = min(CANDIDATES, len(references) - (own_start is not None))
    best = np.full((len(queries), 0), 0, np.float32)
    index = np.full((len(queries), 0), 0, np.int64)
    norms = np.einsum("ij,ij->i", queries, queries)[:, None]
    for start, block in _centred(references, REFERENCE_BLOCK, centre):
        distance = norms + np.einsum("ij,ij->i", block, block)[None] - 2 * queries @ block.T
        if own_start is not None:
            rows = np.arange(len(queries))
            columns = rows + own_start - start
            inside = (columns >= 0) & (columns < len(block))
            distance[rows[inside], columns[inside]] = np.inf
        best = np.concatenate([best, distance], axis=1)
        index = np.concatenate([index, np.broadcast_to(np.arange(start, start + len(block)), distance.shape)], axis=1)
        if best.shape[1] > k:
            keep = np.argpartition(best, k - 1, axis=1)[:, :k]
            best, index = np.take_along_axis(best, keep, axis=1), np.take_along_axis(index, keep, axis=1)
    return index


def _exact_distances(queries: np.ndarray, references: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Mean squared pixel distance (n, k) of each query to its k candidates, in double precision."""
    exact = np.empty(near.shape)
    for row, query in enumerate(queries):
        difference = references[near[row]].astype(np.float64) - query.astype(np.float64)
        exact[row] = np.mean(np.square(difference), axis=(1, 2))
    return exact / 255**2 if queries.dtype == np.uint8 else exact
