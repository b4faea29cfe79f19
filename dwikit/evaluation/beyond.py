"""Beyond the paper's four metrics: samples judged in the space of a feature network, by a classifier, and for copies.

Every number comes with that of held-out real slices, of people no network has seen: no model can be
expected to do better. All rows of a table use the same number of images.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans

from dwikit import metrics, paper
from dwikit.common.errors import InputError
from dwikit.common.progress import tqdm
from dwikit.evaluation.copies import nearest
from dwikit.evaluation.networks import FeatureNetwork
from dwikit.evaluation.tables import FLOOR, real_slices
from dwikit.metrics.table import METRICS
from dwikit.slices import SliceStore

LABELS = paper.LABELS | {FLOOR: "Held-out slices"}
CELLS = 3


def draw(store: SliceStore, split: str, sizes: list[int], n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Positions of equally many slices of the split and of held-out people: n, or what the smallest set allows.

    Args:
        store: slices.
        split: what the models were trained on; all other people are held out.
        sizes: numbers of samples.
        n: slices per set, at most.
        seed: of the draw.

    Raises:
        InputError: an empty split, or nobody outside it.
    """
    if len(store.indices(split)) == len(store.images):
        raise InputError(f"Every slice of the store is in the split {split!r}; held-out people are needed as a floor.")
    train, held_out = real_slices(store, split, n, seed)
    n = min(len(train), len(held_out), *sizes)
    if n < 2:
        raise InputError(f"Samples, {split} and held-out slices: two or more of each are needed, but the smallest set has {n}.")
    return real_slices(store, split, n, seed)


def beyond_paper(
    store: SliceStore,
    samples: Mapping[str, np.ndarray],
    networks: Mapping[str, FeatureNetwork],
    n: int = paper.N_SAMPLES,
    seed: int = 0,
    split: str = "train",
) -> pd.DataFrame:
    """Metrics beyond those of the paper, for each model and for held-out real slices.

    Args:
        store: slices.
        samples: model key -> images (m, H, W) uint8.
        networks: name -> feature network. Frechet and kernel distances use each of them; the rest use the first.
        n: images per row, at most (``draw``).
        seed: of every random choice.
        split: what the models were trained on.

    Returns:
        One row per model key, ``held_out`` first. Columns are pairs (metric, where it was measured): n; precision, recall,
        density, coverage; fid, kid and kid_sd on every network; ms_ssim (mean over pairs of images); accuracy, auc, auc_low
        and auc_high of the machine reader; nearest (mean distance to the nearest training slice, as a ratio to that of
        held-out slices), authenticity, c_t.
    """
    train, held_out = draw(store, split, [len(images) for images in samples.values()], n, seed)
    patients = pd.factorize(store.table["subject"])[0]
    groups = {FLOOR: store.images[held_out]} | {key: images[: len(train)] for key, images in samples.items()}
    originals = {name: network(store.images[train]) for name, network in networks.items()}
    name = next(iter(networks))
    cells = KMeans(min(CELLS, len(train)), n_init=10, random_state=seed).fit(originals[name])
    rows, floor, floor_cells = {}, None, None
    for key, images in tqdm(groups.items(), "Beyond the paper", unit="row", leave=False):
        features = {other: network(images) for other, network in networks.items()}
        near, own_cells = nearest(store, images, split), cells.predict(features[name])
        theirs = patients[held_out] if key == FLOOR else None
        row = {("n", ""): len(images)} | _on_network(originals[name], features[name], patients[train], theirs, name, seed)
        row |= _distances(originals, features, seed)
        row["ms_ssim", f"{metrics.scales(store.image_size)} scales"] = metrics.ms_ssim_diversity(images, seed=seed)
        if key == FLOOR:  # against itself: one half of the people as if they were samples
            floor, floor_cells, half = near.distances, own_cells, _half(theirs, seed)
            c_t = metrics.copying_score(floor[~half], floor[half], own_cells[~half], own_cells[half])
        else:
            c_t = metrics.copying_score(floor, near.distances, floor_cells, own_cells)
        row["nearest", "pixels"] = near.distances.mean() / floor.mean() if floor.any() else np.nan
        row["authenticity", "pixels"] = metrics.authenticity(near.distances, near.radii)
        row["c_t", "pixels"] = c_t
        rows[key] = row
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
    table.columns = pd.MultiIndex.from_tuples(table.columns)
    return table


def _on_network(originals, features, patients, sample_patients, name: str, seed: int) -> dict:
    shares = metrics.manifold(originals, features, k=min(5, len(features) - 1))
    reading = metrics.machine_reader(originals, features, patients, sample_patients, seed)
    names = {"low": "auc_low", "high": "auc_high"}
    values = shares._asdict() | {names.get(key, key): value for key, value in reading._asdict().items()}
    return {(key, name): value for key, value in values.items()}


def _distances(originals: dict, features: dict, seed: int) -> dict:
    row = {}
    for name, theirs in originals.items():
        row["fid", name] = metrics.frechet_distance(metrics.gaussian(theirs), metrics.gaussian(features[name]))
        kernel = metrics.kernel_distance(theirs, features[name], blocks=min(10, len(theirs) // 2), seed=seed)
        row["kid", name], row["kid_sd", name] = kernel
    return row


def _half(patients: np.ndarray, seed: int) -> np.ndarray:
    """Which images belong to a random half of the people."""
    everyone = np.random.default_rng(seed).permutation(np.unique(patients))
    return np.isin(patients, everyone[: len(everyone) // 2])


def readable(table: pd.DataFrame, labels: Mapping[str, str] = LABELS) -> pd.DataFrame:
    """``beyond_paper``'s table for readers, as text: one row per metric and feature space, one column per model."""
    columns = {}
    for key, row in table.iterrows():
        cells = {"images a row": f"{row['n', '']:.0f}"}
        for metric, name in table.columns:
            if metric in METRICS:
                cells[f"{METRICS[metric].label} ({name})"] = METRICS[metric].shown(metric, row.xs(name, level=1))
        columns[labels.get(key, key)] = cells
    return pd.DataFrame(columns).rename_axis("metric (measured on)")
