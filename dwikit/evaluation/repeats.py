"""Trainings of the same networks that differ in nothing but their seed, as further evidence for the claims."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from dwikit import training
from dwikit.evaluation.tables import paired_ratios, reconstruction_table, table_1
from dwikit.paper.checks import Evidence
from dwikit.slices import SliceStore

NAME = "{label}, seed {seed}"
"""A row of a training."""
FILES = {"table-1": "seeds", "reconstruction": "seeds-reconstruction", "paired": "seeds-paired"}
"""Table -> its file."""
PAIR = ["name", "row", "to"]
"""Index of paired ratios."""


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
    """The study's own evidence, then that of its second trainings, and so on; a network without one keeps its first.

    Args:
        first: evidence of the study's own trainings.
        found: ``tables``.
        names: key -> label of every network of the study.
    """
    others = {key: _others(found["table-1"], label) for key, label in names.items()}
    evidence = [first]
    for place in range(max(map(len, others.values()), default=0)):
        chosen = {key: rows[place] for key, rows in others.items() if place < len(rows)}
        evidence.append(
            first._replace(
                table_1=_with_rows(first.table_1, found["table-1"], chosen),
                reconstruction=_with_rows(first.reconstruction, found.get("reconstruction"), chosen),
                paired=_with_pairs(first.paired, found.get("paired"), chosen),
            )
        )
    return evidence


def counts(found: Mapping[str, pd.DataFrame], names: Mapping[str, str]) -> dict[str, int]:
    """Key -> number of trainings."""
    return {key: 1 + len(_others(found["table-1"], label)) for key, label in names.items()}


def read(folder: Path) -> dict[str, pd.DataFrame]:
    """The ``tables`` of a folder of figures; empty if it has none."""
    index = {"paired": [0, 1, 2]}
    paths = {name: folder / f"{file}.csv" for name, file in FILES.items()}
    return {name: pd.read_csv(path, index_col=index.get(name, 0)) for name, path in paths.items() if path.is_file()}


def _others(table: pd.DataFrame, label: str) -> list[str]:
    """Rows of a network's trainings but the first."""
    return [row for row in table.index if row.startswith(NAME.format(label=label, seed=""))][1:]


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
