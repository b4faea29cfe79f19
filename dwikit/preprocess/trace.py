"""Trace-weighted image of one case: what a scanner would show as its DWI, whatever the file holds."""

import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np

from ..cohorts.bids import Case
from ..errors import InputError

SHELL_WIDTH = 100.0
"""s/mm2: b-values this close to the chosen one are its shell; scanners report 985 or 1005 for 1000."""
SMALLEST_AXIS = 8
"""Voxels: an image with fewer along any axis is no volume that an affine map could be fitted to."""
VOXEL_MM = (0.2, 20.0)
"""Voxel sizes of any brain scan; others come from headers in the wrong unit."""
ORTHOGONAL = 0.01
"""Largest cosine between two voxel axes; scanners' grids are orthogonal, an image with shear went through a
registration."""


class Refused(InputError):
    """A case that cannot be used. `flag` is its flag in the quality report, empty if none fits."""

    def __init__(self, message: str, flag: str = ""):
        super().__init__(message)
        self.flag = flag


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
    """Reads a case as its trace-weighted image: the geometric mean over the directions of one shell.

    The shell is the one nearest to `b_value`. A 3-D image without b-table is taken for a trace image as it is.

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
                f"{case.image} holds {n_volumes} volumes and has no b-values. Put its .bval file beside it"
                " (dcm2niix writes one), or hand over a 3-D trace image."
            )
        return Trace(_checked(next(_volumes(image, case.image)), case.image), affine, math.nan, 1, ())
    bvals = read_bvals(case.bval)
    if len(bvals) != n_volumes:
        raise Refused(
            f"{case.bval} lists {len(bvals)} b-values, but {case.image} holds {n_volumes} volumes. Convert the series"
            " again, or hand over the table that belongs to it."
        )
    shell = select_shell(bvals, b_value, tolerance, case.bval)
    mean = geometric_mean(_volumes(image, case.image), shell)
    found = tuple(sorted({round(value) for value in bvals.tolist()}))
    return Trace(_checked(mean, case.image), affine, float(bvals[shell].mean()), int(shell.sum()), found)


def open_image(path: Path) -> nib.Nifti1Image:
    """Opens a NIfTI image and checks its shape and type; voxels stay on disk.

    Raises:
        InputError: not a NIfTI image of real numbers with three spatial axes.
    """
    try:
        image = _load(path)
    except (
        nib.filebasedimages.ImageFileError,
        nib.spatialimages.HeaderDataError,
        OSError,
        EOFError,
        ValueError,
        zlib.error,
    ) as error:
        raise _unreadable(path, error) from error
    if not isinstance(image, nib.Nifti1Pair):
        raise Refused(f"{path} is not a NIfTI image but {type(image).__name__}. Convert it to .nii.gz.")
    if image.get_data_dtype().kind not in "iuf":
        raise Refused(f"{path} holds {image.get_data_dtype()}, not real numbers. Write its magnitude as float32.")
    shape = image.shape
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) < 3 or shape[2] == 1:
        raise Refused(f"{path} is a 2-D image, shape {image.shape}. Hand over the whole volume, all slices in one file.")
    if len(shape) > 4:
        raise Refused(f"{path} has {len(shape)} axes, shape {image.shape}. Write one series as x, y, z, volume.")
    if min(shape[:3]) < SMALLEST_AXIS:
        raise Refused(
            f"{path} has shape {image.shape}; with fewer than {SMALLEST_AXIS} voxels along an axis it cannot be"
            " registered. Hand over the whole volume."
        )
    return image if shape == image.shape else image.slicer[(..., *[0] * (image.ndim - len(shape)))]


def _load(path: Path) -> nib.Nifti1Image:
    """Opens an image; one that nibabel refuses for its corrupt qform is opened by its sform, whatever the sform's code."""
    try:
        return nib.load(path, keep_file_open=True)
    except ValueError as error:
        if "w2 should be positive" not in str(error):  # nibabel's word for a quaternion longer than 1
            raise
    with nib.openers.ImageOpener(path) as file:
        header = nib.Nifti1Header.from_fileobj(file, check=False)
    header["qform_code"], header["sform_code"] = 0, 1
    return nib.Nifti1Image(nib.arrayproxy.ArrayProxy(path, header, keep_file_open=True), None, header)


def _unreadable(path: Path, error: Exception) -> Refused:
    return Refused(
        f"{path} cannot be read as NIfTI ({str(error) or type(error).__name__}). It is truncated, damaged or of another"
        " format: copy it again from its source, or convert it again with dcm2niix."
    )


