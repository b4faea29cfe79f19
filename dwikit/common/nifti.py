"""NIfTI files from any source: opened with suspicion, read volume by volume, with their geometry checked."""

import gzip
import math
import zlib
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np

from dwikit.common import files
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
APART = 0.7
"""Smallest cosine between an axis of the sform and the same axis of the qform: they may differ by a registration, not by a
side."""
RESIZED = 1.1
"""Largest ratio between the voxel sizes of sform and qform."""
GZIP = b"\x1f\x8b"
"""The first bytes of a compressed file."""
BEHIND = 1 << 20
"""Bytes of a file besides its voxels that are read in search of the end."""
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
    if require(path)[:2] != GZIP and path.suffix == ".gz":
        raise Refused(
            f"{path} cannot be read as NIfTI: it ends in .gz and is not compressed. Call it .nii if it is NIfTI; else"
            " convert it again with dcm2niix."
        )
    try:
        image = _load(path)
    except READ_ERRORS as error:
        raise unreadable(path, error) from error
    if not isinstance(image, nib.Nifti1Pair):
        raise Refused(f"{path} is not a NIfTI image but {type(image).__name__}. Convert it to .nii.gz.")
    if image.get_data_dtype().kind == "V":
        raise Refused(f"{path} is a picture in colour ({image.get_data_dtype()}), not a scan. Provide the grey values.")
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
        raise _cut(path, f"its header claims {claim} voxels, {wanted} bytes, but the file has {size}")


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


def require(path: Path) -> bytes:
    """The first bytes of a file.

    Raises:
        InputError: it cannot be opened, is empty, or its content was not fetched.
    """
    if reason := files.absence(path):
        raise Refused(f"{path} {reason}")
    try:
        with open(path, "rb") as file:
            beginning = file.read(16)
    except OSError as error:
        raise unreadable(path, error) from error
    if not beginning:
        raise Refused(f"{path} is empty, 0 bytes. Copy it again from its source.")
    return beginning


def _require_checksum(image: nib.Nifti1Image, path: Path) -> None:
    """Reads a compressed file up to its checksum, which lies behind the voxels: without it, some damage is read as voxels."""
    if path.suffix != ".gz":
        return
    left = math.prod(image.shape) * image.get_data_dtype().itemsize + BEHIND
    try:
        with gzip.open(path) as file:
            while left > 0 and (block := file.read(1 << 20)):
                left -= len(block)
    except READ_ERRORS as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> Refused:
    """The error for a file that is no complete NIfTI image, with the cause that the error speaks of."""
    reason = str(error) or type(error).__name__
    if isinstance(error, EOFError | zlib.error | gzip.BadGzipFile):
        return _cut(path, reason)
    if isinstance(error, OSError) and error.errno:
        return Refused(f"{path} cannot be opened ({error.strerror}). See to that, and start again.")
    if "intercept" in reason:
        return Refused(
            f"{path} has no valid scaling in its header ({reason}), so its values are unknown. Set scl_slope to 1 and"
            " scl_inter to 0 if the stored values are meant, or convert it again with dcm2niix."
        )
    return Refused(
        f"{path} cannot be read as NIfTI: it has another format, or a damaged header ({reason}). Convert it again with"
        " dcm2niix."
    )


def _cut(path: Path, reason: str) -> Refused:
    """The error for a file of which a part is missing or changed."""
    return Refused(f"{path} cannot be read as NIfTI: it is cut off or damaged ({reason}). Copy it again from its source.")


def world_affine(header: nib.Nifti1Header, path: Path) -> np.ndarray:
    """Voxel-to-world affine (4, 4) of a header: the sform if it is set and valid, else the qform.

    Raises:
        InputError: neither is valid, they disagree, or no scanner has its voxel sizes or angles.
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
    _require_agreement(valid, path)
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


def _require_agreement(forms: list[np.ndarray], path: Path) -> None:
    """Refuses an sform and a qform that turn the head another way, mirror it, or make it larger."""
    if len(forms) < 2:
        return
    sizes = [np.linalg.norm(form[:3, :3], axis=0) for form in forms]
    axes = [form[:3, :3] / size for form, size in zip(forms, sizes, strict=True)]
    ratios = np.maximum(sizes[0] / sizes[1], sizes[1] / sizes[0])
    codes = ["".join(nib.aff2axcodes(form)) for form in forms]
    if (axes[0] * axes[1]).sum(axis=0).min() < APART or ratios.max() > RESIZED:
        how = f"{codes[0]} and {codes[1]}" if codes[0] != codes[1] else f"voxels differ by a factor of {ratios.max():.3g}"
        raise Refused(
            f"{path} has an sform and a qform that disagree ({how}), so left and right or the size are in doubt. Find out"
            " which is right and set both to it, or convert it again with dcm2niix."
        )


def _is_affine(matrix: np.ndarray) -> bool:
    return bool(np.isfinite(matrix).all() and abs(np.linalg.det(matrix[:3, :3])) > 1e-9)


def volumes(image: nib.Nifti1Image, path: Path) -> Iterator[np.ndarray]:
    """Volumes (X, Y, Z) float32 one after another, each checked to be finite."""
    _require_checksum(image, path)
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
