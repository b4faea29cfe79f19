"""The networks of the plain and the deep-feature-consistent VAE (sec. 2.2 and 3.2), as Keras functional models."""

import keras
from keras import layers

from dwikit.models.layers import normalize, upsample_and_convolve
from dwikit.models.presets import base_size


def vae_encoder(
    image_size: int,
    channels: tuple[int, ...],
    latent_size: int,
    norm: str | None,
    slope: float,
    initializer: str = "glorot_uniform",
) -> keras.Model:
    """(B, H, W, 1) -> mean and log-variance, each (B, latent_size): convolutions 4 x 4 of stride 2, then two dense heads."""
    images = x = keras.Input((image_size, image_size, 1), name="images")
    for n in channels:
        x = layers.Conv2D(n, 4, strides=2, padding="same", kernel_initializer=initializer)(x)
        x = layers.LeakyReLU(negative_slope=slope)(normalize(x, norm))
    x = layers.Flatten()(x)
    heads = [layers.Dense(latent_size, name=name, dtype="float32")(x) for name in ("mean", "log_variance")]
    return keras.Model(images, heads, name="encoder")


def vae_decoder(
    image_size: int,
    channels: tuple[int, ...],
    latent_size: int,
    norm: str | None,
    slope: float,
    initializer: str = "glorot_uniform",
    upsampling: str = "nearest",
) -> keras.Model:
    """(B, latent_size) -> (B, H, W, 1) in [0, 1]: a dense layer, then each level twice as large as the one before it.

    ``channels`` are the encoder's, taken in reverse order. The last convolution has a sigmoid and no normalization.
    """
    base = base_size(image_size, len(channels))
    latents = x = keras.Input((latent_size,), name="latents")
    x = layers.Dense(base * base * channels[-1])(x)
    x = layers.LeakyReLU(negative_slope=slope)(x)
    x = layers.Reshape((base, base, channels[-1]))(x)
    for n in channels[-2::-1]:
        x = upsample_and_convolve(x, n, upsampling, initializer)
        x = layers.LeakyReLU(negative_slope=slope)(normalize(x, norm))
    x = upsample_and_convolve(x, 1, upsampling, "glorot_uniform")
    return keras.Model(latents, layers.Activation("sigmoid", dtype="float32", name="images")(x), name="decoder")
