"""DICOM to BIDS: a folder of DICOM becomes a data set of DWI series in which nobody is named.

Messages and reports name series by their keyed hash, never a file or a folder of the archive: those are often called after
the patient.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

import dwikit
from dwikit.cohorts import participants
from dwikit.cohorts.bids import generated_by
from dwikit.cohorts.dicom import pseudonym
from dwikit.cohorts.dicom.check import ALONE
from dwikit.cohorts.dicom.convert import convert
from dwikit.cohorts.dicom.converter import Failed
from dwikit.cohorts.dicom.diffusion import WEIGHTED
from dwikit.cohorts.dicom.people import People
from dwikit.cohorts.dicom.report import DAMAGED, NOT_DICOM, REPORT, read_private_list, write_private_list, write_report
from dwikit.cohorts.dicom.series import LOST, PERSON_FROM, REASONS, Found, Series, read_folder
from dwikit.common import files, paths
from dwikit.common.errors import InputError
from dwikit.common.progress import tqdm

DESCRIPTION = "dataset_description.json"
MADE_BY = "dwikit.cohorts.dicom.import_dicom"


def import_dicom(
    folder: str | Path, out: str | Path, key: str | Path, progress: bool = True, person_from: str = "patient"
) -> pd.DataFrame:
    """Converts the DWI of a folder of DICOM, and of the folders in it, to a BIDS data set.

    A series becomes `sub-X/ses-Y/dwi/sub-X_ses-Y_acq-Z_dwi.nii.gz`, where X, Y and Z are keyed hashes of patient, study and
    series: a patient has one label however often and from wherever their scans come. A trace image is converted where its study
    has no series to compute it from. Nothing is overwritten; a second run, or another folder, adds what is missing.
    A series is converted only if volumes, slice positions and b-values of the image are those of its headers.

    Kept of the patient: age in whole years at the first study (89 and more as "89+") and sex, in participants.tsv.
    Voxels are kept as they are: faces are not removed, and text burned into pixels is found only where the header says so.

    Args:
        folder: with DICOM files of any name and depth.
        out: the data set's folder; empty, missing, or of an earlier import with the same key.
        key: file of the secret key, outside both folders; made for a new data set if missing. Without it no patient can be
            added or found again. Beside it `KEY.series.tsv` is written, a private list of the folders of each series.
        progress: shows progress bars.
        person_from: what tells persons apart: "patient", by PatientID and its issuer; for anonymized data "study", by the
            StudyInstanceUID, or "folder", by the name of the folder, below the given one, that holds all of a person's files.

    Returns:
        One row per series and kind, merged into dicom-import.tsv: series (hash), participant_id, session, kind, images,
        b_values, result ("converted", "there already", "left out" or "failed"), reason (of a converted series: what was left
        out of it), file.

    Raises:
        InputError: no such folder, no DICOM in it, folders or a key inside one another, `out` is a file, a data set of
            something else, of another key or `person_from`, an unfit or missing key file, or an unknown `person_from`.
    """
    folder, out, key = paths.home(folder), paths.home(out), paths.home(key)
    if person_from not in PERSON_FROM:
        raise InputError(f"person_from is {person_from!r}, but persons are told apart by {', '.join(PERSON_FROM)}. Choose one.")
    _check_places(folder, out, key)
    secret = pseudonym.read_key(key, out)
    found = read_folder(folder, progress, person_from)
    if not found.series:
        raise InputError(
            f"The folder holds no DICOM image ({len(found.others)} files of other kinds, {len(found.damaged)} damaged). "
            "Check its path."
        )
    _claim(out, pseudonym.label(secret, "key"), person_from)
    people = People(found.series, secret, out, read_private_list(key))
    sources = {one.study for one in found.series if one.kind == "dwi" and max(one.b_values) >= WEIGHTED}
    rows = [_import_one(one, out, secret, people, sources) for one in tqdm(found.series, unit="series", disable=not progress)]
    if found.damaged:
        reason = "files that cannot be opened, or DICOM that is cut off, damaged or without SeriesInstanceUID"
        rows.append({"series": "n/a", "kind": DAMAGED, "images": len(found.damaged), "result": "failed", "reason": reason})
    if found.others:
        reason = "no readable DICOM"
        rows.append({"series": "n/a", "kind": NOT_DICOM, "images": len(found.others), "result": "left out", "reason": reason})
    _write_participants(out, people, found.series)
    columns = [*_row(found.series[0], secret, people), "result", "reason", "file"]
    report = pd.DataFrame([{name: row.get(name, "n/a") for name in columns} for row in rows])
    write_report(out, report)
    write_private_list(key, [*_places(found, secret, people), *people.rows()])
    return report


def _check_places(folder: Path, out: Path, key: Path) -> None:
    """Refuses folders and a key in forbidden places; quotes no path of the archive."""
    if not folder.is_dir():
        raise InputError("The folder of DICOM files does not exist, or is not a folder. Check its path.")
    archive, target = folder.resolve(), out.resolve()
    if target.is_relative_to(archive) or archive.is_relative_to(target):
        raise InputError(
            "The folder of DICOM, which names patients, and the data set, which must not, are nested. Choose a "
            "folder for the data set beside the folder of DICOM."
        )
    if key.resolve().is_relative_to(archive):
        raise InputError(
            "The key lies in the folder of DICOM. Keep it elsewhere, such as in ~/keys, apart from data of both kinds."
        )
    there = next(place for place in (out, *out.absolute().parents) if place.exists())
    if not there.is_dir():
        raise InputError(f"{there} is a file, but the data set needs a folder. Choose another name.")
    if (out / DESCRIPTION).exists():
        if generated_by(out).get("Description") != MADE_BY:
            raise InputError(f"{out} holds a data set of another source. Choose an empty folder.")
    elif out.is_dir() and any(not entry.name.startswith(".") for entry in out.iterdir()):
        raise InputError(f"{out} holds other files. Choose an empty folder.")


def _places(found: Found, secret: bytes, people: People) -> Iterator[dict]:
    """Rows of the private list: the folders of each series, damaged files by name."""
    columns = ("series", "participant_id", "kind")
    for one in found.series:
        named = {name: _row(one, secret, people)[name] for name in columns}
        for folder in sorted({path.parent for path in one.images.values()}):
            yield named | {"folder": folder.resolve(), "damaged": "n/a"}
        for path in one.damaged:
            yield named | {"folder": path.parent.resolve(), "damaged": path.name}
    for kind, unread in ((DAMAGED, found.damaged), (NOT_DICOM, found.others)):
        for path in unread:
            yield dict(zip(columns, ("n/a", "n/a", kind))) | {"folder": path.parent.resolve(), "damaged": path.name}


def _row(one: Series, secret: bytes, people: People) -> dict:
    """The report's columns for any series."""
    return {
        "series": pseudonym.label(secret, "series", one.series),
        "participant_id": "n/a" if people.refusal(one) else people.label(one),
        "session": "ses-" + pseudonym.label(secret, "study", one.study, length=8),
        "kind": one.kind,
        "images": len(one.images),
        "b_values": " ".join(f"{b:g}" for b in sorted(one.b_values)) or "n/a",
    }


