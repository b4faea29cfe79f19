"""Has a model memorized its training images? Distances to the nearest of them, compared with those of held-out images.

All functions take distances that ``nearest_distances`` (or any other search) has found.
"""

import numpy as np
from scipy.stats import rankdata

from dwikit.common.errors import InputError

ENOUGH = 20
"""A cell counts only if it holds more samples than this."""


def authenticity(distances: np.ndarray, radii: np.ndarray) -> float:
    """Share of samples farther from their nearest training image than that image is from its own (Alaa et al. 2022).

    New images of the same kind reach about a half; a model that copies, less; one that misses the data, more.

    Args:
        distances: (n,) from each sample to its nearest training image.
        radii: (n,) from that training image to the nearest other one, of another person where people are known.
    """
    return float(np.mean(np.asarray(distances) > np.asarray(radii)))


def copying_score(
    held_out: np.ndarray, samples: np.ndarray, held_out_cells: np.ndarray | None = None, cells: np.ndarray | None = None
) -> float:
    """C_T (Meehan et al. 2020): are samples nearer to the training images than held-out images are?

    In every cell of image space, the Mann-Whitney test compares both sets of distances, as a z-score with correction for
    continuity; the mean is weighted by the held-out images per cell. Cells with 20 samples or fewer are left out. The
    nearest training image may lie in any cell; the authors' code searches within the cell.

    Args:
        held_out: (n,) distances of held-out images to their nearest training image.
        samples: (m,) those of the samples.
        held_out_cells: (n,) cell of each held-out image; None means a single cell.
        cells: (m,) cell of each sample.

    Returns:
        z-score: far below 0 if samples are copies, far above 0 if they miss the data; NaN if no cell holds enough images.
    """
    held_out, samples = np.asarray(held_out, np.float64), np.asarray(samples, np.float64)
    held_out_cells = np.zeros(len(held_out), int) if held_out_cells is None else np.asarray(held_out_cells)
    cells = np.zeros(len(samples), int) if cells is None else np.asarray(cells)
    scores, weights = [], []
    for cell in np.unique(held_out_cells):
        theirs, ours = held_out[held_out_cells == cell], samples[cells == cell]
        if len(ours) > ENOUGH:
            scores.append(_z_score(ours, theirs))
            weights.append(len(theirs))
    return float(np.average(scores, weights=weights)) if scores else float("nan")


def _z_score(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Mann-Whitney U of "ours are greater" as a z-score."""
    n, m = len(ours), len(theirs)
    u = rankdata(np.concatenate([ours, theirs]))[:n].sum() - n * (n + 1) / 2
    return (u - n * m / 2 + 0.5) / np.sqrt(n * m * (n + m + 1) / 12)


def copy_ratio(distances: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Distance of each sample to its nearest training image, divided by that image's distance to the next one (its radius).

    Without this division the flat and dark ends of the head would always look most copied. 0 for an exact copy; a radius of 0
    counts as 1e-12.
    """
    distances, radii = np.asarray(distances, np.float64), np.asarray(radii, np.float64)
    if distances.shape != radii.shape:
        raise InputError(f"distances and radii must have the same length, not {distances.shape} and {radii.shape}.")
    return distances / radii.clip(1e-12)
