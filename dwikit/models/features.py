"""Frozen features of VGG trained on ImageNet, by which the DFC-VAE compares images (sec. 2.3).

The first five convolutions of VGG16 come with the kit (``vgg16/README.md``): the released code's three layers need no others.
Deeper layers, and VGG19, come through ``keras.applications``, which fetches their weights once.
"""

import hashlib
import urllib.request
from pathlib import Path

import keras
from keras import layers

from dwikit.common import files, keras_settings
from dwikit.common.errors import InputError, choose

SERVER = "https://storage.googleapis.com/tensorflow/keras-applications"
VGG = {"vgg16": keras.applications.VGG16, "vgg19": keras.applications.VGG19}
CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
"""Convolutions in each block."""
WIDTHS = (64, 128, 256, 512, 512)
"""Channels in each block."""
SHIPPED = Path(__file__).parent / "vgg16" / "imagenet-blocks-1-3.npz"
"""VGG16's first five convolutions."""
SHA256 = "2d7be2bab8fd4abcfea907e2f95c8b38364e83e2844f06b743bf64ea0c8f3131"
"""Of that file: features of other weights would look like these."""
CAFFE_MEAN = (103.939, 116.779, 123.68)


class FeatureNetwork(keras.Model):
    """A network from images to a list of features, one per layer; Keras gives a network with one output without its list."""

    def __call__(self, *arguments, **settings) -> list:
        """Features, (B, h, w, C) each."""
        found = super().__call__(*arguments, **settings)
        return list(found) if isinstance(found, list | tuple) else [found]


class Extractor:
    """Holds a feature network where Keras finds no variables to train or save."""

    network: FeatureNetwork | None = None


def load(feature_layers: tuple[str, ...], feature_network: str = "vgg16", feature_input: str = "unit") -> FeatureNetwork:
    """A frozen network from images (B, H, W, 1) in [0, 1] to a list of features, one (B, h, w, C) per layer.

    Args:
        feature_layers: names of layers, such as ``"block1_conv1"``; their output after the ReLU is taken.
        feature_network: ``"vgg16"`` or ``"vgg19"``.
        feature_input: ``"unit"`` feeds images in [0, 1], as the released code does; ``"caffe"`` feeds 255 times the image
            less the means of ImageNet's channels, as in the training of VGG.

    Raises:
        InputError: unknown layer, network or input; weights that are missing, damaged or not to be had.
    """
    vgg = network(feature_layers, feature_network)
    scale = choose({"unit": 1.0, "caffe": 255.0}, feature_input, "feature input")
    offset = [0.0] * 3 if feature_input == "unit" else [-value for value in CAFFE_MEAN]
    for layer, values in zip(_convolutions(vgg), _weights(vgg, feature_network), strict=True):
        layer.set_weights(values)
    images = keras.Input((None, None, 1))
    outputs = vgg(layers.Rescaling(scale, offset)(layers.Concatenate()([images] * 3)))
    extractor = FeatureNetwork(images, [layers.Activation("linear", dtype="float32")(output) for output in outputs])
    extractor.trainable = False
    return extractor


def network(feature_layers: tuple[str, ...], feature_network: str = "vgg16", image_size: int | None = None) -> FeatureNetwork:
    """VGG as far as these layers, with weights as they were drawn: (B, H, W, 3) to a list of features.

    Raises:
        InputError: unknown layer or network.
    """
    blocks = choose(CONVOLUTIONS, feature_network, "feature network")
    places = {f"block{block}_conv{i}": block for block, n in enumerate(blocks, 1) for i in range(1, n + 1)}
    for name in feature_layers:
        choose(places, name, "feature layer")
    if not feature_layers:
        raise InputError(f"feature_layers is empty. Known: {', '.join(places)}.")
    x = images = keras.Input((image_size, image_size, 3))
    outputs = {}
    for name, block in places.items():
        if name.endswith("conv1") and block > 1:
            x = layers.MaxPooling2D()(x)
        outputs[name] = x = layers.Conv2D(WIDTHS[block - 1], 3, padding="same", activation="relu", name=name)(x)
        if {*feature_layers} <= {*outputs}:
            break
    return FeatureNetwork(images, [outputs[name] for name in feature_layers])


def _convolutions(vgg: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in vgg.layers if layer.weights]


def _weights(vgg: keras.Model, feature_network: str) -> list[list]:
    """Kernel and bias of each convolution: the kit's, if it has all of them, else those that Keras publishes."""
    names = [layer.name for layer in _convolutions(vgg)]
    try:
        if feature_network == "vgg16" and hashlib.sha256(SHIPPED.read_bytes()).hexdigest() != SHA256:
            raise ValueError("other bytes than the kit's")
        shipped = files.read_arrays(SHIPPED) if feature_network == "vgg16" else {}
    except (OSError, ValueError) as error:
        raise InputError(f"{SHIPPED} is missing or damaged ({error}). It comes with the kit: install it again.") from error
    if all(f"{name}/kernel" in shipped for name in names):
        return [[shipped[f"{name}/{part}"] for part in ("kernel", "bias")] for name in names]
    path = imagenet_weights(feature_network)
    try:
        whole = VGG[feature_network](include_top=False, weights=path)
    except Exception as error:  # whatever Keras raises for a file of another make
        reason = " ".join(str(error).split())[:400]
        raise InputError(
            f"{path} cannot be read as the weights of {feature_network.upper()} ({type(error).__name__}: {reason}). If this "
            "does not name the cause: it may be damaged or of another make; delete it, and it is fetched again."
        ) from error
    return [whole.get_layer(name).get_weights() for name in names]


def imagenet_weights(feature_network: str = "vgg16") -> Path:
    """The cached file of all ImageNet weights of VGG, downloaded by Keras if it is not there yet.

    Raises:
        InputError: neither cached nor downloadable; the message says which file belongs where.
    """
    path = cached(feature_network)
    url = f"{SERVER}/{feature_network}/{path.name}"
    if path.is_file():
        return path
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=10).close()
        return Path(keras.utils.get_file(path.name, url, cache_subdir="models", cache_dir=path.parents[1]))
    except Exception as error:
        raise InputError(
            f"The ImageNet weights of {feature_network.upper()} are not on this machine and cannot be downloaded "
            f"({type(error).__name__}: {error}). Either fetch {url} elsewhere and put it at {path} (the environment variable "
            "KERAS_HOME moves that folder), or compare by layers that come with the kit: feature_network vgg16, and "
            "feature_layers up to block3_conv1."
        ) from error


def cached(feature_network: str = "vgg16") -> Path:
    """Where Keras keeps the file of all ImageNet weights of VGG, whether or not it is there."""
    choose(CONVOLUTIONS, feature_network, "feature network")
    return keras_settings.file().parent / "models" / f"{feature_network}_weights_tf_dim_ordering_tf_kernels_notop.h5"
