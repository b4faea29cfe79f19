"""Trainings of the same networks that differ in nothing but their seed, as further evidence for the claims."""

import itertools
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from dwikit import report, training
from dwikit.common.errors import InputError
from dwikit.evaluation.tables import paired_ratios, reconstruction_table, table_1
from dwikit.metrics.table import column_metrics
from dwikit.paper.checks import Evidence
from dwikit.slices import SliceStore

NAME = "{label}, seed {seed}"
"""A row of a training."""
FILES = {"table-1": "seeds-table-1", "reconstruction": "seeds-reconstruction", "paired": "seeds-paired"}
"""Table -> its file."""
REMEDY = "Make them again: python benchmarks/seeds.py"
"""For tables that are not what they should be."""


def rows(again: Mapping[str, Mapping[int, training.Run]]) -> dict[str, training.Run]:
    """Every training of a network that has several, by row.

    Args:
        again: key -> seed -> run, the study's own first (``study.seeds``).
    """
    several = [found for found in again.values() if len(found) > 1]
    return {NAME.format(label=run.label, seed=seed): run for found in several for seed, run in found.items()}


def tables(
    store: SliceStore, again: Mapping[str, Mapping[int, training.Run]], reconstructions: Mapping, n: int
) -> dict[str, pd.DataFrame]:
    """Table 1 and, where networks reconstruct, the table of reconstructions and its paired ratios.

    Args:
        store: slices.
        again: as for ``rows``.
        reconstructions: of the study's own trainings, by key; a network with one training is compared by them.
        n: images per row.
    """
    trainings = rows(again)
    found = {"table-1": table_1(store, {name: run.samples for name, run in trainings.items()}, n)}
    if redrawn := {name: run.reconstructions for name, run in trainings.items() if run.reconstructs}:
        found["reconstruction"] = reconstruction_table(store, redrawn)
        found["paired"] = paired_ratios(store, reconstructions | redrawn)
    return found


def evidences(first: Evidence, found: Mapping[str, pd.DataFrame], names: Mapping[str, str]) -> list[Evidence]:
    """The study's own evidence, then that of every other combination of trainings: their numbers mean nothing.

    Args:
        first: evidence of the study's own trainings.
        found: ``tables``.
        names: key -> label of every network of the study.
    """
    trainings = [[None, *_trainings(found["table-1"], label)[1:]] for label in names.values()]
    evidence = []
    for combination in itertools.product(*trainings):
        chosen = {key: row for key, row in zip(names, combination) if row}
        others = first._replace(
            table_1=_with_rows(first.table_1, found["table-1"], chosen),
            reconstruction=_with_rows(first.reconstruction, found.get("reconstruction"), chosen),
            paired=_with_pairs(first.paired, found.get("paired"), chosen),
        )
        evidence.append(others if chosen else first)
    return evidence


def counts(found: Mapping[str, pd.DataFrame], names: Mapping[str, str]) -> dict[str, int]:
    """Key -> number of trainings."""
    return {key: max(1, len(_trainings(found["table-1"], label))) for key, label in names.items()}


def save(found: Mapping[str, pd.DataFrame], source: dict, folder: Path) -> None:
    """Write ``tables`` to a folder of figures, where ``read`` finds them; ``source`` is their ``report.provenance``."""
    for name, table in found.items():
        report.save_table(table.reset_index(level=list(table.index.names[1:])), FILES[name], source, folder)


def read(folder: Path) -> dict[str, pd.DataFrame]:
    """The ``tables`` of a folder of figures; empty if it has none.

    Raises:
        InputError: Table 1 is not among them, or one is damaged.
    """
    index = {"paired": [0, 1, 2]}
    paths = {name: folder / f"{file}.csv" for name, file in FILES.items()}
    found = {name: _read(path, index.get(name, [0])) for name, path in paths.items() if path.is_file()}
    if found and "table-1" not in found:
        raise InputError(f"{paths['table-1']} is missing, though other tables of the same trainings are there. {REMEDY}")
    return found


