"""Tables as they are printed: Markdown and LaTeX of the same cells."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from dwikit import paper
from dwikit.metrics import intervals
from dwikit.metrics.intervals import Estimate
from dwikit.metrics.table import column_metrics

COUNTS = {"n": 0, "minutes": 1}
"""Decimals of columns that are not metrics."""
LABELS = paper.LABELS | {"held_out": "Held-out people", "nearest": "Nearest training slice"}
"""Labels of rows: the paper's and those of the floors."""


def beside_paper(ours: pd.DataFrame, published: pd.DataFrame, titles: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Our values, the paper's, and both as a ratio to the Original row, which is comparable across data sets.

    Args:
        ours: from ``table_1`` or ``reconstruction_table``, or any table of the same columns without intervals.
        published: from ``dwikit.paper``.
        titles: labels of rows, by key; they take precedence over ``LABELS``.

    Returns:
        Columns (metric, "ours" | "low" | "high" | "paper" | "ours / original" and its ends | "paper / original"), rows by
        model label.
    """
    blocks = {"n": pd.DataFrame({"": ours["n"]})} if "n" in ours else {}
    known = column_metrics()
    for name in [name for name in ours if name in known]:
        block = {"ours": ours[name]} | {end: ours[f"{name}_{end}"] for end in ("low", "high") if f"{name}_{end}" in ours}
        if name in published:
            block["paper"] = published[name].reindex(ours.index)
        if known[name].ratio:
            reference = _estimate(ours, "original", name)
            ratios = [intervals.ratio(_estimate(ours, row, name), reference) for row in ours.index]
            block["ours / original"] = [r.value for r in ratios]
            block["ours / original, low"] = [np.nan if row == "original" else r.low for row, r in zip(ours.index, ratios)]
            block["ours / original, high"] = [np.nan if row == "original" else r.high for row, r in zip(ours.index, ratios)]
        if name in published and known[name].ratio:
            block["paper / original"] = block["paper"] / published.loc["original", name]
        blocks[name] = pd.DataFrame(block, index=ours.index)
    return pd.concat(blocks, axis=1).rename(index=LABELS | dict(titles or {}))


def _estimate(table: pd.DataFrame, row: str, name: str) -> Estimate:
    """A value of a table with its interval, if it has one."""
    return Estimate(*(table.loc[row].get(key, np.nan) for key in (name, f"{name}_low", f"{name}_high")))


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """A table as text, every column with its own number of decimals.

    Intervals are in brackets after their values and ratios in parentheses, both for ``beside_paper`` and for tables with
    columns ``<name>_low`` and ``<name>_high``.
    """
    columns = {}
    for name in table.columns:
        metric, kind = name if isinstance(name, tuple) else (name, "")
        ends = [(metric, end) if isinstance(name, tuple) else f"{metric}_{end}" for end in ("low", "high")]
        if _is_end(table, name) or "/ original" in kind:
            continue
        heading, decimals = _heading(metric)
        text = [_number(value, decimals) for value in table[name]]
        if kind in ("", "ours") and all(end in table.columns for end in ends):
            low, high = (table[end] for end in ends)
            brackets = ["" if pd.isna(a) else f" [{a:.{decimals}f}, {b:.{decimals}f}]" for a, b in zip(low, high)]
            text = [cell + bracket for cell, bracket in zip(text, brackets)]
        if (ratio := (metric, f"{kind} / original")) in table.columns:
            text = [cell if pd.isna(r) else f"{cell} ({r:.2f})" for cell, r in zip(text, table[ratio])]
        columns[f"{heading} {kind}".strip()] = text
    return pd.DataFrame(columns, index=table.index)


def _heading(name: str) -> tuple[str, int]:
    """Heading and decimals of a column."""
    metric = column_metrics().get(name)
    return (metric.label, metric.digits) if metric else (name, COUNTS.get(name, 3))


def _is_end(table: pd.DataFrame, name: str | tuple[str, str]) -> bool:
    """Whether a column is one end of another column's interval."""
    if isinstance(name, tuple):
        return name[1] in ("low", "high")
    return any(name.endswith(f"_{end}") and name.removesuffix(f"_{end}") in table.columns for end in ("low", "high"))


def _number(value: float | str, decimals: int) -> str:
    return value if isinstance(value, str) else "-" if pd.isna(value) else f"{value:.{decimals}f}"


def markdown(table: pd.DataFrame) -> str:
    """A table as Markdown."""
    text = cells(table)
    rows = [[text.index.name or "", *text.columns], *([label, *row] for label, row in zip(text.index, text.to_numpy()))]
    lines = ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    lines.insert(1, "|---" * (len(text.columns) + 1) + "|")
    return "\n".join(lines) + "\n"


def latex(table: pd.DataFrame) -> str:
    r"""A table as a LaTeX ``tabular`` with the rules of the package booktabs (``\usepackage{booktabs}``)."""
    text = cells(table)
    plain = text.reset_index(names=text.index.name or "")
    return plain.to_latex(index=False, escape=True, column_format="l" * len(plain.columns))
