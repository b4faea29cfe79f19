"""Trace-weighted image of one scan: what a scanner would show as its DWI, whatever the file holds."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np

from dwikit.cohorts.bids import Case
from dwikit.cohorts.names import split_name
from dwikit.common.errors import InputError
from dwikit.common.nifti import Refused, open_image, volumes, world_affine
from dwikit.preprocess.btable import SHELL_WIDTH, WEIGHTED, read_b_values, read_bvals, tables_beside, told_b_value


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

    The shell is the one nearest to `b_value`. A single image without b-values is a trace image if it is called so
    (`_trace`) or if its sidecar gives a b-value; a `_dwi` may as well be a b = 0, and is refused.

    Args:
        case: from `find_cases`.
        b_value: wanted b-value, s/mm2.
        tolerance: largest accepted distance from it, s/mm2.

    Raises:
        InputError: the file cannot be used; the message names it and the remedy.
    """
    image = open_image(case.image)
    affine = world_affine(image.header, case.image)
    if case.bval is None:
        return _single(case, image, affine, b_value, tolerance)
    bvals, source = read_b_values(case, image.shape[3] if image.ndim == 4 else 1)
    shell = select_shell(bvals, b_value, tolerance, source)
    mean = geometric_mean(volumes(image, case.image), shell)
    found = tuple(sorted({round(value) for value in bvals.tolist()}))
    return Trace(_checked(mean, case.image), affine, float(bvals[shell].mean()), int(shell.sum()), found)


def _single(case: Case, image: nib.Nifti1Image, affine: np.ndarray, b_value: float, tolerance: float) -> Trace:
    """A trace image without a table."""
    if image.ndim == 4:
        raise Refused(
            f"{case.image} holds {image.shape[3]} volumes but has no b-values. Put its .bval file beside it"
            f" (dcm2niix writes one), or provide a 3-D trace image.{tables_beside(case.image)}"
        )
    told = told_b_value(case)
    if math.isnan(told) and split_name(case.image.name)[1] != "trace":
        raise Refused(
            f"{case.image} is a single image without b-value: it may be a b = 0 or a trace image. Put its .bval file beside"
            f" it, or call it _trace if it is one.{tables_beside(case.image)}"
        )
    if not math.isnan(told):
        select_shell(np.array([told]), b_value, tolerance, case.sidecar)
    found = () if math.isnan(told) else (round(told),)
    return Trace(_checked(next(volumes(image, case.image)), case.image), affine, told, 1, found)


def first_trace(cases: Iterable[Case], b_value: float = 1000.0, tolerance: float = 600.0) -> tuple[Case, Trace]:
    """The first scan that can be used, and its trace-weighted image; says why those before it cannot.

    Raises:
        InputError: none can be used.
    """
    for case in cases:
        try:
            return case, read_trace(case, b_value, tolerance)
        except InputError as error:
            print(f"{case.name} cannot be used: {error}")
    raise InputError("No scan of the data set can be used. The lines above say why.")


def name_volumes(case: Case, trace: Trace) -> dict[str, int]:
    """Volumes of a series worth showing beside its trace image: name to number; none for a single image.

    They are the first with the lowest b-value and the first two of the shell that the trace image was made from.
    """
    bvals = read_b_values(case, read_bvals(case.bval).size)[0] if case.bval else np.empty(0)
    if bvals.size < 2:
        return {}
    shell = np.flatnonzero(select_shell(bvals, trace.b_value, SHELL_WIDTH, case.bval))[:2]
    lowest = int(np.argmin(bvals))
    plain = {} if lowest in shell else {f"b = {bvals[lowest]:.0f}": lowest}
    return plain | {f"b = {bvals[number]:.0f}, volume {number}": int(number) for number in shell}


def select_shell(bvals: np.ndarray, b_value: float, tolerance: float, source: str | Path) -> np.ndarray:
    """Which volumes (N,) bool make up the shell nearest to `b_value`; of two equally near ones, the lower.

    Volumes below b = 50 never count: without diffusion weighting there is no trace.

    Raises:
        InputError: no volume within `tolerance`; the message lists the b-values found.
    """
    weighted = bvals[bvals >= WEIGHTED]
    nearest = min(weighted, key=lambda b: (abs(b - b_value), b), default=math.nan)
    if not abs(nearest - b_value) <= tolerance:
        found = ", ".join(f"{value}" for value in sorted({round(b) for b in bvals.tolist()}))
        raise Refused(
            f"{source} has no volume within {tolerance:g} of b = {b_value:g} s/mm2; its b-values are {found}. Leave the"
            " scan out, or set b_value and tolerance (for the command line: --tolerance) to accept another contrast.",
            flag="b_value",
        )
    return (np.abs(bvals - nearest) <= SHELL_WIDTH) & (bvals >= WEIGHTED)


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
