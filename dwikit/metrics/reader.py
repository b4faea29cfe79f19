"""The machine reader: a classifier that tries to tell samples from real images (Lopez-Paz and Oquab 2017)."""

from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dwikit.common.errors import InputError
from dwikit.metrics.features import as_features, same_space

FOLDS, RESAMPLES = 5, 300


class Reading(NamedTuple):
    """How well samples are told from real images of people that the reader has not seen."""

    accuracy: float
    """Balanced accuracy: mean of the shares correct among real images and among samples; 0.5 is guessing."""
    auc: float
    """Probability that a sample looks more like a sample than a real image does; 0.5 is guessing."""
    low: float
    """Lower end of the 95 percent interval of ``auc``, by bootstrap over people and samples. The trained classifiers are
    held fixed, so the interval is somewhat too narrow where there is little to see."""
    high: float
    """Its upper end."""


def machine_reader(
    originals: np.ndarray,
    samples: np.ndarray,
    patients: np.ndarray,
    sample_patients: np.ndarray | None = None,
    seed: int = 0,
) -> Reading:
    """Classifier two-sample test: logistic regression on standardized features, cross-validated by person.

    Slices of one person resemble each other, so a person is in one fold only. Samples belong to nobody: each counts as its
    own person, and samples have their own folds.

    Args:
        originals: features (n, d) of real images.
        samples: features (m, d) of generated images.
        patients: (n,) person of each original.
        sample_patients: (m,) person of each sample, if the samples are real images of other people.
        seed: of the folds and of the bootstrap.

    Raises:
        InputError: fewer than two people, labels of another length, or features that cannot be compared.
    """
    originals = as_features(originals, "features of the originals")
    samples = as_features(samples, "features of the samples")
    same_space(originals, samples, ("originals", "samples"))
    groups = [np.asarray(patients), np.arange(len(samples)) if sample_patients is None else np.asarray(sample_patients)]
    if [len(originals), len(samples)] != [len(labels) for labels in groups]:
        raise InputError("Every image needs a person: patients and features have different lengths.")
    groups = [np.unique(labels, return_inverse=True)[1] for labels in groups]
    count = min(FOLDS, *(labels.max() + 1 for labels in groups))
    if count < 2:
        raise InputError("The machine reader is tested on people it has not seen: two or more are needed.")
    folds = np.concatenate([_folds(labels, count, seed) for labels in groups])
    answers = np.repeat([0, 1], [len(originals), len(samples)])
    classifier = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000))
    parts = [(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in range(count)]
    scores = cross_val_predict(classifier, np.concatenate([originals, samples]), answers, cv=parts, method="decision_function")
    right = (scores > 0) == answers
    low, high = _interval(scores, answers, groups, seed)
    return Reading(
        accuracy=float((right[answers == 0].mean() + right[answers == 1].mean()) / 2),
        auc=float(weighted_auc(scores, answers, np.ones((1, len(scores))))[0]),
        low=low,
        high=high,
    )


def _folds(groups: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Fold of each image; a group is never divided."""
    folds = np.empty(len(groups), np.int64)
    splitter = GroupKFold(count, shuffle=True, random_state=seed)
    for number, (_, inside) in enumerate(splitter.split(groups, groups=groups)):
        folds[inside] = number
    return folds


def _interval(scores: np.ndarray, answers: np.ndarray, groups: list[np.ndarray], seed: int) -> tuple[float, float]:
    """95 percent interval of the AUC: people (real and sample) are drawn with replacement, each with all its images."""
    rng = np.random.default_rng(seed)
    weights = np.empty((RESAMPLES, len(scores)))
    for kind, labels in enumerate(groups):
        count = labels.max() + 1
        weights[:, answers == kind] = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)[:, labels]
    low, high = np.quantile(weighted_auc(scores, answers, weights), [0.025, 0.975])
    return float(low), float(high)


def weighted_auc(scores: np.ndarray, answers: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of scores (n,) for labels (n,) of 0 or 1, for every row of weights (r, n).

    The weighted share of pairs (0, 1) in which the 1 has the higher score; ties count half.
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf) > 0)
    zeros, ones = (np.add.reduceat((weights * (answers == kind))[:, order], starts, axis=1) for kind in (0, 1))
    below = np.cumsum(zeros, axis=1) - zeros / 2
    return (ones * below).sum(axis=1) / (zeros.sum(axis=1) * ones.sum(axis=1))
