"""NIfTI files from any source: opened with suspicion, read volume by volume, with their geometry checked."""

import math
import zlib
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np

from dwikit.common.errors import InputError

SMALLEST_AXIS = 8
"""Voxels; an image with fewer along any axis is too small to fit an affine map."""
DEFLATE = 1032
"""Most times that a gzipped image can be larger than its file."""
VOXEL_MM = (0.2, 20.0)
"""Voxel sizes of any brain scan; others come from headers in the wrong unit."""
ORTHOGONAL = 0.01
"""Largest cosine between two voxel axes; scanners' grids are orthogonal, an image with shear went through a
registration."""
READ_ERRORS = (
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
    OSError,
    EOFError,
    ValueError,
    OverflowError,
    zlib.error,
)
"""Errors that nibabel and gzip raise on damaged files."""


class Refused(InputError):
    """A scan that cannot be used. `flag` is its flag in the quality report, empty if none fits."""

    def __init__(self, message: str, flag: str = ""):
        super().__init__(message)
        self.flag = flag


def open_image(path: Path) -> nib.Nifti1Image:
    """Opens a NIfTI image and checks its shape and type; voxels stay on disk.

    Raises:
        InputError: not a NIfTI image of real numbers with three spatial axes.
    """
    try:
        image = _load(path)
    except READ_ERRORS as error:
        raise unreadable(path, error) from error
    if not isinstance(image, nib.Nifti1Pair):
        raise Refused(f"{path} is not a NIfTI image but {type(image).__name__}. Convert it to .nii.gz.")
    if image.get_data_dtype().kind not in "iuf":
        raise Refused(f"{path} holds {image.get_data_dtype()}, not real numbers. Write its magnitude as float32.")
    shape = image.shape
    _check_size(image, path)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) < 3 or shape[2] == 1:
        raise Refused(f"{path} is a 2-D image, shape {image.shape}. Provide the whole volume, all slices in one file.")
    if len(shape) > 4:
        raise Refused(f"{path} has {len(shape)} axes, shape {image.shape}. Write one series as x, y, z, volume.")
    if min(shape[:3]) < SMALLEST_AXIS:
        raise Refused(
            f"{path} has shape {image.shape}; with fewer than {SMALLEST_AXIS} voxels along an axis it cannot be"
            " registered. Provide the whole volume."
        )
    try:
        return image if shape == image.shape else image.slicer[(..., *[0] * (image.ndim - len(shape)))]
    except READ_ERRORS as error:
        raise unreadable(path, error) from error


def _check_size(image: nib.Nifti1Image, path: Path) -> None:
    """Refuses a header that claims more voxels than the file can hold, before memory is allocated."""
    wanted = math.prod(image.shape) * image.get_data_dtype().itemsize
    size = path.stat().st_size
    if min(image.shape, default=0) < 1 or wanted > size * (DEFLATE if path.suffix == ".gz" else 1):
        claim = " x ".join(map(str, image.shape))
        raise unreadable(path, f"its header claims {claim} voxels, {wanted} bytes, but the file has {size}")


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


def unreadable(path: Path, error: Exception | str) -> Refused:
    """The error for a file that is not a complete NIfTI image."""
    return Refused(
        f"{path} cannot be read as NIfTI ({str(error) or type(error).__name__}). It is truncated, damaged or in another"
        " format: copy it again from its source, or convert it again with dcm2niix."
    )


def world_affine(header: nib.Nifti1Header, path: Path) -> np.ndarray:
    """Voxel-to-world affine (4, 4) of a header: the sform if it is set and valid, else the qform.

    Raises:
        InputError: neither is valid; or no scanner has its voxel sizes or angles.
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
            f"{path} has voxel axes that are not at right angles, as in images after a registration. Provide the"
            " image as the scanner wrote it."
        )
    return matrix


def _is_affine(matrix: np.ndarray) -> bool:
    return bool(np.isfinite(matrix).all() and abs(np.linalg.det(matrix[:3, :3])) > 1e-9)


def volumes(image: nib.Nifti1Image, path: Path) -> Iterator[np.ndarray]:
    """Volumes (X, Y, Z) float32 one after another, each checked to be finite; the file is read once."""
    for number in range(image.shape[3] if image.ndim == 4 else 1):
        try:
            volume = image.dataobj[..., number] if image.ndim == 4 else image.dataobj[...]
        except READ_ERRORS as error:
            raise unreadable(path, error) from error
        with np.errstate(over="ignore"):
            volume = np.asarray(volume, np.float32)
        bad = volume.size - int(np.isfinite(volume).sum())
        if bad:
            raise Refused(
                f"{path} holds {bad} voxels that are NaN or infinite in volume {number}. An earlier step failed there:"
                " repeat it, or set those voxels to 0."
            )
        yield volume
