"""The nearest image to each image, exactly, by matrix products in blocks."""

import numpy as np

from dwikit.common.errors import InputError
from dwikit.metrics.images import BLOCK, as_images, same_size, squared_norms, unit

CANDIDATES = 8
"""Most candidates that single precision proposes; their distances are then computed exactly."""
QUERY_BLOCK, REFERENCE_BLOCK = 4096, 1024
"""Images held as single precision: 256 MB and 64 MB at 128 x 128 pixels."""
PAIRS = 32
"""Pairs whose exact distances are computed at a time."""


def nearest_distances(
    samples: np.ndarray,
    references: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    reference_groups: np.ndarray | None = None,
    rows: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean squared pixel distance of each sample to its nearest reference, and that reference's index.

    Matrix products in single precision, in blocks, propose the nearest few; the distances of those that rounding could have
    put in the wrong order are computed exactly, so duplicates are exactly 0 apart.

    Args:
        samples: (N, H, W) images.
        references: (M, H, W) images; None means the other samples.
        groups: (N,) label of each sample, such as its person; references with the same label are skipped.
        reference_groups: (M,) label of each reference.
        rows: positions of the references to search; None means all. A memory map is read block by block, never as a whole.

    Returns:
        Distances (N,) float64 and indices (N,) int64 among all references.

    Raises:
        InputError: images that no metric takes, sizes that differ, or a sample without a reference of another group.
    """
    alone = references is None
    samples = as_images(samples, "samples", at_least=2 if alone else 1)
    references = samples if alone else as_images(references, "references")
    same_size(samples, references, ("samples", "references"))
    if alone:
        groups = reference_groups = np.arange(len(samples)) if groups is None else np.asarray(groups)
    every, rows = np.arange(len(samples)), np.arange(len(references)) if rows is None else np.asarray(rows)
    centre = unit(references[rows[:BLOCK]]).mean(axis=0).ravel().astype(np.float32)  # centred, single precision loses little
    distances, indices = [], []
    for chosen, queries in _centred(samples, every, QUERY_BLOCK, centre):
        own = None if groups is None else np.asarray(groups)[chosen]
        once = alone and len(queries) == len(samples)
        parts = [(chosen, queries)] if once else _centred(references, rows, REFERENCE_BLOCK, centre)
        proposed, index = _propose(queries, parts, own, reference_groups)
        pairs = _in_question(proposed, index, queries)
        exact = np.full(proposed.shape, np.inf)
        exact[pairs] = _exact(samples, references, chosen[pairs[0]], index[pairs])
        best = exact.argmin(axis=1)[:, None]
        distances.append(np.take_along_axis(exact, best, axis=1)[:, 0])
        indices.append(np.take_along_axis(index, best, axis=1)[:, 0])
    distances = np.concatenate(distances)
    if np.isinf(distances).any():
        raise InputError("There is no reference of another group: slices of two or more people are needed.")
    return distances, np.concatenate(indices)


def _centred(images: np.ndarray, rows: np.ndarray, size: int, centre: np.ndarray):
    """Some images as centred vectors (n, D) in single precision, with their positions (n,), ``size`` of them at a time."""
    for start in range(0, len(rows), size):
        chosen = rows[start : start + size]
        block = unit(images[chosen], np.float32).reshape(len(chosen), -1)
        block -= centre
        yield chosen, block


def _propose(queries, reference_blocks, groups, reference_groups) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances (n, k) in single precision to the k nearest references, unordered, and their indices (n, k)."""
    best, index = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    norms = np.einsum("ij,ij->i", queries, queries)[:, None]
    for rows, block in reference_blocks:
        distance = queries @ block.T
        distance *= -2
        distance += norms
        distance += np.einsum("ij,ij->i", block, block)
        if groups is not None:
            distance[groups[:, None] == np.asarray(reference_groups)[None, rows]] = np.inf
        here = np.argpartition(distance, min(CANDIDATES, len(block)) - 1, axis=1)[:, :CANDIDATES]
        best = np.concatenate([best, np.take_along_axis(distance, here, axis=1)], axis=1)
        index = np.concatenate([index, rows[here]], axis=1)
        keep = np.argpartition(best, min(CANDIDATES, best.shape[1]) - 1, axis=1)[:, :CANDIDATES]
        best, index = np.take_along_axis(best, keep, axis=1), np.take_along_axis(index, keep, axis=1)
    return best, index


def _in_question(proposed: np.ndarray, index: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the candidates that may be the nearest: within twice the worst rounding error of the best one.

    A sum of D products is wrong by at most D times the unit roundoff times the norms of its factors.
    """
    lowest = proposed.min(axis=1, keepdims=True)
    size = np.sqrt(np.einsum("ij,ij->i", queries, queries))[:, None]
    reach = size + np.sqrt(lowest.clip(0))  # at least the norm of the nearest reference
    error = queries.shape[1] * np.finfo(np.float32).eps / 2 * (size + reach) ** 2
    return np.nonzero(np.isfinite(proposed) & (proposed <= lowest + 2 * error))


def _exact(samples: np.ndarray, references: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Mean squared pixel distance of each pair of a sample and a reference: whole numbers for uint8, else double precision."""
    result, integers = np.empty(len(rows)), samples.dtype == references.dtype == np.uint8
    for start in range(0, len(rows), PAIRS):
        part = slice(start, start + PAIRS)
        one, other = samples[rows[part]], references[columns[part]]
        if integers:
            result[part] = squared_norms(np.maximum(one, other) - np.minimum(one, other)) / (one[0].size * 255**2)
        else:
            result[part] = np.square(unit(one) - unit(other)).mean(axis=(1, 2))
    return result
