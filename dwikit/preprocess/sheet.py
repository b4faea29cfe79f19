"""The picture sheet of the quality report: one row of levels per scan, with the outline of the template's brain.

All are in one frame around the heads, wherever registration has put them.
"""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage

from dwikit.common import files
from dwikit.preprocess.template import load_template, on_grid
from dwikit.slices import grid, head_frame
from dwikit.slices.registered import read_image

LEVELS = (1, 5, 9, 13, 17, 20, 23)
"""Kept levels shown, from below."""
MOST_ROWS = 60
"""Most scans on a sheet: first those that failed or are flagged, then others spread evenly over the cohort."""
LABEL_PIXELS = 260
OUTLINE = (1.0, 0.25, 0.2)


def draw_sheet(report: pd.DataFrame, images: dict[str, Path], path: Path, image_size: int, fov_mm: float) -> None:
    """Draws the sheet as a PNG.

    Args:
        report: one row per scan, from `preprocess`.
        images: registered image of each scan that has one.
        path: of the PNG.
        image_size: pixels along one side of the images.
        fov_mm: their field of view.

    Raises:
        InputError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = choose(report)
    outline = _outline(image_size, fov_mm)
    scans = [_levels(images.get(row.case), image_size) for row in shown.itertuples()]
    rows, columns = head_frame(outline.astype(np.float32), *scans)
    strips = [_strip(levels[:, rows, columns], outline[:, rows, columns]) for levels in scans]
    height, width = strips[0].shape[0], strips[0].shape[1] + LABEL_PIXELS
    figure = Figure(figsize=(width / 100, height * len(strips) / 100 + 0.3), dpi=100, facecolor="black")
    FigureCanvasAgg(figure)
    share = height * len(strips) / 100 / figure.get_figheight()
    axes = figure.add_axes((LABEL_PIXELS / width, 0, 1 - LABEL_PIXELS / width, share))
    axes.imshow(np.concatenate(strips), aspect="auto", interpolation="nearest")
    axes.axis("off")
    for number, row in enumerate(shown.itertuples()):
        top = share * (1 - (number + 0.12) / len(strips))
        figure.text(
            0.005, top, label(row), color="white" if not row.flags else "orange", fontsize=7, va="top", parse_math=False
        )
    title = f"{len(shown)} of {len(report)} cases; outline: brain of the template; the patient's right is on the left"
    figure.text(0.005, 1 - 0.15 / figure.get_figheight(), title, color="white", fontsize=8, va="center")
    files.write(path, lambda partial: figure.savefig(partial, format="png", metadata={"Software": None}))


def choose(report: pd.DataFrame) -> pd.DataFrame:
    """Rows to show, in the report's order."""
    if len(report) <= MOST_ROWS:
        return report
    conspicuous = np.flatnonzero((report["flags"] != "") | (report["status"] != "done"))[:MOST_ROWS]
    others = np.setdiff1d(np.arange(len(report)), conspicuous)
    places = np.linspace(0, len(others) - 1, MOST_ROWS - len(conspicuous)).round().astype(int)
    return report.iloc[np.sort(np.concatenate([conspicuous, others[places]]))]


def label(row: Any) -> str:
    """Text beside one row of slices."""
    if row.status != "done":
        words = [Path(word).name if "/" in word and len(word) > 44 else word for word in row.message.split()]
        return "\n".join([row.case, "failed", *textwrap.wrap(" ".join(words), 44)[:8]])
    b_value = "trace" if np.isnan(row.b_value) else f"b {row.b_value:.0f}"
    measures = f"coverage {row.coverage:.2f}\noverlap {row.overlap:.2f}\nsimilarity {row.similarity:.2f}"
    return f"{row.case}\n{b_value}\n{measures}\n{row.flags.replace(',', chr(10))}"


def _outline(image_size: int, fov_mm: float) -> np.ndarray:
    """Edge of the template's brain on the shown levels, (levels, H, W) bool."""
    brain = grid.to_slices(on_grid(load_template().brain, image_size, fov_mm))[list(LEVELS)] > 0.5
    return np.stack([level & ~ndimage.binary_erosion(level) for level in brain])


def _levels(path: Path | None, image_size: int) -> np.ndarray:
    """The shown levels of a scan, (levels, H, W) from 0 to 1; black without an image."""
    if path is None:
        return np.zeros((len(LEVELS), image_size, image_size), np.float32)
    levels = grid.to_slices(read_image(path, image_size))[list(LEVELS)]
    return np.clip(levels / max(np.percentile(levels, 98), 1e-6), 0, 1)


def _strip(levels: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """One row of the sheet, (H, levels * W, 3) from 0 to 1; without an outline where there is nothing to see."""
    coloured = np.repeat(levels[..., None], 3, -1)
    if levels.any():
        coloured[outline] = OUTLINE
    return np.concatenate(list(coloured), axis=1)
