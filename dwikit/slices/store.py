"""A store of normalized slices on disk, ready for training and evaluation.

A store is a plain folder: ``images.npy`` (N, H, W) uint8, ``table.tsv`` (one row per slice: case, subject,
level, split, age, sex, origin), ``cases.tsv`` (one row per scan, with a hash of its voxels) and ``settings.json`` (with a hash
of images and table).
"""

import functools
import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd

from dwikit.common import files, paths
from dwikit.common.errors import InputError
from dwikit.slices import grid
from dwikit.slices.split import SPLITS, check_splits

LABELS = {"case": str, "subject": str}
"""Columns of text, whatever they look like: "01" and "1" are two people."""
COLUMNS = ["case", "subject", "level", "split", "age", "sex", "origin"]


class SliceStore:
    """Slices on disk.

    Attributes:
        images: (N, H, W) uint8, 0-255; a read-only memory map.
        table: pandas.DataFrame, one row per slice, in the order of ``images``: case (the scan), subject (the person), level
            (0 lowest to 25), split (train, validation, test), age, sex, origin (as in ``Volume``).
        settings: how the store was built.
    """

    def __init__(self, images: np.ndarray, table: pd.DataFrame, settings: dict):
        self.images, self.table, self.settings = images, table, settings

    @classmethod
    def open(cls, path: str | Path) -> "SliceStore":
        """Open a store and check it.

        Raises:
            InputError: no store there, an incomplete one, one that was changed since it was built, or one in which a person is
                in two splits.
        """
        path = paths.home(path)
        try:
            images = files.read_array(path / "images.npy")
            table = pd.read_csv(path / "table.tsv", sep="\t", na_values=["n/a", ""], keep_default_na=False, dtype=LABELS)
            settings = json.loads((path / "settings.json").read_text(encoding="utf-8"))
            found = digest(path)
        except (OSError, ValueError, OverflowError, RecursionError) as error:
            raise InputError(f"There is no usable store of slices at {path} ({error}). Make it with 01_preprocess.") from error
        _check(images, table, settings, path)
        check_splits(table, path)
        if settings.get("sha256", found) != found:
            raise InputError(
                f"{path}: images.npy or table.tsv was changed since the store was built. Make it with 01_preprocess."
            )
        return cls(images, table, settings)

    @functools.cached_property
    def content(self) -> str:
        """SHA-256 (hexadecimal) of what a network can learn from the store: every pixel, whose it is, and its split."""
        digest = hashlib.sha256(self.table[["case", "subject", "level", "split"]].to_csv(index=False).encode())
        for start in range(0, len(self.images), 1024):
            digest.update(np.ascontiguousarray(self.images[start : start + 1024]).tobytes())
        return digest.hexdigest()

    @property
    def image_size(self) -> int:
        """Pixels along one side."""
        return self.images.shape[1]

    def indices(self, split: str) -> np.ndarray:
        """Positions of a split's slices in ``images``.

        Raises:
            InputError: no slice belongs to that split.
        """
        found = np.flatnonzero(self.table["split"] == split)
        if not len(found):
            counts = ", ".join(f"{name} {count}" for name, count in self.table["split"].value_counts().items())
            raise InputError(f"The store has no slices in the split {split!r}, only {counts}. More people are needed.")
        return found

    def split(self, split: str) -> np.ndarray:
        """Images (n, H, W) uint8 of a split."""
        return self.images[self.indices(split)]

    def batches(self, split: str, batch_size: int, seed: int = 0, flip: bool = False, steps: int | None = None):
        """Shuffled batches for ``fit``, on any backend: a ``keras.utils.PyDataset`` of (B, H, W, 1) float32 in [0, 1].

        The order is a pure function of (seed, epoch), so an interrupted training can resume exactly. Set ``epoch``
        to start from there.

        Args:
            split: ``"train"``, ``"validation"`` or ``"test"``.
            batch_size: slices per batch.
            seed: of the order.
            flip: mirror a random half of the slices left to right.
            steps: batches per epoch; None means one pass over the split.

        Raises:
            InputError: the split is empty, or smaller than one batch.
        """
        from dwikit.slices.batches import Batches  # imports Keras, which imports its backend

        return Batches(self.images, self.indices(split), batch_size, seed, flip, steps)

    def dataset(self, split: str, batch_size: int, seed: int = 0, flip: bool = False, steps: int | None = None):
        """The same batches as a ``tf.data.Dataset`` with prefetching; each pass over it is the next epoch."""
        from dwikit.slices.batches import as_dataset

        return as_dataset(self.batches(split, batch_size, seed, flip, steps))


def digest(path: Path) -> str:
    """SHA-256 (hexadecimal) of the images and the table in a folder, as files."""
    parts = []
    for name in ("images.npy", "table.tsv"):
        with open(path / name, "rb") as file:
            parts.append(hashlib.file_digest(file, "sha256").digest())
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _check(images: np.ndarray, table: pd.DataFrame, settings: dict, path: Path) -> None:
    """Refuse a store whose parts are not what ``build`` writes, or do not belong together."""
    again = "Build the store again."
    if missing := [name for name in COLUMNS if name not in table]:
        raise InputError(f"{path / 'table.tsv'} lacks the columns {', '.join(missing)}. {again}")
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1] != images.shape[2]:
        found = f"{images.dtype} of shape {images.shape}"
        raise InputError(f"{path / 'images.npy'} must hold uint8 slices (N, H, H), but holds {found}. {again}")
    if len(images) != len(table) or not images.size:
        raise InputError(f"{path}: {len(images)} images but {len(table)} rows in table.tsv. {again}")
    wrong = {
        "case": table["case"].isna(),
        "subject": table["subject"].isna(),
        "level": ~table["level"].isin(range(grid.N_LEVELS)),
        "split": ~table["split"].isin(list(SPLITS)),
        "age": ~pd.to_numeric(table["age"], errors="coerce").between(0, grid.OLDEST) & table["age"].notna(),
        "sex": ~table["sex"].isin(["F", "M"]) & table["sex"].notna(),
    }
    for name, rows in wrong.items():
        if rows.any():
            value = table.loc[rows, name].iloc[0]
            raise InputError(f"{path / 'table.tsv'}: {str(value)[:80]!r} is impossible in the column {name}. {again}")
    if not isinstance(settings, dict):
        raise InputError(f"{path / 'settings.json'} must hold names and values. {again}")
    if settings.get("image_size", size := images.shape[1]) != size:
        said = settings["image_size"]
        raise InputError(f"{path / 'settings.json'} says image_size {said}, but the slices have {size} pixels. {again}")
