"""Judge the differences between arms by a rule fixed in advance."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from dwikit.evaluation.usefulness.arms import TEACHER, Arm
from dwikit.evaluation.usefulness.experiment import Result
from dwikit.evaluation.usefulness.tasks import Denoising, Segmentation

AGAINST_CLASSICAL = ("minus classical", "95 %", "verdict")


def table(task: Segmentation | Denoising, results: Mapping[Arm, list[Result]], titles: Mapping[str, str]) -> pd.DataFrame:
    """One row per arm: scores, their range over seeds, and a difference with interval and verdict.

    Args:
        task: the task that was learned.
        results: arm -> results, one per seed.
        titles: of models, by key.

    Returns:
        Columns: the task's scores (means over people and seeds), their mean if there are several, the lowest to the
        highest seed; the paired difference from classical augmentation alone with its 95 % interval over people and the
        verdict. Rows by the arms' labels.
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
        rows[arm.label(titles)] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("trained with")


def _means(runs: list[Result]) -> np.ndarray:
    """Score of each seed and person (seeds, people); the mean over tissues if there are several."""
    return np.mean([result.scores for result in runs], axis=-1)


def interval(differences: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of paired differences (seeds, people) with Student's interval over people, each averaged over seeds."""
    means = differences.mean(axis=0)
    half = stats.t.ppf((1 + level) / 2, len(means) - 1) * stats.sem(means)
    return float(means.mean()), float(means.mean() - half), float(means.mean() + half)


def verdict(differences: np.ndarray) -> str:
    """``helps`` or ``hurts`` if the interval excludes 0 and every seed agrees; else ``no difference shown``.

    The interval covers other people, not other initial weights: hence the second condition, and no verdict from
    one seed.
    """
    if len(differences) < 2:
        return "one seed only"
    _, low, high = interval(differences)
    by_seed = differences.mean(axis=1)
    if low > 0 and (by_seed > 0).all():
        return "helps"
    return "hurts" if high < 0 and (by_seed < 0).all() else "no difference shown"
