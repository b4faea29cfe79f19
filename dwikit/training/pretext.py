"""The feature network trained on the slices themselves, once, and kept beside the runs."""

from pathlib import Path

from dwikit.backend import gradients
from dwikit.common import files
from dwikit.models import features
from dwikit.slices import SliceStore
from dwikit.training.train import fingerprint


def beside(slices: Path) -> Path:
    """Folder for the feature networks of a store of slices: ``features``, beside the store's own."""
    return slices.resolve().parent / "features"


def network(store: SliceStore, folder: Path, deterministic: bool = True) -> Path:
    """The feature network of a store in ``folder``; trained now if need be (a minute).

    Args:
        store: slices.
        folder: of feature networks.
        deterministic: ask the backend for a network that repeats bit for bit (``training.fit``).
    """
    file = path(store, folder)
    if not file.is_file():
        if deterministic:
            gradients.make_deterministic()
        print("Training a feature network on a task for which the slices supply the labels.")
        scores = features.train_pretext(store.images, store.table["level"].to_numpy(), file, rows=store.indices("train"))
        files.write_json(file.with_suffix(".json"), scores)
    return file


def path(store: SliceStore, folder: Path) -> Path:
    """Path in ``folder`` of a store's feature network."""
    return folder / f"pretext-{fingerprint(store)}.keras"
