"""Images from anyone's model, read from files: .npy, .npz, a folder of PNG, NIfTI. Nothing is ever unpickled."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dwikit import metrics
from dwikit.common import files
from dwikit.common.errors import InputError

NIFTI = (".nii", ".nii.gz")
BLOCK = 256


def read(path: str | Path) -> np.ndarray:
    """Images of a file or folder as (N, H, W) uint8; floating point in [0, 1] is rounded to 0-255.

    Args:
        path: ``.npy``, ``.npz`` with one array (or one named ``samples``), a NIfTI file, or a folder of PNG or of NIfTI files,
            which come in the order of their names. The axial slices of a volume come from foot to head, front up, the patient's
            right on the left.

    Raises:
        InputError: nothing to read there, a damaged file, a pickle, colour, sizes that differ, or values outside the range.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"There are no samples at {path}.")
    if path.is_dir():
        images = _folder(path)
    elif path.suffix.lower() in (".npy", ".npz"):
        images = _array(path)
    elif path.name.lower().endswith(NIFTI):
        images = _nifti(path)
    else:
        raise InputError(f"{path} is none of .npy, .npz, .nii, .nii.gz, or a folder of PNG or NIfTI files.")
    return _uint8(metrics.as_images(images, str(path)))


def _uint8(images: np.ndarray) -> np.ndarray:
    if images.dtype == np.uint8:
        return images
    quantized = np.empty(images.shape, np.uint8)
    for start in range(0, len(images), BLOCK):
        quantized[start : start + BLOCK] = np.round(images[start : start + BLOCK].astype(np.float64) * 255)
    return quantized


def _array(path: Path) -> np.ndarray:
    try:
        if path.suffix.lower() == ".npy":
            return files.read_array(path)
        arrays = files.read_arrays(path, only="samples")
    except (OSError, ValueError) as error:
        reason = "it holds Python objects, which are not read because they could run code" if _of_objects(error) else error
        raise InputError(f"{path} cannot be read as an array ({reason}). Write it with numpy.save, as uint8.") from error
    if len(arrays) == 1 or "samples" in arrays:
        return arrays.get("samples", next(iter(arrays.values())))
    raise InputError(f"{path} holds {', '.join(arrays) or 'nothing'}; name the array with the images 'samples'.")


def _of_objects(error: Exception) -> bool:
    return "pickle" in str(error) or "Python objects" in str(error)


def _folder(path: Path) -> np.ndarray:
    there = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    png = [file for file in there if file.suffix.lower() == ".png"]
    nifti = [file for file in there if file.name.lower().endswith(NIFTI)]
    if bool(png) == bool(nifti):
        found = "both PNG and NIfTI files" if png else "neither PNG nor NIfTI files"
        raise InputError(f"{path} holds {found}; give a folder with one kind.")
    return _joined(png, (_png(file)[None] for file in png)) if png else _joined(nifti, map(_nifti, nifti))


def _joined(paths: list[Path], parts: Iterable[np.ndarray]) -> np.ndarray:
    """All images in one array; the first file of another size or type is named."""
    kept = []
    for file, part in zip(paths, parts):
        if kept and (part.shape[1:], part.dtype) != (kept[0].shape[1:], kept[0].dtype):
            one, other = (f"{x.shape[1]} x {x.shape[2]} pixels of {x.dtype}" for x in (kept[0], part))
            raise InputError(f"{paths[0]} has {one} and {file} {other}; bring all to one size and type.")
        kept.append(part)
    return np.concatenate(kept)


def _png(path: Path) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.mode == "1" or image.mode.startswith(("I", "F")):
                raise InputError(f"{path} is of PNG mode {image.mode}; write grey images of 8 bits.")
            if image.mode == "L":
                return np.asarray(image)
            colours = np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read as PNG ({error}).") from error
    if (colours != colours[..., :1]).any():
        raise InputError(f"{path} is in colour; write grey images.")
    return colours[..., 0]


def _nifti(path: Path) -> np.ndarray:
    """Axial slices (n, H, W) of a volume."""
    import nibabel as nib

    try:
        volume = nib.as_closest_canonical(nib.load(path))
        values = np.asarray(volume.dataobj)
    except Exception as error:  # the library raises many kinds
        raise InputError(f"{path} cannot be read as NIfTI ({type(error).__name__}: {error}).") from error
    values = values[..., None] if values.ndim == 2 else values
    if values.ndim != 3:
        raise InputError(f"{path} has the shape {values.shape}; a volume of axial slices (X, Y, Z) is needed.")
    if values.dtype.kind in "iu" and values.size and values.min() >= 0 and values.max() <= 255:
        values = values.astype(np.uint8)
    return values[::-1, ::-1].transpose(2, 1, 0)
