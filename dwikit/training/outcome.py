"""A training's folder, read and written.

settings.json   everything that decides the result; a different value starts a new training
departures.csv  where this run departs from the paper and the preset, each with its reason
model.keras     the model after the last complete epoch, with optimizers, random state and epochs done
best.keras      the model after the epoch whose samples were nearest to the data (column distance of the log); with snapshots,
                nearest to validation people
log.csv         one row per epoch: terms of the loss, and how samples compare with the data
grid/           images of the same latents after six of the epochs, (12, H, W) uint8 each
curve/          if snapshots are kept: samples of the same latents after every epoch, (n, H, W) uint8 each
samples.npy     (n, H, W) uint8; for the VAEs also reconstructions.npy and originals.npy
"""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from dwikit import models
from dwikit.common import files
from dwikit.common.errors import InputError
from dwikit.slices import SliceStore, to_uint8
from dwikit.training import initial
from dwikit.training.weights import stored

KEPT = {"last": "model.keras", "best": "best.keras"}
SAMPLE_SEED = 1_000
"""Samples are drawn with this seed, different from those of training."""


@dataclasses.dataclass
class Run:
    """A trained model and its folder; ``card`` if the weights came with the kit."""

    model: models.GenerativeModel
    folder: Path
    card: dict | None = None

    @classmethod
    def open(cls, folder: Path, keep: str, key: str) -> "Run":
        """The training of a network in a folder, with the model that stands for it (``kept``).

        Raises:
            InputError: its log or its model is missing or damaged.
        """
        return cls(models.load(kept(folder, keep)[0], key=key), folder)

    @property
    def label(self) -> str:
        """The model's."""
        return self.model.label

    @property
    def origin(self) -> str:
        """Origin of its samples, in a few words."""
        if self.card:
            return "the kit's weights"
        kept, start = self.model.epochs_done, initial.told(self.settings)
        trained = f"{kept} epochs" if kept == self.epochs else f"epoch {kept} of {self.epochs}"
        return f"{start}, {trained}" if start else trained

    @property
    def reconstructs(self) -> bool:
        """Whether it also reconstructs images."""
        return hasattr(self.model, "reconstruct")

    @property
    def departures(self) -> pd.DataFrame:
        """Where it departs from the paper and its preset (``train.departures``); empty if not recorded."""
        path = self.folder / "departures.csv"
        return pd.read_csv(path, index_col=0, dtype=str) if path.is_file() else pd.DataFrame()

    @property
    def grids(self) -> dict[int, np.ndarray]:
        """Epoch -> (12, H, W) uint8 images of the same latents after that epoch."""
        return {epoch: np.load(path, allow_pickle=False) for epoch, path in epochs_in(self.folder / "grid").items()}

    @property
    def epochs(self) -> int:
        """Epochs trained; the model may be that of an earlier one."""
        return self.card["epochs"] if self.card else len(self.log)

    @property
    def title(self) -> str:
        """The model's label, noting weights that came with the kit (and what their card says of them) or were started from."""
        notes = [self.card.get("note"), self.origin] if self.card else [initial.told(self.settings)]
        said = ", ".join(filter(None, notes))
        return f"{self.label} ({said})" if said else self.label

    @property
    def settings(self) -> dict:
        """What decided its training: ``settings.json``."""
        return files.read_object(self.folder / "settings.json")

    def facts(self) -> dict:
        """This run in a provenance file; of the kit's weights all but the people's names, which are in ``data/pretrained/``."""
        if self.card:
            return {name: value for name, value in self.card.items() if name != "people"}
        log = self.log
        settings = self.settings
        kept = {"kept_epoch": self.model.epochs_done} if self.model.epochs_done < len(log) else {}
        return {**settings, "epochs": len(log), **kept, "minutes": round(float(log["seconds"].sum()) / 60, 2)}

    def steps(self, store: SliceStore) -> int:
        """Steps that made its model, on these slices."""
        per_epoch = self.settings["steps_per_epoch"]
        return self.model.epochs_done * (per_epoch or len(store.batches("train", self.model.config["batch_size"])))

    @property
    def log(self) -> pd.DataFrame:
        """One row per epoch: seconds, and the average of every term of the loss."""
        return read_log(self.folder).set_index("epoch")

    @property
    def samples(self) -> np.ndarray:
        """(n, H, W) uint8 images of latents from the prior."""
        return self._images("samples.npy")

    @property
    def originals(self) -> np.ndarray:
        """(n, H, W) uint8 held-out slices (the VAEs only)."""
        return self._images("originals.npy")

    @property
    def reconstructions(self) -> np.ndarray:
        """(n, H, W) uint8 reconstructions of ``originals``."""
        return self._images("reconstructions.npy")

    def _images(self, name: str) -> np.ndarray:
        path = self.folder / name
        try:
            return np.array(files.read_array(path))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read ({error}). Delete samples.json beside it, then train again.") from error


