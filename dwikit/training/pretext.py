"""The feature network trained on the slices themselves, once, and kept beside the runs."""

from pathlib import Path

from dwikit.common import files
from dwikit.models import features
from dwikit.slices import SliceStore
from dwikit.training.train import fingerprint


def network(store: SliceStore, folder: Path) -> Path:
    """The feature network of a store in ``folder``; trained now if need be (a minute)."""
    file = path(store, folder)
    if not file.is_file():
        train = store.indices("train")
        print("Training a feature network on a task for which the slices supply the labels.")
        scores = features.train_pretext(store.images[train], store.table["level"].to_numpy()[train], file)
        files.write_json(file.with_suffix(".json"), scores)
    return file


def path(store: SliceStore, folder: Path) -> Path:
    """Path in ``folder`` of a store's feature network."""
    return folder / f"pretext-{fingerprint(store)}.keras"
