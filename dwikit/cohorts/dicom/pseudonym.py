"""Labels that stand for patients, visits and series: keyed hashes, the same for the same person as long as the key is kept."""

import base64
import hashlib
import hmac
import os
import re
import secrets
from datetime import date
from pathlib import Path

from dwikit.common import paths
from dwikit.common.errors import InputError

KEY_BYTES = 32
OLDEST = 89
"""Years. BIDS recommends writing ages from here on as "89+": so few people are that old that the number identifies them."""
UNITS = {"Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}
"""How many of a unit of DICOM's Age String make a year."""


def read_key(path: str | Path, out: str | Path) -> bytes:
    """The key of a cohort; if neither key nor data set exists yet, a new random key is written and announced.

    Whoever has the key and a patient's ID can compute the patient's label; nobody else can (HMAC-SHA-256, RFC 2104). Keep it
    apart from the data, and as long as patients may be added.

    Args:
        path: file of 64 hexadecimal digits, readable by its owner alone.
        out: folder of the data set, which must not hold the key.

    Raises:
        InputError: the file is not a key, cannot be written, lies in the data set's folder, or is missing although the data
            set exists.
    """
    path, out = paths.home(path), paths.home(out)
    if path.resolve().is_relative_to(out.resolve()):
        raise InputError(f"The key {path} lies in the data set's folder and would be handed on with it. Keep it elsewhere.")
    try:
        if not path.exists():
            if (out / "dataset_description.json").exists():
                raise InputError(
                    f"The key file {path} does not exist. {out} needs the key that it was made with: name that file."
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(KEY_BYTES) + "\n")
            print(f"New key written to {path}; keep it, and keep it secret.", flush=True)
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise InputError(f"The key {path} cannot be read or written ({error.strerror}). Name another file.") from None
    if not re.fullmatch(rf"[0-9a-f]{{{2 * KEY_BYTES}}}", text):
        raise InputError(f"{path} is not a key of dwikit (64 hexadecimal digits). Name another file; a missing one is made.")
    return bytes.fromhex(text)


def label(key: bytes, kind: str, *identifiers: str, length: int = 12) -> str:
    """Label of lower-case letters and digits (5 bits each) for one person or thing.

    Args:
        key: of the cohort.
        kind: "patient", "study", "series", or "key", so that equal identifiers of two kinds differ.
        identifiers: what identifies it, such as issuer and patient ID.
        length: of the label; at 12, a million patients share one with a probability below 1e-6.
    """
    message = "\0".join([kind, *(text.strip() for text in identifiers)])
    digest = hmac.new(key, message.encode(), hashlib.sha256).digest()
    return base64.b32encode(digest).decode().lower()[:length]


def age_in_years(age: str, birth: str, studied: str) -> float | None:
    """Whole years from DICOM's Age String ("045Y", "018M") or, without one, from two DICOM dates; None if neither tells."""
    match = re.fullmatch(r"\s*(\d{1,3})([YMWD])\s*", age or "")
    if match:
        return float(int(int(match[1]) / UNITS[match[2]]))
    try:
        born, then = (date(int(text[:4]), int(text[4:6]), int(text[6:8])) for text in (birth, studied))
    except (TypeError, ValueError):
        return None
    years = then.year - born.year - ((then.month, then.day) < (born.month, born.day))
    return float(years) if 0 <= years < 130 else None


def age_text(years: float | None) -> str:
    """Age as participants.tsv has it: "45", "89+", or "n/a"."""
    if years is None:
        return "n/a"
    return f"{OLDEST}+" if years >= OLDEST else f"{years:.0f}"
