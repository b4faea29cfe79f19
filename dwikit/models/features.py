"""Frozen networks whose features measure how alike two images look (sec. 2.3).

Either VGG trained on ImageNet, through ``keras.applications``; or, where that cannot be downloaded, the same three blocks,
narrower, trained in about a minute on tasks for which the slices supply the labels: a slice's level in the head, and
how it was rotated or mirrored (``train_pretext``).
"""

import urllib.request
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from dwikit.common import files, keras_settings, paths
from dwikit.common.errors import InputError, choose

SERVER = "https://storage.googleapis.com/tensorflow/keras-applications"
VGG = {"vgg16": keras.applications.VGG16, "vgg19": keras.applications.VGG19}
CAFFE_MEAN = (103.939, 116.779, 123.68)
BLOCKS = ((1, 2), (2, 2), (3, 3))
"""VGG16's first blocks: number of the block, and its convolutions."""


class Extractor:
    """Holds a feature network where Keras finds no variables to train or save."""

    network: keras.Model | None = None


def load(
    features: str,
    feature_layers: tuple[str, ...],
    feature_network: str = "vgg16",
    feature_input: str = "unit",
) -> keras.Model:
    """A frozen network from images (B, H, W, 1) in [0, 1] to a list of features, one (B, h, w, C) per layer.

    Args:
        features: ``"imagenet"``, or the path of a network written by ``train_pretext``.
        feature_layers: names of layers; their output after the ReLU is taken.
        feature_network: ``"vgg16"`` or ``"vgg19"``, with ``"imagenet"``.
        feature_input: ``"unit"`` feeds images in [0, 1], ``"caffe"`` images scaled as in its ImageNet training.

    Raises:
        InputError: unknown layer or network; missing or damaged weights.
    """
    images = keras.Input((None, None, 1))
    if features == "imagenet":
        weights = imagenet_weights(feature_network)
        make = choose(VGG, feature_network, "feature network")
        network = _read(lambda: make(include_top=False, weights=weights), weights)
        known = {layer.name: layer.output for layer in network.layers if "conv" in layer.name}
        scale = choose({"unit": 1.0, "caffe": 255.0}, feature_input, "feature input")
        offset = [0.0] * 3 if feature_input == "unit" else [-value for value in CAFFE_MEAN]
        x = layers.Rescaling(scale, offset)(layers.Concatenate()([images] * 3))
    else:
        features = paths.home(features)
        if not features.is_file():
            raise InputError(
                f'There is no feature network at {features}. Use features="imagenet", or make one of the slices with '
                "dwikit.models.features.train_pretext and give its path."
            )
        network, x = _read(lambda: keras.saving.load_model(features, safe_mode=True), features), images
        known = {name.removesuffix("_scaled"): output for name, output in zip(network.output_names, network.outputs)}
    chosen = [choose(known, name, "feature layer") for name in feature_layers]
    if not chosen:
        raise InputError(f"feature_layers is empty. Known: {', '.join(known)}.")
    outputs = keras.Model(network.inputs[0], chosen)(x)
    extractor = keras.Model(images, [layers.Activation("linear", dtype="float32")(output) for output in outputs])
    extractor.trainable = False
    return extractor


def imagenet_blocks(image_size: int) -> keras.Model:
    """VGG16 up to the last layer whose features the DFC-VAE compares, with any weights, to count its cost."""
    network = keras.applications.VGG16(include_top=False, weights=None, input_shape=(image_size, image_size, 3))
    return keras.Model(network.inputs, network.get_layer("block3_conv1").output)


def imagenet_weights(feature_network: str = "vgg16") -> Path:
    """The cached file of ImageNet weights, downloaded by Keras if it is not there yet.

    Raises:
        InputError: neither cached nor downloadable; the message says which file belongs where.
    """
    choose(VGG, feature_network, "feature network")
    name = f"{feature_network}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    home = keras_settings.file().parent
    path, url = home / "models" / name, f"{SERVER}/{feature_network}/{name}"
    if path.is_file():
        return path
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=10).close()
        return Path(keras.utils.get_file(name, url, cache_subdir="models", cache_dir=home))
    except Exception as error:
        raise InputError(
            f"The ImageNet weights of {feature_network.upper()} are not on this machine and cannot be downloaded "
            f"({type(error).__name__}: {error}). Either fetch {url} elsewhere and put it at {path} (the environment variable "
            "KERAS_HOME moves that folder), or train a feature network on the slices "
            "(dwikit.models.features.train_pretext) and give its path as features."
        ) from error


def _read(reader, path):
    """``reader()``, with errors that explain themselves."""
    try:
        return reader()
    except InputError as error:
        raise InputError(f"{path} cannot be read as a feature network: {error}") from error
    except Exception as error:  # whatever Keras raises for a file of another make
        reason = " ".join(str(error).split())[:400]
        raise InputError(
            f"{path} cannot be read as a feature network ({type(error).__name__}: {reason}). If this does not name the cause: "
            "it may be damaged or of another make; make or fetch it again."
        ) from error


# ==== A feature network trained on slices ====


