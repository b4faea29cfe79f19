"""Evidence for the claims, and the table of verdicts."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from dwikit import paper
from dwikit.metrics.intervals import Estimate
from dwikit.paper.checks import Evidence, Nearer, Ratio
from dwikit.paper.claims import CLAIMS, NOT_TESTED, UNDECIDED


def readings(shares: pd.DataFrame, n: int, kappa: Estimate | None = None) -> pd.DataFrame:
    """Evidence of human readers: shares called real, with Wilson intervals, and Cohen's kappa.

    Args:
        shares: as ``paper.TABLE_2``: columns reader_1 and reader_2, one row per group.
        n: images per group.
        kappa: agreement with its interval, if known.
    """
    columns = {}
    for name in shares:
        low, high = proportion_confint((shares[name] * n).round(), n, method="wilson")
        columns |= {name: shares[name], f"{name}_low": low, f"{name}_high": high}
    table = pd.DataFrame(columns, index=shares.index)
    if kappa is not None:
        table.loc["agreement", ["kappa", "kappa_low", "kappa_high"]] = list(kappa)
    return table


def exact(table: pd.DataFrame) -> pd.DataFrame:
    """A table of numbers without intervals: every interval is the number itself."""
    return pd.concat([table, table.add_suffix("_low"), table.add_suffix("_high")], axis=1)


def published() -> Evidence:
    """The paper's own numbers, as evidence for its claims."""
    agreement = cohens_kappa(paper.JOINT_READINGS)
    kappa = Estimate(agreement.kappa, agreement.kappa_low, agreement.kappa_upp)
    return Evidence(exact(paper.TABLE_1), exact(paper.RECONSTRUCTION), readings(paper.TABLE_2, paper.N_READ, kappa))


def table(evidences: Sequence[Evidence], seeds: Mapping[str, int] | None = None) -> pd.DataFrame:
    """The verdict on every claim, with its numbers.

    Args:
        evidences: one per combination of trainings; the first one's numbers are shown with intervals, then the others'.
        seeds: row -> number of seeds it was trained with; 1 if missing.

    Returns:
        One row per claim: claim, section, verdict, numbers, seeds, otherwise.
    """
    rows = {}
    for number, claim in enumerate(CLAIMS, 1):
        verdicts = [claim.verdict(evidence) for evidence in evidences]
        models = [key for key in paper.MODELS if any(key in check.rows for check in claim.checks)]
        tested = verdicts[0] != NOT_TESTED
        rows[number] = {
            "claim": claim.text,
            "section": claim.section,
            "verdict": verdicts[0] if len(set(verdicts)) == 1 else UNDECIDED,
            "numbers": "; ".join(_shown(check, evidences) for check in claim.checks) if tested else "",
            "seeds": ", ".join(f"{paper.LABELS[key]} {(seeds or {}).get(key, 1)}" for key in models) if tested else "",
            "what else could explain it": claim.otherwise,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("no.")


def _shown(check: Ratio | Nearer, evidences: Sequence[Evidence]) -> str:
    """A check's numbers, its range, and what other seeds give where they differ."""
    first, *others = [check.measure(evidence) for evidence in evidences]
    text = f"{check.label} {first.value:.2f}" + (f" [{first.low:.2f}, {first.high:.2f}]" if first.low < first.high else "")
    different = dict.fromkeys(other.value for other in others if other is not None and other.value != first.value)
    text += f" (other seeds {', '.join(f'{value:.2f}' for value in different)})" if different else ""
    return f"{text}, wanted {_range(check.above, check.below)}"


def _range(above: float, below: float) -> str:
    if np.isinf(above):
        return f"< {below:g}"
    return f"> {above:g}" if np.isinf(below) else f"{above:.3g} to {below:.3g}"
