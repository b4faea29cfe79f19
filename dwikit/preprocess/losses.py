"""What is missing from the registered scans: rows of the report, and one sentence for whoever ran it."""

from pathlib import Path
from typing import Any

import pandas as pd

from dwikit.cohorts.names import LeftOut
from dwikit.preprocess.quality import OTHER_CONTRAST

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


REASONS = {
    "partial_coverage": "a part of the brain was not scanned",
    "implausible_affine": "the map to the template is no head's",
    "low_overlap": "the outline is not that of the template: badly registered?",
    "empty": "there is nothing in it",
}
"""What a flag says to whoever looks at the scan."""


def to_look_at(report: pd.DataFrame) -> pd.DataFrame:
    """Registered scans that are left out until somebody has looked at them in `quality.png` and included them by name.

    Args:
        report: from `preprocess`.

    Returns:
        One row per scan: case, flags, overlap, similarity, look (what may be the matter); no row if there is none.
    """
    rows = report[(report["status"] == "done") & ~report["used"].astype(bool)]
    return rows[["case", "flags", "overlap", "similarity"]].assign(look=[_look(row) for row in rows.itertuples()])


def _look(row: Any) -> str:
    reasons = [REASONS[flag] for flag in row.flags.split(",") if flag in REASONS]
    if "unusual_contrast" in row.flags:
        what = "another contrast, such as b = 0 or ADC?" if row.similarity < OTHER_CONTRAST else "bright lesions?"
        reasons.append(f"the outline is right, the contrast is not that of a healthy brain: {what}")
    return "; ".join(reasons)
