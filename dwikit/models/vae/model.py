"""The variational autoencoder (sec. 2.2)."""

import keras

from dwikit.backend.gradients import update
from dwikit.common.errors import choose
from dwikit.models import losses
from dwikit.models.autoencoder import Autoencoder
from dwikit.models.vae.networks import vae_decoder, vae_encoder
from dwikit.models.vae.presets import PRESETS

KL = {"mean": losses.kl_mean, "sum": losses.kl_sum}


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
    section = "2.2"
    notebook = "02_train_vae"
    presets = PRESETS
    draws = ("decoder",)
    chains = (("encoder", "decoder"),)
    passes = {"encoder": 3, "decoder": 3}  # forward, and the gradients of weights and inputs

    def __init__(self, *, seed: int = 0, **config):
        super().__init__(config, seed)
        self.build_networks()
        self.make_trackers("loss", "kl", "mse")

    def build_networks(self) -> None:
        """Encoder and decoder as the config says."""
        self.kl = choose(KL, self.config["kl_reduction"], "kl_reduction")
        names = ("image_size", "channels", "latent_size", "norm", "slope", "initializer")
        sizes = {name: self.config[name] for name in names}
        self.encoder = vae_encoder(**sizes)
        self.decoder = vae_decoder(**sizes, upsampling=self.config["upsampling"])

    @property
    def objective(self) -> str:
        """What the loss compares, in a few words."""
        return f"{self.label}: KL + {self.config['reconstruction_weight']:g} × mean squared error of the pixels"

    def build_optimizers(self) -> list:
        """One Adam for both networks."""
        self.adam_optimizer = self.adam(self.trainable_variables)
        return [self.adam_optimizer]

    def draw_noise(self, batch_size: int) -> dict:
        """The noise of the reparameterization: (B, latent_size)."""
        return {"z": keras.random.normal((batch_size, self.latent_size), seed=self.noise_seed)}

    def reconstruction_terms(self, images, reconstruction) -> dict:
        """The weighted ``reconstruction`` loss, and what the log shows besides (sec. 3.2)."""
        mse = losses.squared_error_mean(images, reconstruction)
        return {"reconstruction": self.config["reconstruction_weight"] * mse, "mse": mse}

    def training_step(self, images) -> dict:
        """Encode, draw, decode, and step down the gradient of KL + weighted reconstruction loss."""
        noise = self.step_noise(images)

        def loss() -> dict:
            mean, log_variance = self.encoder(images, training=True)
            z = self.reparameterize(mean, log_variance, noise["z"])
            reconstruction = self.decoder(z, training=True)
            kl = self.kl(mean, log_variance)
            terms = self.reconstruction_terms(images, reconstruction)
            return {"loss": kl + terms.pop("reconstruction"), "kl": kl, **terms}

        return self.track(update(loss, self.trainable_variables, self.adam_optimizer))
