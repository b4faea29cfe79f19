"""Do the weights that come with the kit still give the tables that are committed? Cell by cell, verdict by verdict."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dwikit import metrics, paper, report, training
from dwikit.common.errors import InputError
from dwikit.evaluation import repeats, verdicts
from dwikit.evaluation.tables import paired_ratios, reconstruction_table, table_1
from dwikit.metrics.table import column_metrics
from dwikit.report import plots
from dwikit.slices import SliceStore

LEVELS = (5, 12, 19)
"""Heights that figure 4 shows."""
SHOWN = ("ours", "low", "high")
"""Columns of a table beside the paper's that are computed."""
DECIMAL = re.compile(r"\d+\.\d+")
LAST_DIGIT = 0.0101
"""Numbers of claims are printed with two decimals."""


def tables(
    store: SliceStore, runs: Mapping[str, training.Run], n: int, by_seed: Mapping[str, pd.DataFrame] | None = None
) -> dict[str, pd.DataFrame]:
    """Table 1, reconstructions (where a network makes some) and claims.

    Args:
        store: slices.
        runs: networks by key.
        n: images per row.
        by_seed: ``repeats.tables`` of the same networks' other trainings, whose weights the kit does not have.

    Returns:
        ``table-1``, ``reconstruction`` and ``claims``, as ``report.save_table`` takes them.

    Raises:
        InputError: ``by_seed`` is of other slices or other networks.
    """
    pairs = {key: run.reconstructions for key, run in runs.items() if run.reconstructs}
    first = table_1(store, {key: run.samples for key, run in runs.items()}, n)
    found, evidence = {"table-1": report.beside_paper(first, paper.TABLE_1)}, paper.Evidence(first)
    if pairs:
        rebuilt = reconstruction_table(store, pairs)
        found["reconstruction"] = report.beside_paper(rebuilt, paper.RECONSTRUCTION)
        evidence = paper.Evidence(first, rebuilt, paired=paired_ratios(store, pairs))
    labels = {key: run.label for key, run in runs.items()}
    evidences = repeats.evidences(evidence, repeats.checked(by_seed, evidence, labels), labels) if by_seed else [evidence]
    return found | {"claims": verdicts.table(evidences, repeats.counts(by_seed, labels) if by_seed else None)}


def figures(store: SliceStore, runs: Mapping[str, training.Run]) -> dict[str, Figure]:
    """Figure 3, held-out slices and reconstructions; figure 4, samples beside originals by height; and the first samples."""
    train, heights = store.indices("train"), store.table["level"].to_numpy()
    few = np.sort(np.random.default_rng(0).permutation(train)[: paper.N_SAMPLES])
    rows = {"Original": (store.images[few], heights[few])}
    for run in runs.values():
        nearest = metrics.nearest_distances(run.samples, store.images, rows=train)[1]
        rows[run.label] = run.samples, heights[nearest]
    first = {label: images for label, (images, _) in rows.items()}
    found = {"figure-4": plots.levels(rows, wanted=LEVELS, columns=2), "samples": plots.image_rows(first, columns=8, width=8)}
    if pairs := {run.label: run.reconstructions for run in runs.values() if run.reconstructs}:
        originals = store.images[training.held_out(store)]
        found["figure-3"] = plots.image_rows({"Original": originals} | pairs, columns=6, width=6)
    return found


def differences(found: Mapping[str, pd.DataFrame], folder: Path) -> list[str]:
    """Where tables differ from those of a folder: another verdict, or a number off by more than half a printed digit.

    Args:
        found: ``tables``.
        folder: of the committed ones.

    Returns:
        One line per difference.

    Raises:
        InputError: a table is missing there, or has other rows.
    """
    lines = []
    for name, table in found.items():
        path = folder / f"{name}.csv"
        try:
            committed = pd.read_csv(path, index_col=0, header=list(range(table.columns.nlevels)))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read ({error}). Restore it: git checkout figures/{folder.name}.") from error
        if (theirs := [str(row) for row in committed.index]) != (ours := [str(row) for row in table.index]):
            raise InputError(f"{path} has the rows {', '.join(theirs)}; these weights give {', '.join(ours)}.")
        lines += _verdicts(table, committed) if name == "claims" else _numbers(name, table, committed)
    return lines


def _verdicts(table: pd.DataFrame, committed: pd.DataFrame) -> list[str]:
    """Verdicts, trainings and the words beside numbers have to be the same; rounded numbers may differ by their last digit."""
    lines = []
    for (_, ours), (_, theirs) in zip(table.fillna("").iterrows(), committed.fillna("").iterrows()):
        for name in ("verdict", "seeds", "numbers"):
            (words, numbers), (other_words, others) = (_apart(str(row[name])) for row in (ours, theirs))
            same = words == other_words and np.allclose(numbers, others, rtol=0, atol=LAST_DIGIT)
            lines += [] if same else [f"{ours['claim']} ({name}): {ours[name]}; committed: {theirs[name]}"]
    return lines


def _apart(text: str) -> tuple[list[str], list[float]]:
    """Words and decimal numbers of a text."""
    return DECIMAL.split(text), [float(number) for number in DECIMAL.findall(text)]


def _numbers(name: str, table: pd.DataFrame, committed: pd.DataFrame) -> list[str]:
    lines = []
    for metric, kind in (column for column in table if column[1] in SHOWN):
        digits = column_metrics()[metric].digits
        pairs = zip(table.index, table[metric, kind].astype(float), committed[metric, kind].astype(float))
        lines += [
            f"{name}, {row}, {metric} ({kind}): {ours:.{digits + 1}f}; committed: {theirs:.{digits + 1}f}"
            for row, ours, theirs in pairs
            if not np.isclose(ours, theirs, rtol=0, atol=0.5 * 10.0**-digits, equal_nan=True)
        ]
    return lines