def train_pretext(
    images: np.ndarray,
    levels: np.ndarray,
    path: str | Path,
    seed: int = 0,
    steps: int = 400,
    batch_size: int = 16,
    widths: tuple[int, int, int] = (16, 32, 64),
    feature_layers: tuple[str, ...] = ("block1_conv1", "block2_conv1", "block3_conv1"),
    rows: np.ndarray | None = None,
) -> dict[str, float]:
    """Train VGG16's first three blocks to tell how a slice was rotated and mirrored, and which level it comes from.

    The saved network gives the features of ``feature_layers``, each divided by its standard deviation over the
    slices. All are then multiplied by one number, so that their mean squared distance from a uniform grey image, averaged over
    layers, equals that of the pixels: an untrained decoder draws uniform grey, so the VAE's reconstruction weight
    starts at the same ratio to the KL divergence.

    Args:
        images: slices (N, H, W) uint8; a memory map is read batch by batch, never as a whole.
        levels: (N,) level of each slice in the stack.
        path: where the network is written (.keras).
        seed: of the initial weights and the order.
        steps: optimizer steps; 400 of 16 slices take about a minute on two cores at 64 x 64.
        batch_size: slices per step.
        widths: channels of the three blocks (VGG16 has 64, 128, 256).
        feature_layers: names of the layers to keep.
        rows: positions of the training slices; None means all.

    Returns:
        Its results on the last tenth of the slices: ``orientation`` (share correct; chance is 0.125) and ``level`` (mean
        absolute error, in levels).

    Raises:
        InputError: fewer than 20 slices, levels of another length, or an unknown layer.
    """
    rows = np.arange(len(images)) if rows is None else rows
    if len(rows) < 20 or len(images) != len(levels):
        raise InputError(f"The pretext task needs 20 slices or more and a level for each, not {len(rows)} and {len(levels)}.")
    keras.utils.set_random_seed(seed)
    lowest, highest = int(np.min(levels[rows])), int(np.max(levels[rows]))
    heights = (np.asarray(levels, np.float32) - lowest) / max(highest - lowest, 1)
    backbone, taps = _blocks(widths)
    chosen = [choose(taps, name, "feature layer") for name in feature_layers]
    inputs = keras.Input((*images.shape[1:], 1))
    x = backbone(inputs)
    x = layers.Flatten()(layers.AveragePooling2D(max(x.shape[1] // 4, 1))(x))  # 4 x 4: position shows orientation
    network = keras.Model(inputs, [layers.Dense(8, name="orientation")(x), layers.Dense(1, name="height")(x)])
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(1e-3), [cross_entropy, "mse"], loss_weights=[1.0, 10.0])
    # Neighbouring slices belong to one person: hold out the end, not a random draw
    train, held_out = np.split(rows, [-max(len(rows) // 10, 1)])
    network.fit(Orientations(images, heights, train, batch_size, steps, seed), shuffle=False, verbose=0)
    right, off = [], []
    answers = np.random.default_rng(seed).integers(8, size=len(held_out))
    for start in range(0, len(held_out), 64):
        some = held_out[start : start + 64]
        guesses, tops = network.predict_on_batch(_turned(images[some], answers[start : start + 64]))
        right.append(np.argmax(guesses, axis=-1) == answers[start : start + 64])
        off.append(np.abs(tops[:, 0] - heights[some]))
    files.write(path, _scaled(keras.Model(backbone.input, chosen), images, rows, feature_layers, seed).save)
    return {
        "orientation": float(np.mean(np.concatenate(right))),
        "level": float(np.mean(np.concatenate(off)) * (highest - lowest)),
    }


def _blocks(widths: tuple[int, int, int]) -> tuple[keras.Model, dict]:
    """The convolutions of VGG16's first blocks, for one channel, and the output of each by name."""
    x = images = keras.Input((None, None, 1))
    taps = {}
    for (block, convolutions), n in zip(BLOCKS, widths):
        for i in range(convolutions):
            name = f"block{block}_conv{i + 1}"
            x = layers.Conv2D(n, 3, padding="same", activation="relu", kernel_initializer="he_normal", name=name)(x)
            taps[name] = x
        x = layers.MaxPooling2D()(x)
    return keras.Model(images, x), taps


def _turned(images: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Slices in one of 8 orientations each, as (n, H, W, 1) in [0, 1]."""
    turned = [np.rot90(image, k % 4) for image, k in zip(images, answers)]
    turned = [image[:, ::-1] if k >= 4 else image for image, k in zip(turned, answers)]
    return np.stack(turned)[..., None].astype(np.float32) / 255


class Orientations(keras.utils.PyDataset):
    """Batches of the pretext task; batch i is a pure function of (seed, i)."""

    def __init__(self, images: np.ndarray, heights: np.ndarray, rows: np.ndarray, batch_size: int, steps: int, seed: int):
        super().__init__()
        self.images, self.heights, self.rows = images, heights, rows
        self.batch_size, self.steps, self.seed = batch_size, steps, seed

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> tuple:
        rng = np.random.default_rng((self.seed, index))
        chosen = self.rows[rng.integers(len(self.rows), size=self.batch_size)]
        answers = rng.integers(8, size=self.batch_size)
        return _turned(self.images[chosen], answers), (answers, self.heights[chosen])


def _scaled(network: keras.Model, images: np.ndarray, rows: np.ndarray, names: tuple[str, ...], seed: int) -> keras.Model:
    """The network with features scaled to unit variance over the slices, then to the pixels' units (``train_pretext``)."""
    chosen = np.random.default_rng(seed).permutation(rows)[:256]
    batch = images[chosen, ..., None].astype(np.float32) / 255
    features = [ops.convert_to_numpy(output) for output in network(batch)]
    grey = [ops.convert_to_numpy(output) for output in network(np.full_like(batch[:1], 0.5))]
    deviations = [float(np.std(output)) or 1.0 for output in features]
    distances = [np.mean(((a - b) / d) ** 2) for a, b, d in zip(features, grey, deviations)]
    factor = float(np.sqrt(np.mean((batch - 0.5) ** 2) / np.mean(distances)))
    outputs = {
        name: layers.Rescaling(factor / deviation, name=f"{name}_scaled")(output)
        for name, output, deviation in zip(names, network.outputs, deviations)
    }
    return keras.Model(network.inputs[0], outputs)
