"""Figures: one function per figure, each returning a matplotlib figure that prints in grey and is described in words.

Figures 1 and 2, which inspect networks, are in ``dwikit.report.plots.diagrams``: importing it starts Keras.
"""

from dwikit.report.plots.curves import curves, intensity_histogram, learning, margin
from dwikit.report.plots.evaluation import boxes, distributions, levels, maps, neighbours
from dwikit.report.plots.images import image_rows, panels, volume_sheet
from dwikit.report.plots.style import STYLE, finished, listed, mosaic

__all__ = [
    "STYLE",
    "boxes",
    "curves",
    "distributions",
    "finished",
    "image_rows",
    "intensity_histogram",
    "learning",
    "levels",
    "listed",
    "maps",
    "margin",
    "mosaic",
    "neighbours",
    "panels",
    "volume_sheet",
]
