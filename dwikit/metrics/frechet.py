"""Frechet distance between two sets of feature vectors (Heusel et al. 2017), without a matrix square root."""

from typing import NamedTuple

import numpy as np
from sklearn.decomposition import PCA

from dwikit.common.errors import InputError
from dwikit.metrics.images import as_images, blocks


class Gaussian(NamedTuple):
    """Mean (d,) and covariance (d, d) of feature vectors."""

    mean: np.ndarray
    covariance: np.ndarray


def gaussian(features: np.ndarray) -> Gaussian:
    """Mean and unbiased covariance of features (n, d), n at least 2."""
    return Gaussian(features.mean(axis=0), np.atleast_2d(np.cov(features, rowvar=False)))


def frechet_distance(one: Gaussian, other: Gaussian) -> float:
    """|m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2)), at least 0.

    The last trace is the sum of the square roots of the eigenvalues of C1^(1/2) C2 C1^(1/2), which is symmetric.
    """
    values, vectors = np.linalg.eigh(one.covariance)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ other.covariance @ root).clip(0)).sum()
    shift = np.square(one.mean - other.mean).sum()
    return max(0.0, float(shift + np.trace(one.covariance) + np.trace(other.covariance) - 2 * shared))


class PixelSpace:
    """Principal components of a set of real images, a space in which samples are compared with them.

    A cheap check during training: no feature network, one number for errors of shape, brightness and variety. It is not
    comparable between data sets or image sizes.
    """

    def __init__(
        self,
        originals: np.ndarray,
        components: int = 32,
        at_most: int = 1000,
        seed: int = 0,
        rows: np.ndarray | None = None,
        like: np.ndarray | None = None,
    ):
        """Fit to originals (N, H, W), or those at the positions ``rows``: at most ``at_most`` of them, drawn at random.

        Samples are compared with the same originals, or with those at the positions ``like``, as many at most.
        """
        originals = as_images(originals, "originals", at_least=2)
        rows = np.arange(len(originals)) if rows is None else rows

        def drawn(rows: np.ndarray) -> np.ndarray:
            chosen = np.sort(np.random.default_rng(seed).permutation(rows)[:at_most])
            return np.concatenate(list(blocks(originals[chosen], dtype=np.float32)))

        vectors = drawn(rows)
        if np.all(vectors == vectors[0]):  # their variance may be a rounding error instead of 0, as the processor sums
            raise InputError("The originals are all identical: there is no variance to compare samples with.")
        self.components = PCA(min(components, len(vectors) - 1), svd_solver="randomized", random_state=seed).fit(vectors)
        reference = vectors if like is None else drawn(like)
        self.originals = gaussian(self.components.transform(reference).astype(np.float64))

    def distance(self, samples: np.ndarray) -> float:
        """Frechet distance of samples (n, H, W) to the originals in that space, as a share of the originals' variance."""
        samples = as_images(samples, "samples", at_least=2)
        vectors = np.concatenate(list(blocks(samples, dtype=np.float32)))
        theirs = gaussian(self.components.transform(vectors).astype(np.float64))
        return frechet_distance(self.originals, theirs) / float(np.trace(self.originals.covariance))
