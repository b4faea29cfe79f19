"""A feature network trained on a store's slices, on a task for which they supply the labels.

The task is to tell a slice's level in the head, and how it was rotated or mirrored; the network has the form of VGG16's first
three blocks, narrower. It takes about a minute on two cores.
"""

from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from dwikit.common import files
from dwikit.common.errors import InputError
from dwikit.slices import SliceStore

BLOCKS = (2, 2, 3)
"""Convolutions in each block."""
SCALED_BY = 256
"""Slices by which the features are scaled."""


def kept(store: SliceStore, folder: Path) -> Path:
    """The file in ``folder`` of a store's feature network; trained on its training split now if need be."""
    file = folder / f"slices-{store.content[:16]}.keras"
    if not file.is_file():
        print("Training a feature network on a task for which the slices supply the labels.")
        scores = train(store.images, store.table["level"].to_numpy(), file, rows=store.indices("train"))
        files.write_json(file.with_suffix(".json"), scores)
    return file


def load(path: Path) -> keras.Model:
    """A network from images (B, H, W, 1) in [0, 1] to features (B, d). Runs no code from the file (Keras safe mode).

    Raises:
        InputError: the file is damaged or of another make.
    """
    try:
        return keras.saving.load_model(path, safe_mode=True)
    except Exception as error:  # whatever Keras raises for a file of another make
        reason = " ".join(str(error).split())[:400]
        raise InputError(
            f"{path} cannot be read as a feature network ({type(error).__name__}: {reason}). Delete it, and it is made again."
        ) from error


def train(
    images: np.ndarray,
    levels: np.ndarray,
    path: str | Path,
    seed: int = 0,
    steps: int = 400,
    batch_size: int = 16,
    widths: tuple[int, int, int] = (16, 32, 64),
    rows: np.ndarray | None = None,
) -> dict[str, float]:
    """Train the network, and save what gives its features.

    These are the means over space of the channels of each block's first layer, divided by that layer's standard deviation
    over the slices.

    Args:
        images: slices (N, H, W) uint8; a memory map is read batch by batch, never as a whole.
        levels: (N,) level of each slice in the stack.
        path: where the network is written (.keras).
        seed: of the initial weights and the order.
        steps: optimizer steps.
        batch_size: slices per step.
        widths: channels of the three blocks (VGG16 has 64, 128, 256).
        rows: positions of the training slices; None means all.

    Returns:
        Its results on the last tenth of the slices: ``orientation`` (share correct; chance is 0.125) and ``level`` (mean
        absolute error, in levels).

    Raises:
        InputError: fewer than 20 slices, or levels of another length.
    """
    rows = np.arange(len(images)) if rows is None else rows
    if len(rows) < 20 or len(images) != len(levels):
        raise InputError(f"A feature network needs 20 slices or more and a level for each, not {len(rows)} and {len(levels)}.")
    keras.utils.set_random_seed(seed)
    lowest, highest = int(np.min(levels[rows])), int(np.max(levels[rows]))
    heights = (np.asarray(levels, np.float32) - lowest) / max(highest - lowest, 1)
    backbone, taps = _blocks(widths)
    inputs = keras.Input((*images.shape[1:], 1))
    x = backbone(inputs)
    x = layers.Flatten()(layers.AveragePooling2D(max(x.shape[1] // 4, 1))(x))  # 4 x 4: position shows orientation
    network = keras.Model(inputs, [layers.Dense(8, name="orientation")(x), layers.Dense(1, name="height")(x)])
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(1e-3), [cross_entropy, "mse"], loss_weights=[1.0, 10.0])
    # Neighbouring slices belong to one person: hold out the end, not a random draw
    learned, held_out = np.split(rows, [-max(len(rows) // 10, 1)])
    network.fit(Orientations(images, heights, learned, batch_size, steps, seed), shuffle=False, verbose=0)
    right, off = [], []
    answers = np.random.default_rng(seed).integers(8, size=len(held_out))
    for start in range(0, len(held_out), 64):
        some = held_out[start : start + 64]
        guesses, tops = network.predict_on_batch(_turned(images[some], answers[start : start + 64]))
        right.append(np.argmax(guesses, axis=-1) == answers[start : start + 64])
        off.append(np.abs(tops[:, 0] - heights[some]))
    files.write(path, _pooled(keras.Model(backbone.input, taps), images, rows, seed).save)
    return {
        "orientation": float(np.mean(np.concatenate(right))),
        "level": float(np.mean(np.concatenate(off)) * (highest - lowest)),
    }


def _blocks(widths: tuple[int, int, int]) -> tuple[keras.Model, list]:
    """The convolutions of VGG16's first blocks, for one channel, and the output of each block's first."""
    x = images = keras.Input((None, None, 1))
    taps = []
    for convolutions, n in zip(BLOCKS, widths):
        for i in range(convolutions):
            x = layers.Conv2D(n, 3, padding="same", activation="relu", kernel_initializer="he_normal")(x)
            taps += [x] if i == 0 else []
        x = layers.MaxPooling2D()(x)
    return keras.Model(images, x), taps


def _turned(images: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Slices in one of 8 orientations each, as (n, H, W, 1) in [0, 1]."""
    turned = [np.rot90(image, k % 4) for image, k in zip(images, answers)]
    turned = [image[:, ::-1] if k >= 4 else image for image, k in zip(turned, answers)]
    return np.stack(turned)[..., None].astype(np.float32) / 255


class Orientations(keras.utils.PyDataset):
    """Batches of the task; batch i is a pure function of (seed, i)."""

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


def _pooled(network: keras.Model, images: np.ndarray, rows: np.ndarray, seed: int) -> keras.Model:
    """From images to the means of the channels of all layers, each layer scaled to unit variance over the slices."""
    chosen = np.random.default_rng(seed).permutation(rows)[:SCALED_BY]
    found = network(images[chosen, ..., None].astype(np.float32) / 255)
    scales = [1 / (float(np.std(ops.convert_to_numpy(output))) or 1.0) for output in found]
    means = [layers.GlobalAveragePooling2D()(layers.Rescaling(scale)(x)) for scale, x in zip(scales, network.outputs)]
    return keras.Model(network.inputs[0], layers.Concatenate()(means))
