"""DICOM to BIDS: a folder of DICOM becomes a data set of DWI series in which nobody is named.

Messages and reports name series by their keyed hash, never a file or a folder of the archive: those are often called after
the patient.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

import dwikit
from dwikit.cohorts.bids import generated_by, read_participants
from dwikit.cohorts.dicom import pseudonym
from dwikit.cohorts.dicom.convert import Failed, convert
from dwikit.cohorts.dicom.report import NOT_DICOM, REPORT, write_private_list, write_report
from dwikit.cohorts.dicom.series import REASONS, Series, read_folder
from dwikit.common import files
from dwikit.common.errors import InputError

DESCRIPTION = "dataset_description.json"
MADE_BY = "dwikit.cohorts.dicom.import_dicom"


def import_dicom(folder: str | Path, out: str | Path, key: str | Path, progress: bool = True) -> pd.DataFrame:
    """Converts the DWI of a folder of DICOM, and of the folders in it, to a BIDS data set.

    A series becomes `sub-X/ses-Y/dwi/sub-X_ses-Y_acq-Z_dwi.nii.gz`, where X, Y and Z are keyed hashes of patient, study and
    series: a patient has one label however often and from wherever their scans come. A trace image is converted where its study
    has no series to compute it from. Nothing is overwritten; a second run, or another folder, adds what is missing.

    Kept of the patient: age in whole years at the first study (89 and more as "89+") and sex, in participants.tsv.
    Voxels are kept as they are: faces are not removed, and text burned into pixels is found only where the header says so.

    Args:
        folder: with DICOM files of any name and depth.
        out: the data set's folder; empty, missing, or of an earlier import with the same key.
        key: file of the secret key, outside both folders; made for a new data set if missing. Without it no patient can be
            added or found again. Beside it `KEY.series.tsv` is written, a private list of the folders of each series.
        progress: shows progress bars.

    Returns:
        One row per series and kind, merged into dicom-import.tsv: series (hash), participant_id, session, kind, images,
        b_values, result ("converted", "there already", "left out" or "failed"), reason, file.

    Raises:
        InputError: no such folder, no DICOM in it, folders or a key inside one another, `out` is a file, a data set of
            something else or of another key, or an unfit or missing key file.
    """
    folder, out = Path(folder), Path(out)
    _check_places(folder, out, Path(key))
    secret = pseudonym.read_key(key, out)
    found, unreadable = read_folder(folder, progress)
    if not found:
        raise InputError(f"The folder holds no DICOM image ({len(unreadable)} files of other kinds). Check its path.")
    _claim(out, pseudonym.label(secret, "key"))
    sources = {one.study for one in found if one.kind == "dwi" and max(one.b_values) >= 50}
    rows = [_import_one(one, out, secret, sources) for one in tqdm(found, unit="series", disable=not progress)]
    if unreadable:
        left_out = {"images": len(unreadable), "result": "left out", "reason": "no readable DICOM"}
        rows.append({"series": "n/a", "kind": NOT_DICOM, **left_out})
    _write_participants(out, secret, found)
    columns = [*_row(found[0], secret), "result", "reason", "file"]
    report = pd.DataFrame([{name: row.get(name, "n/a") for name in columns} for row in rows])
    write_report(out, report)
    write_private_list(key, list(_places(found, unreadable, secret)))
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


def _places(found: list[Series], unreadable: list[Path], secret: bytes) -> Iterator[dict]:
    """Rows of the private list: the folders of each series, damaged files by name."""
    nobody = {"series": "n/a", "participant_id": "n/a", "kind": NOT_DICOM}
    for one in found:
        named = {name: value for name, value in _row(one, secret).items() if name in nobody}
        for folder in sorted({path.parent for path in one.images.values()}):
            yield named | {"folder": folder.resolve(), "damaged": "n/a"}
        for path in one.damaged:
            yield named | {"folder": path.parent.resolve(), "damaged": path.name}
    for path in unreadable:
        yield nobody | {"folder": path.parent.resolve(), "damaged": path.name}


def _row(one: Series, secret: bytes) -> dict:
    """The report's columns for any series."""
    return {
        "series": pseudonym.label(secret, "series", one.series),
        "participant_id": "sub-" + pseudonym.label(secret, "patient", *one.patient),
        "session": "ses-" + pseudonym.label(secret, "study", one.study, length=8),
        "kind": one.kind,
        "images": len(one.images),
        "b_values": " ".join(f"{b:g}" for b in sorted(one.b_values)) or "n/a",
    }


def _import_one(one: Series, out: Path, secret: bytes, sources: set[str]) -> dict:
    """Converts one series if it is wanted; its row of the report."""
    row = _row(one, secret)
    stem = f"{row['participant_id']}_{row['session']}_acq-{row['series'][:8]}"
    target = out / row["participant_id"] / row["session"] / "dwi" / f"{stem}_{one.kind}.nii.gz"
    reason = _refusal(one, sources)
    if reason:
        return row | {"result": "left out", "reason": reason}
    if target.exists():
        return row | {"result": "there already", "file": str(target.relative_to(out))}
    try:
        convert(one, target)
    except Failed as failure:
        return row | {"result": "failed", "reason": str(failure)}
    return row | {"result": "converted", "file": str(target.relative_to(out))}


def _refusal(one: Series, sources: set[str]) -> str:
    """Why a series is not converted; empty if it is."""
    if one.kind in REASONS:
        return REASONS[one.kind]
    if not one.patient[1].strip():
        return "no PatientID: it cannot be told whose it is"
    if one.kind == "trace":
        return "trace image of a study whose series is here" if one.study in sources else ""
    return "" if max(one.b_values) >= 50 else "only b = 0"


def _claim(out: Path, fingerprint: str) -> None:
    """Writes dataset_description.json, or checks that the folder holds an import with this key."""
    path = out / DESCRIPTION
    made = {
        "Name": "dwikit",
        "Version": dwikit.__version__,
        "Description": MADE_BY,
        "Key": fingerprint,
    }
    if path.exists():
        if generated_by(out).get("Key") != fingerprint:
            raise InputError(
                f"{out} was made with another key: patients would get second labels. Use that key, or another folder."
            )
        return
    files.write_text(out / "README", "Diffusion-weighted images, converted from DICOM and pseudonymized by dwikit.\n")
    files.write_text(out / ".bidsignore", f"{REPORT}\n")
    files.write_json(
        path, {"Name": "Imported from DICOM", "BIDSVersion": "1.10.0", "DatasetType": "raw", "GeneratedBy": [made]}
    )


def _write_participants(out: Path, secret: bytes, found: list[Series]) -> None:
    """participants.tsv of the subjects that are there; of several studies, the age at the first."""
    path = out / "participants.tsv"
    people = {label: (None if np.isnan(age) else age, sex) for label, (age, sex) in read_participants(path).items()}
    for one in found:
        label = "sub-" + pseudonym.label(secret, "patient", *one.patient)
        age, sex = people.get(label, (None, None))
        ages = [years for years in (age, one.age) if years is not None]
        people[label] = min(ages, default=None), sex or one.sex
    there = sorted(label for label in people if re.fullmatch(r"sub-[a-z2-7]+", label) and (out / label).is_dir())
    rows = [f"{label}\t{pseudonym.age_text(people[label][0])}\t{people[label][1] or 'n/a'}" for label in there]
    files.write_text(path, "\n".join(["participant_id\tage\tsex", *rows]) + "\n")
