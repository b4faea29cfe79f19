"""Feature networks as functions from images to vectors, the form that metrics take."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from dwikit.common.errors import InputError
from dwikit.metrics.images import unit
from dwikit.slices import SliceStore

IMAGENET_LAYERS = ("block5_conv3",)
PRETEXT_LAYERS = ("block1_conv1", "block2_conv1", "block3_conv1")
BATCH = 64

FeatureNetwork = Callable[[np.ndarray], np.ndarray]
"""From images (n, H, W) uint8 to features (n, d)."""


def feature_network(features: str) -> FeatureNetwork:
    """Spatial means of the channels of a feature network.

    Args:
        features: ``"imagenet"`` (VGG16, last convolution, 512 channels), or the path of a pretext network (all its layers).

    Raises:
        InputError: missing or damaged weights.
    """
    import keras

    from dwikit.backend import gradients
    from dwikit.models import features as networks

    gradients.make_deterministic()  # the same digits whatever else this process computes
    imagenet = features == "imagenet"
    layers = IMAGENET_LAYERS if imagenet else PRETEXT_LAYERS
    network = networks.load(features, layers, feature_input="caffe" if imagenet else "unit")
    means = [keras.layers.GlobalAveragePooling2D()(output) for output in network.outputs]
    pooled = keras.Model(network.inputs, keras.layers.Concatenate()(means) if len(means) > 1 else means[0])

    def means_of_channels(images: np.ndarray) -> np.ndarray:
        parts = [unit(images[start : start + BATCH, ..., None], np.float32) for start in range(0, len(images), BATCH)]
        return np.concatenate([pooled.predict_on_batch(part) for part in parts]).astype(np.float64)

    return means_of_channels


def feature_networks(store: SliceStore, folder: Path) -> dict[str, FeatureNetwork]:
    """The available networks by name: ``pretext``, kept in ``folder`` (made now if need be); ``imagenet``, if obtainable."""
    from dwikit.training import pretext

    networks = {"pretext": feature_network(str(pretext.network(store, Path(folder))))}
    try:
        networks["imagenet"] = feature_network("imagenet")
    except InputError:
        print("No ImageNet weights here: features come from the pretext network alone.")
    return networks
