"""The simulated cohort as a BIDS dataset."""

import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import nibabel as nib
import numpy as np

from dwikit.cohorts.bids import generated_by
from dwikit.cohorts.phantom.direct import case_numbers
from dwikit.cohorts.phantom.parallel import map_cases
from dwikit.cohorts.phantom.person import Person, draw_person, require_whole
from dwikit.cohorts.phantom.scanner import DIRECTIONS, clean_image, make_scan, noisy_image, reconstructed_affine
from dwikit.cohorts.phantom.settings import DEFAULT, Settings, code
from dwikit.common import files, lock, paths
from dwikit.common.errors import InputError
from dwikit.common.progress import tqdm

_DESCRIPTION = "dataset_description.json"
_PARTICIPANTS = {
    "age": {"Description": "Age of the simulated person", "Units": "years"},
    "sex": {"Description": "Sex of the simulated person", "Levels": {"F": "female", "M": "male"}},
}
_README = """Simulated diffusion-weighted brain scans
========================================

Nobody was scanned. These images were computed from the MNI152 tissue maps and the physics of spin-echo
echo-planar imaging by dwikit. They are for teaching and for testing software, and have no clinical use. Each
subject has one series of one b = 0 and three b = 1000 s/mm2 images. The seed and all settings stand in
dataset_description.json.
"""


def write_cohort(
    path: str | os.PathLike,
    n_cases: int,
    seed: int = 0,
    workers: int | None = None,
    first: int = 0,
    distortion: bool = True,
    physics: Settings = DEFAULT,
    progress: bool = True,
) -> Path:
    """Writes simulated scans as a BIDS dataset.

    A case's folder appears only when it is complete. A second run with the same seed, settings and version of the
    simulation writes only the cases that are missing, so an interrupted run continues and a cohort can grow. The files
    of a case depend on these and its number alone.

    Args:
        path: folder of the dataset; made if missing.
        n_cases: number of scans, from `first` on.
        seed: seed of the cohort, 0 or more.
        workers: processes; None chooses, 1 stays in this process.
        first: number of the first case; case 0 is sub-0001.
        distortion: False leaves out EPI distortion, so that the images follow `truth` exactly.
        physics: of the simulation, and its protocols.
        progress: shows a progress bar.

    Returns:
        The folder.

    Raises:
        InputError: if the folder holds something else or another cohort, cannot be written, or a number is
            negative.
    """
    folder = paths.home(path)
    numbers = case_numbers(n_cases, first)
    require_whole("seed", seed)
    with lock.alone(folder / ".lock", f"writes the cohort {folder}"):
        _claim(folder, _description(seed, distortion, physics))
        missing = [n for n in numbers if not (folder / draw_person(n, seed, physics).label).exists()]
        try:
            done = map_cases(_write_case, missing, workers, folder, seed, distortion, physics)
            bar = tqdm(done, total=len(numbers), initial=len(numbers) - len(missing), unit="case", disable=not progress)
            for _ in bar:
                pass
        except OSError as error:
            raise InputError(
                f"{folder}: cannot write ({error}); free some space or choose another folder, then run the same again"
            ) from error
        finally:
            with suppress(InputError):  # a full disk has its message already; the next run writes the table
                _write_participants(folder, seed, physics)
    return folder


def trim_cohort(path: str | os.PathLike, n_cases: int) -> None:
    """Removes the cases from number `n_cases` on from a dataset of `write_cohort`, which can write them again; says how many.

    Any other folder is left as it is.
    """
    folder = paths.home(path)
    if _parameters(folder) is None:
        return
    surplus = [case for case in folder.glob("sub-*") if case.name[4:].isdigit() and int(case.name[4:]) > n_cases]
    for case in surplus:
        shutil.rmtree(case)
    if surplus:
        tqdm.write(f"{folder}: {len(surplus)} simulated cases beyond the first {n_cases} were removed.")


def _description(seed: int, distortion: bool, physics: Settings) -> dict:
    """Contents of dataset_description.json, which also identify the cohort."""
    try:
        version = metadata.version("dwikit")
    except metadata.PackageNotFoundError:
        version = "unknown"
    parameters = {"seed": int(seed), "distortion": bool(distortion), "code": code(), **asdict(physics)}
    return {
        "Name": "Simulated diffusion-weighted brain scans",
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        "License": "CC0",
        "GeneratedBy": [
            {
                "Name": "dwikit",
                "Version": version,
                "Description": "dwikit.cohorts.phantom.write_cohort",
                "Parameters": json.loads(json.dumps(parameters)),
            }
        ],
    }


