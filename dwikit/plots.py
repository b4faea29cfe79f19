"""Figures: one function a figure, each returning a matplotlib figure that prints in grey."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

STYLE = {
    "figure.dpi": 80,
    "savefig.dpi": 150,
    "savefig.bbox": "tight",
    "image.cmap": "gray",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": plt.cycler(color=["0.0", "0.35", "0.6", "0.75"], linestyle=["-", "--", "-.", ":"]),
    "legend.frameon": False,
    "font.size": 10,
}


def mosaic(images: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """Images (n, H, W) laid out in rows of ``columns`` on a white ground: one 2-D uint8 array."""
    images = np.asarray(images)
    if images.dtype != np.uint8:
        images = np.round(np.clip(images, 0, 1) * 255).astype(np.uint8)
    images = images.reshape(images.shape[:3])
    n, height, width = images.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = divmod(i, columns)
        sheet[y * (height + gap) : y * (height + gap) + height, x * (width + gap) : x * (width + gap) + width] = image
    return sheet


def image_rows(rows: Mapping[str, np.ndarray], columns: int = 8, width: float = 9.0, title: str | None = None) -> Figure:
    """One labelled row of images a group.

    Args:
        rows: label -> images (n, H, W) or (n, H, W, 1), uint8 or in [0, 1]; the first ``columns`` of each are shown.
        columns: images a row.
        width: of the figure, in inches.
        title: above all.
    """
    sheets = [mosaic(images[:columns], columns) for images in rows.values()]
    ratio = sheets[0].shape[0] / sheets[0].shape[1]
    figure, axes = plt.subplots(
        len(rows), 1, figsize=(width, width * ratio * len(rows) * 1.04 + (0.3 if title else 0)), squeeze=False
    )
    for axis, (label, sheet) in zip(axes[:, 0], zip(rows, sheets)):
        axis.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axis.set_ylabel(label)
        _bare(axis)
    if title:
        figure.suptitle(title)
    figure.subplots_adjust(left=0.09, right=1, bottom=0, top=0.95 if title else 1, hspace=0.03)
    return _finished(figure)


def _finished(figure: Figure) -> Figure:
    """The figure, closed: a notebook shows it once, where it is the last line of a cell."""
    plt.close(figure)
    return figure


def _bare(axis) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)


def volume_sheet(image: np.ndarray, columns: int = 13, width: float = 10.0) -> Figure:
    """All levels of a case (26, H, W), in any unit, the lowest first."""
    scaled = np.clip(image / np.percentile(image, 99.5), 0, 1)
    sheet = mosaic(scaled, columns)
    figure, axis = plt.subplots(figsize=(width, width * sheet.shape[0] / sheet.shape[1]))
    axis.imshow(sheet, cmap="gray", vmin=0, vmax=255)
    _bare(axis)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1)
    return _finished(figure)


def panels(images: Mapping[str, np.ndarray], width: float = 10.0) -> Figure:
    """Images of any unit and size side by side, each in its own window (0 to its 99.5th percentile) and with its title."""
    figure, axes = plt.subplots(1, len(images), figsize=(width, width / len(images) + 0.3), squeeze=False, layout="constrained")
    for axis, (title, image) in zip(axes[0], images.items()):
        axis.imshow(image, cmap="gray", vmin=0, vmax=np.percentile(image, 99.5))
        axis.set_title(title)
        _bare(axis)
    return _finished(figure)


def curves(
    log: pd.DataFrame, panels: Sequence[Sequence[str]], titles: Sequence[str] | None = None, log_scale: bool = False
) -> Figure:
    """Terms of the loss by epoch, one panel a group of terms."""
    figure, axes = plt.subplots(1, len(panels), figsize=(3.6 * len(panels), 2.7), squeeze=False, layout="constrained")
    for i, (axis, names) in enumerate(zip(axes[0], panels)):
        for name in names:
            axis.plot(log.index, log[name], label=name, marker="o", markersize=3)
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_title(titles[i] if titles else ", ".join(names))
        if log_scale:
            axis.set_yscale("log")
        if len(names) > 1:
            axis.legend()
    return _finished(figure)


def margin(log: pd.DataFrame, m: float) -> Figure:
    """KL divergence of real slices and of both kinds of fakes by epoch, against the IntroVAE's margin m."""
    figure, axis = plt.subplots(figsize=(6.5, 3), layout="constrained")
    for name, label in (("kl_real", "real slices"), ("kl_rec", "reconstructions"), ("kl_fake", "images of prior latents")):
        axis.plot(log.index, log[name], label=label, marker="o", markersize=3)
    axis.axhline(m, color="0.7", linestyle="-", linewidth=0.8)
    axis.annotate(f"m = {m:g}", (1, m), xycoords=("axes fraction", "data"), ha="right", va="bottom", color="0.4")
    axis.set(xlabel="epoch", ylabel="KL divergence, nats", ylim=(0, None))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend()
    return _finished(figure)


def intensity_histogram(raw: np.ndarray, cap: float, normalized: np.ndarray) -> Figure:
    """Intensities before (with the clip) and after normalization."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained")
    axes[0].hist(raw.ravel(), bins=120, color="0.6")
    axes[0].axvline(cap, color="0")
    axes[0].annotate("clip", (cap, 1), xycoords=("data", "axes fraction"), xytext=(4, -10), textcoords="offset points")
    axes[0].set(yscale="log", xlabel="intensity, scanner units", ylabel="voxels")
    axes[1].hist(normalized.ravel(), bins=64, color="0.6")
    axes[1].set(yscale="log", xlabel="intensity, normalized")
    return _finished(figure)


def sharpness(groups: Mapping[str, np.ndarray]) -> Figure:
    """Distribution of the Laplace variance by group (0-255 scale), as boxes without outliers beyond the whiskers."""
    figure, axis = plt.subplots(figsize=(6.5, 0.45 * len(groups) + 0.9), layout="constrained")
    axis.boxplot(
        list(groups.values())[::-1], orientation="horizontal", tick_labels=list(groups)[::-1], widths=0.6,
        medianprops={"color": "0"}, flierprops={"markersize": 2, "alpha": 0.4},
    )  # fmt: skip
    axis.set_xlabel("Laplace variance (0-255 scale)")
    return _finished(figure)
