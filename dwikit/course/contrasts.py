"""Paper, released code and cited originals side by side, and small computations that show what a difference does.

Everything here runs at 32 x 32 pixels or in closed form, whatever the profile, so it takes seconds.
"""

import keras
import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist, squareform

from dwikit.models import GenerativeModel, IntroVAE, presets, registry
from dwikit.models.style_gan.model import LOSSES
from dwikit.slices import SliceStore, shrink

SIZE = 32
"""Pixels along one side of the images of the small trainings."""


# ==== The table ====


def differences(key: str) -> pd.DataFrame:
    """Every setting of a network in which paper, released code and cited original differ, with the sources of the values.

    Args:
        key: the model's key, e.g. ``"vae"``.

    Returns:
        One row per setting: paper, released, canonical (as text), source (of the values that a preset does not take from the
        paper's).

    Raises:
        InputError: no such model.
    """
    network = registry.network(key)
    values = {name: presets.settings(network, name) for name in ("paper", "released", "canonical") if name in network.presets}
    rows = {}
    for entry, printed in values["paper"].items():
        said = {name: settings.get(entry, presets.Setting(None)) for name, settings in values.items()}
        if len({str(setting.value) for setting in said.values()}) > 1:
            own = {name: setting for name, setting in said.items() if name == "paper" or setting is not printed}
            sources = "; ".join(f"{name}: {setting.source}" for name, setting in own.items() if setting.source)
            rows[entry] = {name: presets.as_text(setting.value) for name, setting in said.items()} | {"source": sources}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("setting")


# ==== What a weight implies ====


def spectrum(vectors: np.ndarray) -> np.ndarray:
    """Variances along the principal components of vectors (n, D): min(n, D) values, the largest first."""
    centred = np.asarray(vectors, np.float64) - np.mean(vectors, axis=0, dtype=np.float64)
    return np.linalg.svd(centred, compute_uv=False) ** 2 / len(centred)


def water_filling(variances: np.ndarray, weight: float, kl_weight: float, latents: int) -> tuple[int, float]:
    """What the best linear VAE does under ``kl_weight * KL sum + weight * squared error``: it codes what pays off.

    A component whose variance exceeds kl_weight / (2 weight) gets a latent and keeps that much error; the others are given
    up and keep their whole variance (reverse water-filling, Cover and Thomas, Elements of Information Theory, sec. 10.3).

    Args:
        variances: of the components of what the squared error compares, the largest first.
        weight: of the squared error, summed over what is compared.
        kl_weight: of the KL divergence summed over latents; 1 / latents where the loss has its mean.
        latents: number of latents.

    Returns:
        Number of latents in use, and the remaining squared error.
    """
    level = kl_weight / (2 * weight)
    active = int(np.sum(variances[:latents] > level))
    return active, float(active * level + variances[active:].sum())


def feature_vectors(network: keras.Model, images: np.ndarray) -> np.ndarray:
    """Features of images (n, H, W) uint8 as vectors whose squared distance is the perceptual loss of sec. 2.3, eq. 6-7.

    Args:
        network: from ``models.features.load``.
        images: input of the network.
    """
    outputs = network(images[..., None].astype(np.float32) / 255, training=False)
    return np.concatenate([keras.ops.convert_to_numpy(output).reshape(len(images), -1) for output in outputs], axis=1)


def chosen_noise(weight: np.ndarray, exponent: float) -> np.ndarray:
    """Noise sigma = exp(exponent * h) at which a latent settles, for ``KL(h) + weight * sigma^2`` with h as its log-variance.

    The squared error rises with sigma^2, with slope ``weight``, and the KL divergence always reads h as log sigma^2:
    right for an exponent of 0.5 (sec. 2.2), not for the released code's 1. The minimum is found on a fine grid of h.
    """
    h = np.linspace(-15, 5, 20_001)
    loss = 0.5 * (np.exp(h) - 1 - h) + np.asarray(weight)[..., None] * np.exp(2 * exponent * h)
    return np.exp(exponent * h[np.argmin(loss, axis=-1)])


