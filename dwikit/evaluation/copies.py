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


class Copied(NamedTuple):
    """How many images copy training slices."""

    share: float
    """Estimated share of images: 1 if all are copies; about 0 if none is, by chance also below."""
    by_chance: float
    """Standard deviation of the estimate if none is a copy. Images that are all alike lie nearest to few people, who may all
    have been trained on by chance: then it is large, and the estimate says nothing."""


def copied(store: SliceStore, images: np.ndarray) -> Copied:
    """Estimated share of images that are copies of training slices, in content if not in every pixel.

    Among all slices, of whatever split, the nearest to an image that remembers nobody is a training slice as often as slices
    are: that share e is expected by chance. If a share c were copies, e + c (1 - e) would be found. Unlike a median of
    distances, c sees a few copies among many samples, and copies of people who are few among those in training.

    Args:
        store: the slices that the network was trained on.
        images: (n, H, W) uint8.

    Returns:
        c, and how much it varies by chance; NaN if nobody is held out.
    """
    train = (store.table["split"] == "train").to_numpy()
    if train.all():
        return Copied(np.nan, np.nan)
    rows, chance = metrics.nearest_distances(images, store.images)[1], train.mean()
    codes, people = pd.factorize(store.table["subject"])
    each, n = np.bincount(codes[rows], minlength=len(people)) / len(rows), len(people)
    spread = np.sqrt(chance * (1 - chance) * np.sum((each - 1 / n) ** 2) * n / (n - 1))  # other people drawn for training
    return Copied(float((train[rows].mean() - chance) / (1 - chance)), float(spread / (1 - chance)))


def diversity_within_levels(store: SliceStore, images: np.ndarray) -> float:
    """Intra-sample diversity of images of one level of the head, averaged over the images.

    Most of the diversity of slices is the height at which they cut the head: samples of one and the same brain at all levels
    differ nearly as much as slices of everybody. The level of an image is that of the nearest slice.

    Args:
        store: slices.
        images: (n, H, W) uint8.

    Returns:
        Mean squared pixel distance, >= 0; NaN if no two images have the same level.
    """
    levels = store.table["level"].to_numpy()[metrics.nearest_distances(images, store.images)[1]]
    alike = [images[levels == level] for level in np.unique(levels) if np.sum(levels == level) > 1]
    if not alike:
        return float("nan")
    return float(np.average([metrics.intra_sample_diversity(some) for some in alike], weights=[len(some) for some in alike]))
