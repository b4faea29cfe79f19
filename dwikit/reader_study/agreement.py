"""Do readers agree? Cohen's kappa for two, Fleiss' kappa for more, Gwet's AC1 for any number, each with its standard error.

A coefficient that is undefined (all answers the same: no agreement beyond chance is possible) is None, never NaN.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from statsmodels.stats import inter_rater

Z = 1.959963984540054
"""97.5th percentile of the standard normal distribution."""


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error and 95 percent interval (normal approximation, capped at 1)."""

    value: float
    se: float

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.value - Z * self.se

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return min(1.0, self.value + Z * self.se)


def cohens_kappa(table: Sequence[Sequence[int]] | np.ndarray) -> Estimate | None:
    """Cohen's kappa of two readers, with its large-sample standard error (Fleiss, Cohen and Everitt 1969).

    Args:
        table: counts (K, K); entry (i, j): images that the first reader put in category i and the second in j.

    Returns:
        The estimate, or None if both readers put everything in the same category: 0/0.
    """
    table = np.asarray(table)
    if not table.sum() or table.max() == table.sum() == np.trace(table):
        return None
    with np.errstate(invalid="ignore"):  # rounding can make a variance of 0 negative
        result = inter_rater.cohens_kappa(table)
    return Estimate(float(result.kappa), float(np.sqrt(max(result.var_kappa, 0.0))))


def fleiss_kappa(counts: np.ndarray) -> Estimate | None:
    """Fleiss' kappa of three or more readers; standard error by the jackknife over images.

    Args:
        counts: (images, K); number of readers who put each image in each category, the same total for all images.

    Returns:
        The estimate, or None if all answers are the same, or fewer than three images were read.
    """
    counts = np.asarray(counts)
    if len(counts) < 3 or (counts.sum(0) > 0).sum() < 2:
        return None
    left_out = []
    for i in range(len(counts)):
        rest = np.delete(counts, i, axis=0)
        if (rest.sum(0) > 0).sum() > 1:
            left_out.append(inter_rater.fleiss_kappa(rest))
    n, left_out = len(left_out), np.array(left_out)
    se = np.sqrt((n - 1) / n * np.square(left_out - left_out.mean()).sum())
    return Estimate(float(inter_rater.fleiss_kappa(counts)), float(se))


def gwet_ac1(counts: np.ndarray) -> Estimate | None:
    """Gwet's AC1 of two or more readers, which does not collapse if nearly all answers are the same (Gwet 2008).

    Chance agreement is sum_k pi_k (1 - pi_k) / (K - 1), with pi_k the share of all answers that fell into category k.

    Args:
        counts: (images, K); number of readers who put each image in each category, the same total (two or more) for all.

    Returns:
        The estimate, or None without images.
    """
    counts = np.asarray(counts, float)
    if not len(counts):
        return None
    n, categories = counts.shape
    readers = counts[0].sum()
    share = counts.mean(0) / readers
    agreed = (counts * (counts - 1)).sum(1) / (readers * (readers - 1))
    by_chance = (share * (1 - share)).sum() / (categories - 1)
    value = (agreed.mean() - by_chance) / (1 - by_chance)
    influence = (agreed - by_chance) / (1 - by_chance)
    expected = (counts / readers * (1 - share)).sum(1) / (categories - 1)
    influence -= 2 * (1 - value) * (expected - by_chance) / (1 - by_chance)
    se = np.sqrt(np.square(influence - value).sum()) / n
    return Estimate(float(value), float(se))
