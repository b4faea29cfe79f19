"""What is wrong with the images of a deck: near-blank ones, duplicates, copies of real slices."""

import hashlib
from collections.abc import Mapping

import numpy as np
import pandas as pd

from dwikit import metrics
from dwikit.reader_study.collect import listed
from dwikit.reader_study.prepare import BRIGHTEST, head_of
from dwikit.reader_study.readings import ORIGINAL
from dwikit.slices import head_mask

BLANK = 0.03
"""Of an image's pixels: a smaller head than this is none that a reader could judge."""
COPY = 0.1
"""Of the usual distance between real images of two people: what lies nearer than that is a copy."""


def usable(images: np.ndarray, group: str) -> tuple[np.ndarray, list[str]]:
    """Which images of a group a deck may show.

    Left out are near-blank ones, in which there is nothing to judge, and over-exposed ones, white in more of the head than the
    preparation makes any image: a plateau of white tells at a glance how the scale was cut off, and no preparation undoes it.

    Args:
        images: (n, H, W) uint8.
        group: what the sentences call it.

    Returns:
        Positions of those that may be shown, and sentences about the others.
    """
    blank = np.array([head_mask(image).mean() < BLANK for image in images], bool)
    white = np.array([(image == 255).sum() > BRIGHTEST * head_of(image).sum() for image in images], bool) & ~blank
    why = {"near-blank": blank, "over-exposed": white}
    said = [
        f"{n} of {len(images)} images of {group} are {kind} and were passed over."
        for kind, of in why.items()
        if (n := of.sum())
    ]
    return np.flatnonzero(~blank & ~white), said


def digest(image: np.ndarray) -> str:
    """SHA-256 of an image's pixels."""
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()


def remarks(chosen: pd.DataFrame, groups: Mapping[str, np.ndarray], subjects: np.ndarray | None) -> list[str]:
    """Sentences about the chosen images: groups without practice, duplicates, copies.

    Args:
        chosen: one row per image: group, index, name, practice.
        groups: group -> images (n, H, W) uint8.
        subjects: person of each real image, or None.
    """
    found = []
    trial = chosen.loc[chosen["practice"], "group"]
    if len(trial) and (missing := sorted(set(chosen["group"]) - set(trial))):
        found.append(f"Practice shows no image of {listed(missing)}: more practice images would show each group.")
    digests = pd.Series([digest(groups[group][index]) for group, index in chosen[["group", "index"]].to_numpy()])
    for _, same in chosen.groupby(digests.to_numpy(), sort=False):
        if len(same) > 1:
            where = " and ".join(same["group"].unique())
            found.append(f"{len(same)} images of {where} are the same: {listed(same['name'])}.")
    originals = groups[ORIGINAL]
    usual = _usual_distance(originals, subjects)
    for group, rows in chosen[chosen["group"] != ORIGINAL].groupby("group", sort=False):
        distances, _ = metrics.nearest_distances(np.asarray(groups[group][rows["index"].to_numpy()]), originals)
        copies = rows["name"][distances < COPY * usual].tolist()
        if copies:
            found.append(f"{len(copies)} images of {group} are copies of real ones, or nearly: {listed(copies)}.")
    return found


def _usual_distance(originals: np.ndarray, subjects: np.ndarray | None, count: int = 200) -> float:
    """Median squared distance of a real image to the nearest one of another person."""
    people = np.arange(len(originals)) if subjects is None else np.unique(subjects, return_inverse=True)[1]
    if people.max() < 1:
        return 0.0
    some = np.linspace(0, len(originals) - 1, min(count, len(originals))).astype(int)
    distances, _ = metrics.nearest_distances(np.asarray(originals[some]), originals, people[some], people)
    return float(np.median(distances))