def _claim(folder: Path, description: dict) -> None:
    """Writes the dataset's own files, or checks that the folder holds exactly this cohort."""
    other = f"{folder} holds {{}}; choose an empty folder or delete this one"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / _DESCRIPTION).exists():
            if _parameters(folder) != description["GeneratedBy"][0]["Parameters"]:
                raise InputError(other.format("a cohort of another seed, other settings or another version of the simulation"))
        elif any(not entry.name.startswith(".") for entry in folder.iterdir()):
            raise InputError(other.format("other files"))
        else:
            files.write_text(folder / _DESCRIPTION, _json(description))
        for leftover in folder.glob(".sub-*.partial"):  # of a run that was killed
            shutil.rmtree(leftover)
        files.write_text(folder / "README", _README)
        files.write_text(folder / "participants.json", _json(_PARTICIPANTS))
    except OSError as error:
        raise InputError(f"{folder}: cannot write ({error}); choose a folder that you may write to") from error


def _parameters(folder: Path) -> dict | None:
    """Seed and settings of the cohort in a folder, None if another program made it."""
    return generated_by(folder).get("Parameters")


def _write_case(number: int, folder: Path, seed: int, distortion: bool, physics: Settings) -> None:
    """Writes one subject's folder."""
    person = draw_person(number, seed, physics)

    def write(partial: Path) -> None:
        series, name = partial / "dwi", f"{person.label}_dwi"
        series.mkdir()
        nib.save(_image(person, distortion, physics), series / f"{name}.nii.gz")
        b_values = [0] + [physics.b_value] * len(DIRECTIONS)
        (series / f"{name}.bval").write_text(" ".join(f"{b:g}" for b in b_values) + "\n", encoding="utf-8")
        directions = np.vstack([np.zeros(3), DIRECTIONS]).T
        text = "".join(" ".join(f"{v:.6f}" for v in row) + "\n" for row in directions)
        (series / f"{name}.bvec").write_text(text, encoding="utf-8")
        (series / f"{name}.json").write_text(_json(_sidecar(person)), encoding="utf-8")

    files.write_folder(folder / person.label, write)


def _image(person: Person, distortion: bool, physics: Settings) -> nib.Nifti1Image:
    """The series, int16, (X, Y, z, 4): b = 0 and three directions."""
    scan = make_scan(person, physics, distortion)
    images = [noisy_image(scan, clean_image(scan, 0.0), 0)]
    for stream, direction in enumerate(DIRECTIONS, 1):
        images.append(noisy_image(scan, clean_image(scan, physics.b_value, direction), stream))
    voxels = np.clip(np.rint(np.stack(images, -1)), 0, np.iinfo(np.int16).max).astype(np.int16)
    image = nib.Nifti1Image(voxels, reconstructed_affine(person))
    image.set_sform(image.affine, code=1)
    image.set_qform(image.affine, code=1)
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = person.protocol.repetition_time_ms / 1000
    return image


def _sidecar(person: Person) -> dict:
    """Acquisition parameters with their BIDS names and units."""
    protocol = person.protocol
    spacing = 1 / (protocol.bandwidth_hz * protocol.matrix)
    return {
        "Manufacturer": protocol.manufacturer,
        "ManufacturersModelName": "simulated",
        "MagneticFieldStrength": protocol.tesla,
        "ProtocolName": protocol.name,
        "PulseSequenceType": "2D spin-echo EPI",
        "EchoTime": protocol.echo_time_ms / 1000,
        "RepetitionTime": protocol.repetition_time_ms / 1000,
        "SliceThickness": protocol.thickness_mm,
        "SpacingBetweenSlices": protocol.spacing_mm,
        "AcquisitionMatrixPE": protocol.matrix,
        "ReconMatrixPE": protocol.reconstructed,
        "PhaseEncodingDirection": "j-",
        "EffectiveEchoSpacing": spacing * protocol.matrix / protocol.reconstructed,
        "TotalReadoutTime": spacing * protocol.matrix * (1 - 1 / protocol.reconstructed),
    }


def _write_participants(folder: Path, seed: int, physics: Settings) -> None:
    """participants.tsv of the subjects that are there."""
    numbers = sorted(int(case.name[4:]) - 1 for case in folder.glob("sub-*") if case.name[4:].isdigit())
    people = [draw_person(number, seed, physics) for number in numbers]
    rows = ["participant_id\tage\tsex", *(f"{p.label}\t{p.age:g}\t{p.sex}" for p in people)]
    files.write_text(folder / "participants.tsv", "\n".join(rows) + "\n")


def _json(content: dict) -> str:
    return json.dumps(content, indent=2) + "\n"
