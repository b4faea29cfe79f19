"""The split by person: all slices of a person belong to one of training, validation and test."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from dwikit.common.errors import InputError
from dwikit.slices.settings import SEED

SPLITS = {"train": 0.8, "validation": 0.1, "test": 0.1}


def split_by_patient(subjects: Iterable[str], seed: int = SEED) -> dict[str, str]:
    """Train, validation or test for every person, with probabilities of 80, 10 and 10 percent.

    A hash of seed and label decides, so nobody moves when others join or leave. The one exception keeps small sets usable: if
    nobody falls into a split and there are three people or more, the person nearest to it is moved there.
    """
    places = {subject: _place(subject, seed) for subject in subjects}
    ranked = sorted(places, key=places.get)
    held_out = SPLITS["validation"], SPLITS["validation"] + SPLITS["test"]
    splits = {
        subject: "validation" if places[subject] < held_out[0] else "test" if places[subject] < held_out[1] else "train"
        for subject in ranked
    }
    for wanted in SPLITS if len(ranked) > 2 else ():
        if wanted not in splits.values():
            order = ranked[::-1] if wanted == "train" else ranked
            splits[next(one for one in order if list(splits.values()).count(splits[one]) > 1)] = wanted
    return splits


def _place(subject: str, seed: int) -> float:
    """A number in [0, 1), evenly distributed."""
    return int.from_bytes(hashlib.sha256(f"{seed} {subject}".encode()).digest()[:8]) / 2**64


def check_splits(table: pd.DataFrame, where: str | Path) -> None:
    """Refuse a table in which a person's slices are in two splits: tests on unseen people would be void."""
    counts = table.groupby("subject")["split"].nunique()
    if leaking := counts[counts > 1].index.tolist():
        raise InputError(
            f"{where}: slices of {', '.join(map(str, leaking[:5]))} are in more than one split. Split by person, never by "
            "slice: build the store again."
        )


def twins(found: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Scans of different subjects with the same voxels: they are one person, who would stand in training and test.

    Args:
        found: subject and hash of each scan, by its name.

    Returns:
        name -> reason, which names all of them.
    """
    same = defaultdict(list)
    for name, (subject, digest) in found.items():
        same[digest].append((subject, name))
    reasons = {}
    for scans in same.values():
        if len({subject for subject, _ in scans}) > 1:
            names = [name for _, name in scans]
            reasons |= dict.fromkeys(
                names,
                f"{' and '.join(names)} hold the same voxels, so they are one person. Remove all but one, or keep them as "
                "sessions or runs of one subject.",
            )
    return reasons


def refuse_twins(found: Mapping[str, tuple[str, str]], where: str | Path) -> None:
    """Refuses what `twins` finds.

    Raises:
        InputError: naming the scans.
    """
    for reason in twins(found).values():
        raise InputError(f"{where}: {reason}")
