"""The style-based generator (sec. 2.5) in use: styles, truncation, mixing, and noise that repeats."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from dwikit.common.errors import InputError, choose
from dwikit.models import base
from dwikit.models.style_gan import networks

NOISES = ("normal", "uniform")


class StyleGenerator(base.GenerativeModel):
    """Base class of ``StyleGAN``: ``mapping`` from latents to styles, ``synthesis`` from styles and noise to images."""

    def __init__(self, config: dict[str, Any], seed: int = 0):
        super().__init__(config, seed)
        choose(dict.fromkeys(NOISES), self.config["noise"], "noise")
        self.mapping = networks.mapping_network(self.config)
        self.synthesis = networks.synthesis_network(self.config)
        self.average_mapping, self.average_synthesis = self.average_of(self.mapping), self.average_of(self.synthesis)
        self.map_sizes = networks.map_sizes(self.config)

    def sampler(self) -> keras.Model:
        """As in the base class; inputs are ``latents`` and ``noise_0``, ``noise_1``, ... (B, S, S, 1), one per styled layer.

        Draw the noise as ``noise_map`` does.
        """
        latents = keras.Input((self.latent_size,), name="latents")
        maps = [keras.Input((size, size, 1), name=f"noise_{i}") for i, size in enumerate(self.map_sizes)]
        styles = layers.RepeatVector(len(maps))((self.average_mapping or self.mapping)(latents))
        images = (self.average_synthesis or self.synthesis)([styles, *maps], training=False)
        return keras.Model([latents, *maps], {"images": ops.clip(images, 0.0, 1.0)})

    def repeat_styles(self, styles):
        """One style (B, W) for all layers: (B, layers, W)."""
        return ops.repeat(styles[:, None], len(self.map_sizes), axis=1)

    def crop(self, image, size: int):
        """The middle ``size`` x ``size`` pixels."""
        edge = (self.image_size - size) // 2
        return image[:, edge : edge + size, edge : edge + size]

    def styles(self, latents: np.ndarray) -> np.ndarray:
        """Styles (n, mapping_width) of latents (n, latent_size), by the mapping's moving average if it has one."""
        return base.in_batches(self.average_mapping or self.mapping, np.asarray(latents, np.float32))

    def decode(self, latents: np.ndarray, truncation: float = 1.0, noise_seed: int = 0) -> np.ndarray:
        """Images (n, H, W, 1) float32 in [0, 1] of latents (n, latent_size).

        Args:
            latents: (n, latent_size).
            truncation: distance from the mean style as a share of the full distance; below 1, images are more typical.
            noise_seed: of the noise in the layers.
        """
        styles = self.styles(latents)
        if truncation != 1.0:
            middle = np.mean(self.styles(self.draw_latents(4096, seed=0)), axis=0)
            styles = middle + truncation * (styles - middle)
        return self.draw(np.repeat(styles[:, None], len(self.map_sizes), axis=1), noise_seed)

    def sample(self, n: int, seed: int = 0, truncation: float = 1.0) -> np.ndarray:
        """Images (n, H, W, 1) float32 in [0, 1] of latents from the prior; the first m are those of ``sample(m, seed)``."""
        return self.decode(self.draw_latents(n, seed), truncation, noise_seed=seed)

    def mix(self, coarse: np.ndarray, fine: np.ndarray, crossover: int, noise_seed: int = 0) -> np.ndarray:
        """Images (n, H, W, 1) in [0, 1] from two latents each: one styles the first layers, one the others.

        Args:
            coarse: latents (n, latent_size) of the layers before ``crossover``.
            fine: latents (n, latent_size) of the layers from ``crossover`` on.
            crossover: 0 (all fine) to ``len(model.map_sizes)`` (all coarse).
            noise_seed: of the noise in the layers.

        Raises:
            InputError: latents of different shapes, or no such layer.
        """
        n = len(self.map_sizes)
        if np.shape(coarse) != np.shape(fine) or not 0 <= crossover <= n:
            raise InputError(
                f"Mixing needs latents of one shape and a crossover from 0 to {n}, not {np.shape(coarse)}, "
                f"{np.shape(fine)} and {crossover}."
            )
        first = (np.arange(n) < crossover)[None, :, None]
        return self.draw(np.where(first, self.styles(coarse)[:, None], self.styles(fine)[:, None]), noise_seed)

    def draw(self, styles: np.ndarray, noise_seed: int = 0) -> np.ndarray:
        """Images (n, H, W, 1) in [0, 1] of styles (n, layers, mapping_width); noise is drawn alike on every backend."""
        synthesis = self.average_synthesis or self.synthesis

        def draw_batch(styles, indices):
            maps = [self.noise_map(len(indices), layer, indices[0], noise_seed) for layer in range(len(self.map_sizes))]
            return synthesis([styles, *maps], training=False)

        images = base.in_batches(draw_batch, styles.astype(np.float32), np.arange(len(styles)))
        return np.clip(images, 0.0, 1.0)

    def noise_map(self, n: int, layer: int, first: int, seed: int) -> np.ndarray:
        """Noise (n, S, S, 1) of one layer for the images from number ``first`` on."""
        size = self.map_sizes[layer]
        if self.config["noise"] == "uniform":
            image = np.random.default_rng((seed, first)).random((n, self.image_size, self.image_size, 1), np.float32)
            return self.crop(image, size)
        return np.random.default_rng((seed, first, layer)).standard_normal((n, size, size, 1), np.float32)

    def call(self, latents):
        """Images of latents, without noise in the layers."""
        maps = [ops.zeros((ops.shape(latents)[0], size, size, 1)) for size in self.map_sizes]
        return self.synthesis([self.repeat_styles(self.mapping(latents)), *maps])
