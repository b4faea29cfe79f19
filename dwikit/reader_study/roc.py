"""The receiver operating characteristic of a reader who gave confidences."""

import numpy as np
from scipy.stats import rankdata

from dwikit.reader_study.agreement import Estimate


def area(score: np.ndarray, positive: np.ndarray) -> Estimate:
    """Area under the ROC curve: how often a positive image scores above a negative one, ties counting half.

    The standard error is that of DeLong, DeLong and Clarke-Pearson (1988), from ranks.

    Args:
        score: (n,); high speaks for positive.
        positive: (n,) bool; both values must occur.
    """
    pos, neg = score[positive], score[~positive]
    together = rankdata(np.concatenate([pos, neg]))
    above = (together[: len(pos)] - rankdata(pos)) / len(neg)
    below = 1 - (together[len(pos) :] - rankdata(neg)) / len(pos)
    variance = sum(values.var(ddof=1) / len(values) for values in (above, below) if len(values) > 1)
    return Estimate(float(above.mean()), float(np.sqrt(variance)))


def curve(score: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False alarms and hits, shares of the negatives and the positives, for each threshold from none to all."""
    thresholds = np.concatenate([[np.inf], np.unique(score)[::-1]])
    flagged = score[None] >= thresholds[:, None]
    return flagged[:, ~positive].mean(1), flagged[:, positive].mean(1)