def _import_one(one: Series, out: Path, secret: bytes, people: People, sources: set[str]) -> dict:
    """Converts one series if it is wanted; its row of the report."""
    row = _row(one, secret, people)
    stem = f"{row['participant_id']}_{row['session']}_acq-{row['series'][:8]}"
    target = out / row["participant_id"] / row["session"] / "dwi" / f"{stem}_{one.kind}.nii.gz"
    wanted = one.kind not in REASONS or one.kind == LOST
    if wanted and (reason := people.refusal(one) or REASONS.get(one.kind) or (ALONE if one.n_slices == 1 else "")):
        return row | {"result": "failed", "reason": reason}
    if not wanted or (reason := _refusal(one, sources)):
        return row | {"result": "left out", "reason": REASONS.get(one.kind) or reason}
    if target.exists():
        return row | {"result": "there already", "file": str(target.relative_to(out))}
    try:
        note = convert(one, target)
    except Failed as failure:
        return row | {"result": "failed", "reason": str(failure)}
    return row | {"result": "converted", "file": str(target.relative_to(out))} | ({"reason": note} if note else {})


def _refusal(one: Series, sources: set[str]) -> str:
    """Why a diffusion-weighted series is not needed; empty if it is."""
    if one.kind == "trace":
        return "trace image of a study whose series is here" if one.study in sources else ""
    return "" if max(one.b_values) >= WEIGHTED else "only b = 0"


def _claim(out: Path, fingerprint: str, person_from: str) -> None:
    """Writes dataset_description.json, or checks that the folder holds an import with this key and these persons."""
    path = out / DESCRIPTION
    made = {
        "Name": "dwikit",
        "Version": dwikit.__version__,
        "Description": MADE_BY,
        "Key": fingerprint,
        "PersonFrom": person_from,
    }
    if path.exists():
        before = generated_by(out)
        if before.get("Key") != fingerprint:
            raise InputError(
                f"{out} was made with another key: patients would get second labels. Use that key, or another folder."
            )
        told = before.get("PersonFrom", "patient")
        if told == person_from:
            return
        if any(out.glob("sub-*")):
            raise InputError(
                f"The persons of {out} were told apart by {told}; by {person_from} they would get second labels. "
                f"Use --person-from {told}, or another folder."
            )
    files.write_text(out / "README", "Diffusion-weighted images, converted from DICOM and pseudonymized by dwikit.\n")
    files.write_text(out / ".bidsignore", f"{REPORT}\n")
    files.write_json(
        path, {"Name": "Imported from DICOM", "BIDSVersion": "1.10.0", "DatasetType": "raw", "GeneratedBy": [made]}
    )


def _write_participants(out: Path, people: People, found: list[Series]) -> None:
    """participants.tsv of the subjects that are there; of several studies, the age at the first."""
    path = out / "participants.tsv"
    known = {label: (None if np.isnan(age) else age, sex) for label, (age, sex) in participants.read(path).items()}
    for one in found:
        if people.refusal(one):
            continue
        label = people.label(one)
        age, sex = known.get(label, (None, None))
        ages = [years for years in (age, one.age) if years is not None]
        known[label] = min(ages, default=None), sex or one.sex
    there = sorted(label for label in known if re.fullmatch(r"sub-[a-z2-7]+", label) and (out / label).is_dir())
    rows = [f"{label}\t{pseudonym.age_text(known[label][0])}\t{known[label][1] or 'n/a'}" for label in there]
    files.write_text(path, "\n".join(["participant_id\tage\tsex", *rows]) + "\n")
