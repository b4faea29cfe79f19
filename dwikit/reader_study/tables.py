"""A reader study's numbers as readable tables: percent with intervals, one column or row per reader."""

from collections.abc import Mapping, Sequence

import pandas as pd

from dwikit import paper
from dwikit.reader_study.readings import Scores, wilson


def table_2(scores: Scores, beside_paper: bool = False, labels: Mapping[str, str] = paper.LABELS) -> pd.DataFrame:
    """Table 2: percent of each group's images called real, with 95 percent interval (Wilson), one column per reader.

    Args:
        scores: of a study.
        beside_paper: add the paper's two readers, whose intervals come from 50 images per group.
        labels: labels of groups; a group without one keeps its name.
    """
    cells = {}
    for row in scores.called_real.itertuples():
        cells.setdefault(f"{row.reader}", {})[row.group] = percent(row.share, row.low, row.high)
    groups = list(scores.called_real["group"].unique())
    table = pd.DataFrame(cells, index=groups).fillna("not read")
    if beside_paper:
        for column in paper.TABLE_2:
            shares = paper.TABLE_2[column].reindex(groups)
            table[f"paper, {column.replace('_', ' ')}"] = [
                "-" if pd.isna(share) else percent(**_published(share)) for share in shares
            ]
    return table.rename(index=dict(labels)).rename_axis("called real")


def percent(share: float, low: float, high: float) -> str:
    """A share with its interval, such as ``94 % (84 to 98)``."""
    return f"{100 * share:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def _published(share: float) -> dict[str, float]:
    return wilson(round(share * paper.N_READ), paper.N_READ)


def accuracy(scores: Scores) -> pd.DataFrame:
    """Right answers, chance, sensitivity and specificity, one row per reader."""
    rows = {}
    for row in scores.accuracy.to_dict("records"):
        rows[row["reader"]] = {
            "images": str(row["n"]),
            "right": _interval(row, "accuracy"),
            "by chance": f"{100 * row['chance']:.0f} %",
            "p": p_value(row["p"]),
            "fakes recognized": _interval(row, "sensitivity"),
            "real recognized": _interval(row, "specificity"),
            "mean of both": f"{100 * row['balanced']:.0f} %",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("reader")


def _interval(row: dict, name: str) -> str:
    return percent(row[name], row[f"{name}_low"], row[f"{name}_high"])


def p_value(p: float) -> str:
    """A p-value to three decimals."""
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def agreement(scores: Scores) -> pd.DataFrame:
    """Kappa and its relatives with standard error and interval, one row per statistic and set of readers."""
    rows = [
        {
            "statistic": row.statistic,
            "readers": row.readers,
            "images": str(row.n),
            "value": f"{row.value:.3f}",
            "standard error": f"{row.se:.3f}",
            "95 % interval": f"{row.low:.3f} to {row.high:.3f}",
        }
        for row in scores.agreement.itertuples()
    ]
    return pd.DataFrame(rows).set_index("statistic") if rows else pd.DataFrame()


def differences(scores: Scores) -> pd.DataFrame:
    """McNemar's test between readers, one row per pair."""
    rows = {
        f"{row.first} and {row.second}": {
            "images": str(row.n),
            "only the first is right": str(row.only_first),
            "only the second is right": str(row.only_second),
            "p (McNemar)": p_value(row.p),
        }
        for row in scores.differences.itertuples()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("readers")


def roc(scores: Scores) -> pd.DataFrame:
    """Area under the ROC curve, one row per reader who gave confidences."""
    rows = {
        row.reader: {"images": str(row.n), "area": f"{row.area:.3f}", "95 % interval": f"{row.low:.3f} to {row.high:.3f}"}
        for row in scores.roc.itertuples()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("reader")


def averages(scores: Scores, labels: Mapping[str, str] = paper.LABELS) -> pd.DataFrame:
    """Averages over readers, one row per measure and group: for these readers, and for readers in general."""
    rows = {}
    for row in scores.averages.itertuples():
        rows[f"{row.measure}, {labels.get(row.group, row.group)}"] = {
            "images": str(row.n),
            "mean": f"{row.value:.3f}",
            "95 % interval, these readers": f"{row.low_images:.3f} to {row.high_images:.3f}",
            "95 % interval, readers in general": f"{row.low:.3f} to {row.high:.3f}",
            "degrees of freedom": _df(row.df),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("averages over readers")


def contrasts(scores: Scores, labels: Mapping[str, str] = paper.LABELS) -> pd.DataFrame:
    """Differences of averages between groups, for readers in general, with p-values corrected for their number (Holm)."""
    rows = {}
    for row in scores.contrasts.itertuples():
        rows[f"{row.measure}, {labels.get(row.first, row.first)} - {labels.get(row.second, row.second)}"] = {
            "difference": f"{row.difference:+.3f}",
            "95 % interval": f"{row.low:+.3f} to {row.high:+.3f}",
            "degrees of freedom": _df(row.df),
            "p": p_value(row.p),
            "p (Holm)": p_value(row.p_holm),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("difference of averages")


def _df(df: float) -> str:
    """Degrees of freedom; above 1,000 they no longer matter."""
    return f"{df:.1f}" if df < 1000 else "> 1000"


def everything(scores: Scores) -> dict[str, pd.DataFrame]:
    """Heading -> table; empty tables are left out."""
    tables = {
        "Called real (Table 2)": table_2(scores),
        "Right and wrong": accuracy(scores),
        "Agreement": agreement(scores),
        "Is one reader better?": differences(scores),
        "Area under the ROC curve": roc(scores),
        "Averages over readers": averages(scores),
        "Differences between groups": contrasts(scores),
    }
    return {heading: table for heading, table in tables.items() if len(table)}


def with_oneself(found: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Heading -> table of ``conduct.self_agreement``; empty if no image was shown twice."""
    rows = {
        row.reader: {
            "images shown twice": str(row.images),
            "same answer": f"{100 * row.same / row.images:.0f} %",
            "kappa": "undefined" if pd.isna(row.kappa) else f"{row.kappa:.3f}",
        }
        for row in found.itertuples()
    }
    return {"Agreement with oneself": pd.DataFrame.from_dict(rows, orient="index").rename_axis("reader")} if rows else {}


def long(found: Mapping[str, pd.DataFrame], notes: Sequence[str]) -> pd.DataFrame:
    """All tables and notes as one, for a CSV file: table, row, column, value."""
    cells = [
        {"table": heading, "row": row, "column": column, "value": value}
        for heading, table in found.items()
        for column, values in table.items()
        for row, value in values.items()
    ]
    cells += [{"table": "Notes", "row": i + 1, "column": "note", "value": note} for i, note in enumerate(notes)]
    return pd.DataFrame(cells)
