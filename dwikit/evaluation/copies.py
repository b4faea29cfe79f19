"""Samples beside the training slices they may be copies of."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from dwikit import metrics
from dwikit.slices import SliceStore


class Nearest(NamedTuple):
    """The nearest training slice of each image."""

    distances: np.ndarray
    """(n,) mean squared pixel distance to it."""
    rows: np.ndarray
    """(n,) its position in the store."""
    radii: np.ndarray
    """(n,) the slice's own distance to the nearest training slice of another person."""


def nearest(store: SliceStore, images: np.ndarray, split: str = "train") -> Nearest:
    """The nearest training slice to each image (n, H, W), and how near other training slices are to that slice.

    Raises:
        InputError: no such split, a split with a single person, or images of another size.
    """
    rows = store.indices(split)
    patients = pd.factorize(store.table["subject"])[0]
    distances, index = metrics.nearest_distances(images, store.images, rows=rows)
    found, back = np.unique(index, return_inverse=True)
    radii, _ = metrics.nearest_distances(store.images[found], store.images, patients[found], patients, rows)
    return Nearest(distances, index, radii[back])


def most_copied(store: SliceStore, images: np.ndarray, n: int = 6, split: str = "train") -> pd.DataFrame:
    """The n images (N, H, W) that look most like copies of a training slice.

    Returns:
        One row per image, the most suspicious first: sample (its index), row (of its neighbour in the store), case, level,
        distance, radius (of the neighbour, see ``Nearest``) and ratio (distance / radius).
    """
    near = nearest(store, images, split)
    ratios = metrics.copy_ratio(near.distances, near.radii)
    chosen = np.argsort(ratios, kind="stable")[:n]
    neighbours = store.table.iloc[near.rows[chosen]]
    return pd.DataFrame(
        {
            "sample": chosen,
            "row": near.rows[chosen],
            "case": neighbours["case"].to_numpy(),
            "level": neighbours["level"].to_numpy(),
            "distance": near.distances[chosen],
            "radius": near.radii[chosen],
            "ratio": ratios[chosen],
        }
    )
