"""The residual networks of the IntroVAE (sec. 2.4 and 3.2), after progressive growing of GANs, as Keras functional models.

Two kinds of residual block are offered. ``released``: the authors' code, where a 1 x 1 convolution with normalization and
ReLU comes first and the sum is activated. ``canonical``: the cited original, where the second normalization follows the
sum, and the shortcut has a 1 x 1 convolution only where the number of channels changes.
"""

import keras
from keras import layers

from dwikit.backend import kernels
from dwikit.common.errors import choose
from dwikit.models.layers import normalize
from dwikit.models.presets import base_size


def _convolve(x, channels: int, size: int, bias: bool = True, initializer: str = "he_normal"):
    return layers.Conv2D(channels, size, padding="same", use_bias=bias, kernel_initializer=initializer)(x)


def _activate(x, slope: float):
    return layers.LeakyReLU(negative_slope=slope)(x) if slope else layers.ReLU()(x)


def _double(x, up: bool):
    return layers.UpSampling2D()(x) if up else x


def _double_and_convolve(x, channels: int, up: bool, bias: bool = True):
    if not up:
        return _convolve(x, channels, 3, bias)
    return kernels.Conv2D(channels, "up", use_bias=bias, kernel_initializer="he_normal")(x)


def _released_block(x, channels: int, norm: str | None, slope: float, last: bool = False, up: bool = False):
    def normalized(x):
        return _activate(normalize(x, norm), slope)

    shortcut = normalized(_convolve(x, channels, 1, initializer="glorot_normal"))
    x = normalized(_double_and_convolve(shortcut, channels, up))
    x = layers.Add()([normalized(_convolve(x, channels, 3)), _double(shortcut, up)])
    return x if last else _activate(x, slope)


def _canonical_block(x, channels: int, norm: str | None, slope: float, last: bool = False, up: bool = False):
    shortcut = _double(x, up)
    shortcut = shortcut if x.shape[-1] == channels else _convolve(shortcut, channels, 1, bias=False)
    x = _activate(normalize(_double_and_convolve(x, channels, up, bias=False), norm), slope)
    x = layers.Add()([_convolve(x, channels, 3, bias=False), shortcut])
    return _activate(normalize(x, norm), slope)


BLOCKS = {"released": _released_block, "canonical": _canonical_block}


def _levels(channels: tuple[int, ...], block: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Channels from the image inwards, of the encoder and the decoder."""
    if block == "canonical":  # it repeats its widest level at 4 x 4, and its narrowest at full size
        return (*channels, channels[-1]), (channels[0], *channels)
    return channels, channels


def intro_encoder(
    image_size: int, channels: tuple[int, ...], latent_size: int, norm: str | None, slope: float, block: str
) -> keras.Model:
    """(B, H, W, 1) -> mean and log-variance (B, latent_size): a 5 x 5 convolution, then halvings and residual blocks."""
    residual = choose(BLOCKS, block, "block")
    first, *others = _levels(channels, block)[0]
    base_size(image_size, len(others))
    images = keras.Input((image_size, image_size, 1), name="images")
    x = normalize(_convolve(images, first, 5, bias=block != "canonical"), norm)
    x = _activate(x, slope)
    for i, n in enumerate(others):
        x = residual(layers.AveragePooling2D(2)(x), n, norm, slope, last=i == len(others) - 1)
    x = layers.Flatten()(x)
    heads = [layers.Dense(latent_size, name=name, dtype="float32")(x) for name in ("mean", "log_variance")]
    return keras.Model(images, heads, name="encoder")


def intro_decoder(
    image_size: int, channels: tuple[int, ...], latent_size: int, norm: str | None, slope: float, block: str, output: str
) -> keras.Model:
    """(B, latent_size) -> (B, H, W, 1): a dense layer, then residual blocks and doublings, and a 5 x 5 convolution."""
    inwards = _levels(channels, block)[1]
    residual = choose(BLOCKS, block, "block")
    base = base_size(image_size, len(inwards) - 1)
    latents = keras.Input((latent_size,), name="latents")
    x = layers.ReLU()(layers.Dense(base * base * inwards[-1])(latents))
    x = layers.Reshape((base, base, inwards[-1]))(x)
    for i, n in enumerate(inwards[::-1]):
        x = residual(x, n, norm, slope, up=i > 0)
    x = _convolve(x, 1, 5)
    choose(dict.fromkeys(("sigmoid", "linear")), output, "output")
    return keras.Model(latents, layers.Activation(output, dtype="float32", name="images")(x), name="decoder")
