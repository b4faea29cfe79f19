"""The receiver operating characteristic of a reader who gave confidences."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import rankdata

from dwikit.reader_study.agreement import Estimate, Z


def components(score: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each image contributes to the area: the structural components of DeLong, DeLong and Clarke-Pearson (1988), eq. 4-5.

    Args:
        score: (..., n), such as readers and images; high speaks for positive.
        positive: (n,) bool; both values must occur.

    Returns:
        For each positive the share of negatives below it, and for each negative the share of positives above it, ties
        counting half: (..., positives) and (..., negatives). The mean of either is the area.
    """
    pos, neg = score[..., positive], score[..., ~positive]
    n_pos, n_neg = pos.shape[-1], neg.shape[-1]
    together = rankdata(np.concatenate([pos, neg], axis=-1), axis=-1)
    above = (together[..., :n_pos] - rankdata(pos, axis=-1)) / n_neg
    return above, 1 - (together[..., n_pos:] - rankdata(neg, axis=-1)) / n_pos


def area(score: np.ndarray, positive: np.ndarray) -> Estimate:
    """Area under the ROC curve: how often a positive image scores above a negative one, ties counting half.

    The standard error is that of DeLong, DeLong and Clarke-Pearson (1988), from ranks. Near 1 the normal interval of an
    ``Estimate`` covers too rarely: ``area_interval`` holds.

    Args:
        score: (n,); high speaks for positive.
        positive: (n,) bool; both values must occur.
    """
    above, below = components(score, positive)
    variance = sum(values.var(ddof=1) / len(values) for values in (above, below) if len(values) > 1)
    return Estimate(float(above.mean()), float(np.sqrt(variance)))


def area_variance(positives: int, negatives: int) -> Callable[[float], float]:
    """Variance of an area, as a function of the true area (Hanley and McNeil 1982).

    With both numbers of images replaced by their mean in the two terms for one kind, as Newcombe (2006, part 2, method 5)
    has it, so that the distributions of real and fake may swap places.

    Args:
        positives: number of positive images.
        negatives: number of negative images.
    """
    others = (positives + negatives) / 2 - 1

    def variance(theta: float) -> float:
        terms = 1 + others * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return theta * (1 - theta) * terms / (positives * negatives)

    return variance


def share_variance(n: int) -> Callable[[float], float]:
    """Variance of a share of n images, as a function of the true share: binomial."""
    return lambda theta: theta * (1 - theta) / n


def logit_interval(value: float, se: float, variance: Callable[[float], float], quantile: float = Z) -> tuple[float, float]:
    """Interval of a share or an area on the scale of log odds, which stays within [0, 1].

    At 0 and 1, where the data show no spread, all true values theta with
    ``|value - theta| <= quantile * sqrt(variance(theta))``: for a share Wilson's interval, for an area Newcombe's (2006,
    part 2, method 5).

    Args:
        value: estimate in [0, 1].
        se: its standard error, from the data; if it is 0, ``variance`` takes its place.
        variance: variance of an estimate if the true value is theta: ``area_variance`` or ``share_variance``.
        quantile: of the normal or of the t distribution.
    """
    if 1e-9 < value < 1 - 1e-9:
        se = se if se > 0 else np.sqrt(variance(value))
        low, high = expit(logit(value) + np.array([-1, 1]) * quantile * se / (value * (1 - value)))
        return float(low), float(high)
    reach = float(brentq(lambda theta: theta**2 - quantile**2 * variance(theta), 1e-9, 1))
    return (0.0, reach) if value < 0.5 else (1 - reach, 1.0)


MODEL_WEIGHT = 0.1
"""Weight of the modelled variance beside the observed one, chosen on simulated studies (benchmarks/coverage.py)."""


def area_interval(found: Estimate, positives: int, negatives: int) -> tuple[float, float]:
    """Interval of one reader's area that holds near 1, where the normal interval covers too rarely.

    On the scale of log odds, as Pohar Perme and Manevski (2019, Statistical Methods in Medical Research 28: 3755-3768) advise.
    Near 1 few images are ranked wrongly, and now and then so few that the observed variance is far too small: a tenth of the
    modelled one makes up for it.

    Args:
        found: the area, as ``area`` returns it.
        positives: number of positive images.
        negatives: number of negative images.
    """
    variance = area_variance(positives, negatives)
    mixed = (1 - MODEL_WEIGHT) * found.se**2 + MODEL_WEIGHT * variance(found.value)
    return logit_interval(found.value, np.sqrt(mixed), variance)


def curve(score: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False alarms and hits, shares of the negatives and the positives, for each threshold from none to all."""
    thresholds = np.concatenate([[np.inf], np.unique(score)[::-1]])
    flagged = score[None] >= thresholds[:, None]
    return flagged[:, ~positive].mean(1), flagged[:, positive].mean(1)
