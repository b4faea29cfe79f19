"""Figures made of images."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dwikit.report.plots.style import bare, finished, framed, listed, mosaic

PICTURE = 0.91
"""Share of a figure's width that rows of images take; the rest holds their labels."""


def image_rows(
    rows: Mapping[str, np.ndarray], columns: int = 8, width: float = 9.0, title: str | None = None, above: bool = False
) -> Figure:
    """One labelled row of images per group, in one frame around the heads.

    Args:
        rows: label -> images (n, H, W) or (n, H, W, 1), uint8 or in [0, 1]; the first ``columns`` of each are shown.
        columns: images per row.
        width: of the figure, in inches.
        title: above all.
        above: long labels, one above each row instead of beside it.
    """
    shown = framed({label: np.asarray(images[:columns]) for label, images in rows.items()})
    sheets = [mosaic(images, columns) for images in shown.values()]
    height = (1 if above else PICTURE) * width * sheets[0].shape[0] / sheets[0].shape[1] * 1.04 + (0.25 if above else 0)
    room = 0.3 if title else 0
    figure, axes = plt.subplots(len(rows), 1, figsize=(width, height * len(rows) + room), squeeze=False)
    for axis, (label, sheet) in zip(axes[:, 0], zip(rows, sheets)):
        axis.imshow(sheet, cmap="gray", vmin=0, vmax=255)
        axis.set_title(label, loc="left") if above else axis.set_ylabel(label)
        bare(axis)
    inch = 1 / figure.get_figheight()
    if title:
        figure.suptitle(title, y=1 - 0.04 * inch)
    top = 1 - (room + (0.25 if above else 0)) * inch
    figure.subplots_adjust(left=0 if above else 1 - PICTURE, right=1, bottom=0, top=top, hspace=0.25 if above else 0.03)
    told = [f"{len(images)} of {' '.join(str(label).split())}" for label, images in shown.items()]
    return finished(figure, f"{title + '. ' if title else ''}Brain slices in rows, from top to bottom: {listed(told)}.")


def volume_sheet(image: np.ndarray, columns: int = 13, width: float = 10.0) -> Figure:
    """All levels of a scan (26, H, W), in any unit, the lowest first, in one frame around the head."""
    scaled = np.clip(image / np.percentile(image, 99.5), 0, 1)
    sheet = mosaic(framed({"": scaled})[""], columns)
    figure, axis = plt.subplots(figsize=(width, width * sheet.shape[0] / sheet.shape[1]))
    axis.imshow(sheet, cmap="gray", vmin=0, vmax=255)
    bare(axis)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1)
    return finished(figure, f"All {len(image)} slices of one scan, from the base of the skull to the vertex.")


def panels(images: Mapping[str, np.ndarray], width: float = 10.0) -> Figure:
    """Images (H, W) of any unit in one frame around the head, each with its title and window (to its 99.5th percentile)."""
    windowed = framed({title: np.clip(image / np.percentile(image, 99.5), 0, 1)[None] for title, image in images.items()})
    height, across = next(iter(windowed.values())).shape[1:]
    size = (width, width / len(images) * height / across + 0.3)
    figure, axes = plt.subplots(1, len(images), figsize=size, squeeze=False, layout="constrained")
    for axis, (title, image) in zip(axes[0], windowed.items()):
        axis.imshow(image[0], cmap="gray", vmin=0, vmax=1)
        axis.set_title(title)
        bare(axis)
    return finished(figure, f"One brain slice each, from left to right: {listed(images)}.")
