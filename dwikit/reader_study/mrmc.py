"""Many readers, many cases: averages over readers, and contrasts, that hold for other readers and other images (MRMC).

The model is that of Obuchowski and Rockette (1995) with the degrees of freedom of Hillis (2007): a reader's number is the
mean of all readers, plus what is special about the reader, plus an error that readers share as far as they saw the same
images. Networks have images of their own and share the real ones, so a contrast of two areas takes its covariance from the
real images alone: ``Quantity`` keeps what each image contributed, and subtracts only where both numbers used it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from dwikit.reader_study import roc
from dwikit.reader_study.agreement import Z


@dataclass(frozen=True)
class Quantity:
    """One number of each reader, and what each image contributed to it."""

    values: np.ndarray
    """(readers,)"""
    contributions: dict[str, np.ndarray]
    """Group of images -> (readers, images), at least two images; a reader's number is their mean, up to a constant."""

    def __sub__(self, other: "Quantity") -> "Quantity":
        """The difference of two numbers of the same readers; images that both used count once, as the difference."""
        parts = dict(self.contributions)
        for group, part in other.contributions.items():
            parts[group] = parts[group] - part if group in parts else -part
        return Quantity(self.values - other.values, parts)

    def covariance(self) -> np.ndarray:
        """(readers, readers): covariance of the readers' numbers over draws of images, readers held fixed.

        Sum over the groups of the covariance of contributions, each divided by its number of images: for areas the estimate
        of DeLong, DeLong and Clarke-Pearson (1988), eq. 6-7.
        """
        return sum(np.atleast_2d(np.cov(part)) / part.shape[1] for part in self.contributions.values())


def share(called: np.ndarray, group: str) -> Quantity:
    """The share of a group's images that each reader called real.

    Args:
        called: (readers, images), 1 if called real and 0 if called fake.
        group: name of the group.
    """
    return Quantity(called.mean(1), {group: np.asarray(called, float)})


def area(real: np.ndarray, fake: np.ndarray, group: str) -> Quantity:
    """The area under each reader's ROC curve between the real images and those of one network.

    Args:
        real: (readers, images) scores of the real images; high speaks for fake.
        fake: (readers, images) scores of the network's images.
        group: name of the network; the real images are the group ``original``.
    """
    positive = np.arange(real.shape[1] + fake.shape[1]) >= real.shape[1]
    above, below = roc.components(np.concatenate([real, fake], axis=1), positive)
    return Quantity(above.mean(1), {group: above, "original": below})


@dataclass(frozen=True)
class Average:
    """A number averaged over readers."""

    value: float
    se: float
    """Standard error for other readers and other images."""
    df: float
    """Its degrees of freedom."""
    se_images: float
    """Standard error for other images and these same readers."""

    @property
    def quantile(self) -> float:
        """97.5th percentile of the t distribution with these degrees of freedom."""
        return float(stats.t.ppf(0.975, self.df))

    @property
    def interval(self) -> tuple[float, float]:
        """The interval (95 percent) that belongs to ``p``: symmetric, right for a difference away from -1 and 1."""
        reach = self.quantile * self.se
        return self.value - reach, self.value + reach

    @property
    def p(self) -> float:
        """Two-sided p-value of the hypothesis that the number is 0."""
        return float(2 * stats.t.sf(abs(self.value) / self.se, self.df))


def average(quantity: Quantity) -> Average | None:
    """The mean of a number over readers, who are a sample like the images (Obuchowski-Rockette, Hillis).

    Returns:
        The average; or None if neither readers nor images vary, and nothing can be said about others.
    """
    readers = len(quantity.values)
    covariance = quantity.covariance()
    between = covariance[~np.eye(readers, dtype=bool)].mean()
    se, df = random_readers(quantity.values, np.diag(covariance).mean(), between)
    if se < 1e-9:  # nothing but rounding
        return None
    se_images = np.sqrt(max(covariance.sum(), 0.0)) / readers
    return Average(float(quantity.values.mean()), float(se), float(df), float(se_images))


