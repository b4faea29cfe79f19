"""Layers that Keras does not have, and the normalization that a preset names."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from dwikit.errors import InputError


@keras.saving.register_keras_serializable("dwikit")
class Affine(keras.layers.Layer):
    """A learned scale and offset per channel, without statistics: (..., C) -> (..., C).

    This is what batch normalization was in the released IntroVAE, whose training never switched the statistics on.
    """

    def build(self, input_shape):
        """Create one scale (1) and one offset (0) a channel."""
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")
        self.offset = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="offset")

    def call(self, inputs):
        """Scale and shift."""
        return inputs * self.scale + self.offset


NORMALIZATIONS = {
    "batch": keras.layers.BatchNormalization,
    "group": lambda: keras.layers.GroupNormalization(groups=8),
    "affine": Affine,
}


def normalize(x, name: str | None):
    """Apply the normalization called ``batch``, ``group`` (8 groups), ``affine``, or None for none."""
    if name is None:
        return x
    if name not in NORMALIZATIONS:
        raise InputError(f"There is no normalization {name!r}. Known: {', '.join(NORMALIZATIONS)}, or None.")
    return NORMALIZATIONS[name]()(x)


@contextmanager
def frozen_statistics(network: keras.Model) -> Iterator[None]:
    """Inside, batch normalization of ``network`` normalizes by the batch but leaves its moving averages alone."""
    norms = [layer for layer in network._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    try:
        for layer in norms:
            layer.momentum = 1.0
        yield
    finally:
        for layer, momentum in zip(norms, momenta):
            layer.momentum = momentum
