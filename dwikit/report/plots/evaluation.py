"""Figures of the evaluation: metrics as distributions, levels of the brain, nearest neighbours, mean and variance maps."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import ndimage

from dwikit.metrics.periodic import periodic_excess
from dwikit.metrics.table import METRICS
from dwikit.report.plots.style import bare, finished, framed, listed, mosaic

CELL = 1.15
"""Size of an image in inches."""


def distributions(
    groups: Mapping[str, pd.DataFrame], titles: Mapping[str, str] | None = None, periodic: Mapping[str, float] | None = None
) -> Figure:
    """Metrics image by image: boxes from quartile to quartile, whiskers from the 5th to the 95th percentile, diamonds at means.

    Args:
        groups: label -> one row per image (``evaluation.per_image``), the originals first; the dotted line is their mean.
        titles: column -> title of its panel; None takes every metric of the first group, under its title in ``METRICS``.
        periodic: label -> periodic excess of its images (``metrics.periodic_excess``), at the right: how much of what looks
            sharp may be a grid.
    """
    titles = titles or {key: METRICS[key].title or METRICS[key].label for key in next(iter(groups.values()))}
    figure, axes = plt.subplots(1, len(titles), figsize=(10, 0.36 * len(groups) + 0.9), sharey=True, layout="constrained")
    for axis, (name, title) in zip(axes, titles.items()):
        columns = [table[name].to_numpy() for table in groups.values()]
        mark = {"marker": "D", "markersize": 3.5, "markerfacecolor": "0", "markeredgecolor": "0"}
        axis.boxplot(
            columns[::-1], orientation="horizontal", widths=0.6, whis=(5, 95), showfliers=False, showmeans=True,
            manage_ticks=False, patch_artist=True, meanprops=mark, boxprops={"facecolor": "0.88"},
            medianprops={"color": "0", "linewidth": 1.5},
        )  # fmt: skip
        axis.axvline(columns[0].mean(), color="0.4", linestyle=":", linewidth=1, zorder=0)
        axis.set_title(title, fontsize=10)
        axis.set_xlim(0, None)
        axis.locator_params(axis="x", nbins=4)
    axes[0].set_yticks(range(1, len(groups) + 1), list(groups)[::-1])
    if periodic:
        for row, label in enumerate(list(groups)[::-1], 1):
            axes[-1].annotate(f"{periodic[label]:.1f}", (1.04, row), xycoords=("axes fraction", "data"), va="center")
        axes[-1].annotate("periodic\nexcess", (1.04, 1), xycoords="axes fraction", va="bottom", fontsize=8)
    told = [
        f"{title}: {listed(f'{label} {table[name].mean():.3g}' for label, table in groups.items())}."
        for name, title in titles.items()
    ]
    return finished(figure, f"Metrics image by image, as boxes; their means are: {' '.join(told)}")


def boxes(groups: Mapping[str, np.ndarray], label: str) -> Figure:
    """One quantity by group, as boxes; ``label`` names it."""
    figure, axis = plt.subplots(figsize=(6.5, 0.45 * len(groups) + 0.9), layout="constrained")
    axis.boxplot(
        list(groups.values())[::-1], orientation="horizontal", tick_labels=list(groups)[::-1], widths=0.6,
        medianprops={"color": "0"}, flierprops={"markersize": 2, "alpha": 0.4},
    )  # fmt: skip
    axis.set_xlabel(label)
    told = listed(f"{name} {np.median(values):.4g}" for name, values in groups.items())
    return finished(figure, f"Boxes of {label}; their medians are: {told}.")


def levels(
    groups: Mapping[str, tuple[np.ndarray, np.ndarray]], wanted: Sequence[int], columns: int = 3, within: int = 1
) -> Figure:
    """Some images of each group at some levels of the brain (the paper's Figure 4), the first in order, none picked.

    All are in one frame around the heads.

    Args:
        groups: label -> images (n, H, W) and the level of each (n,).
        wanted: levels.
        columns: images per level; fewer if there are not enough.
        within: largest distance of an image's level from the wanted one.
    """
    shown = framed(
        {
            (label, level): images[np.flatnonzero(np.abs(places - level) <= within)[:columns]]
            for label, (images, places) in groups.items()
            for level in wanted
        }
    )
    height, width = next(iter(shown.values())).shape[1:]
    size = (CELL * columns * len(wanted) * 1.03 + 0.4, CELL * height / width * len(groups) + 0.3)
    figure, axes = plt.subplots(len(groups), len(wanted), figsize=size, squeeze=False)
    for row, label in zip(axes, groups):
        for axis, level in zip(row, wanted):
            chosen = shown[label, level]
            blank = np.full((columns - len(chosen), height, width), 255, np.uint8)
            axis.imshow(mosaic(np.concatenate([chosen, blank]), columns), cmap="gray", vmin=0, vmax=255)
            bare(axis)
        row[0].set_ylabel(label)
    for axis, level in zip(axes[0], wanted):
        axis.set_title(f"level {level}", fontsize=10)
    figure.subplots_adjust(left=0.4 / size[0], right=1, bottom=0, top=1 - 0.3 / size[1], hspace=0.02, wspace=0.04)
    blank = [f"{label} at level {level}" for (label, level), images in shown.items() if not len(images)]
    told = f"Up to {columns} brain slices of {listed(groups)} near levels {listed(wanted)}, a row each."
    return finished(figure, f"{told} None of {listed(blank)}." if blank else told)


def neighbours(groups: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]], columns: int = 8) -> Figure:
    """Samples, below each its nearest training slice, and the mean squared distance of the two, in one frame around the heads.

    Args:
        groups: label -> samples (n, H, W), their nearest training slices (n, H, W), distances (n,).
        columns: samples per group, the first in order.
    """
    pairs = framed({label: np.concatenate([a[:columns], b[:columns]]) for label, (a, b, _) in groups.items()})
    height, width = next(iter(pairs.values())).shape[1:]
    size = (CELL * columns + 0.4, len(groups) * (2 * CELL * height / width + 0.22))
    figure, axes = plt.subplots(len(groups), 1, figsize=size, squeeze=False)
    for axis, (label, (_, _, distances)) in zip(axes[:, 0], groups.items()):
        sheet = mosaic(pairs[label], columns)
        axis.imshow(sheet, cmap="gray", vmin=0, vmax=255)
        bare(axis)
        axis.set_ylabel(f"training   {label}", fontsize=9)
        for i, distance in enumerate(distances[:columns]):
            place = (i * (width + 1) + width / 2, sheet.shape[0])
            axis.text(*place, f"{distance:.4f}", ha="center", va="top", fontsize=7.5)
    figure.subplots_adjust(left=0.4 / size[0], right=1, bottom=0.22 / size[1], top=1, hspace=0.1)
    near = {label: distances[:columns] for label, (*_, distances) in groups.items()}
    told = listed(f"{min(some):.2g} to {max(some):.2g} for {label}" for label, some in near.items() if len(some))
    return finished(figure, f"Samples, each above its nearest training slice. Mean squared distances: {told}.")


def maps(groups: Mapping[str, np.ndarray]) -> Figure:
    """Mean, standard deviation and detail of each pixel over the images of a group: where blur and collapse occur.

    Where the standard deviation is lower than the originals', samples vary too little there (collapse); where the detail (the
    root mean square of the Laplacian) is, they are blurred. Every row has one window, the originals' range, and all are in one
    frame around the heads. Below stands the periodic excess: where it is above the originals', detail may be a grid.

    Args:
        groups: label -> images (n, H, W) uint8, the originals first.
    """
    excess = {label: periodic_excess(images) for label, images in groups.items()}
    rows, groups = {"mean": _mean, "spread": _spread, "detail": _detail}, framed(groups)
    height, width = next(iter(groups.values())).shape[1:]
    cell = 7.0 / len(groups)
    told: dict[str, list[str]] = {}
    figure, axes = plt.subplots(
        len(rows), len(groups), figsize=(8, len(rows) * cell * height / width + 0.3), squeeze=False, layout="constrained"
    )
    for row, (label, function) in zip(axes, rows.items()):
        values = [function(images) for images in groups.values()]
        told[label] = [f"{group} {value.mean():.3g}" for group, value in zip(groups, values)]
        for axis, value in zip(row, values):
            picture = axis.imshow(value, cmap="gray", vmin=0, vmax=np.quantile(values[0], 0.999))
            bare(axis)
        row[0].set_ylabel(label)
        figure.colorbar(picture, ax=list(row), pad=0.01, aspect=12)
    for axis, label in zip(axes[0], groups):
        axis.set_title(label, fontsize=10)
    for axis, value in zip(axes[-1], excess.values()):
        axis.set_xlabel(f"periodic excess {value:.1f}", fontsize=8)
    told["periodic excess"] = [f"{label} {value:.1f}" for label, value in excess.items()]
    words = [f"{name}: {listed(values)}." for name, values in told.items()]
    return finished(figure, f"Maps of the pixels of each group, and averages of each map. {' '.join(words)}")


def _mean(images: np.ndarray) -> np.ndarray:
    return images.mean(axis=0, dtype=np.float64) / 255


def _spread(images: np.ndarray) -> np.ndarray:
    return images.std(axis=0, dtype=np.float64) / 255


def _detail(images: np.ndarray) -> np.ndarray:
    """Root mean square of the Laplacian, on the 0-255 scale of the Laplace variance."""
    total = np.zeros(images.shape[1:])
    for image in images:
        total += np.square(ndimage.laplace(image.astype(np.float64), mode="mirror"))
    return np.sqrt(total / len(images))
