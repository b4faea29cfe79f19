"""Images from anyone's model, read from files: .npy, .npz, a folder of PNG, NIfTI. Nothing is ever unpickled."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dwikit import metrics
from dwikit.common import files, paths
from dwikit.common.errors import InputError
from dwikit.metrics.images import opencv
from dwikit.slices import to_uint8

NIFTI = (".nii", ".nii.gz")
OTHER_PICTURES = (
    ".jpg", ".jpeg", ".jfif", ".jp2", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".avif", ".heic", ".pgm", ".pnm", ".dcm",
    ".mgz", ".bz2",
)  # fmt: skip
"""Not read: JPEG and WebP change how sharp an image is; the others can hold pages, alpha and bit depths that would be lost."""
PNG_BEGINNING = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"
BLOCK = 256


def read(path: str | Path) -> np.ndarray:
    """Images of a file or folder as (N, H, W) uint8; floating point in [0, 1] is rounded to 0-255.

    Args:
        path: ``.npy``, ``.npz`` with one array (or one named ``samples``), a NIfTI file, or a folder of PNG or of NIfTI files,
            in the order of their names. PNGs are 8-bit grey; a grey palette or RGB will do. The axial
            slices of a volume are read from foot to head, front up, the patient's right on the left.

    Raises:
        InputError: nothing to read, a damaged file, a pickle, pictures of other kinds, colour, transparency, sizes that
            differ, or values outside the range or below one grey level.
    """
    path = paths.home(path)
    _require(path)
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
    images = metrics.as_images(images, str(path))
    found = _uint8(images)
    if found.max() <= 1 and images.max() > 0:
        raise InputError(
            f"No pixel of {path} is brighter than 1 of 255. Write images in [0, 1] as floating point, or 255 times as large as "
            "uint8."
        )
    return found


def _require(path: Path) -> None:
    if reason := files.absence(path):
        raise InputError(f"{path} {reason}")


def _uint8(images: np.ndarray) -> np.ndarray:
    if images.dtype == np.uint8:
        return images
    quantized = np.empty(images.shape, np.uint8)
    for start in range(0, len(images), BLOCK):
        quantized[start : start + BLOCK] = to_uint8(images[start : start + BLOCK].astype(np.float64))
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
    entries = sorted(file for file in path.iterdir() if not file.name.startswith("."))
    there = [file for file in entries if not file.is_dir()]
    png = [file for file in there if file.suffix.lower() == ".png"]
    nifti = [file for file in there if file.name.lower().endswith(NIFTI)]
    if others := [file for file in there if file.suffix.lower() in OTHER_PICTURES]:
        raise InputError(
            f"{others[0]} is neither PNG nor NIfTI, and other pictures are not read: JPEG and WebP change how sharp an image "
            "is, and TIFF, BMP and GIF can hold pages, transparency and depths that would be lost. Write 8-bit grey PNG."
        )
    for file in (*png, *nifti):
        _require(file)
    inside = [one for folder in entries if folder.is_dir() for one in folder.iterdir()]
    if deeper := sorted(file for file in inside if file.name.lower().endswith((".png", *NIFTI))):
        raise InputError(f"{deeper[0]} lies in a folder of {path}, which is not searched. Put all images into one folder.")
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
            raise InputError(f"{paths[0]} has {one} and {file} {other}; convert all to one size and type.")
        kept.append(part)
    return np.concatenate(kept)


def _png(path: Path) -> np.ndarray:
    """A grey picture (H, W) uint8. What OpenCV would silently drop or change is refused by name."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read as PNG ({error}).") from error
    header = content.split(b"IDAT", 1)[0]  # everything that says how to read the pixels comes before them
    if not header.startswith(PNG_BEGINNING) or len(header) < 33:
        raise InputError(f"{path} cannot be read as PNG (it does not start like one).")
    depth, grey = header[24], header[25] == 0
    if depth == 16 or (depth == 1 and grey):
        what = "16 bits per pixel" if depth == 16 else "1 bit per pixel, black or white"
        raise InputError(f"{path} has {what}; write 8-bit grey images.")
    if b"acTL" in header:
        raise InputError(f"{path} is an animation; write one 8-bit grey image per file.")
    pixels = _decoded(path, content)
    if (b"tRNS" in header and grey) or (pixels.shape[2:] == (4,) and pixels[..., 3].min() < 255):
        raise InputError(f"{path} is transparent in places; write 8-bit grey images without an alpha channel.")
    if pixels.ndim == 3 and (pixels[..., :3] != pixels[..., :1]).any():
        raise InputError(f"{path} is in colour; write grey images.")
    return pixels if pixels.ndim == 2 else pixels[..., 0]


def _decoded(path: Path, content: bytes) -> np.ndarray:
    """Pixels (H, W) or (H, W, 3 or 4) as the file holds them."""
    cv2 = opencv()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # we print the only message
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except (cv2.error, MemoryError) as error:
        raise InputError(f"{path} cannot be read as PNG ({error}).") from error
    if pixels is None:
        raise InputError(f"{path} cannot be read as PNG (it is damaged or incomplete).")
    return pixels


def _nifti(path: Path) -> np.ndarray:
    """Axial slices (n, H, W) of a volume."""
    import nibabel as nib

    try:
        volume = nib.as_closest_canonical(nib.load(path))
        values = np.asarray(volume.dataobj)
    except Exception as error:  # the library raises many types
        raise InputError(f"{path} cannot be read as NIfTI ({type(error).__name__}: {error}).") from error
    values = values[..., None] if values.ndim == 2 else values
    if values.ndim != 3:
        raise InputError(f"{path} has the shape {values.shape}; a volume of axial slices (X, Y, Z) is needed.")
    if values.dtype.kind in "iu" and values.size and values.min() >= 0 and values.max() <= 255:
        values = values.astype(np.uint8)
    return values[::-1, ::-1].transpose(2, 1, 0)


def facts(path: Path, images: np.ndarray) -> dict:
    """Images from a file or folder, in a provenance file."""
    digest = hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()
    return {"path": str(path.resolve()), "images": len(images), "sha256": digest}


def fitted(images: np.ndarray, size: tuple[int, int], name: str, resize: bool = False) -> tuple[np.ndarray, str]:
    """Images at the size of a store's slices, and a sentence on what was done to them (empty if nothing).

    Images are only shrunk, each new pixel being the mean of the area it covers (OpenCV's INTER_AREA), as for slices.
    Enlarging would add no detail, and every metric would call them blurred.

    Args:
        images: (N, H, W) uint8.
        size: wanted (height, width).
        name: what messages call the images.
        resize: shrink larger images; False refuses them.

    Raises:
        InputError: images of another shape, smaller ones, or larger ones without ``resize``.
    """
    (height, width), (wanted, across) = images.shape[1:], size
    if (height, width) == (wanted, across):
        return images, ""
    fits = height > wanted and height * across == width * wanted
    if not (fits and resize):
        remedy = "shrink the images (--resize), or " if fits else ""
        raise InputError(
            f"{name} holds images of {height} x {width} pixels and the store slices of {wanted} x {across}; "
            f"{remedy}build a store of that size (dwikit slices --image-size)."
        )
    cv2 = opencv()
    small = np.stack([cv2.resize(image, (across, wanted), interpolation=cv2.INTER_AREA) for image in images])
    return small, (
        f"The samples were shrunk from {height} x {width} to {wanted} x {across} pixels (means over areas, OpenCV's "
        "INTER_AREA), which averages their noise and finest detail."
    )
