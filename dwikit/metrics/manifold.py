"""Precision, recall, density and coverage: do samples lie where the data lie, and do they cover the data?

Each set of features is modelled as a union of balls, one around each image, reaching to its k-th nearest neighbour.
Precision and recall: Kynkaanniemi et al. 2019; density and coverage: Naeem et al. 2020. The conventions are those of the
package prdc: an image is not its own neighbour, and a ball does not include its border. (torch-fidelity includes the
border and takes k = 3.)
"""

from typing import NamedTuple

import numpy as np
from sklearn.metrics import pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors

from dwikit.common.errors import InputError
from dwikit.metrics.features import as_features, same_space


class Manifold(NamedTuple):
    """Shares; all but density are at most 1."""

    precision: float
    """Share of samples inside some original's ball."""
    recall: float
    """Share of originals inside some sample's ball."""
    density: float
    """Mean number of originals' balls around a sample, divided by k: robust to one distant original with a large ball."""
    coverage: float
    """Share of originals whose ball holds a sample."""


def manifold(originals: np.ndarray, samples: np.ndarray, k: int = 5) -> Manifold:
    """Precision, recall, density and coverage of samples.

    All four depend on the number of images: compare them only between equal numbers.

    Args:
        originals: features (n, d) of real images.
        samples: features (m, d) of generated images.
        k: a ball reaches to the k-th nearest neighbour.

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
