"""The published study as data: its numbers, its claims with their tests, and an audit of what is printed."""

from dwikit.paper.audit import similarity_audit, time_audit
from dwikit.paper.checks import Evidence, Nearer, Ratio, holds
from dwikit.paper.claims import CLAIMS, NOT_REPRODUCED, NOT_TESTED, REPRODUCED, UNDECIDED, Claim
from dwikit.paper.published import (
    DFC_IN_TEXT,
    EPOCHS,
    JOINT_READINGS,
    KAPPA,
    LABELS,
    MODELS,
    N_CASES,
    N_READ,
    N_SAMPLES,
    N_SLICES,
    PEAK_FLOPS,
    RECONSTRUCTION,
    TABLE_1,
    TABLE_2,
    TRAINING_HOURS,
)

__all__ = [
    "CLAIMS",
    "DFC_IN_TEXT",
    "EPOCHS",
    "JOINT_READINGS",
    "KAPPA",
    "LABELS",
    "MODELS",
    "NOT_REPRODUCED",
    "NOT_TESTED",
    "N_CASES",
    "N_READ",
    "N_SAMPLES",
    "N_SLICES",
    "PEAK_FLOPS",
    "RECONSTRUCTION",
    "REPRODUCED",
    "TABLE_1",
    "TABLE_2",
    "TRAINING_HOURS",
    "UNDECIDED",
    "Claim",
    "Evidence",
    "Nearer",
    "Ratio",
    "holds",
    "similarity_audit",
    "time_audit",
]