def random_readers(values: np.ndarray, alone: np.ndarray | float, between: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Standard error of a mean over readers who are a sample, and its degrees of freedom.

    Hillis (2007), Statistics in Medicine 26: 596-619, for one test: with r readers, MS their mean square and Cov2 the mean
    covariance of two of them, the squared error is (MS + r max(Cov2, 0)) / r and the degrees of freedom are
    (MS + r max(Cov2, 0))^2 / (MS^2 / (r - 1)). For differences between two tests the same formula gives his F test, since
    then MS is twice his MS(T*R) and Cov2 is twice his Cov2 - Cov3.

    One thing is added. The expected MS is the variance between readers plus Var - Cov2, with Var the mean variance of one
    reader's number over draws of images, so MS counts as at least Var - Cov2. Otherwise two readers who differ from each
    other by as much here as there would prove the smallest difference.

    Args:
        values: (..., r), the readers' numbers, r of 2 or more.
        alone: (...), Var.
        between: (...), Cov2.

    Returns:
        Standard errors and degrees of freedom (...); at least r - 1.
    """
    readers = values.shape[-1]
    mean_square = np.maximum(values.var(axis=-1, ddof=1), alone - between)
    total = mean_square + readers * np.maximum(between, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = (readers - 1) * np.where(mean_square > 0, total / mean_square, np.inf) ** 2
    return np.sqrt(total / readers), df


def interval(quantity: Quantity, variance: Callable[[float], float], same_readers: bool = False) -> tuple[float, float]:
    """Interval (95 percent) of an average share or area, on the scale of log odds.

    Args:
        quantity: values within [0, 1].
        variance: ``roc.share_variance`` or ``roc.area_variance`` of the numbers of images, where the data show no spread.
        same_readers: for other images and these readers, rather than for readers in general.
    """
    found = average(quantity)
    se, quantile = (0.0, Z) if found is None else (found.se_images, Z) if same_readers else (found.se, found.quantile)
    return roc.logit_interval(float(quantity.values.mean()), se, variance, quantile)


def area_difference_interval(
    first: Quantity, second: Quantity, variances: tuple[Callable[[float], float], Callable[[float], float]]
) -> tuple[float, float]:
    """Interval (95 percent) of the difference of two average areas.

    Near 1 the error of an area is not symmetric, and the symmetric interval of a difference covers too rarely. It is made
    wider on either side where Zou and Donner's (2008, Statistics in Medicine 27: 1693-1702) reaches further: that follows
    from the intervals of both areas, here with the quantile of the difference, and from the correlation that the three
    standard errors imply.

    Args:
        first: areas of the readers.
        second: the same for another network, to subtract.
        variances: ``roc.area_variance`` of both.
    """
    between, parts = average(first - second), [average(quantity) for quantity in (first, second)]
    ses = [part.se if part else 0.0 for part in parts]
    means = [float(quantity.values.mean()) for quantity in (first, second)]
    if between is None:
        return means[0] - means[1], means[0] - means[1]
    ends = [roc.logit_interval(*known, between.quantile) for known in zip(means, ses, variances)]
    below, above = ([abs(mean - pair[side]) for mean, pair in zip(means, ends)] for side in (0, 1))
    correlation = (ses[0] ** 2 + ses[1] ** 2 - between.se**2) / (2 * ses[0] * ses[1]) if min(ses) > 0 else 0.0
    correlation = min(max(correlation, -1.0), 1.0)

    def reach(one: float, other: float) -> float:
        return float(np.sqrt(max(one**2 + other**2 - 2 * correlation * one * other, 0.0)))

    low, high = between.value - reach(below[0], above[1]), between.value + reach(above[0], below[1])
    return min(low, between.interval[0]), max(high, between.interval[1])
