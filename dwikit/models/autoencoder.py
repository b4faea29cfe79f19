"""What autoencoders share: an encoder to a normal distribution, a decoder, and two ways to draw samples."""

import keras
import numpy as np
from keras import ops

from dwikit.common.errors import InputError, choose
from dwikit.models import base

SAMPLERS = ("prior", "gaussian_mixture")


class Autoencoder(base.GenerativeModel):
    """Base class of networks that reconstruct; a subclass has an ``encoder`` to mean and log-variance and a ``decoder``."""

    encoder: keras.Model
    decoder: keras.Model
    mixture: dict[str, np.ndarray] | None = None
    """Gaussian mixture of the training latents: weights (K,), means (K, latent_size), factors (K, latent_size, latent_size)."""

    def reparameterize(self, mean, log_variance, noise):
        """z = mean + sigma * noise, with sigma = exp(log_variance / 2) (sec. 2.2; the paper prints Sigma for sigma)."""
        return mean + ops.exp(self.config.get("sigma_exponent", 0.5) * log_variance) * noise

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Posterior means (n, latent_size) of images (n, H, W) or (n, H, W, 1), uint8 or in [0, 1].

        Raises:
            InputError: images of another shape, dtype or range.
        """
        return base.in_batches(lambda x: self.encoder(x, training=False)[0], base.check_images(images, self.image_size))

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """Images (n, H, W, 1) in [0, 1], decoded from the posterior means of images as in ``encode``."""
        return self.decode(self.encode(images))

    def active_latents(self, images: np.ndarray, threshold: float = 0.01) -> int:
        """Number of latents that the encoder uses: those whose posterior mean varies by more than ``threshold`` over images."""
        return int(np.sum(np.var(self.encode(images), axis=0) > threshold))

    def call(self, images):
        """Reconstruct from the posterior mean."""
        return self.decoder(self.encoder(images, training=False)[0], training=False)

    # ==== Sampling from the density of the training latents ====

    def fit_latents(self, images: np.ndarray, components: int = 10, seed: int = 0) -> None:
        """Fit a Gaussian mixture to the latents of training images; it is saved with the model.

        Args:
            images: as in ``encode``.
            components: number of Gaussians in the mixture.
            seed: of its initialization.

        Raises:
            InputError: unusable images, or fewer images than components.
        """
        from sklearn.mixture import GaussianMixture

        latents = self.encode(images).astype(np.float64)
        if len(latents) < max(components, 2):
            raise InputError(f"{components} components need at least {max(components, 2)} images, not {len(latents)}.")
        fitted = GaussianMixture(components, reg_covar=1e-4, random_state=seed).fit(latents)
        factors = np.linalg.cholesky(fitted.covariances_)
        self.mixture = {"weights": fitted.weights_, "means": fitted.means_, "factors": factors}

    def sample(self, n: int, seed: int = 0, sampler: str = "prior") -> np.ndarray:
        """Images (n, H, W, 1) float32 in [0, 1]; the first m are those of ``sample(m, seed, sampler)``.

        Args:
            n: number of images.
            seed: of the latents.
            sampler: ``"prior"`` draws latents from N(0, 1), as the paper does; ``"gaussian_mixture"`` from the density of
                the training latents (``fit_latents``).

        Raises:
            InputError: an unknown sampler, or a mixture that was not fitted.
        """
        choose(dict.fromkeys(SAMPLERS), sampler, "sampler")
        noise = self.draw_latents(n, seed)
        if sampler == "prior":
            return self.decode(noise)
        if self.mixture is None:
            raise InputError("There is no mixture to sample from yet: call fit_latents(training_images) first.")
        levels = np.cumsum(self.mixture["weights"])[:-1]
        component = np.searchsorted(levels, np.random.default_rng((seed, 1)).random(n), side="right")
        moved = np.einsum("nij,nj->ni", self.mixture["factors"][component], noise)
        return self.decode(self.mixture["means"][component] + moved)

    def save_own_variables(self, store) -> None:
        """The base class's state, and the mixture."""
        super().save_own_variables(store)
        for name, values in (self.mixture or {}).items():
            store[f"mixture_{name}"] = values

    def load_own_variables(self, store) -> None:
        """The base class's state, and the mixture."""
        super().load_own_variables(store)
        if "mixture_means" in store.keys():
            self.mixture = {name: np.array(store[f"mixture_{name}"]) for name in ("weights", "means", "factors")}
