"""Scores of readings: Table 2 with intervals, right and wrong answers, agreement, differences, ROC.

Undefined numbers are left out of the tables and explained in ``Scores.notes``; no table holds a NaN.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from dwikit import paper
from dwikit.reader_study import agreement, roc
from dwikit.reader_study.averages import averages
from dwikit.reader_study.collect import check_readings, listed

ORIGINAL = "original"
"""The group of real images."""


@dataclass(frozen=True)
class Scores:
    """All scores of a reader study. Shares lie in [0, 1], intervals cover 95 percent."""

    called_real: pd.DataFrame
    """Table 2: reader, group, n, real (count), share, low, high (Wilson)."""
    accuracy: pd.DataFrame
    """One row per reader: n, accuracy with interval, chance, p, sensitivity (fakes called fake), specificity (real called
    real), both with interval, and balanced (their mean)."""
    agreement: pd.DataFrame
    """statistic, readers, n, value, se, low, high."""
    differences: pd.DataFrame
    """McNemar's exact test for each pair: first, second, n, only_first and only_second right, p."""
    roc: pd.DataFrame
    """One row per reader who gave confidences: reader, n, area, se, low, high."""
    averages: pd.DataFrame
    """Means over readers: measure (called real, or area under the curve), group, n, value, low and high for readers in general,
    their degrees of freedom df, low_images and high_images for these readers."""
    contrasts: pd.DataFrame
    """Differences between groups: measure, first, second, difference, se, df, low, high, p, p_holm (Holm's correction)."""
    curves: dict[str, tuple[np.ndarray, np.ndarray]]
    """reader -> (false alarms, hits): shares of real and of fake images called fake at each threshold."""
    notes: list[str]
    """What is missing, and why."""


def score_readings(readings: pd.DataFrame, key: pd.DataFrame) -> Scores:
    """Score readings against the key of their deck.

    Args:
        readings: ``reader``, ``image``, ``answer``, and ``confidence`` if given, as ``read_readings`` returns them.
        key: ``image`` and ``group``; the group ``original`` is real, all others are fake.

    Raises:
        InputError: unknown images, duplicate readings, answers other than real and fake.
    """
    check_readings(readings, key)
    known = list(paper.LABELS)
    groups = sorted(key["group"].unique(), key=lambda group: (known.index(group) if group in known else len(known), group))
    joined = readings.merge(key[["image", "group"]], on="image")
    joined["real"], joined["called_real"] = joined["group"] == ORIGINAL, joined["answer"] == "real"
    joined["right"] = joined["real"] == joined["called_real"]
    joined["fakeness"] = fakeness(joined)
    notes = _incomplete(joined, key, groups)
    called = joined.pivot(index="image", columns="reader", values="called_real")[list(joined["reader"].unique())]
    right = joined.pivot(index="image", columns="reader", values="right")[called.columns]
    areas, curves = _roc(joined, notes)
    means, contrasts = averages(joined, groups, notes)
    return Scores(
        _called_real(joined, groups),
        _accuracy(joined, notes),
        _agreement(called, notes),
        _differences(right),
        areas,
        means,
        contrasts,
        curves,
        notes,
    )


def fakeness(readings: pd.DataFrame) -> pd.Series:
    """How surely an image was called fake, -5 to 5: the confidence, negative if it was called real; missing without one."""
    if "confidence" not in readings:
        return pd.Series(np.nan, index=readings.index)
    return readings["confidence"].astype(float).where(readings["answer"] == "fake", -readings["confidence"])


def wilson(count: int, n: int) -> dict[str, float]:
    """A share with its Wilson interval (95 percent)."""
    low, high = proportion_confint(count, n, method="wilson")
    return {"share": count / n, "low": float(low), "high": float(high)}


def _incomplete(joined: pd.DataFrame, key: pd.DataFrame, groups: list[str]) -> list[str]:
    notes = []
    for reader, rows in joined.groupby("reader", sort=False):
        if missing := key.loc[~key["image"].isin(rows["image"]), "image"].tolist():
            notes.append(f"{reader} read {len(rows)} of {len(key)} images, not {listed(missing)}. Tables count what was read.")
        for group in sorted(set(groups) - set(rows["group"])):
            notes.append(f"{reader} read no image of the group {group}: it has no row for {reader}.")
    return notes


