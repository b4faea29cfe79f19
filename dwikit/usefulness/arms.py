"""The arms of the experiment: what each network sees in training."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dwikit import paper

ROTATION, SCALE, SHIFT = 0.1, 0.08, 0.02
"""Standard deviations of the classical affine: radians, logarithm of the size along each axis, share of the width."""
GAIN, NOISE = 0.15, 0.04
"""Standard deviation of the logarithm of the gain; largest standard deviation of the noise."""
UNLABELLED = "unlabelled"


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        classical: augment every image by flip, affine, gain and noise.
        extra: half of every batch comes from this pool (a model's key, or UNLABELLED: real slices of the training split's
            other patients); None: all from the few patients.
    """

    classical: bool
    extra: str | None = None

    @property
    def name(self) -> str:
        """For files: none, classical, vae, classical-vae, ..."""
        return "-".join(["classical"] * self.classical + [self.extra] * bool(self.extra)) or "none"

    @property
    def label(self) -> str:
        """For tables."""
        extra = "unlabelled real slices" if self.extra == UNLABELLED else paper.LABELS.get(self.extra, self.extra)
        return " + ".join(["classical"] * self.classical + [extra] * bool(extra)) or "no augmentation"

    @property
    def teacher(self) -> "Arm":
        """The arm whose network labels this arm's extra images: the same without them."""
        return Arm(self.classical)


def arms(keys: Sequence[str]) -> list[Arm]:
    """All arms, teachers first: without and with classical augmentation, each alone and with every model's samples.

    The last one, real slices in the place of samples, is what a perfect generator of the training data would give.
    """
    return [
        Arm(False),
        Arm(True),
        *(Arm(False, key) for key in keys),
        *(Arm(True, key) for key in keys),
        Arm(True, UNLABELLED),
    ]


Pool = tuple[np.ndarray, np.ndarray]
"""Images (N, H, W) uint8 and labels (N, H, W) uint8."""


def batches(
    arm: Arm, few: Pool, extra: Pool | None, batch_size: int, seed: int, noise: bool = True
) -> Iterator[tuple[np.ndarray, np.ndarray, np.random.Generator]]:
    """Endless batches of an arm: images (B, H, W) float32 in [0, 1], labels (B, H, W) uint8, and a generator of noise.

    Draws are with replacement and follow from the seed alone; with ``extra``, half of a batch comes from there.
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
    """Classical augmentation: flip, small affine, gain, noise.

    Args:
        images: (B, H, W) float32 in [0, 1].
        labels: (B, H, W) uint8, moved with the images.
        rng: of the draws.
        noise: largest standard deviation of the noise.
    """
    moved = [_move(image, label, _affine(image.shape[-1], rng)) for image, label in zip(images, labels)]
    images, labels = (np.stack(arrays) for arrays in zip(*moved))
    column = (len(images), 1, 1)
    images = images * np.exp(rng.normal(0, GAIN, column)) + rng.normal(0, 1, images.shape) * rng.uniform(0, noise, column)
    return np.clip(images, 0, 1).astype(np.float32), labels


def _affine(size: int, rng: np.random.Generator) -> np.ndarray:
    """Random affine (2, 3) about the middle of an image, in pixels; half of them mirror left and right."""
    angle, scale = rng.normal(0, ROTATION), np.exp(rng.normal(0, SCALE, 2))
    scale[0] *= rng.choice([-1, 1])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear, middle = turn @ np.diag(scale), np.full(2, (size - 1) / 2)
    return np.column_stack([linear, middle - linear @ middle + rng.normal(0, SHIFT * size, 2)])


def _move(image: np.ndarray, label: np.ndarray, matrix: np.ndarray) -> Pool:
    import cv2

    moved = cv2.warpAffine(image, matrix, image.shape[::-1], flags=cv2.INTER_LINEAR)
    return moved, cv2.warpAffine(label, matrix, label.shape[::-1], flags=cv2.INTER_NEAREST)
