"""Layers that Keras does not have, and the small constructions that several networks share."""

import math

import keras
from keras import layers, ops

from dwikit.backend import kernels
from dwikit.common.errors import choose

register = keras.saving.register_keras_serializable("dwikit")


# ==== Normalization ====


@register
class Affine(layers.Layer):
    """A learned scale and offset per channel, without statistics: (..., C) -> (..., C).

    This is what batch normalization was in the released IntroVAE, whose training never switched the statistics on.
    """

    def build(self, input_shape):
        """Create one scale (1) and one offset (0) per channel."""
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")
        self.offset = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="offset")

    def call(self, inputs):
        """Scale and shift."""
        return inputs * self.scale + self.offset


NORMALIZATIONS = {
    "batch": lambda channels: kernels.BatchNormalization(),
    "group": lambda channels: kernels.GroupNormalization(groups=math.gcd(8, channels)),
    "affine": lambda channels: Affine(),
}


def normalize(x, name: str | None):
    """Apply the normalization called ``batch``, ``group`` (8 groups where they divide the channels), ``affine``, or None.

    Raises:
        InputError: another name.
    """
    return x if name is None else choose(NORMALIZATIONS, name, "normalization")(x.shape[-1])(x)


# ==== Resampling ====

UPSAMPLINGS = ("nearest", "bilinear", "transposed")


def upsample_and_convolve(x, channels: int, upsampling: str, initializer: str):
    """(B, H, W, C) -> (B, 2 H, 2 W, channels).

    ``nearest`` and ``bilinear`` upsample before a 3 x 3 convolution; ``transposed`` is one 4 x 4 transposed convolution of
    stride 2, which is faster on a CPU and may leave checkerboard artifacts.
    """
    choose(dict.fromkeys(UPSAMPLINGS), upsampling, "upsampling")
    if upsampling == "transposed":
        return layers.Conv2DTranspose(channels, 4, strides=2, padding="same", kernel_initializer=initializer)(x)
    if upsampling == "nearest":
        return kernels.Conv2D(channels, "up", kernel_initializer=initializer)(x)
    x = layers.UpSampling2D(interpolation=upsampling)(x)
    return layers.Conv2D(channels, 3, padding="same", kernel_initializer=initializer)(x)


def blur(x):
    """Smooth with the kernel [1, 2, 1] / 4 along both axes: exactly two averages over 2 x 2 pixels."""
    x = layers.ZeroPadding2D(1)(x)
    return layers.AveragePooling2D(2, strides=1)(layers.AveragePooling2D(2, strides=1)(x))


# ==== The style-based generator and its critic ====


@register
class LearnedConstant(layers.Layer):
    """What the style-based generator starts from: one learned map, the same for every image; (B, ...) -> (B, S, S, C).

    Args:
        size: S.
        channels: C.
        kind: ``ones`` or ``normal`` (the initial values), or ``dense``: the sum of a He normal map and a map of zeros, which
            is what the released code's dense layer applied to the number 1 amounts to.
    """

    def __init__(self, size: int, channels: int, kind: str = "ones", **kwargs):
        super().__init__(**kwargs)
        self.size, self.channels, self.kind = size, channels, kind
        self.first = choose(
            {
                "ones": keras.initializers.Ones(),
                "normal": keras.initializers.RandomNormal(stddev=1.0),
                "dense": keras.initializers.RandomNormal(stddev=math.sqrt(2)),
            },
            kind,
            "constant",
        )

    def build(self, input_shape):
        """Create the map, and for ``dense`` its second part."""
        shape = (self.size, self.size, self.channels)
        self.value = self.add_weight(shape=shape, initializer=self.first, name="value")
        self.offset = self.add_weight(shape=shape, initializer="zeros", name="offset") if self.kind == "dense" else 0.0

    def call(self, inputs):
        """Repeat the map for each row of the inputs."""
        value = self.value + self.offset
        return ops.broadcast_to(value[None], (ops.shape(inputs)[0], self.size, self.size, self.channels))

    def compute_output_shape(self, input_shape):
        """(B, S, S, C)."""
        return (input_shape[0], self.size, self.size, self.channels)

    def get_config(self):
        """Constructor arguments."""
        return {**super().get_config(), "size": self.size, "channels": self.channels, "kind": self.kind}


@register
class NoiseAndBias(layers.Layer):
    """Adds noise (B, H, W, 1) times a learned weight per channel, and a bias.

    Args:
        spread: standard deviation of the initial weights; the biases start at 0.
    """

    def __init__(self, spread: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.spread = spread

    def build(self, x_shape, noise_shape):
        """Create one weight and one bias per channel."""
        first = keras.initializers.RandomNormal(stddev=self.spread)
        self.weight = self.add_weight(shape=(x_shape[-1],), initializer=first, name="weight")
        self.bias = self.add_weight(shape=(x_shape[-1],), initializer="zeros", name="bias")

    def call(self, x, noise):
        """Add both."""
        return x + noise * self.weight + self.bias

    def compute_output_shape(self, x_shape, noise_shape):
        """That of x."""
        return x_shape

    def get_config(self):
        """Constructor arguments."""
        return {**super().get_config(), "spread": self.spread}


@register
class AdaIN(layers.Layer):
    """Adaptive instance normalization (sec. 2.5): every channel of every image gets the mean and spread of its style.

    Inputs: x (B, H, W, C) and style (B, 2 C), the scale (as its difference from ``neutral``) and the offset.
    """

    def __init__(self, neutral: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.neutral = neutral

    def call(self, x, style, training=None):
        """Normalize over the pixels, then scale and shift by the style."""
        scale, offset = ops.split(ops.cast(style, "float32"), 2, axis=-1)
        return kernels.normalize_each(x, self.neutral + scale, offset, 1e-8, bool(training))

    def compute_output_shape(self, x_shape, style_shape):
        """That of x."""
        return x_shape

    def get_config(self):
        """Constructor arguments."""
        return {**super().get_config(), "neutral": self.neutral}


@register
class MinibatchDeviation(layers.Layer):
    """Appends a map with the mean standard deviation over groups of images: (B, H, W, C) -> (B, H, W, C + 1).

    It lets a critic see when all images of a batch look alike. The last batch of an epoch may be smaller than a group.
    """

    def __init__(self, group: int = 4, **kwargs):
        super().__init__(**kwargs)
        self.group = group

    def call(self, x):
        """Compare image i with the images i + groups, i + 2 groups, ..."""
        n, height, width, channels = ops.shape(x)
        groups = max(n // self.group, 1) if isinstance(n, int) else ops.maximum(n // self.group, 1)
        size = n // groups
        grouped = ops.reshape(ops.cast(x, "float32")[: size * groups], (size, groups, height, width, channels))
        deviation = ops.sqrt(ops.var(grouped, axis=0) + 1e-8)
        deviation = ops.mean(deviation, axis=(1, 2, 3))
        deviation = ops.take(deviation, ops.arange(n) % groups)
        maps = ops.broadcast_to(deviation[:, None, None, None], (n, height, width, 1))
        return ops.concatenate([x, ops.cast(maps, x.dtype)], axis=-1)

    def compute_output_shape(self, input_shape):
        """The input's shape with one more channel."""
        return (*input_shape[:-1], input_shape[-1] + 1)

    def get_config(self):
        """Constructor arguments."""
        return {**super().get_config(), "group": self.group}
