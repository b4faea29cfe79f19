"""Questions on the evaluation and the reader study (05 and 06), with hints and solutions."""

import numpy as np

from dwikit.course.check.case import seeded
from dwikit.course.lesson.question import Question, on
from dwikit.metrics import similarity
from dwikit.metrics.intervals import Estimate
from dwikit.paper import checks
from dwikit.reader_study import agreement, joint, readings

# ==== 05: the evaluation ====


def dataset_similarity(samples, originals):
    """Mean over all pairs of |s - o|^2 / D, of images (N, H, W) and (M, H, W) in [0, 1], without visiting the pairs."""
    s, o = samples.reshape(len(samples), -1), originals.reshape(len(originals), -1)
    squares = np.mean(np.sum(s**2, axis=1)) + np.mean(np.sum(o**2, axis=1))
    return (squares - 2 * s.mean(axis=0) @ o.mean(axis=0)) / s.shape[1]


def intra_sample_diversity(samples):
    """Mean over all pairs of two different samples (N, H, W) in [0, 1] of |s - s'|^2 / D, from dataset_similarity."""
    n = len(samples)
    return n / (n - 1) * dataset_similarity(samples, samples)


def holds(low, high, above, below):
    """Whether an interval lies within the bounds above and below (True), outside of them (False), or neither (None)."""
    if low > above and high < below:
        return True
    return False if high <= above or low >= below else None


def _verdicts(function) -> tuple:
    """Answers as numbers: True 1, False 0, None -1."""
    calls = [(1.1, 1.3, 1, 2), (0.7, 0.9, 1, 2), (0.9, 1.2, 1, 2), (2.1, 2.4, 1, 2), (1.5, 2.1, 1, 2)]
    return tuple(-1 if (answer := function(*call)) is None else answer for call in calls)


# ==== 06: the reader study ====


def overlaps(first, second, n):
    """Possible numbers of n images that both readers called real, if one called first and the other second of them real."""
    return range(max(0, first + second - n), min(first, second) + 1)


def cohens_kappa(table):
    """Cohen's kappa of a table (2, 2): entry (i, j) counts images with verdict i of reader 1 and j of reader 2."""
    table = np.asarray(table) / np.sum(table)
    agreed = np.trace(table)
    by_chance = table.sum(axis=1) @ table.sum(axis=0)
    return (agreed - by_chance) / (1 - by_chance)


def wilson(count, n, z=1.96):
    """Both ends of the interval of all shares p with |count / n - p| <= z sqrt(p (1 - p) / n)."""
    share = count / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return middle - half, middle + half


def _kit_wilson(count, n):
    interval = readings.wilson(count, n)
    return interval["low"], interval["high"]


_SETS = seeded(50).uniform(size=(4, 3, 3)), seeded(51).uniform(size=(6, 3, 3))

QUESTIONS = (
    Question(
        dataset_similarity,
        on(_SETS),
        (
            "Expand |s - o|^2 = |s|^2 + |o|^2 - 2 s.o and average each summand over all pairs.",
            "The mean over pairs of s.o is the product of two means: mean(s) . mean(o).",
            "(mean |s|^2 + mean |o|^2 - 2 mean(s).mean(o)) / D, with images as vectors of D pixels.",
        ),
        (similarity.dataset_similarity,),
    ),
    Question(
        intra_sample_diversity,
        on(_SETS[:1]),
        (
            "DS of the samples with themselves is nearly it. Which of its n * n pairs do not belong?",
            "n pairs are an image with itself, and add 0. The mean is over n (n - 1) pairs: DS times n / (n - 1).",
        ),
        (similarity.intra_sample_diversity,),
    ),
    Question(
        holds,
        _verdicts,
        (
            "Three answers: True if all of the interval is within, False if none of it is, else None.",
            "Within: low > above and high < below. Outside: high <= above or low >= below.",
        ),
        (checks.holds,),
        lambda low, high, above, below: checks.holds(Estimate((low + high) / 2, low, high), above, below),
    ),
    Question(
        overlaps,
        lambda function: tuple(np.array(list(function(*call))) for call in ((42, 50, 50), (30, 25, 50), (2, 0, 50))),
        (
            "Both cannot be more than either. And if 30 and 25 of 50 are called real, how few can be called so by both?",
            "From max(0, first + second - n) to min(first, second), and range leaves out its end.",
        ),
        (joint.overlaps,),
    ),
    Question(
        cohens_kappa,
        on(([[20, 5], [10, 15]],), ([[134, 3], [17, 96]],)),
        (
            "Agreement is the share on the diagonal. By chance, both say real or both say fake.",
            "By chance: the product of both readers' shares of real, plus that of their shares of fake.",
            "(agreed - by_chance) / (1 - by_chance), with by_chance = rows.sum times columns.sum, summed over verdicts.",
        ),
        (agreement.cohens_kappa,),
        lambda table: agreement.cohens_kappa(table).value,
    ),
    Question(
        wilson,
        on((45, 50), (0, 50), (2, 50)),
        (
            "The ends are the two solutions p of (count / n - p)^2 = z^2 p (1 - p) / n: a quadratic equation.",
            "Middle of the interval: (share + z^2 / 2n) / (1 + z^2 / n).",
            "Half its width: z / (1 + z^2 / n) * sqrt(share (1 - share) / n + z^2 / 4n^2).",
        ),
        (readings.wilson,),
        _kit_wilson,
    ),
)
