"""A diffusion model: a network that removes noise, and a sampler that begins with nothing else.

Karras, Aittala, Aila, Laine: Elucidating the Design Space of Diffusion-Based Generative Models, 2022; its equations are cited
as K. It stands beside the study's networks to ask whether it would do better under the study's own measures.
"""

from collections.abc import Callable
from numbers import Integral

import keras
import numpy as np
from keras import ops

from dwikit.backend.gradients import update
from dwikit.common.errors import InputError
from dwikit.models import base
from dwikit.models.diffusion.networks import MeanImage, unet
from dwikit.models.diffusion.presets import PRESETS

# ==== The equations; sigma is a number, or (B, 1, 1, 1) ====


def add_noise(clean, sigma, noise):
    """Images with noise of standard deviation sigma; ``noise`` is from N(0, 1), one number a pixel (K, eq. 2)."""
    return clean + sigma * noise


def preconditioning(sigma, sigma_data: float) -> tuple:
    """c_skip, c_out, c_in and c_noise: the network sees and answers numbers of mean square 1 at every noise (K, table 1)."""
    variance = ops.square(sigma) + sigma_data**2
    return sigma_data**2 / variance, sigma * sigma_data / ops.sqrt(variance), 1.0 / ops.sqrt(variance), ops.log(sigma) / 4.0


def loss_weight(sigma, sigma_data: float):
    """lambda = 1 / c_out^2: at first, every noise counts alike (K, table 1)."""
    return 1.0 / ops.square(preconditioning(sigma, sigma_data)[1])


def noise_levels(steps: int, sigma_min: float, sigma_max: float, rho: float) -> np.ndarray:
    """Noise levels (steps + 1,) of sampling, from sigma_max to sigma_min and 0, ever closer together (K, eq. 5)."""
    way = np.linspace(sigma_max ** (1 / rho), sigma_min ** (1 / rho), steps) ** rho
    return np.append(way, 0.0)


def slope(denoise: Callable, x, sigma: float):
    """dx / dsigma of the way from noise to data: away from what the denoiser takes x for (K, eq. 1 and 3)."""
    return (x - denoise(x, sigma)) / sigma


def heun_step(denoise: Callable, x, sigma: float, lower: float):
    """From one noise level to the next: a step of Euler, corrected by the slope at its end (K, algorithm 1)."""
    here = slope(denoise, x, sigma)
    moved = x + (lower - sigma) * here
    if lower == 0:
        return moved
    return x + (lower - sigma) * (here + slope(denoise, moved, lower)) / 2.0


def heun(denoise: Callable, x, levels: np.ndarray):
    """All steps through the noise levels; draws nothing at random (K, algorithm 1).

    Args:
        denoise: from images (B, H, W, 1) and their noise level to images without noise.
        x: noise of the first level.
        levels: falling, 0 at the end.
    """
    for sigma, lower in zip(levels[:-1].tolist(), levels[1:].tolist()):
        x = heun_step(denoise, x, sigma, lower)
    return x


# ==== The model ====

POSITIVE = ("sigma_data", "noise_median", "noise_spread", "rho")
"""Settings that must be above 0."""
LARGEST = 1e6
"""Of sigma_max; far above it, squares leave what 32 bits hold."""


