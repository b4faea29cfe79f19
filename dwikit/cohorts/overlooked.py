"""What of a BIDS dataset becomes no scan, though it may hold one: nearly right names, other formats, what was not fetched."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from dwikit.cohorts.names import IMAGE, LIKE_FOLDER, LeftOut, fault, other_type, printable, resembles_scan
from dwikit.common import files

ELSEWHERE = ("derivatives", "sourcedata", "code", "stimuli", "phenotype")
"""Folders of a dataset that BIDS keeps for other things than its raw scans."""
OTHER_DATA = ("anat", "beh", "eeg", "fmap", "func", "ieeg", "meg", "micr", "motion", "mrs", "nirs", "perf", "pet")
"""Folders of other kinds of data in BIDS."""
PACKED = re.compile(r"\.(?:zip|7z|rar|tar|tgz|tar\.\w{1,3})$", re.IGNORECASE)
"""Endings of archives, as scanners' consoles and archives export one person each."""
DEPTH = 6
"""Levels of folders searched; scans lie on the third or fourth."""


def overlooked(root: Path, taken: set[Path]) -> list[LeftOut]:
    """Everything in a dataset that resembles a scan or should hold one, and was not taken.

    Args:
        root: folder of the dataset.
        taken: images that are scans, and their tables.

    Returns:
        first what may be lost, one entry each, by name; then one entry for each type of files left out by rule.
    """
    lost, types, seen = [], {}, {path.relative_to(root).parts[0] for path in taken}
    for path, reason, kind in [*_search(root, root, taken), *_without_scan(root)]:
        first = "".join(path.relative_to(root).parts[:1])
        if path.parent == root and first in seen:
            continue
        seen.add(first)
        name = printable(path.relative_to(root).as_posix())
        if kind:
            types.setdefault(reason, []).append(name)
        else:
            lost.append(LeftOut(name, f"{name} is left out: {printable(reason)}.", True))
    by_type = [
        LeftOut(reason.partition(":")[0], f"{reason} ({len(names)}): {', '.join(names)}.", False)
        for reason, names in sorted(types.items())
    ]
    return sorted(lost) + by_type


def _without_scan(root: Path) -> Iterator[tuple[Path, str, bool]]:
    """The same for what is called as a subject is; it is said only where nothing else is said of that subject."""
    for path in sorted(root.glob("sub-*")):
        if not path.is_dir():
            if PACKED.search(path.name) or IMAGE.search(path.name):
                yield path, "it is a file, not the folder of a subject. Unpack it, or move its scan to sub-LABEL/dwi", False
        elif any(folder.is_dir() and folder.name in OTHER_DATA for level in ("*", "ses-*/*") for folder in path.glob(level)):
            yield path, "sub-*: people without diffusion-weighted images", True
        else:
            yield path, "it holds no volume. If it holds scans, convert DICOM with `dwikit cohort dicom`", False


def _search(root: Path, folder: Path, taken: set[Path]) -> Iterator[tuple[Path, str, bool]]:
    """(path, reason, whether it is left out by its type) for a folder and all below it."""
    parts = folder.relative_to(root).parts
    try:
        with os.scandir(folder) as entries:
            there = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        yield folder, f"it cannot be opened ({error.strerror}). Make it readable", False
        return
    images = [entry for entry in there if resembles_scan((*parts, entry.name))]
    if parts and not there and (len(parts) == 1 or LIKE_FOLDER.fullmatch(parts[-1])):
        yield folder, "it is an empty folder. If it is part of a DataLad dataset, fetch it: datalad get", False
    elif parts and LIKE_FOLDER.fullmatch(parts[-1]) and not images and not _orphans(there):
        how = "convert DICOM with `dwikit cohort dicom`, and other formats to NIfTI"
        yield folder, f"it holds {len(there)} entries, such as {there[0].name}, and no volume. If they are scans, {how}", False
    for entry in there:
        path = folder / entry.name
        if entry in images:
            if entry.is_dir():
                yield path, "it is a folder, not a file", False
            elif path not in taken:
                yield path, *_verdict((*parts, entry.name))
        elif entry.is_dir():
            if len(parts) < DEPTH and not (not parts and entry.name in ELSEWHERE):
                yield from _search(root, path, taken)
        elif not IMAGE.search(entry.name) and (LIKE_FOLDER.fullmatch(entry.name) or entry.name.startswith(("sub-", "ses-"))):
            if entry.is_symlink() and (reason := files.absence(path)) and "." not in entry.name:
                yield path, f"it {reason}".rstrip("."), False
    if parts and parts[-1] == "dwi":
        for entry in _orphans(there):
            if folder / entry.name not in taken:
                yield folder / entry.name, "it is a table of b-values without its image", False


def _verdict(parts: tuple[str, ...]) -> tuple[str, bool]:
    """Why an image that is no scan was left out, and whether by its type."""
    if kind := other_type(parts[-1]):
        return kind, True
    if reason := fault(parts):
        return reason, False
    return "_trace: trace image of the series beside it", True


def _orphans(there: list[os.DirEntry]) -> list[os.DirEntry]:
    """Tables of b-values beside which there is no image of their name."""
    stems = {entry.name[: found.start()] for entry in there if (found := IMAGE.search(entry.name))}
    return [entry for entry in there if entry.name.endswith(".bval") and entry.name.removesuffix(".bval") not in stems]
