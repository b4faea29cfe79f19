"""One style for all figures: they print in grey."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dwikit.slices import head_frame, to_uint8

STYLE = {
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "savefig.bbox": "tight",
    "image.cmap": "gray",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": plt.cycler(
        color=["0.0", "0.35", "0.6", "0.75", "0.2"], linestyle=["-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1))]
    ),
    "legend.frameon": False,
    "font.size": 10,
}


def finished(figure: Figure, alt: str) -> Figure:
    """The figure, closed (a notebook shows it only once, as the last line of a cell) and described.

    Args:
        figure: the figure.
        alt: what it shows, in a few sentences, for those who cannot see it; kept as its label.
    """
    figure.set_label(alt)
    plt.close(figure)
    if "IPython" in sys.modules and (shell := sys.modules["IPython"].get_ipython()):
        shell.display_formatter.mimebundle_formatter.for_type(Figure, _described)
    return figure


def _described(figure: Figure) -> tuple[dict, dict]:
    """What IPython adds to the picture: its text, and the metadata from which pages take ``alt``."""
    alt = figure.get_label()
    return ({"text/plain": alt}, {"image/png": {"alt": alt}}) if alt else ({}, {})


def listed(words: Iterable) -> str:
    """Words as they are read out: "a, b and c"."""
    *others, last = map(str, words)
    return f"{', '.join(others)} and {last}" if others else last


def bare(axis) -> None:
    """Remove ticks and frame from an axis."""
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)


def framed(groups: Mapping[Any, np.ndarray]) -> dict[Any, np.ndarray]:
    """Groups of images (n, H, W) or (n, H, W, 1), cropped to one frame around the heads in all of one size."""
    frames = {}
    for size in {images.shape[1:3] for images in groups.values()}:
        frames[size] = head_frame(*(images for images in groups.values() if images.shape[1:3] == size))
    return {label: images[:, *frames[images.shape[1:3]]] for label, images in groups.items()}


def mosaic(images: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """Images (n, H, W) laid out whole in rows of ``columns`` on a white ground: one 2-D uint8 array."""
    images = np.asarray(images)
    if images.dtype != np.uint8:
        images = to_uint8(images)
    images = images.reshape(images.shape[:3])
    n, height, width = images.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = divmod(i, columns)
        sheet[y * (height + gap) : y * (height + gap) + height, x * (width + gap) : x * (width + gap) + width] = image
    return sheet
