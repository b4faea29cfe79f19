"""Bootstrap intervals (Efron 1979): how much a number would vary if other images, or other people, had been drawn.

A statistic is a function of weights: from (draws, n), each row one resample's share of every image, to (draws,). The number
itself is the statistic at equal weights, so estimate and interval come from one definition. Nearest distances are found
once, in the full sample, and then weighted: drawing images twice would put duplicates at distance 0.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

DRAWS = 1000
LEVEL = 0.95


Statistic = Callable[[np.ndarray], np.ndarray]
"""From weights (draws, n) to values (draws,)."""


class Estimate(NamedTuple):
    """A number and its interval; both ends are NaN if it has none."""

    value: float
    low: float = float("nan")
    high: float = float("nan")


def resamples(n: int, groups: ArrayLike | None = None, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Weights (draws, n) of n images in resamples with replacement; every row sums to 1.

    Args:
        n: number of images.
        groups: (n,) person of each image; whole groups are then drawn, since slices of one person are not independent.
        draws: number of resamples.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    if groups is None:
        return rng.multinomial(n, np.full(n, 1 / n), size=draws) / n
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    weights = drawn[:, member].astype(np.float64)
    return weights / weights.sum(axis=1, keepdims=True)


def estimate(statistic: Statistic, weights: np.ndarray, level: float = LEVEL) -> Estimate:
    """The statistic of all images, with the percentile interval over resamples.

    Args:
        statistic: weights (draws, n) -> values (draws,).
        weights: of ``resamples``. If all rows are equal (one person, one image), there is no interval.
        level: coverage of the interval.
    """
    n = weights.shape[1]
    value = float(statistic(np.full((1, n), 1 / n))[0])
    if np.ptp(weights, axis=0).max() == 0:
        return Estimate(value)
    low, high = np.quantile(statistic(weights), [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high))


# ==== Statistics ====


def mean(values: np.ndarray) -> Statistic:
    """Mean of values (n,), one per image."""
    return lambda weights: weights @ values


def sd(values: np.ndarray, squares: np.ndarray | None = None) -> Statistic:
    """Standard deviation of values (n,), one per image; with ``squares``, of the finer values that they are means of.

    Args:
        values: (n,).
        squares: (n,) mean square of each image's finer values, for example pixels; None means ``values`` squared.
    """
    squares = np.square(values) if squares is None else squares
    return lambda weights: np.sqrt(np.maximum(weights @ squares - np.square(weights @ values), 0))


def pair_mean(values: np.ndarray) -> Statistic:
    """Mean over pairs of two different images, of values (n,): each image's mean over its pairs.

    Every pair has two members, so a mean over pairs varies twice as much as the mean of ``values`` (Hoeffding 1948; the
    remainder is smaller by a factor of order 1 / n).
    """
    centre = values.mean()
    return lambda weights: centre + 2 * (weights @ values - centre)


# ==== Arithmetic of two estimates ====


def ratio(one: Estimate, other: Estimate) -> Estimate:
    """one / other, both positive and independent, with the interval that theirs imply (MOVER; Donner and Zou 2012).

    On a log scale, the distances to the intervals' ends add in quadrature.
    """
    tiny = np.finfo(float).tiny
    a, b = (np.log(np.maximum(np.array(e, np.float64), tiny)) for e in (one, other))
    value = a[0] - b[0]
    low, high = value - np.hypot(a[0] - a[1], b[2] - b[0]), value + np.hypot(a[2] - a[0], b[0] - b[1])
    return Estimate(*(float(x) for x in np.exp(np.clip([value, low, high], -700, 700))))
