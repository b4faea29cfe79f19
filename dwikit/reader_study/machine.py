"""Machines as readers: classifiers that read a deck as a person would, without having seen its images or its people.

They are not radiologists: they have seen hundreds of labelled images of the same networks. They stand in where there
are no readings yet, and show what an attentive program can find.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dwikit import metrics
from dwikit.common.errors import InputError
from dwikit.reader_study.deck import Deck
from dwikit.reader_study.prepare import prepare
from dwikit.reader_study.readings import ORIGINAL
from dwikit.slices import to_uint8


def shapes(images: np.ndarray) -> np.ndarray:
    """The image at about 16 x 16 pixels, blurred first: (n, H, W) uint8 -> (n, pixels) in [0, 1]. Texture is lost."""
    step = max(1, images.shape[1] // 16)
    small = ndimage.gaussian_filter(images / 255, (0, step / 2, step / 2))[:, step // 2 :: step, step // 2 :: step]
    return small.reshape(len(images), -1)


def textures(images: np.ndarray) -> np.ndarray:
    """Log power in eight bands of spatial frequency: (n, H, W) uint8 -> (n, 8). Position is lost."""
    power = np.abs(np.fft.fftshift(np.fft.fft2(images / 255), axes=(1, 2))) ** 2
    height, width = images.shape[1:]
    y, x = np.ogrid[-(height // 2) : height - height // 2, -(width // 2) : width - width // 2]
    ring = np.minimum((np.hypot(y / height, x / width) * 16).astype(int), 8).ravel()
    flat = power.reshape(len(images), -1)
    return np.stack([np.log(flat[:, ring == i].mean(1) + 1e-9) for i in range(8)], axis=1)


LOOKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"Machine (shapes)": shapes, "Machine (textures)": textures}
"""Name of a machine reader -> its features."""


@dataclass(frozen=True)
class MachineReading:
    """A machine's readings of a deck, and its cross-validated accuracy on other people (0.5 by chance)."""

    readings: pd.DataFrame
    practice: float


def read_deck(
    deck: Deck,
    name: str,
    originals: np.ndarray,
    samples: Mapping[str, np.ndarray],
    subjects: Sequence[str],
    n: int = 1000,
    seed: int = 0,
) -> MachineReading:
    """Let a machine read a deck: logistic regression, trained on images and people that the deck does not show.

    It sees images as the deck shows them, prepared and cropped, and only decks that pass their check for traces: elsewhere it
    would learn the traces.

    Args:
        deck: deck built from these originals, samples and subjects.
        name: name of the machine, one of ``LOOKS``.
        originals: real images (N, H, W).
        samples: group -> generated images (M, H, W).
        subjects: person of each original.
        n: images to learn from, at most, half real and half fake.
        seed: of the choice.

    Returns:
        Readings with a confidence of 1 to 5 (how far the probability lies from one half), and the cross-validated accuracy.

    Raises:
        InputError: the deck did not pass, or too few people or images are left outside it.
    """
    if deck.leaks:
        raise InputError(f"{name} does not read a deck that gives its answers away. {' '.join(deck.leaks)}")
    rng = np.random.default_rng(seed)
    look = LOOKS[name]
    subjects = np.asarray(subjects).astype(str)
    shown = deck.key.loc[deck.key["group"] == ORIGINAL, "subject"].astype(str)
    real = rng.permutation(np.flatnonzero(~np.isin(subjects, shown)))[: n // 2]
    fakes = []
    for group, images in samples.items():
        left = np.setdiff1d(np.arange(len(images)), deck.key.loc[deck.key["group"] == group, "index"])
        fakes.append(metrics.as_images(images)[rng.permutation(left)[: len(real) // len(samples)]])
    if len(np.unique(subjects[real])) < 2 or not sum(map(len, fakes)):
        raise InputError(f"{name} needs two people and some samples that the deck does not show. Build a smaller deck.")
    images = np.concatenate([metrics.as_images(originals)[real], *fakes])
    images = images if images.dtype == np.uint8 else to_uint8(images)
    fake = np.arange(len(images)) >= len(real)
    x = look(prepare(images[:, *deck.frame], deck.usual))
    practice = metrics.machine_reader(x[~fake], x[fake], subjects[real], seed=seed).accuracy
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced"))
    probability = model.fit(x, fake).predict_proba(look(deck.images))[:, 1]
    readings = pd.DataFrame({"reader": name, "image": deck.key["image"]})
    readings["answer"] = np.where(probability > 0.5, "fake", "real")
    readings["confidence"] = np.clip(np.ceil(np.abs(probability - 0.5) * 10), 1, 5)
    return MachineReading(readings, practice)
