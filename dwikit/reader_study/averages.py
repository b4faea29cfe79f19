"""A study's averages over readers and its contrasts between groups, for readers and images in general."""

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from dwikit.reader_study import mrmc, roc

AVERAGES = ["measure", "group", "n", "value", "low", "high", "df", "low_images", "high_images"]
CONTRASTS = ["measure", "first", "second", "difference", "se", "df", "low", "high", "p", "p_holm"]
Quantities = dict[str, mrmc.Quantity]
Variances = dict[str, Callable[[float], float]]
FEW = 5
"""With fewer readers the notes say how little is known of their spread."""


def averages(joined: pd.DataFrame, groups: list[str], notes: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Shares called real and areas under the curve, averaged over readers, and all their differences.

    Only images that all readers read are used. p-values of each measure are corrected together (Holm 1979); intervals are not.

    Args:
        joined: readings with ``group``, ``called_real`` and, for readers who gave confidences, ``fakeness``.
        groups: of the deck, in order, the real images being ``original``.
        notes: to which what is missing is added.

    Returns:
        ``AVERAGES`` and ``CONTRASTS``, one row per measure and group or pair of groups; empty with fewer than two readers.
    """
    rows, differences = [], []
    group_of = joined.drop_duplicates("image").set_index("image")["group"]
    for measure, column in (("called real", "called_real"), ("area", "fakeness")):
        wide = joined[joined[column].notna()].pivot(index="image", columns="reader", values=column)
        if wide.shape[1] < 2:
            continue
        read = wide.dropna().astype(float)
        if len(read) < len(wide):
            notes.append(f"Averages over readers, {measure}: of the {len(read)} images that all {wide.shape[1]} readers read.")
        scores = {group: part.to_numpy().T for group, part in read.groupby(group_of[read.index])}
        found = dict(_quantities(measure, {group: scores[group] for group in groups if len(scores.get(group, [[]])[0]) > 1}))
        if not found:
            continue
        if (readers := wide.shape[1]) < FEW:
            degrees = "1 degree" if readers == 2 else f"{readers - 1} degrees"
            notes.append(
                f"Averages over readers, {measure}: {readers} readers give {degrees} of freedom for the spread between them. "
                "What they say about other readers is hardly more than a guess."
            )
        sizes = {group: part.shape[1] for group, part in scores.items()}
        if measure == "area":
            variances = {group: roc.area_variance(sizes[group], sizes["original"]) for group in found}
        else:
            variances = {group: roc.share_variance(sizes[group]) for group in found}
        rows += _averages(measure, found, sizes, variances, notes)
        differences += _contrasts(measure, found, variances, notes)
    return pd.DataFrame(rows, columns=AVERAGES), pd.DataFrame(differences, columns=CONTRASTS)


def _quantities(measure: str, scores: dict[str, np.ndarray]) -> Iterator[tuple[str, mrmc.Quantity]]:
    for group, part in scores.items():
        if measure == "called real":
            yield group, mrmc.share(part, group)
        elif group != "original" and "original" in scores:
            yield group, mrmc.area(scores["original"], part, group)


def _averages(measure: str, found: Quantities, sizes: dict[str, int], variances: Variances, notes: list[str]) -> list[dict]:
    rows = []
    for group, quantity in found.items():
        average = mrmc.average(quantity)
        if average is None:
            notes.append(f"{measure}, {group}: no reader and no image differs from the others, so nothing is known of others.")
            continue
        low, high = mrmc.interval(quantity, variances[group])
        low_images, high_images = mrmc.interval(quantity, variances[group], same_readers=True)
        row = {"measure": measure, "group": group, "n": sizes[group], "value": average.value, "low": low, "high": high}
        rows.append(row | {"df": average.df, "low_images": low_images, "high_images": high_images})
    return rows


def _contrasts(measure: str, found: Quantities, variances: Variances, notes: list[str]) -> list[dict]:
    rows = []
    for first, second in itertools.combinations(found, 2):
        average = mrmc.average(found[first] - found[second])
        if average is None:
            notes.append(f"{measure}, {first} and {second}: no reader and no image differs from the others, so no test.")
            continue
        low, high = average.interval
        if measure == "area":
            low, high = mrmc.area_difference_interval(found[first], found[second], (variances[first], variances[second]))
        row = {"measure": measure, "first": first, "second": second, "difference": average.value, "se": average.se}
        rows.append(row | {"df": average.df, "low": max(low, -1.0), "high": min(high, 1.0), "p": average.p})
    if rows:
        for row, corrected in zip(rows, multipletests([row["p"] for row in rows], method="holm")[1]):
            row["p_holm"] = float(corrected)
    return rows
