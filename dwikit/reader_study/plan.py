"""How many images and readers does a study need? By simulated studies, each analysed as a real one would be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import brentq
from scipy.special import expit

from dwikit.common.errors import InputError
from dwikit.reader_study import mrmc, roc

SIZES = (5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500)
"""Numbers of images per group to try."""
WIDEST = 5
"""The widest spread in log odds: with 5, one reader in six has odds more than 148 times those of the average one."""
BATCH, MOST = 1000, 30_000
"""Studies simulated at a time, and at most, for one number of readers and images."""


@dataclass(frozen=True)
class Spread:
    """How readers and images differ: standard deviations on the scale of log odds of calling an image real."""

    readers: float = 0.5
    """Between readers: some trust more. With 0.5, two thirds of them lie within a factor of 1.65 in odds."""
    interaction: float = 0.25
    """Between readers, apart for each group: some see through one network."""
    images: float = 1.0
    """Between images of a group: some convince more."""

    def __post_init__(self) -> None:
        wrong = [spread for spread in (self.readers, self.interaction, self.images) if not 0 <= spread <= WIDEST]
        if wrong:
            raise InputError(
                f"Spreads are log odds from 0 to {WIDEST}, such as 0.5, not {' and '.join(f'{sd:g}' for sd in wrong)}."
            )


@dataclass(frozen=True)
class Question:
    """What a study is to find out about the share of a group's images called real, averaged over readers.

    Either to know it within a margin (``within``), or to tell it from another group's (``against``).
    """

    share: float
    within: float | None = None
    """Half of the width of the interval for readers in general."""
    against: float | None = None
    """Share of the other group."""

    def __post_init__(self) -> None:
        shares = [self.share] + ([] if self.against is None else [self.against])
        if not all(0 < share < 1 for share in shares):
            raise InputError(f"Shares lie between 0 and 1, such as 0.9, not {' and '.join(f'{share:g}' for share in shares)}.")
        if (self.within is None) == (self.against is None):
            raise InputError("Ask one thing: a share within a margin (--within 0.1), or against another share (--against 0.8).")
        if self.within is not None and not 0 < self.within < 0.5:
            raise InputError(f"The margin lies between 0 and 0.5, such as 0.1, not {self.within:g}.")
        if self.share == self.against:
            raise InputError(f"Two groups of the same share, {self.share:g}, differ in nothing that a study could find.")

    def answered(self, readers: int, images: int, spread: Spread, studies: int, rng: np.random.Generator) -> np.ndarray:
        """(studies,) bool: whether simulated studies answer it (interval narrow enough, or p below 0.05)."""
        values, alone, between = simulate(self.share, readers, images, spread, studies, rng, self.against)
        se, df = mrmc.random_readers(values, alone, between)
        if self.against is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                return 2 * stats.t.sf(np.abs(values.mean(1)) / se, df) < 0.05
        variance = roc.share_variance(images)
        found = zip(values.mean(1), se, stats.t.ppf(0.975, df))
        ends = np.array([roc.logit_interval(value, error, variance, t) for value, error, t in found])
        return (ends[:, 1] - ends[:, 0]) / 2 <= self.within


def simulate(
    share: float,
    readers: int,
    images: int,
    spread: Spread,
    studies: int,
    rng: np.random.Generator,
    against: float | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Studies with other readers and other images each: the readers' shares, and what two readers' shares have in common.

    Args:
        share: called real, averaged over all readers and images of the group.
        readers: who all read the same images.
        images: of the group.
        spread: between readers and between images.
        studies: to simulate.
        rng: of the draws.
        against: share of another group of as many images; then its results are subtracted.

    Returns:
        (studies, readers) shares or differences, and over draws of images their mean variance and the mean covariance of two
        readers, each (studies,).
    """
    trust = spread.readers * rng.standard_normal((studies, readers, 1))
    values, alone, between = 0.0, 0.0, 0.0
    for sign, wanted in ((1, share), (-1, against)):
        if wanted is None:
            continue
        own = spread.interaction * rng.standard_normal((studies, readers, 1))
        convincing = spread.images * rng.standard_normal((studies, 1, images))
        odds = _centre(wanted, spread) + trust + own + convincing
        called = rng.random(odds.shape) < expit(odds)
        shares = called.mean(2)
        together = called.sum(1).var(axis=1, ddof=1) / images  # sum of all variances and covariances between readers
        variances = (shares * (1 - shares)).sum(1) / (images - 1)
        values = values + sign * shares
        alone = alone + variances / readers
        between = between + (together - variances) / (readers * (readers - 1))
    return values, alone, between


def _centre(share: float, spread: Spread) -> float:
    """Log odds of the average reader and image with which the mean over all of them is this share."""
    points, weights = np.polynomial.hermite_e.hermegauss(60)
    width = np.sqrt(spread.readers**2 + spread.interaction**2 + spread.images**2)
    return brentq(lambda x: weights @ expit(x + width * points) / weights.sum() - share, -40, 40)


def chance(
    question: Question, readers: int, images: int, sure: float = 0.8, spread: Spread = Spread(), seed: int = 0
) -> tuple[float, float]:
    """The share of studies of this size that answer the question, and its standard error.

    Batches are simulated until the share is four standard errors away from ``sure``, or ``MOST`` studies are done.
    """
    rng, answered, done = np.random.default_rng([seed, readers, images]), 0, 0
    while done < MOST:
        answered += int(question.answered(readers, images, spread, BATCH, rng).sum())
        done += BATCH
        share = answered / done
        se = np.sqrt((answered + 1) * (done - answered + 1) / (done + 2) ** 2 / done)
        if abs(share - sure) > 4 * se:
            break
    return share, float(se)


def images_needed(
    question: Question,
    readers: Sequence[int] = (2, 3, 5, 10, 20),
    sure: float = 0.8,
    spread: Spread = Spread(),
    seed: int = 0,
) -> pd.Series:
    """The fewest images per group, of ``SIZES``, with which enough studies answer a question, by number of readers.

    Args:
        question: to answer.
        readers: numbers of readers to try, each 2 or more: one reader tells nothing about others.
        sure: share of studies that should answer it: the power, or the assurance of a precision.
        spread: assumed between readers and between images.
        seed: of the simulation. A size within the simulation's error of ``sure`` is passed over for the next, so that another
            seed gives the same answer.

    Returns:
        Number of readers -> images, as text; "more than 500" if no number of images helps, since readers differ.

    Raises:
        InputError: fewer than two readers; ``sure`` not between 0 and 1.
    """
    if min(readers) < 2:
        raise InputError("One reader tells nothing about other readers: plan for two or more.")
    if not 0 < sure < 1:
        raise InputError(f"The share of studies that answer lies between 0 and 1, such as 0.8, not {sure:g}.")
    needed = {}
    for count in readers:
        low, high = 0, len(SIZES)
        while low < high:  # the chance grows with the number of images
            middle = (low + high) // 2
            share, se = chance(question, count, SIZES[middle], sure, spread, seed)
            low, high = (low, middle) if share > sure + 3 * se else (middle + 1, high)
        needed[count] = str(SIZES[low]) if low < len(SIZES) else f"more than {SIZES[-1]}"
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
