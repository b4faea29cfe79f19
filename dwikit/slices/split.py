"""The split by person: all slices of a person belong to one of training, validation and test."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from dwikit.common.errors import InputError

SPLITS = {"train": 0.8, "validation": 0.1, "test": 0.1}


def split_by_patient(subjects: Iterable[str], seed: int = 0) -> dict[str, str]:
    """Train, validation or test for every person: 80, 10 and 10 percent, and at least one each if there are three people.

    The order comes from a hash of seed and label, so it depends on nothing else.
    """
    ranked = sorted(subjects, key=lambda subject: hashlib.sha256(f"{seed} {subject}".encode()).digest())
    small = max(1, round(len(ranked) * SPLITS["test"])) if len(ranked) > 2 else 0
    names = ["validation"] * small + ["test"] * small
    return {subject: names[i] if i < len(names) else "train" for i, subject in enumerate(ranked)}


def check_splits(table: pd.DataFrame, where: str | Path) -> None:
    """Refuse a table in which a person's slices are in two splits: tests on unseen people would be void."""
    counts = table.groupby("subject")["split"].nunique()
    if leaking := counts[counts > 1].index.tolist():
        raise InputError(
            f"{where}: slices of {', '.join(map(str, leaking[:5]))} are in more than one split. Split by person, never by "
            "slice: build the store again."
        )
