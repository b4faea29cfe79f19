"""Table 1 and the reconstruction table: every number with a bootstrap interval, beside that of real slices.

Columns come in threes: ``ds``, and ``ds_low`` and ``ds_high``, the ends of its 95 percent interval
(``dwikit.metrics.intervals``). Real slices are resampled by person, samples by image. Table 1 has a column for
every entry of ``metrics.METRICS`` that has a function.
"""

import functools
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from dwikit import metrics, paper
from dwikit.metrics import intervals
from dwikit.metrics.images import as_images, same_size
from dwikit.metrics.intervals import Estimate
from dwikit.slices import SliceStore

FLOOR = "held_out"
"""Row of held-out real slices, of people no network has seen: no model can be expected to do better."""
FEW = 10
"""Held-out people below which tables come with a warning."""


def table_1(
    store: SliceStore, samples: Mapping[str, np.ndarray], n: int = paper.N_SAMPLES, seed: int = 0, split: str = "train"
) -> pd.DataFrame:
    """Table 1: the metrics of real slices and of each model's samples.

    The originals are the training slices, as in the paper; the row Original uses n of them. All rows use the same
    number of images, except the floor: the slices of held-out people (at most n), which no model has seen.

    Args:
        store: slices.
        samples: model key -> images (m, H, W) uint8.
        n: images per row, at most; fewer if a model has fewer samples or the training split is smaller.
        seed: of the choice of real slices.
        split: what the models were trained on; all other people are held out.

    Returns:
        One row per model key, ``original`` first, then ``held_out`` if anybody is: n, ds, isd, min_isd, laplace, laplace_sd,
        the kit's own periodic (``metrics.periodic_excess``), and any metric that was added, each but n with its interval.

    Raises:
        InputError: fewer than two images, no training slices, sizes that differ, or values out of range for an image.
    """
    data = metrics.moments(store.images, store.indices(split))
    for key, images in samples.items():
        same_size(as_images(images, key), store.images, (f"Samples of {key}", "the originals"))
    chosen, held_out = real_slices(store, split, min([n, *(len(images) for images in samples.values())]), seed)
    people = store.table["subject"].to_numpy()
    real = {"original": chosen} | ({FLOOR: held_out} if len(held_out) > 1 else {})
    rows = {key: _row(estimates(store.images[rows], data, people[rows]), len(rows)) for key, rows in real.items()}
    n = len(chosen)
    return _frame(rows | {key: _row(estimates(images[:n], data), n) for key, images in samples.items()})