def read_log(folder: Path, name: str = "log.csv") -> pd.DataFrame:
    """The log of a training: epoch, seconds, every term of the loss, variety and distance, one row per epoch.

    Raises:
        InputError: it is missing or damaged.
    """
    path = folder / name
    try:
        log = pd.read_csv(path)
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(f"{path} cannot be read ({error}). It is rewritten when the network is trained again.") from error
    missing = {"epoch", "seconds", "variety", "distance"} - set(log)
    if missing or list(log["epoch"]) != list(range(1, len(log) + 1)) or not all(kind.kind in "fi" for kind in log.dtypes):
        raise InputError(f"{path} is damaged: it is not a table of numbers with one row per epoch. Train the network again.")
    return log


def kept(folder: Path, keep: str) -> tuple[Path, int]:
    """The file of the model that stands for a training, and its epoch.

    Args:
        folder: of the training.
        keep: ``last``, or ``best``: least distance in the log.

    Raises:
        InputError: the log is missing or damaged, or holds no distance to choose by.
    """
    log = read_log(folder)
    if keep == "last":
        return folder / KEPT[keep], len(log)
    if log["distance"].isna().all():
        raise InputError(f"No epoch of {folder} is the best: its samples were no numbers. Train it again with other settings.")
    return folder / KEPT[keep], 1 + int(log["distance"][::-1].idxmin())  # the last of equals, as in the loop


def epochs_in(folder: Path) -> dict[int, Path]:
    """Epoch -> file of images, in a folder such as ``curve``."""
    return {int(path.stem.removeprefix("epoch-")): path for path in sorted(folder.glob("epoch-*.npy"))}


# ==== Samples ====


def held_out(store: SliceStore, n: int | None = None) -> np.ndarray:
    """Positions in the store of the slices that VAEs reconstruct: all of the test split, or the first n in a random order."""
    return np.random.default_rng(SAMPLE_SEED).permutation(store.indices("test"))[:n]


def draw_samples(model: models.GenerativeModel, store: SliceStore, folder: str | Path, n: int) -> None:
    """Write n samples and, for a VAE, up to n held-out slices with reconstructions.

    Nothing is written if those of this model and these slices are there.

    Args:
        model: trained.
        store: slices; those that ``held_out`` says are reconstructed.
        folder: of the results.
        n: number of samples, and of reconstructions at most.
    """
    folder = Path(folder)
    stamp = {"epochs": model.epochs_done, "n": n, "seed": SAMPLE_SEED, "model": stored.digest(model)}
    if hasattr(model, "reconstruct"):
        stamp["slices"] = store.content
    if files.read_json(folder / "samples.json") == stamp:
        return
    (folder / "samples.json").unlink(missing_ok=True)  # while the others change
    files.write_array(folder / "samples.npy", to_uint8(model.sample(n, seed=SAMPLE_SEED)[..., 0]))
    if hasattr(model, "reconstruct"):
        originals = store.images[held_out(store, n)]
        files.write_array(folder / "originals.npy", originals)
        files.write_array(
            folder / "reconstructions.npy", to_uint8(model.reconstruct(originals.astype(np.float32) / 255)[..., 0])
        )
    files.write_json(folder / "samples.json", stamp)
