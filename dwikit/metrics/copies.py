"""Has a model learnt its training images by heart? Distances to the nearest of them, judged by those of held-out images.

All take distances that ``nearest_distances`` (or any other search) found once.
"""

import numpy as np
from scipy.stats import rankdata

from dwikit.common.errors import InputError

ENOUGH = 20
"""Samples a cell must hold to count."""


def authenticity(distances: np.ndarray, radii: np.ndarray) -> float:
    """Share of samples that are farther from their nearest training image than that one is from its own (Alaa et al. 2022).

    Fresh images of the same kind reach about a half, a model that copies less, and one that misses the data more.

    Args:
        distances: (n,) of each sample to its nearest training image.
        radii: (n,) of that training image to the nearest other one; of another patient, where patients are known.
    """
    return float(np.mean(np.asarray(distances) > np.asarray(radii)))


def copying_score(
    held_out: np.ndarray, samples: np.ndarray, held_out_cells: np.ndarray | None = None, cells: np.ndarray | None = None
) -> float:
    """C_T (Meehan et al. 2020): are samples nearer to the training images than held-out images are?

    In every cell of image space the Mann-Whitney test compares both sets of distances, as a z-score with correction for
    continuity; their mean is weighted by the held-out images of a cell. Cells with 20 samples or fewer are left out. The
    nearest training image may lie in any cell, while the authors' code searches within the cell.

    Args:
        held_out: (n,) distances of held-out images to their nearest training image.
        samples: (m,) those of the samples.
        held_out_cells: (n,) cell of each held-out image; None means that there is one cell.
        cells: (m,) the same for the samples.

    Returns:
        z-score: far below 0 means copies, far above 0 that samples miss the data; NaN if no cell holds enough images.
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
    """Distance of each sample to its nearest training image, as a ratio to that image's own to the next one (its radius).

    Without that measure the flat and dark ends of the head would always look most copied. 0 for an exact copy; a radius of 0
    counts as unmeasurably small.
    """
    distances, radii = np.asarray(distances, np.float64), np.asarray(radii, np.float64)
    if distances.shape != radii.shape:
        raise InputError(f"distances and radii must have one length, not {distances.shape} and {radii.shape}.")
    return distances / radii.clip(1e-12)
