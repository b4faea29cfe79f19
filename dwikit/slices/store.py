"""Normalized slices (sec. 3.1): clip at a percentile, scale to [0, 1], split by patient, store as uint8, serve as batches.

A store is a folder that a person can open: ``images.npy`` (N, H, W) uint8, ``table.tsv`` (one row a slice: case, subject,
level, split, age, sex, origin) and ``settings.json``.
"""

import functools
import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from dwikit.cohorts.bids import OLDEST
from dwikit.common import files, lock
from dwikit.common.errors import InputError
from dwikit.slices import grid, histogram
from dwikit.slices.grid import Volume

SPLITS = {"train": 0.8, "validation": 0.1, "test": 0.1}
COLUMNS = ["case", "subject", "level", "split", "age", "sex", "origin"]


# ==== Build ====


def build(
    derivatives: str | Path | Iterable[Volume],
    out: str | Path,
    percentile: float = 95.0,
    scope: str = "cohort",
    seed: int = 0,
    image_size: int = grid.IMAGE_SIZE,
    provenance: dict | None = None,
) -> "SliceStore":
    """Normalize registered volumes and write them as a store of slices.

    Every intensity is clipped at the percentile and divided by it, so that slices reach from 0 to 1 (sec. 3.1: clip at the
    95th percentile, divide by the remaining maximum).

    Args:
        derivatives: folder that ``preprocess`` wrote, or volumes from anywhere (for example ``phantom.simulate_volumes``).
        out: folder of the store; replaced as a whole when the new one is complete.
        percentile: over all voxels of the kept slices, air included, as in the released code.
        scope: ``"cohort"`` takes one percentile for all volumes (one scanner's data, as in the paper), ``"volume"`` one for
            each (several scanners, whose intensities have no common unit).
        seed: of the split.
        image_size: pixels along one side; divides the volumes' size, and smaller slices are means of blocks of pixels.
        provenance: facts to keep in ``settings.json``.

    Raises:
        InputError: nothing to build from, an unknown scope, an impossible percentile or image_size, or two volumes of one
            case.
    """
    if scope not in ("cohort", "volume"):
        raise InputError(f"scope must be 'cohort' or 'volume', not {scope!r}.")
    if not 50 < percentile <= 100:
        raise InputError(f"percentile must lie above 50 and at most at 100, not {percentile}.")
    if isinstance(derivatives, str | Path):
        from dwikit.preprocess import read_derivatives

        source, volumes = str(derivatives), read_derivatives(derivatives)
    else:
        source, volumes = "the volumes handed over", derivatives
    out = Path(out)
    with lock.alone(out.with_name(f".{out.name}.lock"), f"builds slices in {out}"):
        partial, old = (out.with_name(f".{out.name}.{kind}") for kind in ("partial", "old"))
        for remains in (partial, old):  # of a build that was killed
            shutil.rmtree(remains, ignore_errors=True)
        try:
            partial.mkdir(parents=True)
            rows, caps = _spool(volumes, partial / "spool.bin", image_size, percentile)
            if not rows:
                raise InputError(f"There is no usable volume in {source}; see its quality.tsv for the reasons.")
            _quantize(partial, len(rows), image_size, caps["cohort"] if scope == "cohort" else caps["volume"])
            table = _slice_table(pd.DataFrame(rows), seed)
            table.to_csv(partial / "table.tsv", sep="\t", index=False, na_rep="n/a")
            settings = {"percentile": percentile, "scope": scope, "seed": seed, "image_size": image_size, "cases": len(rows)}
            settings |= {"clip": float(caps["cohort"])} if scope == "cohort" else {}
            (partial / "settings.json").write_text(json.dumps(settings | (provenance or {}), indent=1), encoding="utf-8")
            if out.exists():
                os.replace(out, old)
            os.replace(partial, out)
        except OSError as error:
            raise InputError(
                f"{out} could not be written ({error.strerror or error}); a store that stood there before is unharmed. Free "
                "some space or choose another folder, then run the same again."
            ) from error
        finally:
            for remains in (partial, old):
                shutil.rmtree(remains, ignore_errors=True)
    return SliceStore.open(out)


def _spool(volumes: Iterable[Volume], path: Path, image_size: int, percentile: float) -> tuple[list[dict], dict]:
    """Write all slices, not yet normalized, one volume after the other; returns their rows and the values to clip at."""
    rows, total, volume_caps, seen = [], None, [], set()
    with open(path, "wb") as file:
        for volume in volumes:
            if volume.case in seen:
                raise InputError(f"Case {volume.case} stands in the data twice. Give every case a name of its own.")
            seen.add(volume.case)
            counts = histogram.histogram(volume.image)
            total = counts if total is None else total + counts
            volume_caps.append(histogram.percentile(counts, percentile))
            file.write(shrink(volume.image, image_size).astype(np.float32).tobytes())
            rows.append({name: getattr(volume, name) for name in ("case", "subject", "age", "sex", "origin")})
    cohort_cap = histogram.percentile(total, percentile) if rows else np.nan
    return rows, {"cohort": cohort_cap, "volume": np.array(volume_caps)}


