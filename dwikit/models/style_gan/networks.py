"""The style-based generator and its critics (sec. 2.5 and 3.2), as Keras functional models made from a model's config.

With equalized learning rate a kernel starts as N(0, 1), and its inputs, not the kernel, are multiplied by
gain / sqrt(fan in): the same function with the same gradients as scaling the kernel at run time.
"""

import math
from typing import Any

import keras
from keras import layers

from dwikit.backend import kernels
from dwikit.common.errors import InputError, choose
from dwikit.models.layers import AdaIN, LearnedConstant, MinibatchDeviation, NoiseAndBias, blur
from dwikit.models.presets import base_size

GAIN = math.sqrt(2)
"""Gain before a rectified activation; elsewhere 1."""


def _kernel(x, fan_in: int, equalized: bool, gain: float, multiplier: float = 1.0):
    """The inputs and the initializer of a layer, with or without equalized learning rate."""
    if not equalized:
        return x, "he_normal" if gain == GAIN else "glorot_uniform"
    first = keras.initializers.RandomNormal(stddev=1.0 / multiplier)
    return layers.Rescaling(gain / math.sqrt(fan_in))(x), first


def _convolve(x, channels: int, size: int, equalized: bool, strides: int = 1, gain: float = GAIN, bias: bool = True):
    x, first = _kernel(x, size * size * x.shape[-1], equalized, gain)
    return layers.Conv2D(channels, size, strides=strides, padding="same", use_bias=bias, kernel_initializer=first)(x)


def _resample_and_convolve(x, channels: int, resample: str, equalized: bool, bias: bool = True):
    """Doubled (``nearest`` or ``bilinear``) and convolved, or convolved and halved (``average``)."""
    if resample == "bilinear":
        return _convolve(layers.UpSampling2D(interpolation=resample)(x), channels, 3, equalized, bias=bias)
    x, first = _kernel(x, 9 * x.shape[-1], equalized, GAIN)
    direction = {"nearest": "up", "average": "down"}[resample]
    return kernels.Conv2D(channels, direction, use_bias=bias, kernel_initializer=first)(x)


def _dense(x, units: int, equalized: bool, gain: float = GAIN, multiplier: float = 1.0):
    x, first = _kernel(x, x.shape[-1], equalized, gain, multiplier)
    x = layers.Dense(units, kernel_initializer=first)(x)
    return x if multiplier == 1.0 else layers.Rescaling(multiplier)(x)


# ==== Generator ====


def mapping_network(config: dict[str, Any]) -> keras.Model:
    """(B, latent_size) -> (B, mapping_width): latents to styles by fully connected layers."""
    latents = x = keras.Input((config["latent_size"],), name="latents")
    if config["normalize_latents"]:
        x = layers.Rescaling(math.sqrt(config["latent_size"]))(layers.UnitNormalization()(x))
    for _ in range(config["mapping_layers"]):
        x = _dense(x, config["mapping_width"], config["equalized"], multiplier=config["mapping_multiplier"])
        x = layers.LeakyReLU(negative_slope=config["mapping_slope"])(x)
    return keras.Model(latents, x, name="mapping")


