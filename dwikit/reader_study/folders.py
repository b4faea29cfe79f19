"""Images for a deck from folders and files, as an organizer has them."""

from pathlib import Path

import numpy as np
from PIL import Image

from dwikit.errors import InputError
from dwikit.metrics import as_images
from dwikit.slices import SliceStore

LOSSLESS = (".png", ".tif", ".tiff", ".bmp")


def read_images(path: str | Path) -> tuple[np.ndarray, list[str] | None]:
    """Images and whose they are.

    Args:
        path: a folder of 8-bit grey images (PNG, TIFF, BMP), an array (``.npy``, as ``samples.npy``), or a store of slices.

    Returns:
        Images (N, H, W) uint8 or in [0, 1], and the subject of each: for files, what stands before the first ``_`` or ``.``
        of their name (``sub-01_slice-12.png``); from a store, its subjects; None for an array.

    Raises:
        InputError: nothing there, colour, 16 bits, JPEG (its traces would tell sources apart), or several sizes.
    """
    path = Path(path)
    if path.suffix == ".npy":
        try:
            return as_images(np.load(path, mmap_mode="r", allow_pickle=False), str(path)), None
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path} cannot be read as an array of images ({error}).") from error
    if (path / "images.npy").is_file():
        store = SliceStore.open(path)
        return store.images, store.table["subject"].astype(str).tolist()
    found = sorted(file for file in path.glob("*") if file.suffix.lower() in (*LOSSLESS, ".jpg", ".jpeg"))
    if not found:
        raise InputError(
            f"There are no images in {path}. Name a folder of PNG or TIFF files, an array (.npy) or a store of slices."
        )
    images = [_read(file) for file in found]
    if len(sizes := {image.shape for image in images}) > 1:
        raise InputError(f"The images in {path} are of several sizes: {sorted(sizes)}. Bring them to one size first.")
    return np.stack(images), [file.name.split("_")[0].split(".")[0] for file in found]


def _read(path: Path) -> np.ndarray:
    if path.suffix.lower() not in LOSSLESS:
        raise InputError(f"{path} is a JPEG: its traces tell where an image comes from. Export PNG or TIFF, all in one way.")
    try:
        image = Image.open(path)
        image.load()
    except OSError as error:
        raise InputError(f"{path} cannot be read as an image ({error}).") from error
    if image.mode in ("RGB", "RGBA", "P"):
        colours = np.asarray(image.convert("RGB"))
        if (colours != colours[..., :1]).any():
            raise InputError(f"{path} is in colour. A deck holds grey images.")
        return colours[..., 0]
    if image.mode != "L":
        raise InputError(
            f"{path} is not of 8 bits (mode {image.mode}). Bring all images to 8 bits in one and the same way, since a window "
            "of its own for each would be a hint."
        )
    return np.asarray(image)
