"""The variational autoencoder (sec. 2.2)."""

import keras
import numpy as np
from keras import ops

from dwikit.models import base, losses, networks
from dwikit.models.gradients import update

KL = {"mean": losses.kl_mean, "sum": losses.kl_sum}


class Autoencoder(base.GenerativeModel):
    """What the three VAEs share: an encoder to a normal distribution, a decoder, and the way between them."""

    encoder: keras.Model
    decoder: keras.Model

    def reparameterize(self, mean, log_variance, noise):
        """z = mean + sigma * noise, with sigma = exp(log_variance / 2) (sec. 2.2; the paper prints Sigma for sigma)."""
        return mean + ops.exp(0.5 * log_variance) * noise

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Images (n, H, W, 1) float32 in [0, 1] of latents (n, latent_size)."""
        return base.in_batches(lambda z: self.decoder(z, training=False), np.asarray(latents, np.float32))

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Posterior means (n, latent_size) of images (n, H, W, 1) or (n, H, W) in [0, 1]."""
        images = np.asarray(images, np.float32).reshape(len(images), self.image_size, self.image_size, 1)
        return base.in_batches(lambda x: self.encoder(x, training=False)[0], images)

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """Images decoded from the posterior mean of images (n, H, W, 1) or (n, H, W) in [0, 1]: (n, H, W, 1)."""
        return self.decode(self.encode(images))

    def call(self, images):
        """Reconstruct from the posterior mean."""
        return self.decoder(self.encoder(images, training=False)[0], training=False)


@keras.saving.register_keras_serializable("dwikit")
class VAE(Autoencoder):
    """Variational autoencoder: reconstruct every pixel, and keep the latents near N(0, 1).

    The loss is ``KL + reconstruction_weight * MSE`` (sec. 2.2 and 3.2), with symbols

    * ``mean``, ``log_variance``: parameters of the encoder's normal distribution q(z | x)
    * ``z``: a draw from it
    * ``reconstruction``: the decoder's image of z

    Example:
        >>> vae = VAE.from_preset("paper", image_size=64)
        >>> vae.fit(store.batches("train", 64), epochs=3)
        >>> vae.sample(16).shape
        (16, 64, 64, 1)
    """

    key = "vae"
    label = "VAE"

    def __init__(self, *, seed: int = 0, **config):
        super().__init__(config, seed)
        sizes = (config["image_size"], self.config["channels"], config["latent_size"], config["norm"], config["slope"])
        self.encoder = networks.vae_encoder(*sizes)
        self.decoder = networks.vae_decoder(*sizes)
        self.make_trackers("loss", "kl", "mse")

    def build_optimizers(self) -> list:
        """One Adam for both networks."""
        self.adam_optimizer = self.adam(self.trainable_variables)
        return [self.adam_optimizer]

    def draw_noise(self, batch_size: int) -> dict:
        """The noise of the reparameterization: (B, latent_size)."""
        return {"z": keras.random.normal((batch_size, self.latent_size), seed=self.noise_seed)}

    def reconstruction_loss(self, images, reconstructions):
        """Mean squared error over pixels and batch (sec. 3.2)."""
        return losses.squared_error_mean(images, reconstructions)

    def training_step(self, images) -> dict:
        """Encode, draw, decode, and step down the gradient of KL + weight * MSE."""
        noise = self.draw_noise(ops.shape(images)[0])

        def loss() -> dict:
            mean, log_variance = self.encoder(images, training=True)
            z = self.reparameterize(mean, log_variance, noise["z"])
            reconstruction = self.decoder(z, training=True)
            kl = KL[self.config["kl_reduction"]](mean, log_variance)
            mse = self.reconstruction_loss(images, reconstruction)
            return {"loss": kl + self.config["reconstruction_weight"] * mse, "kl": kl, "mse": mse}

        return self.track(update(loss, self.trainable_variables, self.adam_optimizer))