@keras.saving.register_keras_serializable("dwikit")
class Diffusion(base.GenerativeModel):
    """A U-Net learns to remove noise of any strength from slices; sampling removes it step by step from pure noise.

    Inside, images are in [0, 2]: as wide as K's [-1, 1], but black is 0. Sampling begins at the mean of the training slices,
    about which images under strong noise lie; K's photographs have a mean near 0. It does not reconstruct, and no likelihood
    is computed. Symbols:

    * ``mean``: of the slices of all training steps so far, (H, W, 1)
    * ``sigma``: standard deviation of the noise, and ``config["sigma_data"]`` the root mean square of the slices' pixels
    * ``denoise``: D, the mean of all slices that a noisy image may come from
    * latents: the noise at the beginning of sampling, one number a pixel

    Example:
        >>> model = Diffusion.from_preset("paper", image_size=64, width=0.25)
        >>> model.fit(store.batches("train", 16), epochs=3)
        >>> model.sample(16, steps=12).shape
        (16, 64, 64, 1)
    """

    key = "diffusion"
    label = "Diffusion"
    notebook = "08_beyond"
    presets = PRESETS
    passes = {"unet": 3}  # forward, and the gradients of weights and inputs

    def __init__(self, *, seed: int = 0, **config):
        super().__init__(config, seed)
        lowest, highest = self.config["sigma_min"], self.config["sigma_max"]
        if not 0 < lowest < highest <= LARGEST or not all(self.config[name] > 0 for name in POSITIVE):
            raise InputError(
                f"{', '.join(POSITIVE)} must be above 0, and sigma_max above sigma_min, above 0, and at most {LARGEST:g}; they "
                f"are {', '.join(format(self.config[name], 'g') for name in POSITIVE)}, and {highest:g} and {lowest:g}."
            )
        if self.config["norm"] == "batch":
            raise InputError(
                "norm must not be 'batch' in a diffusion model: statistics of a batch mix the noise levels of its slices, and "
                "a sampler removes one level at a time. Take 'group'."
            )
        self.unet = unet(
            **{name: self.config[name] for name in ("image_size", "channels", "blocks", "patch", "norm", "embedding", "place")}
        )
        self.average_unet = self.average_of(self.unet)
        self.mean = MeanImage(self.image_size)
        self.make_trackers("loss")

    @property
    def objective(self) -> str:
        """What the loss compares, in a few words."""
        return "noise of known strength is removed from slices: weighted squared error"

    @property
    def latent_size(self) -> int:
        """Pixels of an image."""
        return self.image_size**2

    @property
    def draws(self) -> tuple[str, ...]:
        """The U-Net, as often as a sample goes through it: twice a step, but once in the last."""
        return ("unet",) * (2 * self.config["sampler_steps"] - 1)

    @property
    def reconstruct(self):
        """None: ``hasattr`` says so.

        Raises:
            AttributeError: always, with the reason.
        """
        raise AttributeError(f"{self.label} does not reconstruct: it has no encoder from images to fewer numbers. Take a VAE.")

    def build_optimizers(self) -> list:
        """One Adam."""
        self.adam_optimizer = self.adam(self.unet.trainable_variables)
        return [self.adam_optimizer]

    def draw_noise(self, batch_size: int) -> dict:
        """``strength`` (B, 1, 1, 1), of which sigma is made, and ``noise`` (B, H, W, 1); both from N(0, 1)."""
        shapes = {"strength": (1, 1, 1), "noise": (self.image_size, self.image_size, 1)}
        return {name: keras.random.normal((batch_size, *shape), seed=self.noise_seed) for name, shape in shapes.items()}

    def sigma(self, strength):
        """Standard deviation of training noise: ln(sigma) ~ N(P_mean, P_std^2) (K, table 1)."""
        return self.config["noise_median"] * ops.exp(self.config["noise_spread"] * strength)

    def inside(self, images):
        """Images in [0, 1] as the network sees them: in [0, 2]."""
        return 2.0 * images

    def outside(self, x):
        """The way back to images; what lies outside [0, 1] is clipped."""
        return ops.clip(0.5 * x, 0.0, 1.0)

    def denoise(self, x, sigma, network: keras.Model | None = None, training: bool = False):
        """D(x; sigma) = c_skip x + c_out F(c_in x; c_noise), with the network F (K, eq. 7); sigma is (B, 1, 1, 1)."""
        c_skip, c_out, c_in, c_noise = preconditioning(sigma, self.config["sigma_data"])
        answer = (network or self.unet)([c_in * x, ops.reshape(c_noise, (-1, 1))], training=training)
        return c_skip * x + c_out * answer

    # ==== One training step ====

    def training_step(self, images) -> dict:
        """Add noise, remove it, and step down the gradient of the weighted squared error (K, eq. 2 and 8)."""
        noise = self.step_noise(images)
        step = self.adam_optimizer.iterations + 0  # a copy, since the optimizer keeps counting
        self.mean.follow(self.inside(images), step)
        clean, sigma = self.inside(images), self.sigma(noise["strength"])
        noisy = add_noise(clean, sigma, noise["noise"])

        def loss() -> dict:
            error = ops.square(self.denoise(noisy, sigma, training=True) - clean)
            return {"loss": ops.mean(loss_weight(sigma, self.config["sigma_data"]) * error)}

        terms = update(loss, self.unet.trainable_variables, self.adam_optimizer)
        if self.average_unet is not None:
            self.follow(self.average_unet, self.unet, step)
        return self.track(terms)

    # ==== Sampling ====

    def levels(self, steps: int | None = None) -> np.ndarray:
        """Noise levels of sampling in so many steps, by default ``config["sampler_steps"]``.

        Raises:
            InputError: no whole number, or fewer than one step.
        """
        steps = self.config["sampler_steps"] if steps is None else steps
        if not isinstance(steps, Integral) or steps < 1:
            raise InputError(f"steps must be a whole number of at least 1, not {steps!r}.")
        return noise_levels(steps, *(self.config[name] for name in ("sigma_min", "sigma_max", "rho")))

    def estimate(self, x, sigma: float):
        """``denoise`` for sampling: one noise level for all, averaged weights if there are, and no gradients."""
        same = sigma * ops.ones_like(x[:, :1, :1])
        return ops.stop_gradient(self.denoise(x, same, self.average_unet))

    def images_of(self, latents, levels: np.ndarray):
        """Images (B, H, W, 1) in [0, 1] of latents (B, H * W)."""
        x = self.mean(float(levels[0]) * ops.reshape(latents, (-1, self.image_size, self.image_size, 1)))
        return self.outside(heun(self.estimate, x, levels))

    def decode(self, latents: np.ndarray, steps: int | None = None) -> np.ndarray:
        """Images (n, H, W, 1) float32 in [0, 1] of latents (n, H * W).

        Args:
            latents: from N(0, 1).
            steps: of the sampler; None: as configured.
        """
        levels = self.levels(steps)
        return base.in_batches(lambda z: self.images_of(z, levels), np.asarray(latents, np.float32))

    def sample(self, n: int, seed: int = 0, steps: int | None = None) -> np.ndarray:
        """Images (n, H, W, 1) float32 in [0, 1]; the first m are those of ``sample(m, seed, steps)``."""
        return self.decode(self.draw_latents(n, seed), steps)

    def sampler(self) -> keras.Model:
        """As in the base class; ``latents`` are (B, H * W)."""
        latents = keras.Input((self.latent_size,), name="latents")
        return keras.Model([latents], {"images": self.images_of(latents, self.levels())})
