"""Judge the differences between arms by a rule fixed in advance."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from dwikit.evaluation.usefulness.arms import CONTROLS, REAL, TEACHER, Arm
from dwikit.evaluation.usefulness.experiment import Result
from dwikit.evaluation.usefulness.tasks import Denoising, Segmentation

AGAINST_CLASSICAL = ("minus classical", "95 %", "verdict")
SEEDS = 3
"""Trainings that a verdict needs: the interval of two excludes 0 by chance twice as often as it says."""
AGAINST_REAL = "minus unlabelled real"
"""What a perfect generator would give, labelled by the same teacher: the difference says what the faults of samples cost."""


def table(task: Segmentation | Denoising, results: Mapping[Arm, list[Result]], titles: Mapping[str, str]) -> pd.DataFrame:
    """One row per arm: scores, their range over seeds, and a difference with interval and verdict.

    Args:
        task: the task that was learned.
        results: arm -> results, one per seed.
        titles: of models, by key.

    Returns:
        Columns: the task's scores (means over people and seeds), their mean if there are several, the lowest to the
        highest seed; the paired difference from classical augmentation alone with its 95 % interval over people and seeds,
        and the verdict; of samples also the difference from unlabelled real slices. Rows by the arms' labels.
    """
    rows = {}
    for arm, runs in results.items():
        columns, means = np.mean([result.scores for result in runs], axis=(0, 1)), _means(runs)
        by_seed = means.mean(axis=1)
        row = {f"{task.summary} {name}": value for name, value in zip(task.scores, columns)} if len(columns) > 1 else {}
        row |= {task.summary: by_seed.mean(), "over seeds": f"{by_seed.min():.3f} to {by_seed.max():.3f}"}
        if arm != TEACHER:
            differences = means - _means(results[TEACHER])
            mean, low, high = interval(differences)
            row |= dict(zip(AGAINST_CLASSICAL, (mean, f"{low:.3f} to {high:.3f}", verdict(differences))))
        if arm.extra not in (None, *CONTROLS):
            row[AGAINST_REAL] = "{:.3f} ({:.3f} to {:.3f})".format(*interval(means - _means(results[REAL])))
        rows[arm.label(titles)] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("trained with")


def _means(runs: list[Result]) -> np.ndarray:
    """Score of each seed and person (seeds, people); the mean over tissues if there are several."""
    return np.mean([result.scores for result in runs], axis=-1)


def interval(differences: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of paired differences (seeds, people) with an interval over other people and other seeds alike.

    A seed has its own people to learn from, initial weights and order. The squared standard errors of the mean over people
    and of that over seeds are added, which is a little too much, since each holds a part of the other; degrees of freedom of
    Welch and Satterthwaite. An interval over people alone would exclude 0 by chance ever more often, the more seeds differ;
    it is all that one seed can give.
    """
    axes = [axis for axis, n in enumerate(differences.shape[::-1]) if n > 1]
    errors = np.array([stats.sem(differences.mean(axis=axis)) ** 2 for axis in axes])
    freedom = np.array([differences.shape[1 - axis] - 1 for axis in axes])
    error = np.sqrt(errors.sum())
    half = error and stats.t.ppf((1 + level) / 2, errors.sum() ** 2 / (errors**2 / freedom).sum()) * error
    return float(differences.mean()), float(differences.mean() - half), float(differences.mean() + half)


def verdict(differences: np.ndarray) -> str:
    """``helps`` or ``hurts`` if the interval excludes 0, else ``no difference shown``; fewer than ``SEEDS`` give no verdict."""
    if len(differences) < SEEDS:
        return "too few seeds"
    _, low, high = interval(differences)
    return "helps" if low > 0 else "hurts" if high < 0 else "no difference shown"