def map_sizes(config: dict[str, Any]) -> list[int]:
    """Pixels along one side of the noise map of each styled layer, from the constant outwards."""
    levels = (config["image_size"] // config["constant_size"]).bit_length()
    sizes = [config["constant_size"] << level for level in range(levels)]
    return [size for i, size in enumerate(sizes) for _ in range(2 if i == 0 else config["block_convolutions"])]


def synthesis_network(config: dict[str, Any]) -> keras.Model:
    """Styles (B, layers, mapping_width) and one noise map (B, S, S, 1) per layer -> images (B, H, W, 1).

    Raises:
        InputError: fewer ``channels`` than levels, or an unknown upsampling, order, constant or output.
    """
    sizes, equalized = map_sizes(config), config["equalized"]
    levels = (config["image_size"] // config["constant_size"]).bit_length()
    if len(config["channels"]) < levels:
        raise InputError(
            f"A generator from {config['constant_size']} to {config['image_size']} pixels needs {levels} channels, one per "
            f"level from the image inwards; {len(config['channels'])} were given."
        )
    choose(dict.fromkeys(("nearest", "bilinear")), config["upsampling"], "upsampling")
    style_last = choose({"style_last": True, "style_first": False}, config["order"], "order")
    styles = keras.Input((len(sizes), config["mapping_width"]), name="styles")
    maps = [keras.Input((size, size, 1), name=f"noise_{i}") for i, size in enumerate(sizes)]
    activation = {"negative_slope": config["slope"]}
    done = 0

    def styled(x):
        """Noise, activation and style of one layer, in the order of the original or of the released code."""
        nonlocal done
        noise, style = maps[done], _dense(styles[:, done], 2 * x.shape[-1], equalized, gain=1.0)
        done += 1
        if style_last:
            return AdaIN()(layers.LeakyReLU(**activation)(NoiseAndBias()(x, noise)), style)
        return layers.LeakyReLU(**activation)(NoiseAndBias(GAIN)(AdaIN(neutral=0.0)(x, style), noise))

    channels = config["channels"][:levels][::-1]
    x = styled(LearnedConstant(config["constant_size"], channels[0], config["constant"])(styles))
    x = styled(_convolve(x, channels[0], 3, equalized, bias=not style_last))
    for n in channels[1:]:
        x = _resample_and_convolve(x, n, config["upsampling"], equalized, bias=not style_last)
        x = styled(blur(x) if config["blur"] else x)
        for _ in range(config["block_convolutions"] - 1):
            x = styled(_convolve(x, n, 3, equalized, bias=not style_last))
    x = layers.Activation("linear", dtype="float32")(_convolve(x, 1, 1, equalized, gain=1.0))
    sigmoid, darker = layers.Activation("sigmoid", dtype="float32"), layers.Rescaling(2.0, -1.0, dtype="float32")
    outputs = {
        "sigmoid": sigmoid,
        "dark_sigmoid": lambda x: sigmoid(darker(x)),  # starts at 0.27: dark
        "linear": layers.Rescaling(0.5, 0.5, dtype="float32"),  # from [-1, 1], the original's range
    }
    images = choose(outputs, config["output"], "output")(x)
    return keras.Model([styles, *maps], images, name="synthesis")


# ==== Critics ====


def critic_network(config: dict[str, Any]) -> keras.Model:
    """(B, H, W, 1) -> scores (B, 1); the kind is ``progressive`` (PGGAN's), ``strided`` (light) or ``released``.

    Raises:
        InputError: an unknown kind, or more channels than the image has levels.
    """
    images = keras.Input((config["image_size"],) * 2 + (1,), name="images")
    kinds = {"progressive": _progressive, "strided": _strided, "released": _released}
    kind = choose(kinds, config["critic"], "critic")
    halvings = len(config["critic_channels"]) - (kind is _progressive)
    base_size(config["image_size"], halvings, "critic_channels")
    x = kind(images, config)
    return keras.Model(images, layers.Activation("linear", dtype="float32", name="scores")(x), name="critic")


def _activate(x, config: dict[str, Any]):
    return layers.LeakyReLU(negative_slope=config["critic_slope"])(x)


def _progressive(x, config: dict[str, Any]):
    """PGGAN's discriminator: two 3 x 3 convolutions per level, halved in between; with ``blur``, StyleGAN's."""
    channels, equalized = config["critic_channels"], config["equalized"]
    x = _activate(_convolve(x, channels[0], 1, equalized), config)
    for n, following in zip(channels, channels[1:]):
        x = _activate(_convolve(x, n, 3, equalized), config)
        x = _resample_and_convolve(blur(x) if config["blur"] else x, following, "average", equalized)
        x = _activate(x, config)
    return _head(x, config)


def _strided(x, config: dict[str, Any]):
    """One 4 x 4 convolution of stride 2 per level: a third of the work, for a CPU."""
    for n in config["critic_channels"]:
        x = _activate(_convolve(x, n, 4, config["equalized"], strides=2), config)
    return _head(x, config)


def _head(x, config: dict[str, Any]):
    channels, equalized = config["critic_channels"][-1], config["equalized"]
    if config["minibatch_group"]:
        x = MinibatchDeviation(config["minibatch_group"])(x)
    x = _activate(_convolve(x, channels, 3, equalized), config)
    x = _activate(_dense(layers.Flatten()(x), channels, equalized), config)
    return _dense(x, 1, equalized, gain=1.0)


def _released(x, config: dict[str, Any]):
    """The authors' code: convolution, pooling, convolution at each level; then 128 units, dropout, and the score."""
    for n in config["critic_channels"]:
        x = layers.AveragePooling2D(2)(_activate(_convolve(x, n, 3, False), config))
        x = _activate(_convolve(x, n, 3, False), config)
    x = layers.Dense(128, activation="relu")(layers.Flatten()(x))
    return layers.Dense(1)(layers.Dropout(config["dropout"])(x))
