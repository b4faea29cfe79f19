"""A training's folder, and what is read from it and drawn into it.

settings.json   everything that decides the result; another value starts anew
model.keras     the model after the last complete epoch, with optimizers, random state and epochs done
best.keras      the model after the epoch whose samples lay nearest to the data (column distance of the log)
log.csv         one row an epoch: terms of the loss, and how the watched samples stand to the data
grid/           images of the same latents after six of the epochs, (12, H, W) uint8 each
samples.npy     (n, H, W) uint8; for the VAEs also reconstructions.npy and originals.npy
"""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from dwikit import models
from dwikit.common import files
from dwikit.common.errors import InputError
from dwikit.slices import SliceStore

SAMPLE_SEED = 1_000
"""Samples are drawn with this seed, apart from those of training."""


@dataclasses.dataclass
class Run:
    """A trained model and the folder of what belongs to it; ``card`` where the weights came with the kit."""

    model: models.GenerativeModel
    folder: Path
    card: dict | None = None

    @property
    def title(self) -> str:
        """The model's label, with what one must know of it: other than ImageNet's features, other than one's own weights."""
        notes = []
        if "features" in self.model.config:
            notes.append("VGG16 features" if self.model.config["features"] == "imagenet" else "pretext features")
        if self.card:
            notes.append("the kit's weights")
        return f"{self.model.label} ({', '.join(notes)})" if notes else self.model.label

    def facts(self) -> dict:
        """What a provenance file says of this run."""
        if self.card:
            return self.card
        log = self.log
        settings = files.read_json(self.folder / "settings.json")
        return {**settings, "epochs": self.model.epochs_done, "minutes": round(float(log["seconds"].sum()) / 60, 2)}

    def steps(self, store: SliceStore) -> int:
        """Steps taken so far, on these slices."""
        per_epoch = files.read_json(self.folder / "settings.json")["steps_per_epoch"]
        return self.model.epochs_done * (per_epoch or len(store.batches("train", self.model.config["batch_size"])))

    @property
    def log(self) -> pd.DataFrame:
        """One row an epoch: seconds, and the average of every term of the loss."""
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


def read_log(folder: Path) -> pd.DataFrame:
    """The log of a training: epoch, seconds, every term of the loss, variety and distance, one row an epoch.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = folder / "log.csv"
    try:
        log = pd.read_csv(path)
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(f"{path} cannot be read ({error}). It is written anew when the network is trained again.") from error
    missing = {"epoch", "seconds", "variety", "distance"} - set(log)
    if missing or list(log["epoch"]) != list(range(1, len(log) + 1)) or not all(kind.kind in "fi" for kind in log.dtypes):
        raise InputError(f"{path} is damaged: it is no table of numbers, one row an epoch. Train the network again.")
    return log


def set_aside(folder: Path) -> Path:
    """Give a folder another name, ``<name>.before-1`` or the next that is free, and return it: nothing computed is lost."""
    aside = next(path for i in range(1, 10**6) if not (path := folder.with_name(f"{folder.name}.before-{i}")).exists())
    return folder.rename(aside)


# ==== Samples ====


def quantize(images: np.ndarray) -> np.ndarray:
    """Images (n, H, W, 1) or (n, H, W) in [0, 1] as (n, H, W) uint8: what every metric sees."""
    return np.round(np.clip(images.reshape(images.shape[:3]), 0, 1) * 255).astype(np.uint8)


def held_out(store: SliceStore, n: int | None = None) -> np.ndarray:
    """Positions in the store of the slices that VAEs reconstruct: all of the test split or the first n, in a random order."""
    return np.random.default_rng(SAMPLE_SEED).permutation(store.indices("test"))[:n]


def draw_samples(model: models.GenerativeModel, store: SliceStore, folder: str | Path, n: int) -> None:
    """Write n samples, and for a VAE up to n held-out slices with their reconstructions, unless they are there already."""
    folder = Path(folder)
    stamp = {"epochs": model.epochs_done, "n": n, "seed": SAMPLE_SEED}
    if files.read_json(folder / "samples.json") == stamp:
        return
    files.write_array(folder / "samples.npy", quantize(model.sample(n, seed=SAMPLE_SEED)))
    if hasattr(model, "reconstruct"):
        originals = store.images[held_out(store, n)]
        files.write_array(folder / "originals.npy", originals)
        files.write_array(folder / "reconstructions.npy", quantize(model.reconstruct(originals.astype(np.float32) / 255)))
    files.write_json(folder / "samples.json", stamp)
