"""The paper's claims as data, and a verdict on each from the tables of a run."""

from dwikit.claims.checks import Evidence, Nearer, Ratio, holds
from dwikit.claims.listed import CLAIMS, NOT_REPRODUCED, NOT_TESTED, REPRODUCED, UNDECIDED, Claim
from dwikit.claims.verdicts import exact, published, readings, table, with_rows

__all__ = [
    "CLAIMS",
    "NOT_REPRODUCED",
    "NOT_TESTED",
    "REPRODUCED",
    "UNDECIDED",
    "Claim",
    "Evidence",
    "Nearer",
    "Ratio",
    "exact",
    "holds",
    "published",
    "readings",
    "table",
    "with_rows",
]
