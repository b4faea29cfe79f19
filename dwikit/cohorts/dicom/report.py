"""Two tables of an import, which grow from run to run: the report, which names nobody, and a private list of folders."""

import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from dwikit.common import files
from dwikit.common.errors import InputError

REPORT = "dicom-import.tsv"
NOT_DICOM, DAMAGED = "not DICOM", "damaged DICOM"
"""Kinds of the rows about files that belong to no series; only the last run's are kept."""
PRIVATE = ("series", "participant_id", "kind", "folder", "damaged")
"""Columns of the private list."""
ODD_NAMES = "surrogateescape"
"""Keeps the bytes of file names that are not UTF-8."""
Row = dict[str, object]


def write_report(out: Path, report: pd.DataFrame) -> None:
    """Merges a run's report into the data set's: "converted" stays while the image is there, else the last run counts.

    Raises:
        InputError: the report cannot be read or written.
    """
    _merge(out / REPORT, report.to_dict("records"), lambda row: row["result"] == "converted" and (out / row["file"]).is_file())


def private_list(key: str | Path) -> Path:
    """The list of the series' folders: beside the key, and as secret."""
    return Path(f"{key}.series.tsv")


def read_private_list(key: str | Path) -> list[Row]:
    """Rows of the list that earlier runs wrote.

    Raises:
        InputError: it cannot be read.
    """
    return _read(private_list(key), list(PRIVATE))


def write_private_list(key: str | Path, rows: list[Row]) -> None:
    """Merges the folders of each series, and the damaged files in them, into the list, which its owner alone can read.

    Args:
        key: file of the key.
        rows: series, participant_id and kind as in the report, a folder, and a damaged file there or "n/a".

    Raises:
        InputError: the list cannot be read or written.
    """
    _merge(private_list(key), rows, opener=lambda path, flags: os.open(path, flags, 0o600))


def _merge(path: Path, rows: list[Row], stays: Callable[[Row], bool] = lambda row: False, opener=None) -> None:
    """Writes the rows of earlier runs and these; of a series that both have, these unless an earlier one stays.

    A row of nobody ("n/a") gives way to one that says whose the series is.
    """
    before, now = _by_series(_read(path, list(rows[0]))), _by_series(rows)
    again = {(series, kind) for series, _, kind in now} | {("n/a", NOT_DICOM), ("n/a", DAMAGED)}
    before = {which: some for which, some in before.items() if which[1] != "n/a" or which[::2] not in again}
    merged = before | {which: some for which, some in now.items() if not any(map(stays, before.get(which, ())))}

    def write(partial: Path) -> None:
        with open(partial, "w", encoding="utf-8", errors=ODD_NAMES, newline="", opener=opener) as file:
            pd.DataFrame([row for some in merged.values() for row in some]).to_csv(file, sep="\t", index=False)

    files.write(path, write)


def _by_series(rows: list[Row]) -> dict[tuple, list[Row]]:
    """The same rows by series, person and kind."""
    found = defaultdict(list)
    for row in rows:
        found[row["series"], row["participant_id"], row["kind"]].append(row)
    return dict(found)


def _read(path: Path, columns: list[str]) -> list[Row]:
    """Rows that earlier runs wrote; none if there is no table."""
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding_errors=ODD_NAMES)
        return table[columns].to_dict("records")
    except FileNotFoundError:
        return []
    except (OSError, ValueError, LookupError):
        raise InputError(f"{path} is damaged or cannot be read. Move it away; the next run writes a new one.") from None
