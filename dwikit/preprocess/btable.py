"""b-values of a series, with the lengths of its gradient directions taken into account."""

import math
from pathlib import Path

import numpy as np

from dwikit.cohorts.bids import Case
from dwikit.common import files
from dwikit.common.nifti import Refused, require

SHELL_WIDTH = 100.0
"""s/mm2: b-values this close to the chosen one are its shell; scanners report 985 or 1005 for 1000."""
WEIGHTED = 50.0
"""s/mm2: volumes below it count as not diffusion-weighted."""
ROUNDING = 0.03
"""Squared lengths this close to 1 are those of unit vectors: two decimals in a table change them by up to 0.02."""


def read_b_values(case: Case, n_volumes: int) -> tuple[np.ndarray, str]:
    """True b-values (N,) of a series with a table, s/mm2, and where they come from, for messages.

    Scanners that take a list of free vectors report one nominal b for all volumes and encode the true one in the length of
    each vector: b * |g|^2. Tables of one b-value and vectors of unequal length are read so.

    Raises:
        InputError: a table cannot be read, does not belong to the series, or contradicts the other.
    """
    bvals = read_bvals(case.bval)
    if len(bvals) != n_volumes:
        raise Refused(
            f"{case.bval} lists {len(bvals)} b-values, but {case.image} holds {n_volumes} volumes. Convert the series"
            " again, or provide the table that belongs to it."
        )
    if case.bvec is None:
        return bvals, str(case.bval)
    directions = read_bvecs(case.bvec, n_volumes)
    if n_volumes == 3 and _are_units(directions.T, bvals) and not _are_units(directions, bvals):
        directions = directions.T  # three columns, as for other numbers of volumes
    true = _scaled(bvals, case, directions)
    return true, str(case.bval) if true is bvals else f"{case.bval}, scaled by the squared lengths in {case.bvec.name},"


def _are_units(directions: np.ndarray, bvals: np.ndarray) -> bool:
    """Whether the directions (3, N) of all weighted volumes have the length 1."""
    squared = np.nan_to_num(directions**2).sum(axis=0)
    return bool((np.abs(squared[bvals >= WEIGHTED] - 1) <= ROUNDING).all())


def _scaled(bvals: np.ndarray, case: Case, directions: np.ndarray) -> np.ndarray:
    """b * |g|^2 where directions (3, N) of unequal length ask for it; else the b-values themselves."""
    squared = np.nan_to_num(directions**2).sum(axis=0)
    weighted = bvals >= WEIGHTED
    lengths = squared[weighted]
    if not lengths.any() or (np.abs(lengths - 1) <= ROUNDING).all():  # trace images have no directions
        return bvals
    found = f"b = {', '.join(f'{b:g}' for b in np.unique(bvals[weighted])[:5])} in {case.bval}"
    remedy = f"If these b-values are right as they stand, remove {case.bvec.name}; else correct the tables."
    if not lengths.all():
        number = int(np.flatnonzero(weighted & (squared == 0))[0])
        raise Refused(
            f"{case.bvec} gives no direction for volume {number}, which has b = {bvals[number]:g} in {case.bval}, and"
            f" directions for others: it may be a b = 0 or a trace image. {remedy}"
        )
    low, high = np.sqrt([lengths.min(), lengths.max()])
    if np.ptp(lengths) <= ROUNDING * lengths.max():
        raise Refused(
            f"{case.bvec} holds directions of length {high:.3g}, not 1, beside {found}: b may have to be multiplied by the"
            f" length squared. {remedy}"
        )
    if np.ptp(bvals[weighted]) > SHELL_WIDTH:
        raise Refused(
            f"{case.bvec} holds directions of length {low:.3g} to {high:.3g} beside several b-values ({found}): they may"
            f" have been multiplied by the length squared already, or not. {remedy}"
        )
    return np.where(weighted, bvals * squared, bvals)


def read_bvals(path: Path) -> np.ndarray:
    """b-values (N,) of a .bval file, s/mm2, separated by blanks, tabs, commas or new lines.

    Raises:
        InputError: not a list of numbers >= 0.
    """
    text = _text(path)
    bvals = np.array([number for line in _numbers(path, text, "one b-value per volume, in s/mm2") for number in line])
    if not len(bvals) or not np.isfinite(bvals).all() or bvals.min() < 0:
        raise Refused(f"{path} must hold one b-value >= 0 per volume, in s/mm2; it holds {text.strip()[:80]!r}.")
    return bvals


def read_bvecs(path: Path, n_volumes: int) -> np.ndarray:
    """Gradient directions (3, N) of a .bvec file: three rows, or three columns as some programs write them.

    Raises:
        InputError: not three numbers for each volume.
    """
    rows = _numbers(path, _text(path), "three rows, x, y and z, with one number per volume")
    shape = len(rows), *sorted({len(row) for row in rows})
    if shape not in ((3, n_volumes), (n_volumes, 3)):
        raise Refused(
            f"{path} holds {' x '.join(map(str, shape))} numbers, not 3 x {n_volumes}, one direction for each volume. Provide"
            " the table that belongs to the series; if its b-values are right, you may also remove this file."
        )
    return np.array(rows if shape[0] == 3 else list(zip(*rows)))


def _text(path: Path) -> str:
    require(path)
    return path.read_text(encoding="utf-8-sig", errors="replace").replace(",", " ")


def _numbers(path: Path, text: str, what: str) -> list[list[float]]:
    """Numbers of each line that holds any."""
    try:
        return [[_number(word) for word in line.split()] for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise Refused(f"{path} is not a list of numbers ({error}). Write {what}.") from error


def _number(word: str) -> float:
    """A number as written in tables; Python would also accept 1_000."""
    try:
        return float(word.replace("_", "?"))
    except ValueError:
        raise ValueError(f"could not convert string to float: {word[:80]!r}") from None


def told_b_value(case: Case) -> float:
    """b-value of a single image in its sidecar, `DiffusionBValue`; nan if it is not there.

    Raises:
        InputError: the sidecar was not fetched.
    """
    if case.sidecar is None:
        return math.nan
    require(case.sidecar)
    value = files.read_object(case.sidecar).get("DiffusionBValue")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else math.nan


def tables_beside(image: Path) -> str:
    """A sentence on what beside an image may be its table under another name; empty if there is nothing."""
    there = sorted(file.name + " (a folder)" * file.is_dir() for file in image.parent.iterdir() if "bval" in file.name.lower())
    return f" Beside it lies {', '.join(there)}; its table must be a file of its own name that ends in .bval." if there else ""
