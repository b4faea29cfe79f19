"""What is missing from the registered scans: rows of the report, and one sentence for whoever ran it."""

from pathlib import Path
from typing import Any

import pandas as pd

from dwikit.cohorts.names import LeftOut

LOST = ("failed", "left out")
"""Values of the column `status` that stand for lost data."""


def rows(left_out: list[LeftOut]) -> list[dict[str, Any]]:
    """Rows of the report for what became no scan: "left out", or "skipped" if its type asks for it and nothing is lost."""
    return [
        {
            "case": one.what,
            "status": "left out" if one.lost else "skipped",
            "flags": "",
            "used": False,
            "message": one.reason,
        }
        for one in left_out
    ]


def told(report: pd.DataFrame, out: Path) -> str:
    """What was lost, as one sentence; empty if nothing was.

    Args:
        report: from `preprocess`.
        out: folder of the derivatives.
    """
    counts = {status: int((report["status"] == status).sum()) for status in LOST}
    if not any(counts.values()):
        return ""
    done = int((report["status"] == "done").sum())
    told = "; ".join(f"{status}: {count}" for status, count in counts.items())
    return f"registered: {done}; {told}. {out / 'quality.tsv'} names each with its reason."
