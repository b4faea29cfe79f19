"""Images for a deck and their subjects, from an organizer's folders and files."""

from pathlib import Path

import numpy as np

from dwikit.common import paths
from dwikit.evaluation import samples
from dwikit.preprocess import open_current


def read_images(path: str | Path) -> tuple[np.ndarray, list[str] | None]:
    """Images and the subject of each.

    Args:
        path: a store of slices, or anything that ``dwikit evaluate`` reads: a folder of grey PNG or of NIfTI files, ``.npy``,
            ``.npz``, ``.nii``.

    Returns:
        Images (N, H, W) uint8, and their subjects: those of the store; for a folder, the part before the first ``_`` or
        ``.`` of a file's name (``sub-01_slice-12.png``); None for a single file.

    Raises:
        InputError: nothing usable there.
    """
    path = paths.home(path)
    if (path / "images.npy").is_file():
        store = open_current(path)
        return store.images, store.table["subject"].astype(str).tolist()
    images = samples.read(path)
    if not path.is_dir():
        return images, None
    subjects = []
    for file in sorted(file for file in path.iterdir() if file.name.lower().endswith((".png", *samples.NIFTI))):
        if not file.name.startswith("."):
            count = 1 if file.suffix.lower() == ".png" else len(samples.read(file))
            subjects += [file.name.split("_")[0].split(".")[0]] * count
    return images, subjects
