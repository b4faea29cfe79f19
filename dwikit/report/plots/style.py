"""One style for all figures: they print in grey."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dwikit.slices import to_uint8

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


def finished(figure: Figure) -> Figure:
    """The figure, closed: a notebook shows it only once, as the last line of a cell."""
    plt.close(figure)
    return figure


def bare(axis) -> None:
    """Remove ticks and frame from an axis."""
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)


def mosaic(images: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """Images (n, H, W) laid out in rows of ``columns`` on a white ground: one 2-D uint8 array."""
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
