"""The feature network that the slices themselves train, kept beside the runs: which file it is, and training it once."""

from pathlib import Path

from dwikit.common import files
from dwikit.models import features
from dwikit.slices import SliceStore
from dwikit.training.train import fingerprint


def network(store: SliceStore, folder: Path) -> Path:
    """A feature network trained on a task that the slices label themselves, in ``folder``; made now if need be (a minute)."""
    file = path(store, folder)
    if not file.is_file():
        train = store.indices("train")
        print("Training a feature network on a task that the slices label themselves.")
        scores = features.train_pretext(store.images[train], store.table["level"].to_numpy()[train], file)
        files.write_json(file.with_suffix(".json"), scores)
    return file


def path(store: SliceStore, folder: Path) -> Path:
    """Where the feature network of a store lies in ``folder``."""
    return folder / f"pretext-{fingerprint(store)}.keras"