# ==== Small trainings ====


def small(store: SliceStore) -> SliceStore:
    """The store's slices at 32 x 32 pixels, in memory."""
    parts = np.array_split(store.images, max(len(store.images) // 1024, 1))
    images = np.concatenate([np.round(shrink(part.astype(np.float32), SIZE)).astype(np.uint8) for part in parts])
    return SliceStore(images, store.table, {**store.settings, "image_size": SIZE})


def train(model: GenerativeModel, store: SliceStore, steps: int, epochs: int = 5) -> pd.DataFrame:
    """Train for some steps and return the log, one row per epoch (here a fifth of the steps), indexed by step."""
    batches = store.batches("train", model.config["batch_size"], steps=steps // epochs)
    history = model.fit(batches, epochs=epochs, verbose=0).history
    return pd.DataFrame(history, index=pd.RangeIndex(1, epochs + 1, name="steps") * (steps // epochs))


@keras.saving.register_keras_serializable("dwikit")
class WithoutStop(IntroVAE):
    """An IntroVAE whose encoder's loss has gradients through the making of the fakes (sec. 2.4, read carelessly)."""

    def kl_of_constant_fakes(self, reconstruction, fake, step):
        """KL of the fakes, without stopping the gradient."""
        return self.kl_of_fakes(reconstruction, fake, step)


# ==== The smallest game ====


def duel(
    loss: str,
    slope_penalty: str | None = None,
    signs: tuple[int, int] = (1, 1),
    generator: bool = True,
    steps: int = 150,
    rate: float = 0.1,
) -> pd.DataFrame:
    """The smallest GAN: data at 0, one fake at theta, a critic f(x) = psi . x, in the plane, in turns (Mescheder et al. 2018).

    Args:
        loss: a loss of the StyleGAN, ``"wasserstein"``, ``"least_squares"`` or ``"logistic"`` (sec. 2.5, eq. 11-12).
        slope_penalty: None, ``"gradient"`` for (norm of psi - 1)^2 (WGAN-GP) or ``"r1"`` for half its square.
        signs: of the critic's and the generator's loss; -1 reverses one.
        generator: whether the generator moves.
        steps: number of turns.
        rate: learning rate of both.

    Returns:
        One row per turn: ``distance`` of the fake from the data, at first 1, and ``slope`` of the critic (norm of psi).
    """
    critic_term, generator_term = LOSSES[loss]
    pull = {None: lambda n: 0.0, "gradient": lambda n: 2 * (n - 1) / n, "r1": lambda n: 1.0}[slope_penalty]
    theta, psi, rows = np.array([1.0, 0.0]), signs[0] * np.array([0.0, 0.1]), []
    for _ in range(steps + 1):
        rows.append((np.linalg.norm(theta), np.linalg.norm(psi)))
        push = _derivative(lambda score: critic_term(0.0 * score, score), psi @ theta)
        psi = psi - rate * (signs[0] * push * theta + pull(np.linalg.norm(psi)) * psi)
        if generator:
            theta = theta - rate * signs[1] * _derivative(generator_term, psi @ theta) * psi
    return pd.DataFrame(rows, columns=["distance", "slope"]).rename_axis("turn")


def _derivative(fn, score: float, step: float = 1e-2) -> float:
    """Derivative of a loss with respect to the fake's score."""
    low, high = (float(fn(keras.ops.convert_to_tensor([[score + move]], dtype="float32"))) for move in (-step, step))
    return (high - low) / (2 * step)


# ==== What a minimum shows ====


def nearest_over_mean(dimensions: int, n: int = 1000, seed: int = 0) -> float:
    """Min ISD over ISD of n independent draws from a normal distribution of so many equal dimensions."""
    points = np.random.default_rng(seed).normal(size=(n, dimensions))
    distances = pdist(points, "sqeuclidean")
    table = squareform(distances)
    np.fill_diagonal(table, np.inf)
    return float(table.min(axis=1).mean() / distances.mean())