def _called_real(joined: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    rows = []
    for (reader, group), some in joined.groupby(["reader", "group"], sort=False):
        count, n = int(some["called_real"].sum()), len(some)
        rows.append({"reader": reader, "group": group, "n": n, "real": count, **wilson(count, n)})
    order = {group: i for i, group in enumerate(groups)}
    return pd.DataFrame(rows).sort_values("group", key=lambda column: column.map(order), kind="stable", ignore_index=True)


def _accuracy(joined: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Right answers, and what the same number of "real" would score if assigned to images at random (Fisher's exact test)."""
    rows = []
    for reader, some in joined.groupby("reader", sort=False):
        real, called, n = some["real"], some["called_real"], len(some)
        if real.nunique() < 2:
            notes.append(f"{reader} read only {'real' if real.all() else 'fake'} images: accuracy would say nothing.")
            continue
        if called.nunique() < 2:
            notes.append(f"{reader} called every image {'real' if called.all() else 'fake'}: distinguished nothing.")
        table = [[(real & called).sum(), (real & ~called).sum()], [(~real & called).sum(), (~real & ~called).sum()]]
        row = {"reader": reader, "n": n}
        row |= _prefixed("accuracy", wilson(int(some["right"].sum()), n))
        row["chance"] = real.mean() * called.mean() + (1 - real.mean()) * (1 - called.mean())
        row["p"] = float(stats.fisher_exact(table, alternative="greater").pvalue)
        row |= _prefixed("sensitivity", wilson(int(table[1][1]), int((~real).sum())))
        row |= _prefixed("specificity", wilson(int(table[0][0]), int(real.sum())))
        row["balanced"] = (row["sensitivity"] + row["specificity"]) / 2
        rows.append(row)
    return pd.DataFrame(rows)


def _prefixed(name: str, interval: dict[str, float]) -> dict[str, float]:
    return {name: interval["share"], f"{name}_low": interval["low"], f"{name}_high": interval["high"]}


def _agreement(called: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    columns = ["statistic", "readers", "n", "value", "se", "low", "high"]
    if called.shape[1] < 2:
        notes.append("There is one reader: agreement, such as kappa, needs two or more.")
        return pd.DataFrame(columns=columns)
    rows = []

    def add(statistic: str, readers: list[str], n: int, estimate: agreement.Estimate | None) -> None:
        name = " and ".join(readers) if len(readers) < 3 else f"all {len(readers)}"
        if estimate is None:
            notes.append(f"{statistic} of {name} is undefined: {_why_undefined(called[readers].dropna())}.")
            return
        rows.append(dict(zip(columns, [statistic, name, n, estimate.value, estimate.se, estimate.low, estimate.high])))

    for pair in itertools.combinations(called.columns, 2):
        both = called[list(pair)].dropna().astype(bool)
        add("Cohen's kappa", list(pair), len(both), agreement.cohens_kappa(pair_table(both)))
        constant = [reader for reader in pair if both[reader].nunique() == 1]
        if len(both) and len(constant) == 1:
            notes.append(
                f"{constant[0]} gave one answer throughout, so kappa of {' and '.join(pair)} is 0 whatever the other says."
            )
        add("Gwet's AC1", list(pair), len(both), agreement.gwet_ac1(_counts(both)))
    if called.shape[1] > 2:
        everyone = called.dropna().astype(bool)
        add("Fleiss' kappa", list(called), len(everyone), agreement.fleiss_kappa(_counts(everyone)))
        add("Gwet's AC1", list(called), len(everyone), agreement.gwet_ac1(_counts(everyone)))
    return pd.DataFrame(rows, columns=columns)


def pair_table(both: pd.DataFrame) -> np.ndarray:
    """Counts (2, 2) of two readers' columns of "called real": both real, only the first, only the second, both fake."""
    first, second = both.to_numpy(bool).T
    return np.array([[(first & second).sum(), (first & ~second).sum()], [(~first & second).sum(), (~first & ~second).sum()]])


def _counts(called: pd.DataFrame) -> np.ndarray:
    real = called.sum(axis=1).to_numpy(int)
    return np.stack([real, called.shape[1] - real], axis=1)


def _why_undefined(common: pd.DataFrame) -> str:
    if len(common) == 0:
        return "they read no image in common"
    if len(np.unique(common.to_numpy(bool))) == 1:
        return "all their answers are the same, and chance alone would agree as well"
    return f"they read only {len(common)} images in common"


def _differences(right: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for first, second in itertools.combinations(right.columns, 2):
        both = right[[first, second]].dropna().astype(bool)
        if len(both):
            table = pair_table(both)
            row = {"first": first, "second": second, "n": len(both), "only_first": table[0, 1], "only_second": table[1, 0]}
            rows.append(row | {"p": float(mcnemar(table, exact=True).pvalue)})
    return pd.DataFrame(rows, columns=["first", "second", "n", "only_first", "only_second", "p"])


def _roc(joined: pd.DataFrame, notes: list[str]) -> tuple[pd.DataFrame, dict]:
    rows, curves = [], {}
    for reader, some in joined.groupby("reader", sort=False):
        given = some[some["fakeness"].notna()]
        if not len(given):
            continue
        if len(given) < len(some):
            notes.append(f"{reader} gave a confidence for {len(given)} of {len(some)} images: the ROC uses those.")
        if given["real"].nunique() < 2:
            notes.append(f"{reader} gave confidences for {'real' if given['real'].all() else 'fake'} images only: no ROC.")
            continue
        score, fake = given["fakeness"].to_numpy(), ~given["real"].to_numpy()
        area = roc.area(score, fake)
        if area.se == 0:
            notes.append(f"{reader} ranked every pair of images the same way: the area's interval rests on their number alone.")
        low, high = roc.area_interval(area, fake.sum(), (~fake).sum())
        rows.append({"reader": reader, "n": len(given), "area": area.value, "se": area.se, "low": low, "high": high})
        curves[reader] = roc.curve(score, fake)
    return pd.DataFrame(rows, columns=["reader", "n", "area", "se", "low", "high"]), curves