def _read(path: Path, index: list[int]) -> pd.DataFrame:
    """A table of numbers, each row once."""
    try:
        table = pd.read_csv(path, index_col=index).astype(float)
        if table.index.has_duplicates:
            raise ValueError("a row is there twice")
    except (OSError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise InputError(f"{path} cannot be read ({error}). {REMEDY}") from error
    return table


def checked(found: Mapping[str, pd.DataFrame], first: Evidence, names: Mapping[str, str]) -> Mapping[str, pd.DataFrame]:
    """The same tables, if every training is in each and the first ones are the study's own, to half a printed digit.

    Args:
        found: ``read``.
        first: evidence of the study's own trainings.
        names: key -> label of every network of the study.

    Raises:
        InputError: a training or a number is missing in a table, or the tables are of other slices or other networks.
    """
    for name, ours in {"table-1": first.table_1, "reconstruction": first.reconstruction}.items():
        keys = [key for key in names if ours is not None and key in ours.index]
        rows = {key: _trainings(found["table-1"], names[key]) for key in keys}
        _require_rows(found, name, sum(rows.values(), []), keys)
        if name in found:
            same = {key: own[0] for key, own in rows.items() if own}
            _require(name, "original" in found[name].index and set(ours) <= set(found[name]), "lacks the original, or a column")
            whole = {row: found[name].loc[row, ours.loc[key].dropna().index] for key in same for row in rows[key]}
            lost = [row for row, numbers in whole.items() if numbers.isna().any()]
            _require(name, not lost, f"lacks a number of {', '.join(lost)}")
            _require_same(name, found[name].loc[["original", *same.values()]].set_axis(["original", *same]), ours)
            if name == "reconstruction" and same:
                _require_pairs(found, first, {row: key for key, row in same.items()})
    return found


def _require(name: str, holds: bool, otherwise: str) -> None:
    """InputError with what is wrong with a table, unless it holds."""
    if not holds:
        raise InputError(f"{FILES[name]}.csv {otherwise}. {REMEDY}")


def _require_rows(found: Mapping[str, pd.DataFrame], name: str, wanted: list[str], keys: list[str]) -> None:
    """Each of these trainings in a table, and one that reconstructs in the pairs with all others and all keys, too."""
    lost = [row for row in wanted if name not in found or row not in found[name].index]
    _require(name, not lost, f"is missing, or lacks {', '.join(lost)}")
    if name == "reconstruction" and wanted:
        index = found["paired"].dropna().index if "paired" in found else pd.MultiIndex.from_arrays([[], [], []])
        everyone = {*wanted, *keys, "original"}
        pairs = [("laplace", *pair) for pair in itertools.permutations(sorted(everyone), 2)]
        pairs += [("mse", *pair) for pair in itertools.permutations(sorted(everyone - {"original"}), 2)]
        lost = [" / ".join(pair[1:]) for pair in pairs if pair not in index]
        _require("paired", not lost, f"is missing, or lacks {', '.join(lost[:3])}")


def _require_pairs(found: Mapping[str, pd.DataFrame], first: Evidence, own: Mapping[str, str]) -> None:
    """Ratios that are those of the rows, within their intervals, and among the study's own trainings those of its evidence.

    Args:
        found: ``tables``.
        first: evidence of the study's own trainings.
        own: row of a study's own training -> key.
    """
    rows = found["reconstruction"].combine_first(first.reconstruction)
    ours = first.paired if first.paired is not None else pd.DataFrame(columns=found["paired"].columns)
    for (name, row, to), ratio in found["paired"].dropna().iterrows():
        told, wanted = f"is of other networks: there {name} of {row} / {to} is {ratio['value']:.3f}", np.nan
        if {row, to} <= set(rows.index):
            wanted = rows.loc[row, name] / rows.loc[to, name]
        same = np.isnan(wanted) or np.isclose(ratio["value"], wanted, rtol=0.01)
        _require("paired", same and ratio["low"] <= ratio["value"] <= ratio["high"], f"{told}, and its rows give {wanted:.3f}")
        if (pair := (name, own.get(row, row), own.get(to, to))) in ours.index:
            same = np.allclose(ratio.to_numpy(), ours.loc[pair, list(ratio.index)].to_numpy(), rtol=0.01)
            _require("paired", same, f"{told} ({ratio['low']:.3f} to {ratio['high']:.3f}), otherwise than here")


def _require_same(name: str, theirs: pd.DataFrame, ours: pd.DataFrame) -> None:
    """Numbers of two tables the same to half a printed digit, and counts the same."""
    for column in ours:
        metric = column_metrics().get(re.sub("_(low|high)$", "", column))
        digits = metric.digits if metric else 0
        for key, there in theirs[column].items():
            here = ours.loc[key, column]
            same = np.isclose(there, here, rtol=0, atol=0.5 * 10.0**-digits if metric else 0, equal_nan=True)
            told = f"there {column} of {key} is {there:.{digits + 1}f}, here {here:.{digits + 1}f}"
            _require(name, same, f"is of other slices or other networks: {told}")


def _trainings(table: pd.DataFrame, label: str) -> list[str]:
    """Rows of a network that has several trainings, the study's own first."""
    return [row for row in table.index if row.startswith(NAME.format(label=label, seed=""))]


def _with_rows(ours: pd.DataFrame | None, theirs: pd.DataFrame | None, chosen: Mapping[str, str]) -> pd.DataFrame | None:
    """A table with the rows of some keys replaced by rows of another, where that has them."""
    if ours is None or theirs is None:
        return ours
    ours = ours.copy()
    for key, row in chosen.items():
        if row in theirs.index:
            ours.loc[key] = theirs.loc[row]
    return ours


def _with_pairs(ours: pd.DataFrame | None, theirs: pd.DataFrame | None, chosen: Mapping[str, str]) -> pd.DataFrame | None:
    """Paired ratios of the chosen trainings, under their keys."""
    if ours is None or theirs is None:
        return ours
    keys = {row: key for key, row in chosen.items()}
    kept = theirs.drop(index=list(chosen), level="row", errors="ignore").drop(index=list(chosen), level="to", errors="ignore")
    renamed = kept.rename(index=keys, level="row").rename(index=keys, level="to")
    return renamed[~renamed.index.duplicated()]
