"""Figures made of images."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dwikit.report.plots.style import bare, finished, mosaic


def image_rows(rows: Mapping[str, np.ndarray], columns: int = 8, width: float = 9.0, title: str | None = None) -> Figure:
    """One labelled row of images per group.

    Args:
        rows: label -> images (n, H, W) or (n, H, W, 1), uint8 or in [0, 1]; the first ``columns`` of each are shown.
        columns: images per row.
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
        bare(axis)
    if title:
        figure.suptitle(title)
    figure.subplots_adjust(left=0.09, right=1, bottom=0, top=0.95 if title else 1, hspace=0.03)
    return finished(figure)


def volume_sheet(image: np.ndarray, columns: int = 13, width: float = 10.0) -> Figure:
    """All levels of a scan (26, H, W), in any unit, the lowest first."""
    scaled = np.clip(image / np.percentile(image, 99.5), 0, 1)
    sheet = mosaic(scaled, columns)
    figure, axis = plt.subplots(figsize=(width, width * sheet.shape[0] / sheet.shape[1]))
    axis.imshow(sheet, cmap="gray", vmin=0, vmax=255)
    bare(axis)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1)
    return finished(figure)


def panels(images: Mapping[str, np.ndarray], width: float = 10.0) -> Figure:
    """Images of any unit and size side by side, each in its own window (0 to its 99.5th percentile) and with its title."""
    figure, axes = plt.subplots(1, len(images), figsize=(width, width / len(images) + 0.3), squeeze=False, layout="constrained")
    for axis, (title, image) in zip(axes[0], images.items()):
        axis.imshow(image, cmap="gray", vmin=0, vmax=np.percentile(image, 99.5))
        axis.set_title(title)
        bare(axis)
    return finished(figure)