def world_affine(header: nib.Nifti1Header, path: Path) -> np.ndarray:
    """Voxel-to-world affine (4, 4) of a header: the sform if it is set and valid, else the qform.

    Raises:
        InputError: no valid one; or its voxel sizes or angles are no scanner's.
    """
    candidates = []
    if header["sform_code"] > 0:
        candidates.append(header.get_sform())
    if header["qform_code"] > 0:
        try:
            candidates.append(header.get_qform())
        except (ValueError, nib.spatialimages.HeaderDataError):
            pass  # a corrupt qform beside an sform
    valid = [matrix for matrix in candidates if _is_affine(matrix)]
    if not valid:
        determinants = [f"{np.linalg.det(matrix[:3, :3]):.3g}" for matrix in candidates if np.isfinite(matrix).all()]
        found = f"determinant {' and '.join(determinants)}" if determinants else "neither sform nor qform is set"
        raise Refused(
            f"{path} has no usable orientation in its header ({found}), so left and right are unknown. Convert it"
            " again with dcm2niix, or set a valid sform."
        )
    matrix = valid[0].astype(float)
    voxel = np.linalg.norm(matrix[:3, :3], axis=0)
    cosines = (matrix[:3, :3] / voxel).T @ (matrix[:3, :3] / voxel) - np.eye(3)
    if voxel.min() < VOXEL_MM[0] or voxel.max() > VOXEL_MM[1]:
        raise Refused(
            f"{path} has voxels of {' x '.join(f'{v:.3g}' for v in voxel)} mm by its header, which no brain scan has."
            " Correct the affine (its unit is millimetres)."
        )
    if np.abs(cosines).max() > ORTHOGONAL:
        raise Refused(
            f"{path} has voxel axes that are not at right angles, as images have after a registration. Hand over the"
            " image as the scanner wrote it."
        )
    return matrix


def _is_affine(matrix: np.ndarray) -> bool:
    return bool(np.isfinite(matrix).all() and abs(np.linalg.det(matrix[:3, :3])) > 1e-9)


def read_bvals(path: Path) -> np.ndarray:
    """b-values (N,) of a .bval file, s/mm2, parted by blanks, tabs, commas or new lines.

    Raises:
        InputError: not a list of numbers >= 0.
    """
    text = path.read_text(encoding="utf-8-sig", errors="replace").replace(",", " ")
    try:
        bvals = np.array([float(word) for word in text.split()])
    except ValueError as error:
        raise Refused(f"{path} is not a list of numbers ({error}). Write one b-value a volume, in s/mm2.") from error
    if not len(bvals) or not np.isfinite(bvals).all() or bvals.min() < 0:
        raise Refused(f"{path} must hold one b-value >= 0 a volume, in s/mm2; it holds {text.strip()[:80]!r}.")
    return bvals


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
            " case out, or set b_value and tolerance (for the command line: --tolerance) to accept another contrast.",
            flag="b_value",
        )
    return (np.abs(bvals - nearest) <= SHELL_WIDTH) & (bvals >= 50)


def geometric_mean(volumes: Iterator[np.ndarray], chosen: np.ndarray) -> np.ndarray:
    """Geometric mean of the chosen volumes, voxel by voxel, one volume in memory at a time.

    A value <= 0 counts as half the smallest positive value of its volume: an integer 0 says "below 1/2". Where no chosen
    volume is positive, the result is 0.

    Args:
        volumes: (X, Y, Z) each; all are read, so that damage anywhere in the file is found.
        chosen: (N,) bool.

    Returns:
        (X, Y, Z) float32.
    """
    total, seen = 0.0, False
    for volume, wanted in zip(volumes, chosen, strict=True):
        if not wanted:
            continue
        positive = volume > 0
        smallest = volume[positive].min() if positive.any() else np.float32(1)
        total = total + np.log(np.where(positive, volume, smallest / 2))
        seen = seen | positive
    return np.where(seen, np.exp(total / np.float32(chosen.sum())), 0).astype(np.float32)


def _volumes(image: nib.Nifti1Image, path: Path) -> Iterator[np.ndarray]:
    """Volumes (X, Y, Z) float32 one after the other, each checked to be finite; the file is read once."""
    for number in range(image.shape[3] if image.ndim == 4 else 1):
        try:
            volume = image.dataobj[..., number] if image.ndim == 4 else image.dataobj[...]
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise _unreadable(path, error) from error
        bad = volume.size - int(np.isfinite(volume).sum())
        if bad:
            raise Refused(
                f"{path} holds {bad} voxels that are NaN or infinite in volume {number}. An earlier step failed there:"
                " repeat it, or set those voxels to 0."
            )
        yield np.asarray(volume, np.float32)


def _checked(image: np.ndarray, path: Path) -> np.ndarray:
    """Refuses an image without content; negative values become 0."""
    if image.max() <= 0 or image.max() == image.min():
        raise Refused(
            f"{path} is empty: every voxel is {'zero' if image.max() == image.min() == 0 else 'the same or negative'}."
            " Export the series again.",
            flag="empty",
        )
    return np.maximum(image, 0)
