"""Images for a deck and their subjects, from an organizer's folders and files."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from dwikit.common import paths
from dwikit.evaluation import samples
from dwikit.preprocess import open_current
from dwikit.reader_study.collect import listed


class Source(NamedTuple):
    """Images and what is known of each."""

    images: np.ndarray
    """(N, H, W) uint8."""
    subjects: list[str] | None
    """The person of each image, where they are known."""
    names: list[str]
    """Where each image comes from: a file, and its number in it."""
    spacing_mm: float | None = None
    """Side of a pixel, where it is known."""
    passed_over: str = ""
    """A sentence about files that were not read."""
    nameless: str = ""
    """A sentence about files whose names tell of no person."""


def read_images(path: str | Path) -> Source:
    """Images and the subject of each.

    Args:
        path: a store of slices, or anything that ``dwikit evaluate`` reads: a folder of grey PNG or of NIfTI files, ``.npy``,
            ``.npz``, ``.nii``.

    Returns:
        Images and their subjects: those of the store; for a folder, the part before the first ``_`` of a file's name
        (``sub-01_slice-12.png``), or the whole name if it has none; None for a single file.

    Raises:
        InputError: nothing usable there.
    """
    path = paths.home(path)
    if (path / "images.npy").is_file():
        store = open_current(path)
        names = (store.table["case"].astype(str) + " level " + store.table["level"].astype(str)).tolist()
        spacing = store.settings["fov_mm"] / store.image_size if "fov_mm" in store.settings else None
        return Source(store.images, store.table["subject"].astype(str).tolist(), names, spacing)
    images = samples.read(path)
    if not path.is_dir():
        return Source(images, None, [f"{path.name} {i}" for i in range(len(images))])
    entries = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    read = [file for file in entries if file.name.lower().endswith((".png", *samples.NIFTI))]
    subjects, names, passed_over, nameless = [], [], "", ""
    for file in read:
        count = 1 if file.suffix.lower() == ".png" else len(samples.read(file))
        subjects += [file.name.split("_")[0].split(".")[0]] * count
        names += [file.name] if count == 1 else [f"{file.name} {i}" for i in range(count)]
    if others := [file.name for file in entries if file not in read]:
        passed_over = f"{len(others)} files of {path} are neither PNG nor NIfTI and were passed over: {listed(others)}."
    if unnamed := [file.name for file in read if "_" not in file.name]:
        nameless = (
            f"{len(unnamed)} files of {path} name no person (the part before the first _), so each counts as another "
            f"person's: {listed(unnamed)}."
        )
    return Source(images, subjects, names, None, passed_over, nameless)
