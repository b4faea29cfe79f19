"""Tests of claims: a ratio of two rows of a table, with its interval, against a range."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from dwikit import paper
from dwikit.metrics import intervals
from dwikit.metrics.intervals import Estimate


class Evidence(NamedTuple):
    """The tables of one run, each with columns ``<name>``, ``<name>_low`` and ``<name>_high``, or None."""

    table_1: pd.DataFrame | None = None
    """``evaluation.table_1``."""
    reconstruction: pd.DataFrame | None = None
    """``evaluation.reconstruction_table``."""
    readings: pd.DataFrame | None = None
    """Share called real by each human reader, one row per group (``readings``); the row ``agreement`` holds kappa."""
    paired: pd.DataFrame | None = None
    """``evaluation.paired_ratios`` of the reconstructions; without it, their rows count as independent."""

    def find(self, table: str, row: str, name: str) -> Estimate | None:
        """A number of a table with its interval, or None if there is no such row."""
        frame = getattr(self, table)
        if frame is None or row not in frame.index or pd.isna(value := frame.loc[row].get(name, np.nan)):
            return None
        return Estimate(float(value), *(float(frame.loc[row].get(f"{name}_{end}", np.nan)) for end in ("low", "high")))

    def ratio(self, table: str, row: str, to: str, name: str) -> Estimate | None:
        """One row over another in one column, or None if one is missing."""
        if table == "reconstruction" and self.paired is not None and (name, row, to) in self.paired.index:
            return Estimate(*map(float, self.paired.loc[(name, row, to)]))
        found = [self.find(table, one, name) for one in (row, to)]
        return None if None in found else intervals.ratio(*found)


# ==== Checks ====


@dataclass(frozen=True)
class Ratio:
    """One row over another, in one column; without ``to``, the row itself."""

    table: str
    name: str
    row: str
    to: str | None = "original"
    above: float = -np.inf
    below: float = np.inf

    @property
    def rows(self) -> tuple[str, ...]:
        """Rows that it uses."""
        return (self.row,) if self.to is None else (self.row, self.to)

    @property
    def label(self) -> str:
        """What is compared, in words."""
        reader = f", {self.name.replace('_', ' ')}" if self.name.startswith("reader") else ""
        return " / ".join(paper.LABELS.get(row, row) for row in self.rows) + reader

    def measure(self, evidence: Evidence) -> Estimate | None:
        """The ratio with its interval, or None if a row is missing."""
        if self.to is None:
            return evidence.find(self.table, self.row, self.name)
        return evidence.ratio(self.table, self.row, self.to, self.name)


@dataclass(frozen=True)
class Nearer:
    """Distance of a row from Original over that of another: below 1 if the first is nearer."""

    table: str
    name: str
    row: str
    than: str
    above: float = -np.inf
    below: float = 1.0

    @property
    def rows(self) -> tuple[str, ...]:
        """Rows that it uses."""
        return self.row, self.than, "original"

    @property
    def label(self) -> str:
        """What is compared, in words."""
        return f"distance from Original, {paper.LABELS[self.row]} / {paper.LABELS[self.than]}"

    def measure(self, evidence: Evidence) -> Estimate | None:
        """The ratio of both distances; its interval runs from the best to the worst case of both intervals."""
        found = [evidence.find(self.table, row, self.name) for row in self.rows]
        if None in found:
            return None
        near, far = (_distance(intervals.ratio(estimate, found[2])) for estimate in found[:2])
        with np.errstate(divide="ignore", invalid="ignore"):
            return Estimate(*(float(np.divide(*pair)) for pair in zip(near, (far.value, far.high, far.low))))


def _distance(ratio: Estimate) -> Estimate:
    """Distance of a ratio from 1, on a log scale."""
    value, low, high = np.abs(np.log(ratio))
    if np.isnan(low):
        return Estimate(value)
    return Estimate(value, 0.0 if ratio.low <= 1 <= ratio.high else min(low, high), max(low, high))


def holds(estimate: Estimate, above: float, below: float) -> bool | None:
    """Whether an interval lies within the bounds (True), outside (False), or neither or is missing (None)."""
    if estimate.low > above and estimate.high < below:
        return True
    return False if estimate.high <= above or estimate.low >= below else None
