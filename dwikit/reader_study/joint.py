"""The paper's readings, reconstructed: which two-by-two tables fit its margins and its kappa?

Table 2 gives, for each group of 50 images, how many each reader called real. How often both agreed on an image is not
printed, but few values are possible, and the printed kappa selects one.
"""

import itertools
from collections.abc import Mapping

import pandas as pd

from dwikit import paper
from dwikit.common.errors import InputError
from dwikit.reader_study.agreement import cohens_kappa

CELLS = ["both_real", "only_1_real", "only_2_real", "both_fake"]


def margins(shares: pd.DataFrame = paper.TABLE_2, n: int = paper.N_READ) -> dict[str, tuple[int, int]]:
    """Shares of n images per group as counts: group -> (called real by reader 1, by reader 2).

    Raises:
        InputError: a share that is impossible with n images.
    """
    counts = {}
    for group, row in shares.iterrows():
        exact = [share * n for share in row]
        if any(abs(count - round(count)) > 1e-6 for count in exact):
            raise InputError(f"{group}: {' and '.join(map(str, row))} are not shares of {n} images.")
        counts[group] = tuple(round(count) for count in exact)
    return counts


def overlaps(first: int, second: int, n: int) -> range:
    """Possible numbers of n images that both readers called real, given how many each called real."""
    return range(max(0, first + second - n), min(first, second) + 1)


def joint_tables(counts: Mapping[str, tuple[int, int]] | None = None, n: int = paper.N_READ) -> pd.DataFrame:
    """Every joint table possible with these margins, summed over the groups.

    Args:
        counts: group -> (called real by reader 1, by reader 2) of n images; None: the paper's Table 2.
        n: images per group.

    Returns:
        One row per table: ``both_real``, ``only_1_real``, ``only_2_real``, ``both_fake``, ``disagreements``, ``kappa``, and, by
        group, how many images both called real (``both_real in <group>``); fewest disagreements first.
    """
    counts = margins() if counts is None else counts
    rows = []
    for both in itertools.product(*(overlaps(first, second, n) for first, second in counts.values())):
        only_1 = sum(first for first, _ in counts.values()) - sum(both)
        only_2 = sum(second for _, second in counts.values()) - sum(both)
        table = [sum(both), only_1, only_2, n * len(counts) - sum(both) - only_1 - only_2]
        kappa = cohens_kappa([table[:2], table[2:]])
        row = dict(zip(CELLS, table)) | {"disagreements": only_1 + only_2, "kappa": kappa.value if kappa else None}
        rows.append(row | {f"both_real in {group}": count for group, count in zip(counts, both)})
    return pd.DataFrame(rows).sort_values("disagreements", ignore_index=True)


def consistent(tables: pd.DataFrame, kappa: float = paper.KAPPA, digits: int = 2) -> pd.DataFrame:
    """The tables whose kappa rounds to the printed one."""
    return tables[tables["kappa"].round(digits) == kappa].reset_index(drop=True)


def paper_readings() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Key and readings of 250 images that realize Table 2 and the printed kappa: the only joint table that does.

    Which images of a group these were is unknown and affects no table; confidences and times were not published.

    Returns:
        The key (``image``, ``group``) and the readings (``reader``, ``image``, ``answer``), as ``score_readings`` takes them.
    """
    [table] = consistent(joint_tables()).to_dict("records")
    key, readings = [], []
    for group, (first, second) in margins().items():
        both = table[f"both_real in {group}"]
        for i in range(paper.N_READ):
            image = f"{group}-{i + 1:02d}"
            key.append({"image": image, "group": group})
            called_real = (i < first, i < both or first <= i < first + second - both)
            for reader, real in zip(("Reader 1", "Reader 2"), called_real):
                readings.append({"reader": reader, "image": image, "answer": "real" if real else "fake"})
    return pd.DataFrame(key), pd.DataFrame(readings)
