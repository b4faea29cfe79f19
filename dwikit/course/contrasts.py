"""Paper, released code and cited originals side by side, and small computations that show what a difference does.

Everything here runs at 32 x 32 pixels or in closed form, whatever the profile, so that each takes seconds.
"""

import inspect
import re

import keras
import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist, squareform

from dwikit.models import GenerativeModel, IntroVAE, presets
from dwikit.models.style_gan.model import LOSSES
from dwikit.slices import SliceStore, shrink

SIZE = 32
"""Pixels along one side of the images of the small trainings."""


# ==== The table ====


def differences(key: str) -> pd.DataFrame:
    """Every setting of a network in which the presets differ, with the sources noted beside the values.

    Args:
        key: the model's key, e.g. ``"vae"``.

    Returns:
        One row a setting: paper, released, canonical (as text), source (the comments of ``models/presets.py``).

    Raises:
        InputError: no such model.
    """
    values = presets.choose(presets.PRESETS, key, "network")
    comments, rows = _comments(), {}
    prefix = next(name for name, value in vars(presets).items() if value is values["paper"]).removesuffix("_PAPER")
    for entry in values["paper"]:
        said = {name: values[name].get(entry) for name in values}
        if len(set(map(str, said.values()))) > 1:
            sources = {name: comments.get((f"{prefix}_{name.upper()}", entry)) for name in values}
            if not sources["paper"]:  # a value that the paper's preset has from another network's
                sources["paper"] = comments.get(("VAE_PAPER", entry))
            text = "; ".join(f"{name}: {source}" for name, source in sources.items() if source)
            rows[entry] = {name: _text(value) for name, value in said.items()} | {"source": text}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("setting")


def _text(value) -> str:
    return "–".join(map(str, value)) if isinstance(value, tuple) else f"{value:.6g}" if isinstance(value, float) else str(value)


def _comments() -> dict[tuple[str, str], str]:
    """What ``presets.py`` writes behind each value, by the name of the dictionary and the setting."""
    found, block = {}, ""
    for line in inspect.getsource(presets).splitlines():
        if start := re.match(r"(\w+)\b.* = \{", line):
            block = start[1]
        elif entry := re.match(r'    "(\w+)": .*,  # (.+)', line):
            found[block, entry[1]] = entry[2]
    return found


# ==== What a weight asks for ====


def spectrum(vectors: np.ndarray) -> np.ndarray:
    """Variances along the principal components of vectors (n, D): min(n, D) values, the largest first."""
    centred = np.asarray(vectors, np.float64) - np.mean(vectors, axis=0, dtype=np.float64)
    return np.linalg.svd(centred, compute_uv=False) ** 2 / len(centred)


def water_filling(variances: np.ndarray, weight: float, kl_weight: float, latents: int) -> tuple[int, float]:
    """What the best linear VAE does under ``kl_weight * KL sum + weight * squared error``: it codes what is worth its price.

    A component whose variance exceeds kl_weight / (2 weight) gets a latent and keeps that much error; the others are given
    up and keep their whole variance (reverse water-filling, Cover and Thomas, Elements of Information Theory, sec. 10.3).

    Args:
        variances: of the components of what the squared error compares, the largest first.
        weight: of the squared error, summed over what is compared.
        kl_weight: of the KL divergence summed over latents; 1 / latents where the loss has its mean.
        latents: how many there are.

    Returns:
        How many latents are in use, and the squared error that is left.
    """
    level = kl_weight / (2 * weight)
    active = int(np.sum(variances[:latents] > level))
    return active, float(active * level + variances[active:].sum())


def feature_vectors(network: keras.Model, images: np.ndarray, mean: bool) -> np.ndarray:
    """Features of images (n, H, W) uint8 as vectors whose squared distance is the perceptual loss of sec. 2.3, eq. 6-7.

    Args:
        network: from ``models.features.load``.
        images: to show it.
        mean: over the features of a layer and over layers (the pretext network); otherwise their sum (ImageNet's).
    """
    outputs = network(images[..., None].astype(np.float32) / 255, training=False)
    flat = [keras.ops.convert_to_numpy(output).reshape(len(images), -1) for output in outputs]
    return np.concatenate([part / np.sqrt(part.shape[1] * len(flat)) if mean else part for part in flat], axis=1)


def chosen_noise(weight: np.ndarray, exponent: float) -> np.ndarray:
    """Noise sigma = exp(exponent * h) that a latent settles at, for ``KL(h) + weight * sigma^2`` with h as its log-variance.

    The squared error rises with sigma^2, ``weight`` is how steeply, and the KL divergence always reads h as log sigma^2:
    right for an exponent of 0.5 (sec. 2.2), not for the released code's 1. The least of the sum, over a fine grid of h.
    """
    h = np.linspace(-15, 5, 20_001)
    loss = 0.5 * (np.exp(h) - 1 - h) + np.asarray(weight)[..., None] * np.exp(2 * exponent * h)
    return np.exp(exponent * h[np.argmin(loss, axis=-1)])


# ==== Small trainings ====


def small(store: SliceStore) -> SliceStore:
    """The store's slices at 32 x 32 pixels, in memory."""
    images = np.round(shrink(store.images.astype(np.float32), SIZE)).astype(np.uint8)
    return SliceStore(images, store.table, {**store.settings, "image_size": SIZE})


def train(model: GenerativeModel, store: SliceStore, steps: int, epochs: int = 5) -> pd.DataFrame:
    """Train for some steps in all and return the log, one row an epoch (here a fifth of the steps), its index in steps."""
    batches = store.batches("train", model.config["batch_size"], steps=steps // epochs)
    history = model.fit(batches, epochs=epochs, verbose=0).history
    return pd.DataFrame(history, index=pd.RangeIndex(1, epochs + 1, name="steps") * (steps // epochs))


@keras.saving.register_keras_serializable("dwikit")
class WithoutStop(IntroVAE):
    """An IntroVAE whose encoder's loss reaches through the fakes into their making (sec. 2.4, read carelessly)."""

    def as_judged(self, fake):
        """The fake itself, with the way it was made."""
        return fake


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
        signs: of the critic's and of the generator's loss; -1 turns one around.
        generator: whether it moves.
        steps: turns.
        rate: learning rate of both.

    Returns:
        One row a turn: ``distance`` of the fake from the data, at first 1, and ``slope`` of the critic (norm of psi).
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
    """Of a loss by the fake's score."""
    low, high = (float(fn(keras.ops.convert_to_tensor([[score + move]], dtype="float32"))) for move in (-step, step))
    return (high - low) / (2 * step)


# ==== What a minimum tells ====


def nearest_over_mean(dimensions: int, n: int = 1000, seed: int = 0) -> float:
    """Min ISD over ISD of n independent draws from a normal distribution of so many equal dimensions."""
    points = np.random.default_rng(seed).normal(size=(n, dimensions))
    distances = pdist(points, "sqeuclidean")
    table = squareform(distances)
    np.fill_diagonal(table, np.inf)
    return float(table.min(axis=1).mean() / distances.mean())
