"""How samples change while a network trains: from the samples that were kept after every epoch (``snapshots``)."""

import numpy as np
import pandas as pd

from dwikit import metrics, training
from dwikit.common.progress import tqdm
from dwikit.evaluation.tables import measure, real_slices
from dwikit.slices import SliceStore

MEMORY = "memory"
"""Column: the median distance of samples to the nearest slice of training people over that to as many held-out people."""


def curve(run: training.Run, store: SliceStore) -> pd.DataFrame:
    """The metrics of Table 1 after every epoch, and whether samples lie nearer to the people who were trained on.

    Args:
        run: a training.
        store: the slices it was trained on.

    Returns:
        One row per epoch of which samples were kept: the keys of ``metrics.table_1_metrics()`` and ``memory``; no row if none
        were kept.
    """
    originals = metrics.moments(store.images, store.indices("train"))
    rows = {}
    for epoch, path in tqdm(training.epochs_in(run.folder / "curve").items(), desc="Learning curve", leave=False):
        images = np.load(path, allow_pickle=False)
        row = measure(images, originals)
        rows[epoch] = {key: row[key] for key in metrics.table_1_metrics()} | {MEMORY: memory(store, images)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("epoch")


def real(store: SliceStore, n: int, seed: int = 0) -> pd.Series:
    """The same of n training slices; the memory is that of people of neither kind, 1.

    Args:
        store: slices.
        n: how many.
        seed: of their choice.
    """
    row = measure(store.images[real_slices(store, "train", n, seed)[0]], metrics.moments(store.images, store.indices("train")))
    return pd.Series({key: row[key] for key in metrics.table_1_metrics()} | {MEMORY: 1.0})


def memory(store: SliceStore, images: np.ndarray, seed: int = 0) -> float:
    """Median distance of images to their nearest training slice over that to their nearest slice of held-out people.

    Both are searched among slices of equally many people. Well below 1, the network remembers whom it was trained on.

    Args:
        store: the slices that the network was trained on.
        images: (n, H, W) uint8.
        seed: of the choice of training people.

    Returns:
        The ratio, or NaN if nobody is held out.
    """
    subjects, train = store.table["subject"].to_numpy(), store.indices("train")
    held_out = np.setdiff1d(np.arange(len(subjects)), train)
    people, others = np.unique(subjects[train]), np.unique(subjects[held_out])
    n = min(len(people), len(others))
    if not n:
        return np.nan
    near = []
    for rows, whose in ((train, people), (held_out, others)):
        chosen = np.random.default_rng(seed).permutation(whose)[:n]
        near.append(np.median(metrics.nearest_distances(images, store.images, rows=rows[np.isin(subjects[rows], chosen)])[0]))
    return float(near[0] / near[1])
