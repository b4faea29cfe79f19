"""Names of diffusion-weighted images in a BIDS dataset: which are scans, and what is wrong with those that are nearly so."""

import re
from collections.abc import Sequence
from typing import NamedTuple

SUFFIXES = ("dwi", "trace")
IMAGE_ENDINGS = (".nii.gz", ".nii")
PARTS = ("mag", "phase", "real", "imag")
"""Values of the BIDS entity `part`; only the first is a magnitude image."""
OTHER_TYPES = ("sbref", "ADC", "FA", "colFA", "expADC", "S0map")
"""BIDS suffixes of a folder dwi/ that are neither a series nor a trace image."""
LABEL = r"[^\W_](?:[^\W_]|[+-])*"
SUBJECT, SESSION = re.compile(f"sub-{LABEL}"), re.compile(f"ses-{LABEL}")
SCAN = re.compile(rf"sub-{LABEL}(?:_{LABEL})*_(?:dwi|trace)\.nii(?:\.gz)?")
IMAGE = re.compile(r"\.(?:nii(?:\.\w{1,3})?|hdr|mgz|mgh|nrrd|nhdr|mif(?:\.gz)?|mnc)$", re.IGNORECASE)
"""Endings of files that hold a volume."""
LIKE_DWI = re.compile(r"(?:^|_)(?:dwi|dti|tracew?|diffusion)(?![a-z\d])", re.IGNORECASE)
LIKE_FOLDER = re.compile(r"(?:dwi|dti|diff(?:usion)?)s?", re.IGNORECASE)


class LeftOut(NamedTuple):
    """What a dataset holds and no scan comes from.

    Attributes:
        what: file or folder inside the dataset, or a type of files.
        reason: names every file or person, says why, and what to do.
        lost: data of the study may be lost by it; False for what is left out by its type.
    """

    what: str
    reason: str
    lost: bool


def printable(text: str) -> str:
    """Text in which bytes of a file name that are no UTF-8 are escaped: "M\\udcfcller"."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def split_name(name: str) -> tuple[dict[str, str], str, str]:
    """Splits a BIDS file name: "sub-a_acq-b_dwi.nii.gz" becomes ({"sub": "a", "acq": "b"}, "dwi", ".nii.gz")."""
    stem, dot, ending = name.partition(".")
    *pairs, suffix = stem.split("_")
    entities = dict(pair.partition("-")[::2] for pair in pairs)
    return entities, suffix, dot + ending


def other_type(name: str) -> str | None:
    """What an image of a folder dwi/ is, if its name says that it is something else than a scan; else None."""
    entities, suffix, ending = split_name(name)
    if ending in IMAGE_ENDINGS and suffix in OTHER_TYPES:
        return f"_{suffix}: neither a series (_dwi) nor a trace image (_trace)"
    part = entities.get("part", "mag").lower()
    return f"part-{part}: no magnitude image" if part in PARTS[1:] else None


def resembles_scan(parts: Sequence[str]) -> bool:
    """Whether a file is a volume that may be diffusion-weighted, by its path inside the dataset."""
    *folders, name = parts
    ending = IMAGE.search(name)
    inside = bool(folders and LIKE_FOLDER.fullmatch(folders[-1]))
    return bool(ending and (inside or LIKE_DWI.search(name[: ending.start()])))


def fault(parts: Sequence[str]) -> str | None:
    """Why an image is no scan by its path inside the dataset, ("sub-a", "dwi", "sub-a_dwi.nii.gz"); None if it is one."""
    *folders, name = parts
    if not _is_utf8("".join(parts)):
        return "its name holds bytes that are no UTF-8, as in old archives. Rename it with plain letters"
    if above := [folder for folder in folders[1:] if SUBJECT.fullmatch(folder)]:
        outer = "/".join(folders[: folders.index(above[0], 1)])
        return f"{above[0]} lies in {outer}, not at the top. If all scans lie there, give {outer} as the data set"
    if not 2 <= len(folders) <= 3 or not LIKE_FOLDER.fullmatch(folders[-1]):
        return f"it lies in {'/'.join(folders) or 'no folder'}, not in sub-*/dwi or sub-*/ses-*/dwi. Move it there"
    for folder, pattern, wanted in zip(folders, (SUBJECT, SESSION), ("sub-LABEL", "ses-LABEL")):
        if folder is not folders[-1] and not pattern.fullmatch(folder):
            return f"its folder is called {folder!r}, not {wanted} (letters and digits). Rename the folder"
    if folders[-1] != "dwi":
        return f"its folder is called {folders[-1]!r}, not 'dwi'. Rename the folder"
    return _fault_of_name(name, "_".join(folders[:-1]))


def _fault_of_name(name: str, beginning: str) -> str | None:
    """The same for the file's name alone; `beginning` is what its folders ask it to begin with."""
    ending = IMAGE.search(name)
    stem = name[: ending.start()] if ending else name
    if not ending or ending[0] not in IMAGE_ENDINGS:
        found = ending[0] if ending else name
        how = "Write the ending in lower case" if found.lower() in IMAGE_ENDINGS else "Convert or unpack it to .nii.gz"
        return f"{found} is not read. {how}"
    if "__dup" in stem:
        return "__dup marks a second conversion of one series. Keep one of the two, or call this one run-2"
    if (suffix := stem.rpartition("_")[2]) not in SUFFIXES:
        return f"it ends in {suffix!r}, not in _dwi (a series) or _trace (a trace image). Rename it"
    if not stem.startswith(f"{beginning}_"):
        return f"its name does not begin with {beginning}_, as its folders do. Correct the one that is wrong"
    if not SCAN.fullmatch(name):
        strange = sorted(set(re.findall(r"[^\w+-]", stem)))
        what = f"its name holds {' '.join(map(repr, strange))}" if strange else "a label of its name is empty"
        return f"{what}; labels are letters and digits. Rename it"
    if (part := split_name(name)[0].get("part", "mag").lower()) not in PARTS:
        return f"part-{part} is none of {', '.join(PARTS)}. Rename it"
    return None


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
