"""The arms of the experiment: what each network sees in training."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

ROTATION, SCALE, SHIFT = 0.04, 0.03, 0.01
"""Standard deviations of the classical affine: angle in radians, log size along each axis, shift as a share of the width."""
GAIN, NOISE = 0.1, 0.02
"""Standard deviation of the logarithm of the gain; largest standard deviation of the noise."""
SHARE = 0.25
"""Share of images for affine, gain and noise alike. A registered cohort has little to gain from an affine, and
resampling blurs what is one pixel thick: chosen on other people of the training split, where moving every image did harm."""
UNLABELLED, LABELLED = "unlabelled", "labelled"
CONTROLS = {UNLABELLED: "unlabelled real slices", LABELLED: "the other seeds' labelled patients"}
"""Controls in place of samples: real slices of the training split's other people, which is what a perfect generator
would give; and real slices with true labels, which show whether anything is left to gain."""


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        classical: augment every image by flip, affine, gain and noise.
        extra: half of every batch comes from this pool (a model's key or a control), which ``TEACHER`` labels; None: all from
            the few people.
    """

    classical: bool
    extra: str | None = None

    @property
    def name(self) -> str:
        """Name in files: none, classical, vae, classical-vae, ..."""
        return "-".join(["classical"] * self.classical + [self.extra] * bool(self.extra)) or "none"

    def label(self, titles: Mapping[str, str]) -> str:
        """Name in tables; ``titles`` of the models and of brought samples, by key."""
        extra = {**CONTROLS, **titles}.get(self.extra, self.extra)
        return " + ".join(["classical"] * self.classical + [extra] * bool(extra)) or "no augmentation"


TEACHER = Arm(True)
"""Classical augmentation alone, which costs nothing: what every other arm is compared with."""
REAL = Arm(True, UNLABELLED)
"""With what a perfect generator would give."""


def arms(keys: Sequence[str], controls: Sequence[str] = (UNLABELLED,)) -> list[Arm]:
    """All arms: without augmentation, with the classical one, and with it and every model's samples, then every control."""
    return [Arm(False), TEACHER, *(Arm(True, extra) for extra in (*keys, *controls))]


Pool = tuple[np.ndarray, np.ndarray]
"""Images (N, H, W) uint8 and labels (N, H, W) uint8."""


def batches(
    arm: Arm, few: Pool, extra: Pool | None, batch_size: int, seed: int, noise: bool = True
) -> Iterator[tuple[np.ndarray, np.ndarray, np.random.Generator]]:
    """Endless batches of an arm: images (B, H, W) float32 in [0, 1], labels (B, H, W) uint8, and a generator of noise.

    Draws are with replacement and depend on the seed alone; with ``extra``, half of a batch comes from there.
    """
    step = 0
    while True:
        rng = np.random.default_rng([seed, step])
        own = batch_size - batch_size // 2 if extra else batch_size
        parts = [_draw(few, own, rng)] + ([_draw(extra, batch_size - own, rng)] if extra else [])
        images, labels = (np.concatenate(arrays) for arrays in zip(*parts))
        images = images.astype(np.float32) / 255
        if arm.classical:
            images, labels = augment(images, labels, rng, NOISE if noise else 0.0)
        yield images, labels, rng
        step += 1


def _draw(pool: Pool, n: int, rng: np.random.Generator) -> Pool:
    chosen = rng.integers(0, len(pool[0]), n)
    return pool[0][chosen], pool[1][chosen]


def augment(
    images: np.ndarray, labels: np.ndarray, rng: np.random.Generator, noise: float = NOISE
) -> tuple[np.ndarray, np.ndarray]:
    """Classical augmentation: half of the images are flipped; affine, gain and noise are each applied to a share of them.

    Args:
        images: (B, H, W) float32 in [0, 1].
        labels: (B, H, W) uint8, moved with the images.
        rng: of the draws.
        noise: largest standard deviation of the noise.

    Returns:
        images (B, H, W) float32, which gain and noise may take above 1, and labels (B, H, W) uint8.
    """
    flipped, moved, louder, noisier = rng.random((4, len(images))) < [[0.5], [SHARE], [SHARE], [SHARE]]
    images, labels = (np.where(flipped[:, None, None], array[..., ::-1], array) for array in (images, labels))
    for i in np.flatnonzero(moved):
        images[i], labels[i] = _move(images[i], labels[i], rng)
    gain = np.exp(louder * rng.normal(0, GAIN, len(images)))
    sd = noisier * rng.uniform(0, noise, len(images))
    images = images * gain[:, None, None] + sd[:, None, None] * rng.normal(0, 1, images.shape)
    return np.maximum(images, 0).astype(np.float32), labels


def _move(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> Pool:
    """An image and its labels, rotated, stretched and shifted by a small random affine about the middle."""
    size, angle, scale = image.shape[-1], rng.normal(0, ROTATION), np.exp(rng.normal(0, SCALE, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear, middle = turn @ np.diag(scale), np.full(2, (size - 1) / 2)
    offset = middle - linear @ middle + rng.normal(0, SHIFT * size, 2)
    moved = ndimage.affine_transform(image, linear, offset, order=1)
    return moved, ndimage.affine_transform(label, linear, offset, order=0)
