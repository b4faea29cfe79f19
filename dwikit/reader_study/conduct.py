"""How a study was read: what an organizer should ask the readers about before trusting their answers."""

import itertools
import re

import pandas as pd

from dwikit.reader_study import agreement
from dwikit.reader_study.collect import listed

FAST = 1.0
"""Seconds: nobody looks at an image and answers within less."""
GAP = pd.Timedelta(hours=2)
"""Between two answers: the reading was interrupted for long."""


def remarks(readings: pd.DataFrame) -> list[str]:
    """Sentences about speed, interruptions, equal files and names that may be one person's.

    Args:
        readings: as ``read_readings`` returns them.
    """
    found = []
    for reader, rows in readings.groupby("reader", sort=False):
        if fast := int((rows["seconds"] < FAST).sum()):
            found.append(f"{reader} gave {fast} of {len(rows)} answers in under a second.")
        gaps = rows["time"].dropna().sort_values().diff()
        if (gaps > GAP).any():
            longest = gaps.max() / pd.Timedelta(hours=1)
            found.append(f"{reader} stopped for hours {int((gaps > GAP).sum())} times, {longest:.0f} hours at the longest.")
    for (first, one), (second, other) in itertools.combinations(readings.groupby("reader", sort=False), 2):
        given = [rows.set_index(["image", "again"])[["answer", "confidence", "seconds"]].sort_index() for rows in (one, other)]
        if given[0].equals(given[1]) and given[0]["seconds"].notna().any():
            found.append(f"{first} and {second} gave the same answers in the same times: their files are one reading.")
        elif _plain(first) == _plain(second):
            found.append(f"{first} and {second} may be one reader under two names.")
        elif common := sorted(set(one["device"]) & set(other["device"]) - {""}):
            found.append(f"{first} and {second} read in the same browser ({listed(common)}): are they two people?")
    return found


def self_agreement(readings: pd.DataFrame) -> pd.DataFrame:
    """Agreement of each reader with himself or herself, on images shown twice: reader, images, same, kappa (or missing)."""
    rows = []
    for reader, some in readings.groupby("reader", sort=False):
        wide = some.pivot(index="image", columns="again", values="answer").reindex(columns=[False, True]).dropna()
        if len(wide):
            counts = pd.crosstab(wide[False], wide[True]).reindex(
                index=["real", "fake"], columns=["real", "fake"], fill_value=0
            )
            kappa = agreement.cohens_kappa(counts.to_numpy())
            same = int((wide[False] == wide[True]).sum())
            rows.append({"reader": reader, "images": len(wide), "same": same, "kappa": kappa.value if kappa else None})
    return pd.DataFrame(rows, columns=["reader", "images", "same", "kappa"])


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()
