"""Trace-weighted image of one scan: what a scanner would show as its DWI, whatever the file holds."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dwikit.cohorts.bids import Case
from dwikit.common.nifti import Refused, open_image, volumes, world_affine

SHELL_WIDTH = 100.0
"""s/mm2: b-values this close to the chosen one are its shell; scanners report 985 or 1005 for 1000."""


class Trace(NamedTuple):
    """Trace-weighted image.

    Attributes:
        image: (X, Y, Z) float32, >= 0, arbitrary units.
        affine: (4, 4) voxel to world, millimetres, RAS+.
        b_value: mean b-value of the volumes used, s/mm2; nan for a ready trace image.
        n_directions: volumes that went into the mean.
        b_values: the distinct b-values of the file, rounded.
    """

    image: np.ndarray
    affine: np.ndarray
    b_value: float
    n_directions: int
    b_values: tuple[int, ...]


def read_trace(case: Case, b_value: float = 1000.0, tolerance: float = 600.0) -> Trace:
    """Reads a scan as its trace-weighted image: the geometric mean over the directions of one shell.

    The shell is the one nearest to `b_value`. A 3-D image without b-values is taken as a trace image.

    Args:
        case: from `find_cases`.
        b_value: wanted b-value, s/mm2.
        tolerance: largest accepted distance from it, s/mm2.

    Raises:
        InputError: the file cannot be used; the message names it and the remedy.
    """
    image = open_image(case.image)
    affine = world_affine(image.header, case.image)
    n_volumes = image.shape[3] if image.ndim == 4 else 1
    if case.bval is None:
        if n_volumes > 1:
            raise Refused(
                f"{case.image} holds {n_volumes} volumes but has no b-values. Put its .bval file beside it"
                " (dcm2niix writes one), or provide a 3-D trace image."
            )
        return Trace(_checked(next(volumes(image, case.image)), case.image), affine, math.nan, 1, ())
    bvals = read_bvals(case.bval)
    if len(bvals) != n_volumes:
        raise Refused(
            f"{case.bval} lists {len(bvals)} b-values, but {case.image} holds {n_volumes} volumes. Convert the series"
            " again, or provide the table that belongs to it."
        )
    shell = select_shell(bvals, b_value, tolerance, case.bval)
    mean = geometric_mean(volumes(image, case.image), shell)
    found = tuple(sorted({round(value) for value in bvals.tolist()}))
    return Trace(_checked(mean, case.image), affine, float(bvals[shell].mean()), int(shell.sum()), found)


def read_bvals(path: Path) -> np.ndarray:
    """b-values (N,) of a .bval file, s/mm2, separated by blanks, tabs, commas or new lines.

    Raises:
        InputError: not a list of numbers >= 0.
    """
    text = path.read_text(encoding="utf-8-sig", errors="replace").replace(",", " ")
    try:
        bvals = np.array([_number(word) for word in text.split()])
    except ValueError as error:
        raise Refused(f"{path} is not a list of numbers ({error}). Write one b-value per volume, in s/mm2.") from error
    if not len(bvals) or not np.isfinite(bvals).all() or bvals.min() < 0:
        raise Refused(f"{path} must hold one b-value >= 0 per volume, in s/mm2; it holds {text.strip()[:80]!r}.")
    return bvals


def _number(word: str) -> float:
    """A number as written in tables; Python would also accept 1_000."""
    try:
        return float(word.replace("_", "?"))
    except ValueError:
        raise ValueError(f"could not convert string to float: {word[:80]!r}") from None


def select_shell(bvals: np.ndarray, b_value: float, tolerance: float, path: Path) -> np.ndarray:
    """Which volumes (N,) bool make up the shell nearest to `b_value`; of two equally near ones, the lower.

    Volumes below b = 50 never count: without diffusion weighting there is no trace.

    Raises:
        InputError: no volume within `tolerance`; the message lists the b-values found.
    """
    weighted = bvals[bvals >= 50]
    nearest = min(weighted, key=lambda b: (abs(b - b_value), b), default=math.nan)
    if not abs(nearest - b_value) <= tolerance:
        found = ", ".join(f"{value}" for value in sorted({round(b) for b in bvals.tolist()}))
        raise Refused(
            f"{path} has no volume within {tolerance:g} of b = {b_value:g} s/mm2; its b-values are {found}. Leave the"
            " scan out, or set b_value and tolerance (for the command line: --tolerance) to accept another contrast.",
            flag="b_value",
        )
    return (np.abs(bvals - nearest) <= SHELL_WIDTH) & (bvals >= 50)


def geometric_mean(volumes: Iterator[np.ndarray], chosen: np.ndarray) -> np.ndarray:
    """Geometric mean of the chosen volumes, voxel by voxel, one volume in memory at a time.

    A value <= 0 counts as half the smallest positive value of its volume: an integer 0 says "below 1/2". If no chosen
    volume is positive, the result is 0. A volume without a positive value, such as a lost direction, is left out.

    Args:
        volumes: (X, Y, Z) each; all are read, so that damage anywhere in the file is found.
        chosen: (N,) bool.

    Returns:
        (X, Y, Z) float32.
    """
    total, seen, n = 0.0, False, 0
    for volume, wanted in zip(volumes, chosen, strict=True):
        if not wanted:
            continue
        positive = volume > 0
        seen = seen | positive
        if positive.any():
            total, n = total + np.log(np.where(positive, volume, volume[positive].min() / 2)), n + 1
    return np.where(seen, np.exp(total / np.float32(max(n, 1))), 0).astype(np.float32)


def _checked(image: np.ndarray, path: Path) -> np.ndarray:
    """Refuses an empty image; negative values become 0."""
    if image.max() <= 0 or image.max() == image.min():
        raise Refused(
            f"{path} is empty: every voxel is {'zero' if image.max() == image.min() == 0 else 'the same or negative'}."
            " Export the series again.",
            flag="empty",
        )
    return np.maximum(image, 0)
