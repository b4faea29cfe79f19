"""Precision, recall, density and coverage: do samples lie where the data lie, and everywhere the data lie?

Each set of features is taken for a union of balls, one around each image, reaching to its k-th nearest neighbour in the set.
Precision and recall: Kynkaanniemi et al. 2019; density and coverage: Naeem et al. 2020. The conventions are those of the
package prdc: a ball's own image is not its neighbour, and its border does not belong to it. (torch-fidelity counts the
border, and takes k = 3.)
"""

from typing import NamedTuple

import numpy as np
from sklearn.metrics import pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors

from dwikit.common.errors import InputError
from dwikit.metrics.features import as_features, same_space


class Manifold(NamedTuple):
    """Shares, all but density at most 1."""

    precision: float
    """Of the samples, those inside some original's ball."""
    recall: float
    """Of the originals, those inside some sample's ball."""
    density: float
    """Originals' balls that hold a sample, divided by k, on average: not led astray by one far original with a large ball."""
    coverage: float
    """Of the originals, those whose ball holds a sample."""


def manifold(originals: np.ndarray, samples: np.ndarray, k: int = 5) -> Manifold:
    """Precision, recall, density and coverage of samples.

    All four depend on how many images there are: compare them between equal numbers only.

    Args:
        originals: features (n, d) of real images.
        samples: features (m, d) of generated images.
        k: neighbours that a ball reaches to.

    Raises:
        InputError: k or fewer vectors in a set, or features that cannot be compared.
    """
    originals = as_features(originals, "features of the originals", at_least=k + 1)
    samples = as_features(samples, "features of the samples", at_least=k + 1)
    same_space(originals, samples, ("originals", "samples"))
    if k < 1:
        raise InputError(f"k must be 1 or more, not {k}.")
    real_radii, sample_radii = _radii(originals, k)[:, None], _radii(samples, k)
    balls, recalled, covered = np.zeros(len(samples), np.int64), [], []
    start = 0
    for distances in pairwise_distances_chunked(originals, samples):
        inside = distances < real_radii[start : start + len(distances)]
        balls += inside.sum(axis=0)
        covered.append(inside.any(axis=1))
        recalled.append((distances < sample_radii).any(axis=1))
        start += len(distances)
    return Manifold(
        precision=float((balls > 0).mean()),
        recall=float(np.concatenate(recalled).mean()),
        density=float(balls.mean() / k),
        coverage=float(np.concatenate(covered).mean()),
    )


def _radii(features: np.ndarray, k: int) -> np.ndarray:
    """Distance of each vector to its k-th nearest other one."""
    return NearestNeighbors(n_neighbors=k, algorithm="brute").fit(features).kneighbors()[0][:, -1]
