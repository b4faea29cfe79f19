"""Asks a picture archive what it holds: the list of wanted series."""

import datetime
import fnmatch
import re
from pathlib import Path

import pandas as pd
from pydicom.dataset import Dataset
from pynetdicom import build_context
from pynetdicom import sop_class as sop

from dwikit.cohorts.pacs.archive import Archive, Gone, Pace, connected
from dwikit.cohorts.pacs.store import UID
from dwikit.common import files
from dwikit.common.errors import InputError

WANTED = ["study", "series", "images"]
MOST_IMAGES = 10**6
"""Images of a series; a larger number is not a count and is treated as unknown (0)."""
RANGE = re.compile(r"[0-9]{8}(-([0-9]{8})?)?|-[0-9]{8}")
PENDING = 0xFF00, 0xFF01


def find(
    archive: Archive,
    description: str = "",
    dates: str = "",
    modality: str = "MR",
    series: str = "",
    report: str = "",
    report_field: str = "InterpretationText",
    per_minute: float = 120,
) -> pd.DataFrame:
    """Finds series: one C-FIND for the studies, and one per study for its series.

    Words match with `*` and `?`; whether case counts is the archive's choice. Its answers are checked again
    here, as archives ignore fields that they do not search.

    Args:
        archive: where to look.
        description: of the study, such as "*brain*".
        dates: of the study, as DICOM writes a range: "20100101-20191231", "20100101-", "-20191231", or one day.
        modality: of the series.
        series: description of the series, such as "*diff*"; empty for all.
        report: words of the report, such as "*no acute infarct*".
        report_field: DICOM keyword of the field in which the archive keeps report texts; few archives offer one.
        per_minute: most requests per minute.

    Returns:
        The wanted list, one row per series: study (UID), series (UID), images (in the archive; 0 if it does not tell).

    Raises:
        InputError: the dates are invalid; the archive does not answer, turns us away, or does not search by a field that was
            asked for.
    """
    _check_dates(dates)
    pace, rows = Pace(per_minute), []
    level = {"ModalitiesInStudy": modality, "StudyDate": dates, "StudyInstanceUID": ""}
    words = {name: text for name, text in (("StudyDescription", description), (report_field, report)) if text}
    with connected(archive, [build_context(sop.StudyRootQueryRetrieveInformationModelFind)]) as association:
        for study in _ask(archive, association, "STUDY", level, words, pace):
            level = {"StudyInstanceUID": study.StudyInstanceUID, "Modality": modality, "SeriesInstanceUID": ""}
            level["NumberOfSeriesRelatedInstances"] = ""
            for one in _ask(archive, association, "SERIES", level, {"SeriesDescription": series} if series else {}, pace):
                if one.get("Modality") == modality:
                    images = int(one.get("NumberOfSeriesRelatedInstances") or 0)
                    rows.append((str(study.StudyInstanceUID), str(one.SeriesInstanceUID), images))
    return pd.DataFrame(rows, columns=WANTED).drop_duplicates("series", ignore_index=True)


def _check_dates(text: str) -> None:
    """Refuses an invalid range of dates; archives answer it with everything, or with nothing."""
    days = re.findall(r"[0-9]{8}", text)
    try:
        calendar = all(datetime.datetime.strptime(day, "%Y%m%d") for day in days)
    except ValueError:
        calendar = False
    if text and not (RANGE.fullmatch(text) and calendar and days == sorted(days)):
        raise InputError(f"Dates are days such as 20100315, or ranges: 20100101-20191231, 20100101-, -20191231; not {text!r}.")


def _ask(archive, association, level: str, fields: dict[str, str], words: dict[str, str], pace: Pace) -> list[Dataset]:
    """Answers of one C-FIND that match the words."""
    query = Dataset()
    query.QueryRetrieveLevel = level
    for name, text in (fields | words).items():
        setattr(query, name, text)
    pace.wait()
    answers = []
    for status, answer in association.send_c_find(query, sop.StudyRootQueryRetrieveInformationModelFind):
        if not status:
            raise Gone(f"{archive} broke off while it searched. Try again, or ask whether it knows us, {archive.own_title}.")
        if status.Status in PENDING:
            answers.append(answer)
        elif status.Status:
            raise InputError(f"{archive} could not search (status 0x{status.Status:04X}). Ask for less, or its administrator.")
    for name in words:
        if answers and not any(answer.get(name) for answer in answers):
            raise InputError(f"{archive} does not search by {name}: no answer holds it. Leave it out, or name another field.")
    return [answer for answer in answers if all(_match(answer.get(name), text) for name, text in words.items())]


def _match(value, pattern: str) -> bool:
    return fnmatch.fnmatchcase(str(value or "").lower(), pattern.lower())


def read_wanted(path: str | Path) -> pd.DataFrame:
    """Reads a wanted list.

    Raises:
        InputError: the file is missing, lacks a column, or holds something that is not a UID.
    """
    try:
        wanted = pd.read_csv(path, sep="\t", dtype=str).fillna("")
    except (OSError, ValueError) as error:
        raise InputError(f"The wanted list {path} cannot be read ({error}). Make one with `find`.") from error
    if missing := [name for name in WANTED if name not in wanted]:
        raise InputError(f"The wanted list {path} has no column {', '.join(missing)}; it needs {', '.join(WANTED)}.")
    if wanted.empty:
        raise InputError(f"The wanted list {path} names no series.")
    for uid in [*wanted["study"], *wanted["series"]]:
        if not UID.fullmatch(uid):
            raise InputError(f"The wanted list {path} holds {uid!r}, which is not a UID.")
    images = pd.to_numeric(wanted["images"], errors="coerce")
    return wanted.assign(images=images.where(images.between(0, MOST_IMAGES), 0).astype(int))[WANTED]


def check_new(path: str | Path) -> None:
    """Refuses the name of an existing file: people shorten their lists by hand.

    Raises:
        InputError: it exists.
    """
    if Path(path).exists():
        raise InputError(f"{path} already exists and is not overwritten. Delete it, or choose another name.")


def write_wanted(wanted: pd.DataFrame, path: str | Path) -> None:
    """Writes a new wanted list.

    Raises:
        InputError: the file exists already.
    """
    check_new(path)
    files.write(path, lambda partial: wanted.to_csv(partial, sep="\t", index=False))
