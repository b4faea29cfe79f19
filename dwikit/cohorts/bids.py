"""Finds the diffusion-weighted images of a BIDS dataset (https://bids-specification.readthedocs.io).

Our own search instead of pybids. On 2,029 subjects with one series each, pybids 0.22 took 7 s to index (2.6 s
without metadata) and then 0.3 s for each subject's inherited b-table, ten minutes in all; this module takes 0.15 s
for both. It needs no database, and its messages are about DWI.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dwikit.cohorts import participants
from dwikit.cohorts.names import LeftOut, fault, other_type, split_name
from dwikit.cohorts.overlooked import overlooked
from dwikit.common import files, paths
from dwikit.common.errors import InputError


@dataclass(frozen=True)
class Case:
    """One image to preprocess.

    Attributes:
        subject: participant label with its prefix, such as "sub-0001".
        session: with its prefix, such as "ses-1"; None without sessions.
        name: all entities of the file name, such as "sub-canon_acq-PAtilted"; unique in the dataset.
        image: 4-D series or 3-D trace image (NIfTI).
        bval: b-value table, s/mm2, own or inherited; None without one.
        bvec: gradient directions, own or inherited; None without them.
        sidecar: nearest JSON sidecar, own or inherited; None without one.
        age: years; nan where unknown.
        sex: "F", "M", or None where unknown.
    """

    subject: str
    session: str | None
    name: str
    image: Path
    bval: Path | None = None
    bvec: Path | None = None
    sidecar: Path | None = None
    age: float = math.nan
    sex: str | None = None


def find_cases(path: str | Path) -> list[Case]:
    """Finds every DWI series and trace image of a BIDS dataset, sorted by name.

    A scan is `sub-*/[ses-*/]dwi/*_dwi.nii[.gz]` or `*_trace.nii[.gz]`; a trace image beside the series of its name is
    left out, and `left_out` names it and everything that is only nearly a scan. Files `.bval`, `.bvec` and `.json` are found
    beside the image or, by the BIDS inheritance principle, in a folder above it.

    Args:
        path: the dataset's folder.

    Raises:
        InputError: the folder is missing or holds no scan, an id occurs twice, or participants.tsv cannot be read.
    """
    root = paths.home(path)
    if not root.is_dir():
        raise InputError(f"{root} is not a folder. Give the folder of a BIDS dataset, the one that holds sub-*.")
    people = participants.read(root / "participants.tsv")
    top = _listing(root)
    cases = [case for subject in _folders(root, "sub-") for case in _subject_cases(subject, top, people)]
    if not cases:
        raise InputError(
            f"{root} holds no diffusion-weighted image. Looked for sub-*/dwi/*_dwi.nii.gz, sub-*/ses-*/dwi/*_dwi.nii.gz"
            f" and the same with _trace or .nii. {_nearly(root)}"
        )
    participants.refuse_twins(list(dict.fromkeys(case.subject for case in cases)), "folders", root)
    _refuse_twins_of_names(cases)
    return sorted(cases, key=lambda case: case.name)


def left_out(path: str | Path, cases: list[Case]) -> list[LeftOut]:
    """What of a dataset is in none of its scans: images named nearly as BIDS asks, other types, ages that fit nobody.

    Args:
        path: the dataset's folder.
        cases: its scans, from `find_cases`.
    """
    root = paths.home(path)
    taken = {file for case in cases for file in (case.image, case.bval) if file}
    people = participants.doubts(
        root / "participants.tsv", {case.subject for case in cases}, [folder.name for folder in _folders(root, "sub-")]
    )
    return overlooked(root, taken) + people


def _nearly(root: Path) -> str:
    """The first images that are nearly scans, in words, or what to do if there are none."""
    found = overlooked(root, set())
    if not found:
        return "Give the folder that holds the sub-* folders of a BIDS dataset."
    more = f" And {len(found) - 3} more." if len(found) > 3 else ""
    return " ".join(one.reason for one in found[:3]) + more


def _folders(parent: Path, prefix: str) -> list[Path]:
    """Folders with a prefix, sorted by name."""
    return sorted(Path(entry.path) for entry in _entries(parent) if entry.name.startswith(prefix) and entry.is_dir())


def _entries(folder: Path) -> list[os.DirEntry]:
    """What is in a folder; nothing if it cannot be opened, which `overlooked` says."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _subject_cases(subject: Path, top: list[Path], people: dict[str, tuple[float, str | None]]) -> Iterator[Case]:
    """Scans of one subject's folder, with and without sessions; `top` are the files of the dataset's folder."""
    age, sex = people.get(subject.name, (math.nan, None))
    for parent in [subject, *_folders(subject, "ses-")]:
        folder = parent / "dwi"
        if not os.path.isdir(folder):  # false, too, where it may not be looked at
            continue
        session = parent.name if parent != subject else None
        levels = [*(_listing(level) for level in dict.fromkeys([folder, parent, subject])), top]
        inside = (subject.name, *([session] if session else []), "dwi")
        images = [file for file in levels[0] if not (other_type(file.name) or fault((*inside, file.name)))]
        series = {_entities_text(file) for file in images if split_name(file.name)[1] == "dwi"}
        for file in images:
            entities, suffix, _ = split_name(file.name)
            name = _entities_text(file)
            if suffix == "trace" and name in series:
                continue
            found = (_inherited(levels, entities, suffix, ending) for ending in (".bval", ".bvec", ".json"))
            yield Case(subject.name, session, name, file, *found, age, sex)


def _entities_text(file: Path) -> str:
    """File name without suffix and ending: "sub-a_acq-b"."""
    return file.name.partition(".")[0].rpartition("_")[0]


def _listing(folder: Path) -> list[Path]:
    """Files of one folder, sorted by name; hidden ones left out."""
    names = sorted(entry.name for entry in _entries(folder) if not entry.name.startswith(".") and not entry.is_dir())
    return [folder / name for name in names]


def _inherited(levels: list[list[Path]], entities: dict[str, str], suffix: str, ending: str) -> Path | None:
    """Nearest file that applies: same suffix, no entity that the image lacks; the most specific one of its folder.

    Raises:
        InputError: two tables apply equally.
    """
    for level in levels:
        fitting = []
        for file in level:
            if not file.name.endswith(ending):
                continue
            own, own_suffix, own_ending = split_name(file.name)
            if own_suffix == suffix and own_ending == ending and own.items() <= entities.items():
                fitting.append((len(own), file))
        if fitting:
            most = max(fitting)[0]
            first, *others = [file for count, file in fitting if count == most]
            if others and ending != ".json":
                raise InputError(
                    f"{first} and {others[0].name} apply equally to an image with both their labels. Keep one of the two, or "
                    "give each image a file of its own name."
                )
            return first
    return None


def generated_by(root: Path) -> dict:
    """Who made a dataset, by its dataset_description.json: the first entry of `GeneratedBy`; empty if missing."""
    found = files.read_object(root / "dataset_description.json").get("GeneratedBy")
    first = found[0] if isinstance(found, list) and found else {}
    return first if isinstance(first, dict) else {}


def _refuse_twins_of_names(cases: list[Case]) -> None:
    """Refuses two images with one name, such as .nii beside .nii.gz."""
    seen: dict[str, Case] = {}
    for case in cases:
        twin = seen.setdefault(case.name.casefold(), case)
        if twin is not case:
            raise InputError(
                f"{twin.image} and {case.image} are one scan by their names. Remove one of the two files,"
                " or tell them apart by an entity such as run-2."
            )
