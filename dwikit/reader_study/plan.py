"""How many images and readers does a study need? By simulation; every assumption is a number you can change."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit

SIZES = (5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500)
"""Numbers of images per group to try."""


def half_width(
    share: float,
    images: int,
    readers: int,
    reader_sd: float = 0.5,
    image_sd: float = 1.0,
    studies: int = 1000,
    seed: int = 0,
) -> float:
    """Half the width of the range in which 95 of 100 such studies find the share of a group's images called real.

    Each simulated study has other readers and other images. A reader is more or less trusting, an image more or less
    convincing, both normally distributed on the scale of log odds; the answer is drawn with the resulting probability.

    Args:
        share: share called real, averaged over all readers and images, between 0 and 1.
        images: number of images of the group.
        readers: number of readers, who all read the same images.
        reader_sd: spread between readers, log odds; with 0.5, two thirds of the readers lie within a factor of 1.65 in odds.
        image_sd: spread between images, log odds.
        studies: number of simulated studies.
        seed: of the simulation.

    Returns:
        Half the distance between the 2.5th and 97.5th percentiles of the share found (mean over readers).
    """
    rng = np.random.default_rng(seed)
    spread = np.hypot(reader_sd, image_sd) * rng.standard_normal(20_000)
    centre = brentq(lambda x: expit(x + spread).mean() - share, -30, 30)
    trust = reader_sd * rng.standard_normal((studies, readers, 1))
    convincing = image_sd * rng.standard_normal((studies, 1, images))
    probability = expit(centre + trust + convincing)
    found = (rng.random(probability.shape) < probability).mean((1, 2))
    low, high = np.percentile(found, [2.5, 97.5])
    return float(high - low) / 2


def images_needed(share: float, wanted: float, readers: Sequence[int] = (1, 2, 3, 5, 10), **assumptions: float) -> pd.Series:
    """The fewest images per group, of ``SIZES``, that find a share to within +- ``wanted``, by number of readers.

    Args:
        share: share called real, as in ``half_width``.
        wanted: half width of the 95 percent range.
        readers: numbers of readers to try.
        **assumptions: ``reader_sd``, ``image_sd``, ``studies``, ``seed`` of ``half_width``.

    Returns:
        Number of readers -> images, as text; "more than 500" if no number of images helps, since readers differ.
    """
    needed = {}
    for count in readers:
        enough = (str(size) for size in SIZES if half_width(share, size, count, **assumptions) <= wanted)
        needed[count] = next(enough, f"more than {SIZES[-1]}")
    return pd.Series(needed, name="images a group").rename_axis("readers")


def kappa_half_width(table: Sequence[Sequence[int]], images: int, studies: int = 4000, seed: int = 0) -> float:
    """Half the width of the range in which 95 of 100 studies find Cohen's kappa, if two readers agree as in a table.

    Args:
        table: counts (2, 2) of a study of the same kind, a pilot or the paper's.
        images: in the whole deck.
        studies: number of simulated studies, each with other images.
        seed: of the simulation.
    """
    cells = np.asarray(table, float).ravel()
    drawn = np.random.default_rng(seed).multinomial(images, cells / cells.sum(), studies) / images
    agreed = drawn[:, 0] + drawn[:, 3]
    first, second = drawn[:, 0] + drawn[:, 1], drawn[:, 0] + drawn[:, 2]
    chance = first * second + (1 - first) * (1 - second)
    kappa = (agreed - chance)[chance < 1] / (1 - chance[chance < 1])
    low, high = np.percentile(kappa, [2.5, 97.5])
    return float(high - low) / 2
