"""The networks of the diffusion model.

The U-Net has the plan of the original (Karras et al. 2022, official code for faces of 64 x 64), which also has attention,
dropout, augmented images, a block more per level on the way back, which sees more of what came down, shortcuts scaled by the
root of 1/2, four times the groups in its normalizations, and another embedding of the noise.
"""

import keras
import numpy as np
from keras import layers, ops

from dwikit.backend import distribution, kernels
from dwikit.common.errors import choose
from dwikit.models.layers import LearnedConstant, normalize
from dwikit.models.presets import base_size

FREQUENCIES = np.geomspace(0.5, 16, 16, dtype=np.float32)
"""Of the waves by which the network reads ln(sigma) / 4, which lies between -1.6 and 1.1."""
PATCHES = (1, 2, 4)


@keras.saving.register_keras_serializable("dwikit")
class MeanImage(layers.Layer):
    """The mean of all training images so far, which it adds to noise.

    Args:
        size: H and W.
    """

    def __init__(self, size: int, **kwargs):
        super().__init__(**{"trainable": False, "dtype": "float32"} | kwargs)
        self.size = size
        self.image = self.add_weight((size, size, 1), "zeros", trainable=False, name="image")
        self.built = True

    def follow(self, images, steps) -> None:
        """Take in a batch (B, H, W, 1), after ``steps`` others of the same size."""
        batch = distribution.average(ops.mean(images, axis=0))
        self.image.assign(self.image + (batch - self.image) / (1.0 + ops.cast(steps, "float32")))

    def call(self, x):
        """Add the mean."""
        return x + self.image

    def compute_output_shape(self, shape):
        """That of the input."""
        return shape

    def get_config(self):
        """Constructor arguments."""
        return {**super().get_config(), "size": self.size}


def unet(
    image_size: int, channels: tuple[int, ...], blocks: int, patch: int, norm: str | None, embedding: int, place: int
) -> keras.Model:
    """Scaled noisy images (B, H, W, 1) and c_noise (B, 1) -> (B, H, W, 1).

    Every level is half as large as the one before it; on the way back, each block also sees the output of its counterpart.

    Args:
        image_size: H and W.
        channels: by level, from the image inwards.
        blocks: residual blocks per level, on either way.
        patch: pixels along a side that the first convolution takes together, and the last one parts: 1, 2 or 4.
        norm: as in ``layers.normalize``.
        embedding: units that say how strong the noise is.
        place: channels of a learned map, the same for every image, beside the first ones: what is where in registered slices.

    Raises:
        InputError: another patch or norm, or more levels than the image has.
    """
    choose({str(one): one for one in PATCHES}, str(patch), "patch")
    base_size(image_size // patch, len(channels) - 1)
    images = keras.Input((image_size, image_size, 1), name="images")
    noise = keras.Input((1,), name="noise")
    angles = noise * FREQUENCIES
    strength = ops.concatenate([ops.cos(angles), ops.sin(angles)], axis=-1)
    for _ in range(2):
        strength = layers.Dense(embedding, activation="silu")(strength)

    x, passed = layers.Conv2D(channels[0], patch + 2, strides=patch, padding="same")(images), []
    if place:
        x = layers.Concatenate()([x, LearnedConstant(image_size // patch, place, "normal")(x)])
    for level, n in enumerate(channels):
        x = kernels.Conv2D(n, "down")(x) if level else x
        for _ in range(blocks):
            x = _block(x, strength, n, norm)
            passed.append(x)
    x = _block(x, strength, channels[-1], norm)
    for level, n in reversed(list(enumerate(channels))):
        for _ in range(blocks):
            x = _block(layers.Concatenate()([x, passed.pop()]), strength, n, norm)
        x = kernels.Conv2D(channels[level - 1], "up")(x) if level else x
    x = _activate(x, norm)
    last = layers.Conv2D if patch == 1 else layers.Conv2DTranspose
    x = last(1, patch + 2, strides=patch, padding="same", kernel_initializer="zeros")(x)
    return keras.Model([images, noise], layers.Activation("linear", dtype="float32")(x), name="unet")


def _block(x, strength, channels: int, norm: str | None):
    """Two convolutions, told between them how strong the noise is, beside a shortcut; at first only the shortcut counts."""
    shortcut = x if x.shape[-1] == channels else layers.Conv2D(channels, 1)(x)
    x = layers.Conv2D(channels, 3, padding="same")(_activate(x, norm))
    x = layers.Add()([x, layers.Reshape((1, 1, channels))(layers.Dense(channels)(strength))])
    x = layers.Conv2D(channels, 3, padding="same", kernel_initializer="zeros")(_activate(x, norm))
    return layers.Add()([x, shortcut])


def _activate(x, norm: str | None):
    return layers.Activation("silu")(normalize(x, norm))