def real_slices(store: SliceStore, split: str, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the real slices that samples are compared with: of the split, and of all other people.

    Args:
        store: slices.
        split: the slices that the models were trained on.
        n: slices of each kind, at most. The choice for a smaller n is part of that for a larger one.
        seed: of the choice.

    Returns:
        (m,) of the split and (k,) of held-out people, in the order of the store.

    Raises:
        InputError: no such split.
    """
    train = store.indices(split)
    held_out = np.setdiff1d(np.arange(len(store.images)), train)
    chosen, others = (np.sort(np.random.default_rng(seed).permutation(rows)[: max(n, 0)]) for rows in (train, held_out))
    return chosen, others


def few_people(store: SliceStore, split: str = "train") -> str:
    """What the held-out slices cannot tell, in words, if they come from fewer than ``FEW`` people; else nothing.

    Args:
        store: slices.
        split: what the models were trained on; all other people are held out.
    """
    people = store.table["subject"].drop(store.indices(split)).nunique()
    if not 0 < people < FEW:
        return ""
    of = "one person, so that nothing measured on them has an interval" if people == 1 else f"only {people} people"
    return (
        f"Held-out slices are those of {of}. FID, KID and the distances of that row say as much about who was held out as "
        "about how far new people are: a network is not better than real slices because it lies closer."
    )


def measure(images: np.ndarray, originals: metrics.Moments) -> dict[str, float]:
    """One row of Table 1 without intervals: n, and the metrics of images (n, H, W) against the moments of the originals."""
    images = as_images(images, "samples")
    weights = np.full((1, len(images)), 1 / len(images))
    return {"n": len(images)} | {key: found.value for key, found in _estimates(images, originals, weights).items()}


def per_image(images: np.ndarray, originals: metrics.Moments) -> pd.DataFrame:
    """The metrics of Table 1 image by image, where they are means of such values.

    Args:
        images: (n, H, W), n at least 2.
        originals: moments of the data that DS refers to.

    Returns:
        Columns ds (mean squared distance to all originals), isd (to all other images), min_isd (to the nearest other) and
        laplace, one row per image.
    """
    images = as_images(images, "samples", at_least=2)
    means = {key: metric for key, metric in metrics.table_1_metrics().items() if metric.statistic != intervals.sd}
    columns = {key: metric.function(images, originals) for key, metric in means.items()}
    return pd.DataFrame({key: values for key, values in columns.items() if np.ndim(values)})


def estimates(
    images: np.ndarray, originals: metrics.Moments, people: np.ndarray | None = None, seed: int = 0
) -> dict[str, Estimate]:
    """The metrics of Table 1 of images (n, H, W), with their intervals where they have values image by image.

    Args:
        images: samples, or real slices.
        originals: moments of the data that DS refers to.
        people: (n,) person of each image; None for samples, which are independent draws.
        seed: of the resamples.
    """
    images = as_images(images, "samples", at_least=2)
    return _estimates(images, originals, intervals.resamples(len(images), people, seed=seed))


def _estimates(images: np.ndarray, originals: metrics.Moments, weights: np.ndarray) -> dict[str, Estimate]:
    """Every metric of Table 1, with its interval over the weights (draws, n)."""
    computed = functools.cache(lambda function: function(images, originals))  # two metrics can share a function
    found = {}
    for key, metric in metrics.table_1_metrics().items():
        values = computed(metric.function)
        found[key] = intervals.estimate(metric.statistic(values), weights) if np.ndim(values) else Estimate(float(values))
    return found


def reconstruction_table(store: SliceStore, reconstructions: Mapping[str, np.ndarray], seed: int = 0) -> pd.DataFrame:
    """Reconstruction of held-out slices (sec. 4.1): squared error and Laplace variance.

    The paper's standard deviation of the error is five times its mean, which is possible only over pixels; it and
    that over images are given. The floor uses no network: the nearest training slice in place of a reconstruction.

    Args:
        store: slices that the models were trained on.
        reconstructions: model key -> images (n, H, W) uint8 of the slices ``training.held_out(store)``, in that order; all rows
            use the smallest n.
        seed: of the resamples.

    Returns:
        One row per model key, ``original`` first, ``nearest`` (the floor) second: n, mse, mse_sd (over pixels),
        mse_sd_images, laplace, laplace_sd, periodic (the kit's own), each but n with its interval.
    """
    shown, weights = _rebuilt(store, reconstructions, seed)
    originals, n = store.images[shown], len(shown)
    nearest = metrics.nearest_distances(originals, store.images, rows=store.indices("train"))[1]
    groups = {"original": originals, "nearest": store.images[nearest]}
    groups |= {key: images[:n] for key, images in reconstructions.items()}
    rows = {}
    for key, images in groups.items():
        found = _statistics(images, None if key == "original" else originals)
        row = {name: intervals.estimate(statistic, weights) for name, statistic in found.items()}
        row["periodic"] = Estimate(metrics.periodic_excess(images))
        rows[key] = _row({name: row.get(name, Estimate(np.nan)) for name in RECONSTRUCTION}, n)
    return _frame(rows)


def paired_ratios(store: SliceStore, reconstructions: Mapping[str, np.ndarray], seed: int = 0) -> pd.DataFrame:
    """Ratios of two rows of the reconstruction table, each with its interval: both rows are of the same slices.

    A slice that is hard for one network is hard for another, so the ratio varies less over resamples than two independent
    rows would: each resample draws the same people for both.

    Args:
        store: as for ``reconstruction_table``.
        reconstructions: the same.
        seed: of the resamples.

    Returns:
        Columns value, low, high; rows by name (mse or laplace), row and to, such as ("mse", "vae", "dfc_vae").
    """
    shown, weights = _rebuilt(store, reconstructions, seed)
    originals = store.images[shown]
    found = {"original": _statistics(originals)}
    found |= {key: _statistics(images[: len(shown)], originals) for key, images in reconstructions.items()}
    rows = {}
    for name in ("mse", "laplace"):
        for row, to in itertools.permutations((key for key in found if name in found[key]), 2):
            over, under = found[row][name], found[to][name]
            rows[name, row, to] = intervals.estimate(lambda weights, a=over, b=under: a(weights) / b(weights), weights)
    index = pd.MultiIndex.from_tuples(rows, names=["name", "row", "to"])
    return pd.DataFrame(rows.values(), index=index, columns=Estimate._fields)


def _rebuilt(store: SliceStore, reconstructions: Mapping[str, np.ndarray], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the slices that all models have reconstructed, and weights of their resamples by person."""
    from dwikit import training  # imports Keras

    shown = training.held_out(store)[: min(len(images) for images in reconstructions.values())]
    return shown, intervals.resamples(len(shown), store.table["subject"].to_numpy()[shown], seed=seed)


def _statistics(images: np.ndarray, originals: np.ndarray | None = None) -> dict[str, intervals.Statistic]:
    """Sharpness of images, and their squared error against originals."""
    laplace = metrics.laplace_variance(images)
    statistics = {"laplace": intervals.mean(laplace), "laplace_sd": intervals.sd(laplace)}
    if originals is not None:
        error = np.square((originals.astype(np.float64) - images) / 255).reshape(len(images), -1)
        mse, squares = error.mean(axis=1), np.square(error).mean(axis=1)
        statistics |= {"mse": intervals.mean(mse), "mse_sd": intervals.sd(mse, squares), "mse_sd_images": intervals.sd(mse)}
    return statistics


RECONSTRUCTION = ("mse", "mse_sd", "mse_sd_images", "laplace", "laplace_sd", "periodic")


def _row(measured: Mapping[str, Estimate], n: int) -> dict[str, Any]:
    row: dict[str, Any] = {"n": n}
    for name, (value, low, high) in measured.items():
        row |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return row


def _frame(rows: dict[str, dict]) -> pd.DataFrame:
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