def shrink(image: np.ndarray, image_size: int) -> np.ndarray:
    """Slices (L, H, W) at a smaller size: means of square blocks of pixels."""
    factor, rest = divmod(image.shape[-1], image_size)
    if rest or factor < 1:
        raise InputError(f"image_size must divide {image.shape[-1]}, and {image_size} does not.")
    return image.reshape(len(image), image_size, factor, image_size, factor).mean(axis=(2, 4)) if factor > 1 else image


def _quantize(folder: Path, n_cases: int, image_size: int, caps: float | np.ndarray) -> None:
    shape = (n_cases, grid.N_LEVELS, image_size, image_size)
    spool = np.memmap(folder / "spool.bin", np.float32, "r", shape=shape)
    with open(folder / "images.npy", "wb") as file:  # no memory map: on a full disk it would end the process
        files.write_header(file, (n_cases * grid.N_LEVELS, image_size, image_size), np.uint8)
        for case, cap in enumerate(np.broadcast_to(caps, n_cases)):
            file.write(np.round(normalize(spool[case], cap) * 255).astype(np.uint8).tobytes())
    (folder / "spool.bin").unlink()


def normalize(image: np.ndarray, cap: float) -> np.ndarray:
    """Intensities clipped to [0, cap] and divided by cap (sec. 3.1)."""
    return np.clip(image, 0, cap) / max(cap, np.finfo(np.float32).tiny)


def _slice_table(cases: pd.DataFrame, seed: int) -> pd.DataFrame:
    cases = cases.assign(split=cases["subject"].map(split_by_patient(cases["subject"].unique(), seed)))
    table = cases.loc[cases.index.repeat(grid.N_LEVELS)].reset_index(drop=True)
    table["level"] = np.tile(np.arange(grid.N_LEVELS), len(cases))
    return table[COLUMNS]


def split_by_patient(subjects: Iterable[str], seed: int = 0) -> dict[str, str]:
    """Train, validation or test for every subject: 80, 10 and 10 percent, and at least one subject each where there are three.

    The order comes from a hash of seed and subject, so that it depends on nothing else.
    """
    ranked = sorted(subjects, key=lambda subject: hashlib.sha256(f"{seed} {subject}".encode()).digest())
    small = max(1, round(len(ranked) * SPLITS["test"])) if len(ranked) > 2 else 0
    names = ["validation"] * small + ["test"] * small
    return {subject: names[i] if i < len(names) else "train" for i, subject in enumerate(ranked)}


# ==== Use ====


