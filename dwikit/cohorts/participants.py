"""Ages and sexes in participants.tsv, and what in it fits nobody."""

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from dwikit.cohorts.names import LeftOut
from dwikit.common import files
from dwikit.common.errors import InputError
from dwikit.slices.grid import OLDEST

UNKNOWN = frozenset({"", "n/a", "na", "nan", "none", "null", "unknown", "-", ".", "?"})
NEITHER = frozenset({"o", "other", "diverse", "x"})
"""Sexes that BIDS or a register knows besides the two."""
TITLES = {"age": ("age",), "sex": ("sex", "gender")}


class _Table(NamedTuple):
    """participants.tsv: titles in lower case, and the cells of each person."""

    titles: list[str]
    rows: list[tuple[str, list[str]]]

    def cell(self, row: list[str], kind: str) -> str:
        """Age or sex of a row as it is written; empty if it has none, or has more cells than there are columns."""
        place = next((self.titles.index(title) for title in TITLES[kind] if title in self.titles), len(row))
        return row[place] if place < len(row) <= len(self.titles) else ""


def read(path: Path) -> dict[str, tuple[float, str | None]]:
    """Reads ages and sexes: {"sub-0001": (38.0, "F")}. No file, no such column, `n/a` and a byte-order mark are all
    fine.

    Raises:
        InputError: the file is not here, has no `participant_id` column, a column of age or sex twice, or an id twice.
    """
    table = _table(path)
    return {label: (parse_age(table.cell(row, "age")), parse_sex(table.cell(row, "sex"))) for label, row in table.rows}


def doubts(path: Path, subjects: set[str], folders: Iterable[str]) -> list[LeftOut]:
    """What in the file fits nobody or cannot be read, among people with scans.

    Args:
        path: of participants.tsv.
        subjects: people who have scans.
        folders: all people of whom the dataset has a folder.
    """
    if not path.is_file():
        return _under_another_name(path)
    table, found = _table(path), []
    rows = {label: row for label, row in table.rows if label in subjects}

    def add(reason: str, lost: bool = True) -> None:
        found.append(LeftOut(path.name, f"{path.name}: {reason}.", lost))

    nobody = [label for label, _ in table.rows if label not in set(folders)]
    without = sorted(subjects - set(rows)) if table.rows else []
    if nobody:
        near = {_key(label): label for label in without}
        named = [f"{label} (is it {near[_key(label)]}?)" if _key(label) in near else label for label in nobody]
        add(
            f"ids without a folder here ({len(nobody)}): {', '.join(named)}. Write each id as its folder is called",
            bool(without),
        )
    if without:
        add(f"people without a row, so without age and sex ({len(without)}): {', '.join(without)}", bool(nobody))
    if long := [label for label, row in rows.items() if len(row) > len(table.titles)]:
        add(f"rows with more cells than columns, whose age and sex are not used: {', '.join(long)}. Correct their tabs")
    for kind, known in (("age", lambda text: not math.isnan(parse_age(text))), ("sex", lambda text: parse_sex(text))):
        if not set(TITLES[kind]) & set(table.titles):
            pattern = re.compile(rf"(?<![a-z])(?:{'|'.join(TITLES[kind])})(?![a-z])")
            if near := [title for title in table.titles if pattern.search(title)]:
                add(f"no column is called {kind}, but there is {', '.join(map(repr, near))}. Rename it if it is the {kind}")
        texts = {label: table.cell(row, kind) for label, row in rows.items()}
        unread = [f"{label} {text!r}" for label, text in texts.items() if not known(text) and not _unknown(text, kind)]
        if unread:
            hint = "years up to 130, such as 38 or 38.5" if kind == "age" else "F, M or n/a"
            add(f"values of {kind} that cannot be read ({len(unread)}): {', '.join(unread)}. Write {hint}")
    return found


def _under_another_name(path: Path) -> list[LeftOut]:
    pattern = re.compile(r"participants?(?:\.(?:csv|tsv|txt|xlsx?|ods|tsv\.gz))", re.IGNORECASE)
    there = sorted(file.name for file in path.parent.iterdir() if pattern.fullmatch(file.name) and file.name != path.name)
    reason = f"is not read, so ages and sexes are unknown. Save it as {path.name}, columns separated by tabs."
    return [LeftOut(name, f"{name} {reason}", True) for name in there]


def _unknown(text: str, kind: str) -> bool:
    """Whether a cell says that the value is unknown, or a sex that is neither."""
    return text.lower() in UNKNOWN or (kind == "sex" and text.lower() in NEITHER)


def _key(label: str) -> str:
    """What is left of an id without case, punctuation and leading zeros."""
    return re.sub(r"\W|_", "", label.casefold().removeprefix("sub-")).removeprefix("sub").lstrip("0")


def _table(path: Path) -> _Table:
    if reason := files.absence(path):
        raise InputError(f"{path} {reason}")
    if not path.is_file():
        return _Table([], [])
    content = path.read_bytes()
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    lines = [line for line in content.decode(encoding, errors="replace").splitlines() if line.strip()]
    rows = [[cell.strip().strip('"').strip() for cell in line.split("\t")] for line in lines]
    if not rows:
        return _Table([], [])
    titles = [title.lower() for title in rows[0]]
    if "participant_id" not in titles:
        commas = "," in lines[0] or ";" in lines[0]
        separated = "Its columns are separated by commas or semicolons: use tabs" if commas else "Tabs separate columns"
        raise InputError(f"{path} has no column participant_id. {separated}, and the first column has this name.")
    for title in ("participant_id", *TITLES["age"], *TITLES["sex"]):
        if titles.count(title) > 1:
            raise InputError(f"{path} has {titles.count(title)} columns called {title}. Keep one of them.")
    place = titles.index("participant_id")
    labels = ["sub-" + (row[place] if place < len(row) else "").removeprefix("sub-") for row in rows[1:]]
    refuse_twins(labels, "rows", path)
    return _Table(titles, list(zip(labels, rows[1:], strict=True)))


def parse_age(text: str) -> float:
    """Age in years: "38", "38.5" or "38,5", and "89+" or ">89" as in anonymized data; nan for anything else, including
    1970."""
    match = re.fullmatch(r"[<>]?\s*(\d+(?:\.\d+|,\d\d?)?)\s*\+?", text)
    age = float(match[1].replace(",", ".")) if match else math.nan
    return age if age <= OLDEST else math.nan


def parse_sex(text: str) -> str | None:
    """Sex as "F" or "M" from f, female, m, male in any case; None for anything else."""
    return {"f": "F", "female": "F", "m": "M", "male": "M"}.get(text.lower())


def refuse_twins(ids: list[str], kind: str, where: Path) -> None:
    """Refuses equal ids, including those equal on a case-insensitive file system."""
    seen: dict[str, str] = {}
    for label in ids:
        key = label.casefold()
        if key in seen:
            raise InputError(
                f"{where}: {kind} {seen[key]} and {label} have the same id. Give every subject its own id and one row"
                " (upper and lower case count as the same), and start again."
            )
        seen[key] = label
