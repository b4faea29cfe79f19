"""The two tasks: network, input, and score."""

import itertools
from collections.abc import Iterator

import keras
import numpy as np
from keras import layers

from dwikit.backend import gradients
from dwikit.evaluation.usefulness.patients import Slices
from dwikit.models.base import in_batches
from dwikit.slices import to_uint8

TISSUES = ("grey", "white", "fluid")
RICIAN = 0.1
"""Standard deviation of the noise to remove, in each of its two channels, as a share of the full scale."""


def unet(inputs, outputs: int, width: int, normalized: bool):
    """A small U-Net of three levels (after Ronneberger et al. 2015, skips by addition): (B, H, W, 1) to (B, H, W, outputs).

    Optional instance normalization keeps real and synthetic images of a batch from sharing statistics.
    """

    def convolve(x, channels: int, times: int):
        for _ in range(times):
            x = layers.Conv2D(channels, 3, padding="same", kernel_initializer="he_normal")(x)
            x = layers.GroupNormalization(groups=-1)(x) if normalized else x
            x = layers.ReLU()(x)
        return x

    fine = convolve(inputs, width, 1)
    middle = convolve(layers.MaxPooling2D()(fine), 2 * width, 2)
    coarse = convolve(layers.MaxPooling2D()(middle), 4 * width, 2)
    middle = convolve(layers.Conv2DTranspose(2 * width, 2, strides=2)(coarse) + middle, 2 * width, 1)
    fine = convolve(layers.Conv2DTranspose(width, 2, strides=2)(middle) + fine, width, 1)
    return layers.Conv2D(outputs, 1)(fine)


class Segmentation:
    """Grey, white, fluid or none at every pixel; scored by Dice over all slices of a person."""

    name, scores, learning_rate, noise = "segmentation", TISSUES, 1e-2, True
    summary = "Dice"

    def network(self, size: int, width: int) -> keras.Model:
        """Each slice is first scaled to mean 0 and standard deviation 1: gains differ between people."""
        inputs = keras.Input((size, size, 1))
        standard = layers.LayerNormalization(axis=(1, 2, 3), center=False, scale=False)(inputs)
        return keras.Model(inputs, unet(standard, 1 + len(TISSUES), width, normalized=True))

    def loss(self) -> keras.losses.Loss:
        """Cross-entropy per pixel."""
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def pair(self, images: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The network's input and target."""
        return images[..., None], labels

    def answer(self, outputs: np.ndarray) -> np.ndarray:
        """Tissues (N, H, W) uint8 from the network's outputs."""
        return np.argmax(outputs, axis=-1).astype(np.uint8)

    def score(self, answers: np.ndarray, truth: np.ndarray) -> list[float]:
        """Dice of each tissue."""
        return [dice(answers == tissue, truth == tissue) for tissue in range(1, 1 + len(TISSUES))]

    def shown(self, slices: Slices) -> np.ndarray:
        """The network's test input: (N, H, W) float32."""
        return slices.images.astype(np.float32) / 255

    def truth(self, slices: Slices) -> np.ndarray:
        """The truth for the answers."""
        return slices.labels


class Denoising:
    """Rician noise removed from slices; scored by the peak signal-to-noise ratio over all slices of a person."""

    name, scores, learning_rate, noise = "denoising", ("PSNR",), 1e-2, False
    summary = "PSNR"

    def network(self, size: int, width: int) -> keras.Model:
        """The network predicts the noise, which is then subtracted."""
        inputs = keras.Input((size, size, 1))
        return keras.Model(inputs, inputs - unet(inputs, 1, width, normalized=False))

    def loss(self) -> keras.losses.Loss:
        """Mean squared error."""
        return keras.losses.MeanSquaredError()

    def pair(self, images: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The image with fresh noise, and the image."""
        return rician(images, rng)[..., None], images[..., None]

    def answer(self, outputs: np.ndarray) -> np.ndarray:
        """Images (N, H, W) uint8 from the network's outputs."""
        return to_uint8(outputs[..., 0])

    def score(self, answers: np.ndarray, truth: np.ndarray) -> list[float]:
        """PSNR in dB."""
        return [psnr(answers, truth)]

    def shown(self, slices: Slices) -> np.ndarray:
        """The network's test input: (N, H, W) float32, with the same noise for every network."""
        return rician(slices.images.astype(np.float32) / 255, np.random.default_rng(0))

    def truth(self, slices: Slices) -> np.ndarray:
        """The truth for the answers."""
        return slices.images


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice coefficient 2 |A and B| / (|A| + |B|) of two masks; 1 if both are empty."""
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else 1.0


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio of uint8 images, dB: 10 log10 (255^2 / MSE); infinite if they are equal."""
    error = np.mean(np.square(a.astype(np.float64) - b))
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def rician(images: np.ndarray, rng: np.random.Generator, sd: float = RICIAN) -> np.ndarray:
    """Magnitude of images plus complex Gaussian noise (Gudbjartsson and Patz 1995), float32, not clipped."""
    real, imaginary = rng.normal(0, sd, (2, *images.shape))
    return np.hypot(images + real, imaginary).astype(np.float32)


class Learner:
    """One compiled network that is trained repeatedly, from the same initial weights for every arm of a seed."""

    def __init__(self, task: Segmentation | Denoising, size: int, width: int, steps: int):
        gradients.make_deterministic()
        self.task, self.steps = task, steps
        self.model = task.network(size, width)
        self.optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(task.learning_rate, steps))
        self.optimizer.build(self.model.trainable_variables)
        self.model.compile(self.optimizer, task.loss())
        self.rested = [np.array(variable) for variable in self.optimizer.variables]
        self.drawn = {}

    def first_weights(self, seed: int) -> list[np.ndarray]:
        """Initial weights of a seed, drawn once."""
        if seed not in self.drawn:
            keras.utils.set_random_seed(seed)
            self.drawn[seed] = keras.models.clone_model(self.model).get_weights()
        return self.drawn[seed]

    def train(self, batches: Iterator, seed: int) -> None:
        """Start from the seed's initial weights and take ``steps`` steps."""
        self.model.set_weights(self.first_weights(seed))
        for variable, value in zip(self.optimizer.variables, self.rested):
            variable.assign(value)
        for batch in itertools.islice(batches, self.steps):
            self.model.train_on_batch(*self.task.pair(*batch))

    def answers(self, images: np.ndarray) -> np.ndarray:
        """The network's answers for images (N, H, W) in [0, 1]."""
        return self.task.answer(in_batches(self.model.predict_on_batch, images[..., None].astype(np.float32)))
