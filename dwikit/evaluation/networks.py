"""The feature network of a study as a function from images to vectors, the form that metrics take.

It is trained on the study's own slices (``slice_features``), and no generative network learns from it: who is trained to match
some features is not judged by them. That rules out VGG16, by which the DFC-VAE compares images.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from dwikit.metrics.images import unit
from dwikit.slices import SliceStore

NAME = "slice features"
"""How tables call its features."""
BATCH = 64

FeatureNetwork = Callable[[np.ndarray], np.ndarray]
"""From images (n, H, W) uint8 to features (n, d)."""


def beside(slices: Path) -> Path:
    """Folder for the feature network of a store of slices: ``features``, beside the store's own."""
    return slices.resolve().parent / "features"


def feature_networks(store: SliceStore, folder: Path) -> dict[str, FeatureNetwork]:
    """The store's feature network by its name in tables; kept in ``folder``, and trained now if need be (a minute).

    Raises:
        InputError: the file there is damaged.
    """
    from dwikit.backend import gradients
    from dwikit.evaluation import slice_features  # imports Keras

    gradients.make_deterministic()  # the same digits whatever else this process computes
    network = slice_features.load(slice_features.kept(store, Path(folder)))

    def features(images: np.ndarray) -> np.ndarray:
        parts = [unit(images[start : start + BATCH, ..., None], np.float32) for start in range(0, len(images), BATCH)]
        return np.concatenate([network.predict_on_batch(part) for part in parts]).astype(np.float64)

    return {NAME: features}
