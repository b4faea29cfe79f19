"""What arrives from a picture archive: one file per image, nothing overwritten, and a ledger that survives any failure."""

import os
import re
import time
from pathlib import Path

import pandas as pd

from dwikit.common import files
from dwikit.common.errors import InputError

LEDGER = "ledger.tsv"
COLUMNS = ["time", "series", "result", "images", "expected", "reason"]
HEADER = "\t".join(COLUMNS) + "\n"
UID = re.compile(r"[0-9.]{1,64}")
SUCCESS, REFUSED, NO_SPACE, UNFIT = 0x0000, 0x0124, 0xA700, 0xA900
"""Answers to C-STORE (DICOM PS3.4, B.2.3)."""


def check_own(folder: Path) -> None:
    """Refuses a folder that holds other things than ledger and series of a fetch, and no ledger.

    Raises:
        InputError: patients' files would come among them.
    """
    if (folder / LEDGER).is_file():
        with open(folder / LEDGER, encoding="utf-8", errors="replace") as file:
            if HEADER.startswith(file.readline()):  # a power failure may have cut it short
                return
    series = {path.name for path in (folder / "dicom").glob("*") if not UID.fullmatch(path.name)}
    if others := sorted({path.name for path in folder.iterdir()} - {"dicom"} | series):
        raise InputError(f"{folder} holds other things, such as {others[0]!r}. Choose an empty folder for patients' files.")


class Ledger:
    """A line for each time that a series was asked for; the last one of a series counts.

    It holds the time, the series' UID, the result, the images here and in the archive, and our reason: nothing about
    the patient, and no text of the archive. A line is appended in one piece and flushed to the disk; a torn last line is
    ignored.
    """

    def __init__(self, folder: Path):
        self.path = folder / LEDGER
        text = self.path.read_text(encoding="utf-8", errors="replace") if self.path.is_file() else ""
        self.rows = [line.split("\t") for line in text.splitlines(keepends=True)[1:] if line.endswith("\n")]
        self.rows = [[*row[:-1], row[-1].rstrip("\n")] for row in self.rows if len(row) == len(COLUMNS)]
        self.torn = bool(text) and not text.endswith("\n")

    def add(self, series: str, result: str, images: int, expected: int, reason: str = "") -> None:
        """Appends a line.

        Raises:
            InputError: it cannot be written; the next run asks for the series again.
        """
        row = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), series, result, str(images), str(expected), reason or "n/a"]
        start = "\n" if self.torn else "" if self.path.exists() else HEADER
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(start + "\t".join(row) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(
                f"{self.path} cannot be written ({error.strerror}). Free some space and run the same again."
            ) from error
        self.torn = False
        self.rows.append(row)

    def latest(self) -> pd.DataFrame:
        """The last line of each series."""
        return pd.DataFrame(self.rows, columns=COLUMNS).drop_duplicates("series", keep="last").reset_index(drop=True)

    def arrived(self) -> set[str]:
        """UIDs of the series that are complete."""
        latest = self.latest()
        return set(latest["series"][latest["result"] == "arrived"])


class Store:
    """Receives images of wanted series as `dicom/<series UID>/<image UID>.dcm`, as they come over the wire.

    Attributes:
        problem: why an image could not be written; the fetch stops there.
        differing: images that came again with other contents; the first ones were kept.
    """

    def __init__(self, folder: Path, wanted: set[str]):
        self.folder, self.wanted = folder, wanted
        self.problem: InputError | None = None
        self.differing = 0

    def images(self, series: str) -> int:
        """Number of images of a series that are here."""
        return sum(1 for _ in (self.folder / "dicom" / series).glob("*.dcm"))

    def keep(self, event) -> int:
        """Handler of pynetdicom's EVT_C_STORE: writes an image that is not here yet; the status to answer."""
        if self.problem:
            return NO_SPACE
        try:
            series, image = str(event.dataset.SeriesInstanceUID), str(event.request.AffectedSOPInstanceUID)
        except Exception:  # a data set that cannot be decoded
            return UNFIT
        if series not in self.wanted:
            return REFUSED
        if not UID.fullmatch(image):  # it becomes a file name
            return UNFIT
        path, content = self.folder / "dicom" / series / f"{image}.dcm", event.encoded_dataset()
        if path.exists():
            self.differing += path.read_bytes() != content
            return SUCCESS
        try:
            files.write(path, lambda partial: partial.write_bytes(content))
        except InputError as error:
            self.problem = error
            return NO_SPACE
        return SUCCESS
