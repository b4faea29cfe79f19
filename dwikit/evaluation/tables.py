"""Table 1 and the reconstruction table: every number with a bootstrap interval, beside that of real slices.

Columns come in threes: ``ds``, and ``ds_low`` and ``ds_high``, the ends of its 95 percent interval
(``dwikit.metrics.intervals``). Real slices are resampled by person, samples by image. Table 1 has a column for
every entry of ``metrics.METRICS`` that has a function.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from dwikit import metrics, paper
from dwikit.metrics import intervals
from dwikit.metrics.images import as_images, same_size
from dwikit.metrics.intervals import Estimate
from dwikit.metrics.table import SD
from dwikit.slices import SliceStore


def table_1(store: SliceStore, samples: Mapping[str, np.ndarray], n: int = paper.N_SAMPLES, seed: int = 0) -> pd.DataFrame:
    """Table 1: the metrics of real slices and of each model's samples.

    The originals are the training slices, as in the paper; the row Original uses n of them. All rows use the same
    number of images, except the floor: the slices of held-out people (at most n), which no model has seen.

    Args:
        store: slices.
        samples: model key -> images (m, H, W) uint8.
        n: images per row, at most; fewer if a model has fewer samples or the training split is smaller.
        seed: of the choice of real slices.

    Returns:
        One row per model key, ``original`` first, then ``held_out`` if the store has a test split: n, ds, isd, min_isd,
        laplace, laplace_sd and any metric that was added, each but n with its interval.

    Raises:
        InputError: fewer than two images, no training slices, sizes that differ, or values out of range for an image.
    """
    train = store.indices("train")
    originals = store.images[train]
    for key, images in samples.items():
        same_size(as_images(images, key), originals, (f"Samples of {key}", "the originals"))
    n = min([n, len(originals), *(len(images) for images in samples.values())])
    data = metrics.moments(originals)
    people = store.table["subject"].to_numpy()

    def real(indices: np.ndarray) -> dict[str, Any]:
        chosen = np.sort(np.random.default_rng(seed).permutation(indices)[:n])
        return _row(estimates(store.images[chosen], data, people[chosen]), len(chosen))

    rows = {"original": real(train)}
    if (held_out := np.flatnonzero(store.table["split"] == "test")).size > 1:
        rows["held_out"] = real(held_out)
    return _frame(rows | {key: _row(estimates(images[:n], data), n) for key, images in samples.items()})


def measure(images: np.ndarray, originals: metrics.Moments) -> dict[str, float]:
    """One row of Table 1 without intervals: n, and the metrics of images (n, H, W) against the moments of the originals."""
    computed = _computed(as_images(images, "samples"), originals)
    chosen = metrics.table_1_metrics().items()
    return {"n": len(images)} | {key: float(metric.statistic.plain(computed(metric.function))) for key, metric in chosen}


def per_image(images: np.ndarray, originals: metrics.Moments) -> pd.DataFrame:
    """The metrics of Table 1 image by image, where they are means of such values.

    Args:
        images: (n, H, W), n at least 2.
        originals: moments of the data that DS refers to.

    Returns:
        Columns ds (mean squared distance to all originals), isd (to all other images), min_isd (to the nearest other) and
        laplace, one row per image.
    """
    computed = _computed(as_images(images, "samples", at_least=2), originals)
    columns = {key: computed(m.each or m.function) for key, m in metrics.table_1_metrics().items() if m.statistic != SD}
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
    computed = _computed(as_images(images, "samples", at_least=2), originals)
    weights = intervals.resamples(len(images), people, seed=seed)
    found = {}
    for key, metric in metrics.table_1_metrics().items():
        values = computed(metric.each or metric.function)
        statistic = metric.statistic.weighted(values) if np.ndim(values) else None
        found[key] = intervals.estimate(statistic, weights) if statistic else Estimate(float(values))
    return found


def _computed(images: np.ndarray, originals: metrics.Moments) -> Callable:
    """Result of a metric's function for these images; a function shared by two metrics is called once."""
    return functools.cache(lambda function: function(images, originals))


def reconstruction_table(
    pairs: Mapping[str, tuple[np.ndarray, np.ndarray]],
    people: np.ndarray | None = None,
    training: np.ndarray | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Reconstruction of held-out slices (sec. 4.1): squared error and Laplace variance.

    The paper's standard deviation of the error is five times its mean, which is possible only over pixels; it and
    that over images are given.

    Args:
        pairs: model key -> (originals, reconstructions), each (n, H, W) uint8; all have the same originals, except for their
            number: all rows use the smallest.
        people: (n,) or more, person of each original; None resamples by image.
        training: (m, H, W) training slices, for the floor: the nearest of them in place of a reconstruction.
        seed: of the resamples.

    Returns:
        One row per model key, ``original`` first, ``nearest`` (the floor) second: n, mse, mse_sd (over pixels),
        mse_sd_images, laplace, laplace_sd, each but n with its interval.
    """
    n = min(len(originals) for originals, _ in pairs.values())
    originals = next(iter(pairs.values()))[0][:n]
    weights = intervals.resamples(n, None if people is None else people[:n], seed=seed)
    groups = {"original": originals}
    if training is not None:
        groups["nearest"] = training[metrics.nearest_distances(originals, training)[1]]
    groups |= {key: reconstructions[:n] for key, (_, reconstructions) in pairs.items()}
    rows = {}
    for key, images in groups.items():
        laplace = metrics.laplace_variance(images)
        statistics = {"laplace": intervals.mean(laplace), "laplace_sd": intervals.sd(laplace)}
        if key != "original":
            error = np.square((originals.astype(np.float64) - images) / 255).reshape(len(images), -1)
            mse, squares = error.mean(axis=1), np.square(error).mean(axis=1)
            statistics |= {"mse": intervals.mean(mse), "mse_sd": intervals.sd(mse, squares), "mse_sd_images": intervals.sd(mse)}
        row = {name: intervals.estimate(statistic, weights) for name, statistic in statistics.items()}
        rows[key] = _row({name: row.get(name, Estimate(np.nan)) for name in RECONSTRUCTION}, len(images))
    return _frame(rows)


RECONSTRUCTION = ("mse", "mse_sd", "mse_sd_images", "laplace", "laplace_sd")


def _row(measured: Mapping[str, Estimate], n: int) -> dict[str, Any]:
    row: dict[str, Any] = {"n": n}
    for name, (value, low, high) in measured.items():
        row |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return row


def _frame(rows: dict[str, dict]) -> pd.DataFrame:
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
