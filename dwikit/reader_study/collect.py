"""Readings from CSV files as browsers and spreadsheets write them; nothing is guessed, anything doubtful is reported."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dwikit.common.errors import InputError

COLUMNS = ["reader", "image", "answer", "confidence", "seconds", "again", "time", "device", "changes"]
NEEDED = COLUMNS[:3]
ANSWERS = ("real", "fake")
CONFIDENCES = range(1, 6)
AGAIN = dict.fromkeys(["", "0", "false"], False) | dict.fromkeys(["1", "true"], True)
"""What the column ``again`` may hold; a spreadsheet may add decimals."""


def read_readings(
    paths: str | Path | Iterable[str | Path], key: pd.DataFrame, deck: str | None = None, again: bool = False
) -> pd.DataFrame:
    """Readings of one deck from one or more CSV files.

    Commas, semicolons and tabs, a byte order mark, UTF-8, UTF-16 and Windows-1252, decimal commas, any order of columns and
    empty lines are understood. A row without an answer counts as not read. Of a folder, files are read whose names end in
    .csv: ``passed_over`` names the others.

    Args:
        paths: one or more files, or a folder of CSV files.
        key: key of the deck, with the columns ``image`` and ``group``.
        deck: its id; files of other decks are refused.
        again: also the second readings of images that were shown twice.

    Returns:
        One row per reading: reader, image, answer (real or fake), confidence (1 to 5), seconds, again (False; True for the
        second reading of an image that was shown twice), time (UTC), device (a mark of the browser) and changes; all but the
        first three may be missing. Pages of older versions wrote fewer columns.

    Raises:
        InputError: no file, a missing column, a cell that is not what its column holds, an unknown image, another deck, a
            reader or a reading that occurs twice, a reader with second readings only.
    """
    tables, owner = [], {}
    for path in _files(paths):
        table = _read(path, deck)
        for reader in table["reader"].unique():
            if reader in owner:
                raise InputError(
                    f"{path} and {owner[reader]} are both of reader {reader!r}. Give one of them; or, if one person read "
                    "twice on purpose, give the second reading another name in the column reader."
                )
            owner[reader] = path
        tables.append(check_readings(table, key, str(path)))
    readings = pd.concat(tables, ignore_index=True)
    return readings if again else readings[~readings["again"]].reset_index(drop=True)


def check_readings(readings: pd.DataFrame, key: pd.DataFrame, where: str = "The readings") -> pd.DataFrame:
    """Refuse readings of unknown images, doubled readings and answers other than real and fake.

    Raises:
        InputError: the first of these, with the images or answers named.
    """
    strange = [answer for answer in readings["answer"].unique() if answer not in ANSWERS]
    if strange:
        raise InputError(
            f"{where}: the answers must be 'real' or 'fake', not {listed(strange)}. Replace them in the file: which "
            "of them means real, a program cannot guess."
        )
    if len(unknown := sorted(set(readings["image"]) - set(key["image"]))):
        raise InputError(
            f"{where}: {len(unknown)} of {readings['image'].nunique()} images do not belong to this deck: {listed(unknown)}. "
            "Give the key of the deck that was read."
        )
    once = ["reader", "image", *({"again"} & set(readings))]
    doubled = readings[readings.duplicated(once, keep=False)]
    if len(doubled):
        named = [f"{image} by {reader}" for reader, image in doubled[["reader", "image"]].drop_duplicates().to_numpy()]
        raise InputError(f"{where}: read more than once: {listed(named)}. Keep one row for each.")
    if not len(readings):
        raise InputError(f"{where}: there is no reading in it. Export again from the page, with 'Save readings'.")
    return readings


def _files(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    paths = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    found = []
    for path in paths:
        found += _within(path)[0] if path.is_dir() else [path]
    if not found:
        raise InputError(f"There is no CSV file of readings in {', '.join(map(str, paths)) or 'the files given'}.")
    return found


def passed_over(paths: Iterable[Path]) -> list[str]:
    """A sentence for every given folder with files that are not read, since their names do not end in .csv."""
    found = {path: _within(path)[1] for path in paths if path.is_dir()}
    return [f"Not read in {path}, as these are no CSV files: {listed(names)}." for path, names in found.items() if names]


def _within(folder: Path) -> tuple[list[Path], list[str]]:
    """CSV files of a folder, and the names of its other files."""
    there = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    tables = [path for path in there if path.suffix.lower() == ".csv"]
    return tables, [path.name for path in there if path not in tables]


def _read(path: Path, deck: str | None) -> pd.DataFrame:
    """The answered rows of one file, with our column names."""
    text = _decode(path)
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InputError(f"{path} is not a table ({error}). Save it as CSV (UTF-8), as the page writes it.") from error
    header = [name.strip().casefold() for name in rows[0]] if rows else []
    if missing := [name for name in NEEDED if name not in header]:
        raise InputError(
            f"{path} has no column {listed(missing)}; its first line is {first.strip()[:80]!r}. A readings file starts with "
            "the names of its columns, as the page writes them."
        )
    if doubled := sorted({name for name in header if name in COLUMNS and header.count(name) > 1}):
        raise InputError(f"{path} has the column {listed(doubled)} more than once. Keep one of each.")
    cells = [[cell.strip() for cell in row[: len(header)]] + [""] * (len(header) - len(row)) for row in rows[1:]]
    table = pd.DataFrame(cells, columns=header, dtype=str)
    table = table.loc[:, ~table.columns.duplicated()]
    if deck and "deck" in table and len(others := sorted(set(table["deck"]) - {deck, ""})):
        raise InputError(f"{path} holds readings of the deck {listed(others)}, but this is the deck {deck}.")
    table = table.reindex(columns=COLUMNS, fill_value="")
    table["answer"] = table["answer"].str.casefold()
    table = table[table["answer"] != ""].reset_index(drop=True)
    if (table["reader"] == "").any():
        raise InputError(f"{path}: {(table['reader'] == '').sum()} rows have no name in the column reader. Fill it in.")
    again = table["again"].str.casefold().str.replace(r"[.,]0+$", "", regex=True).map(AGAIN)
    if len(wrong := table.loc[again.isna(), "again"].unique()):
        raise InputError(f"{path}: again is 0, or 1 for the second reading of an image, not {listed(wrong)}. Correct it.")
    table["again"] = again.astype(bool)
    firsts = set(table.loc[~table["again"], "reader"])
    if only := [reader for reader in table["reader"].unique() if reader not in firsts]:
        raise InputError(f"{path}: all readings of {listed(only)} are second ones, 1 in the column again. Correct the column.")
    times = pd.to_datetime(table["time"].where(table["time"] != ""), errors="coerce", utc=True, format="ISO8601")
    if len(wrong := table.loc[(table["time"] != "") & times.isna(), "time"].unique()):
        raise InputError(
            f"{path}: times are written as 2026-03-01T08:00:00Z, not {listed(wrong)}. Take the file as the page wrote it, or "
            "empty the column: without times, interruptions are not noticed."
        )
    table["time"] = times
    for column in ("confidence", "seconds", "changes"):
        table[column] = _numbers(table, column, path)
    if len(wrong := table.loc[(table["seconds"] < 0) | np.isinf(table["seconds"]), "seconds"].unique()):
        raise InputError(f"{path}: seconds must be 0 or more and finite, not {listed(wrong)}. Correct them.")
    if len(wrong := table.loc[table["confidence"].notna() & ~table["confidence"].isin(CONFIDENCES), "confidence"].unique()):
        raise InputError(f"{path}: a confidence is a whole number from 1 to 5, not {listed(wrong)}.")
    return table


def _decode(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    encodings = ["utf-16"] if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
        except UnicodeDecodeError:
            continue
    raise InputError(f"{path} is not a text file. Save it as CSV (UTF-8).")


def _numbers(table: pd.DataFrame, column: str, path: Path) -> pd.Series:
    """A column of numbers, with decimal points or commas; empty cells are missing."""
    texts = table[column].str.replace(",", ".")
    numbers = pd.to_numeric(texts.where(texts != ""), errors="coerce")
    if len(wrong := table.loc[(texts != "") & numbers.isna(), column].unique()):
        raise InputError(f"{path}: {column} must be numbers, not {listed(wrong)}.")
    return numbers.astype(float)


def listed(values: Sequence) -> str:
    """The first few of some values, for a message."""
    shown = ", ".join(f"'{value:g}'" if isinstance(value, float) else f"'{value}'" for value in list(values)[:5])
    return shown + (f" and {len(values) - 5} more" if len(values) > 5 else "")
