"""Table 1 and the reconstruction table: every number with a bootstrap interval, beside what real slices reach.

Columns come in threes: ``ds``, and ``ds_low`` and ``ds_high``, the ends of its 95 percent interval (``dwikit.metrics.intervals``).
Rows of real slices are resampled by person, rows of samples by image.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from dwikit import metrics, paper
from dwikit.metrics import intervals
from dwikit.metrics.images import as_images, blocks, same_size
from dwikit.metrics.intervals import Estimate
from dwikit.slices import SliceStore


def table_1(store: SliceStore, samples: Mapping[str, np.ndarray], n: int = paper.N_SAMPLES, seed: int = 0) -> pd.DataFrame:
    """Table 1: the four metrics of real slices and of each model's samples.

    The originals are the training slices, as in the paper; the row Original takes n of them. All rows stand on the same
    number of images, but for the floor: the slices of held-out people (at most n), which no model has seen.

    Args:
        store: slices.
        samples: model key -> images (m, H, W) uint8.
        n: images a row, at most; fewer where a model has fewer samples or the training split is smaller.
        seed: of the choice of real slices.

    Returns:
        One row a model key, ``original`` first, then ``held_out`` if the store has a test split: n, ds, isd, min_isd,
        laplace, laplace_sd, each but n with its interval.

    Raises:
        InputError: fewer than two images, no training slices, sizes that differ, values that are none of an image.
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
    """One row of Table 1 without intervals: the four metrics of images (n, H, W) against the moments of the originals."""
    laplace = metrics.laplace_variance(images)
    return {
        "n": len(images),
        "ds": metrics.dataset_similarity(images, originals),
        "isd": metrics.intra_sample_diversity(images),
        "min_isd": metrics.minimum_intra_sample_diversity(images),
        "laplace": laplace.mean(),
        "laplace_sd": laplace.std(),
    }


def per_image(images: np.ndarray, originals: metrics.Moments) -> pd.DataFrame:
    """The four metrics image by image; the metrics are their means.

    Args:
        images: (n, H, W), n at least 2.
        originals: moments of the data that DS refers to.

    Returns:
        Columns ds (mean squared distance to all originals), isd (to all other images), min_isd (to the nearest other) and
        laplace, one row an image.
    """
    images = as_images(images, "samples", at_least=2)
    n, centre, square = metrics.moments(images)
    norms, to_originals, to_centre = (
        np.concatenate(parts)
        for parts in zip(*((np.einsum("ij,ij->i", b, b), b @ originals.mean, b @ centre) for b in blocks(images)))
    )
    return pd.DataFrame(
        {
            "ds": np.maximum(norms + originals.square - 2 * to_originals, 0) / centre.size,
            "isd": np.maximum(norms + square - 2 * to_centre, 0) / centre.size * n / (n - 1),
            "min_isd": metrics.nearest_distances(images)[0],
            "laplace": metrics.laplace_variance(images),
        }
    )


def estimates(
    images: np.ndarray, originals: metrics.Moments, people: np.ndarray | None = None, seed: int = 0
) -> dict[str, Estimate]:
    """The four metrics of images (n, H, W), and the standard deviation of the Laplace variance, with their intervals.

    Args:
        images: samples, or real slices.
        originals: moments of the data that DS refers to.
        people: (n,) whose slice each image is; None for samples, which are independent draws.
        seed: of the resamples.
    """
    values = {name: column.to_numpy() for name, column in per_image(images, originals).items()}
    weights = intervals.resamples(len(images), people, seed=seed)
    statistics = {name: intervals.mean(values[name]) for name in ("ds", "isd", "min_isd", "laplace")}
    statistics |= {"isd": intervals.pair_mean(values["isd"]), "laplace_sd": intervals.sd(values["laplace"])}
    return {name: intervals.estimate(statistic, weights) for name, statistic in statistics.items()}


def reconstruction_table(
    pairs: Mapping[str, tuple[np.ndarray, np.ndarray]],
    people: np.ndarray | None = None,
    training: np.ndarray | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Reconstruction of held-out slices (sec. 4.1): squared error and Laplace variance.

    The paper gives a standard deviation of the error five times its mean, which is possible over pixels only; both it and
    that over images stand here.

    Args:
        pairs: model key -> (originals, reconstructions), each (n, H, W) uint8; originals equal for all models, but for their
            number: all rows stand on the smallest.
        people: (n,) or more, whose slice each original is; None resamples by image.
        training: (m, H, W) training slices, for the floor: the nearest of them in place of a reconstruction.
        seed: of the resamples.

    Returns:
        One row a model key, ``original`` first, ``nearest`` (the floor) second: n, mse, mse_sd (over pixels),
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