class SliceStore:
    """Slices on disk, ready for training and evaluation.

    Attributes:
        images: (N, H, W) uint8, 0-255; a read-only memory map.
        table: pandas.DataFrame, one row a slice, in the order of ``images``: case, subject, level (0 lowest to 25), split
            (train, validation, test), age, sex, origin (``ants`` or ``simulated``).
        settings: how the store was built.
    """

    def __init__(self, images: np.ndarray, table: pd.DataFrame, settings: dict):
        self.images, self.table, self.settings = images, table, settings

    @classmethod
    def open(cls, path: str | Path) -> "SliceStore":
        """Open a store and check it.

        Raises:
            InputError: no store there, one that is incomplete, or one in which a patient stands in two splits.
        """
        path = Path(path)
        try:
            images = files.read_array(path / "images.npy")
            table = pd.read_csv(path / "table.tsv", sep="\t", na_values="n/a")
            settings = json.loads((path / "settings.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, OverflowError, RecursionError) as error:
            raise InputError(f"There is no usable store of slices at {path} ({error}). Make it with 01_preprocess.") from error
        _check(images, table, settings, path)
        check_splits(table, path)
        return cls(images, table, settings)

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
            raise InputError(f"The store has no slices in the split {split!r}; it has {counts}. More patients are needed.")
        return found

    def split(self, split: str) -> np.ndarray:
        """Images (n, H, W) uint8 of a split."""
        return self.images[self.indices(split)]

    def batches(self, split: str, batch_size: int, seed: int = 0, flip: bool = False, steps: int | None = None):
        """Shuffled batches for ``fit``, on any backend: a ``keras.utils.PyDataset`` of (B, H, W, 1) float32 in [0, 1].

        The order is a pure function of (seed, epoch), so that an interrupted training can go on exactly. Set its ``epoch``
        to start there.

        Args:
            split: ``"train"``, ``"validation"`` or ``"test"``.
            batch_size: images a batch.
            seed: of the order.
            flip: mirror a random half of the images left to right.
            steps: batches an epoch; None means one pass over the split.

        Raises:
            InputError: the split is empty, or smaller than one batch.
        """
        return _batches_class()(self, split, batch_size, seed, flip, steps)

    def dataset(self, split: str, batch_size: int, seed: int = 0, flip: bool = False, steps: int | None = None):
        """The same batches as a ``tf.data.Dataset`` with prefetching; each pass over it is the next epoch."""
        import tensorflow as tf

        batches = self.batches(split, batch_size, seed, flip, steps)

        def one_epoch():
            yield from (batches[step] for step in range(len(batches)))
            batches.on_epoch_end()

        shape = (batch_size, self.image_size, self.image_size, 1)
        dataset = tf.data.Dataset.from_generator(one_epoch, output_signature=tf.TensorSpec(shape, tf.float32))
        return dataset.apply(tf.data.experimental.assert_cardinality(len(batches))).prefetch(tf.data.AUTOTUNE)


def _check(images: np.ndarray, table: pd.DataFrame, settings: dict, path: Path) -> None:
    """Refuse a store whose parts are not what `build` writes, or do not belong together."""
    again = "Build the store again."
    if missing := [name for name in COLUMNS if name not in table]:
        raise InputError(f"{path / 'table.tsv'} lacks the columns {', '.join(missing)}. {again}")
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1] != images.shape[2]:
        found = f"{images.dtype} of shape {images.shape}"
        raise InputError(f"{path / 'images.npy'} must hold uint8 slices (N, H, H), and holds {found}. {again}")
    if len(images) != len(table) or not images.size:
        raise InputError(f"{path}: {len(images)} images but {len(table)} rows in table.tsv. {again}")
    wrong = {
        "case": table["case"].isna(),
        "subject": table["subject"].isna(),
        "level": ~table["level"].isin(range(grid.N_LEVELS)),
        "split": ~table["split"].isin(list(SPLITS)),
        "age": ~pd.to_numeric(table["age"], errors="coerce").between(0, OLDEST) & table["age"].notna(),
        "sex": ~table["sex"].isin(["F", "M"]) & table["sex"].notna(),
    }
    for name, rows in wrong.items():
        if rows.any():
            value = table.loc[rows, name].iloc[0]
            raise InputError(f"{path / 'table.tsv'}: {str(value)[:80]!r} in the column {name} cannot be. {again}")
    if not isinstance(settings, dict):
        raise InputError(f"{path / 'settings.json'} must hold names and values. {again}")


def check_splits(table: pd.DataFrame, where: str | Path) -> None:
    """Refuse a table in which slices of one patient stand in two splits: the tests on unseen patients would be void."""
    counts = table.groupby("subject")["split"].nunique()
    if leaking := counts[counts > 1].index.tolist():
        raise InputError(
            f"{where}: slices of {', '.join(map(str, leaking[:5]))} stand in more than one split. Split by patient, never by "
            "slice: build the store again."
        )


@functools.cache
def _batches_class():
    """Made on first use, since importing Keras imports its backend."""
    import keras

    class Batches(keras.utils.PyDataset):
        def __init__(self, store: SliceStore, split: str, batch_size: int, seed: int, flip: bool, steps: int | None):
            super().__init__()
            self.images, self.rows = store.images, store.indices(split)
            self.batch_size, self.seed, self.flip, self.epoch = batch_size, seed, flip, 0
            if batch_size < 1 or len(self.rows) < batch_size:
                raise InputError(
                    f"A batch of {batch_size} does not fit the split {split!r} with its {len(self.rows)} slices. "
                    "Choose a smaller batch_size, or prepare more cases."
                )
            self.steps = steps or len(self.rows) // batch_size

        def __len__(self) -> int:
            return self.steps

        def __getitem__(self, step: int) -> np.ndarray:
            position = (self.epoch * self.steps + step) * self.batch_size
            rows = self.rows[[self._shuffled(position + i) for i in range(self.batch_size)]]
            batch = self.images[rows].astype(np.float32)[..., None] / 255
            if self.flip:
                mirrored = np.random.default_rng([self.seed, 1, position]).random(self.batch_size) < 0.5
                batch[mirrored] = batch[mirrored, :, ::-1]
            return batch

        def _shuffled(self, position: int) -> int:
            """Which slice stands at a position of the endless row of shuffled passes over the split."""
            shuffle, index = divmod(position, len(self.rows))
            return _permutation(self.seed, shuffle, len(self.rows))[index]

        def on_epoch_end(self) -> None:
            self.epoch += 1

    return Batches


@functools.lru_cache(maxsize=4)
def _permutation(seed: int, shuffle: int, n: int) -> np.ndarray:
    return np.random.default_rng([seed, 0, shuffle]).permutation(n)
