"""Sorts the series of a folder of DICOM by their headers: DWI, trace images, ADC maps, and others.

Nothing here writes, and nothing of a header is put into a message: names and dates hide in every free text.
"""

import contextlib
import hashlib
import logging
import os
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from dwikit.cohorts.dicom.diffusion import FIELDS, b_values, number
from dwikit.cohorts.dicom.pseudonym import age_in_years
from dwikit.common.progress import tqdm

MR_IMAGES = ("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4")
"""SOP classes of MR images: classic, enhanced, and enhanced made of classic ones."""
GE_PART = 0x0043, 0x102F
"""GE: 0 magnitude, 1 phase, 2 real, 3 imaginary."""
HEADER = [
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "ImageType", "SeriesDescription"),
    *("PatientID", "IssuerOfPatientID", "PatientAge", "PatientBirthDate", "PatientSex", "StudyDate", "BurnedInAnnotation"),
    *("NumberOfFrames", "ComplexImageComponent", "SequenceName"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *FIELDS,
    GE_PART,
]
MAPS = ("FA", "COLFA", "RA", "TENSOR", "TENSOR_B0", "EXPONENTIAL", "EADC", "IVIM")
ADC = ("ADC", "ADC_UNSPECIFIED", "APPARENT_DIFFUSION", "DIFFUSION_ADC")
TRACE = ("TRACE", "TRACEW", "ISOTROPIC", "COMBINED")
NOT_MAGNITUDE = ("P", "PHASE", "PHASE MAP", "R", "REAL", "I", "IMAGINARY", "MIXED")
LOST = "no b-value"
"""Kind of images that are diffusion-weighted, but do not say how much: data are lost."""
REASONS = {
    "adc": "ADC map",
    "map": "another map computed from DWI",
    "localizer": "localizer",
    "part": "phase, real or imaginary part",
    "burned-in": "text is burned into its pixels, which may name the patient",
    "not MR": "no MR image",
    "other": "no b-value: not diffusion-weighted",
    LOST: "diffusion-weighted by its image type or sequence, but its b-values are missing",
}
"""Why a kind is left out."""
DIFFUSION = re.compile(r"DIFFUSION|ep_b\d", re.I)
"""What image types and names of sequences of diffusion-weighted images hold."""
BARE = (b"\x08\x00", b"\x00\x08", b"\x02\x00")
"""How a file of DICOM without preamble can begin: with the first group of its header, in either order of bytes."""
DIRECTORY = "1.2.840.10008.1.3.10"
"""SOP class of a DICOMDIR, which holds no image."""
PERSON_FROM = ("patient", "study", "folder")
"""What can tell persons apart."""


@dataclass
class Series:
    """Images of one kind of one series.

    Attributes:
        person: what tells whose it is: "patient", issuer and ID; or "study" and its UID; or "folder" and its name.
        patient: issuer and ID.
        study, series: UIDs.
        kind: "dwi", "trace", or a key of REASONS.
        images: SOP instance UID -> file; an image that occurs twice counts once.
        twins: SOP instance UID that several files have -> the prints of their contents.
        n_slices: images, frames of multi-frame files, or more for mosaics.
        damaged: files whose pixels are found cut off when the series is converted.
        b_values: s/mm2, as far as known from the headers.
        age: whole years or None; sex: "F", "M" or None.
    """

    person: tuple[str, ...]
    patient: tuple[str, str]
    study: str
    series: str
    kind: str
    images: dict[str, Path] = field(default_factory=dict)
    twins: dict[str, set[bytes]] = field(default_factory=dict)
    n_slices: int = 0
    damaged: list[Path] = field(default_factory=list)
    b_values: set[float] = field(default_factory=set)
    age: float | None = None
    sex: str | None = None


class Found(NamedTuple):
    """What a folder holds: series sorted by UID, DICOM files that are damaged or belong to no series, and other files."""

    series: list[Series]
    damaged: list[Path]
    others: list[Path]


def read_folder(folder: Path, progress: bool = True, person_from: str = "patient") -> Found:
    """Sorts the files of a folder and its subfolders; `person_from` is one of PERSON_FROM."""
    paths = sorted(Path(parent) / name for parent, _, names in os.walk(folder) for name in names)
    found: dict[tuple, Series] = {}
    damaged, others = [], []
    with silence():
        for path in tqdm(paths, unit="file", desc="headers", disable=not progress):
            try:
                dataset = _header(path)
            except Exception:  # whatever a damaged header raises, its text may quote the header
                damaged.append(path)
                continue
            if dataset is None:
                others.append(path)
            else:
                _add(found, dataset, path, folder, person_from)
    return Found(sorted(found.values(), key=lambda one: (one.study, one.series, one.kind)), damaged, others)


def _header(path: Path) -> Dataset | None:
    """The header of a file of a series; None if the file is not DICOM, or a DICOMDIR.

    Raises:
        Exception: of many kinds, for a file that is damaged or cannot be opened, such as a link to data not fetched.
    """
    marked = True  # a file that cannot be opened may be one
    try:
        with open(path, "rb") as file:
            start = file.read(132)
            marked = start[128:] == b"DICM"
            if not marked and not start.startswith(BARE):
                return None
            file.seek(0)
            dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=HEADER, force=True)
            at_end = not file.read(1)
    except Exception:
        if marked:
            raise
        return None
    sop_class = str(dataset.get("SOPClassUID") or "")
    if not marked and not sop_class.startswith("1.2.840.10008."):  # other files can begin so, too
        return None
    if DIRECTORY in (sop_class, dataset.file_meta.get("MediaStorageSOPClassUID")):
        return None
    if not dataset.get("SeriesInstanceUID"):
        raise ValueError
    deflated = dataset.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
    if sop_class in MR_IMAGES and at_end and not deflated:  # cut off before its pixels
        raise ValueError
    return dataset


@contextlib.contextmanager
def silence():
    """Inside, pydicom neither warns nor logs: it quotes the values that it complains of."""
    logger = logging.getLogger("pydicom")
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        before, logger.disabled = logger.disabled, True
        try:
            yield
        finally:
            logger.disabled = before


def _add(found: dict[tuple, Series], dataset: Dataset, path: Path, folder: Path, person_from: str) -> None:
    """Adds an image to its series."""
    kind = kind_of(dataset)
    uid = str(dataset.SeriesInstanceUID)
    patient = str(dataset.get("IssuerOfPatientID") or "").strip(), str(dataset.get("PatientID") or "").strip()
    study = str(dataset.get("StudyInstanceUID") or uid)
    top = path.relative_to(folder).parts[0] if path.parent != folder else ""
    person = {"patient": ("patient", *patient), "study": ("study", study), "folder": ("folder", top)}[person_from]
    series = found.setdefault((person, patient, uid, kind), Series(person, patient, study, uid, kind))
    image = str(dataset.get("SOPInstanceUID") or "")
    if image in series.images:
        prints = series.twins.setdefault(image, {_print(series.images[image])})
        mark = _print(path)
        if mark in prints:
            return
        prints.add(mark)
        image += f" {len(prints)}"
    series.images[image] = path
    n_frames = dataset.get("NumberOfFrames")
    series.n_slices += 2 if "MOSAIC" in image_type(dataset) else int(n_frames) if str(n_frames).isdigit() else 1
    series.b_values |= b_values(dataset)
    born, then = str(dataset.get("PatientBirthDate") or ""), str(dataset.get("StudyDate") or "")
    series.age = age_in_years(str(dataset.get("PatientAge") or ""), born, then)
    sex = str(dataset.get("PatientSex") or "")
    series.sex = sex if sex in ("F", "M") else None


def _print(path: Path) -> bytes:
    """Print of an image: what differs between two images of a series, but not between two copies of one."""
    try:
        dataset = pydicom.dcmread(path, force=True)
        place = dataset.get("ImagePositionPatient"), dataset.get("InstanceNumber"), sorted(b_values(dataset))
        return hashlib.sha256(repr(place).encode() + dataset.PixelData).digest()
    except Exception:  # a damaged file is found later
        return hashlib.sha256(path.read_bytes()).digest()


def image_type(dataset: Dataset) -> tuple[str, ...]:
    """Words of the image type in capitals."""
    value = dataset.get("ImageType") or ()
    return tuple(text.strip().upper() for text in ([value] if isinstance(value, str) else value))


def kind_of(dataset: Dataset) -> str:
    """Kind of an image by its header: "dwi", "trace", or a key of REASONS.

    Words of the series' description count for derived images only: a raw series is often called after the maps that the scanner
    computes from it.
    """
    words = set(image_type(dataset))
    derived = str(dataset.get("SeriesDescription") or "") if "DERIVED" in words else ""
    if dataset.get("Modality") != "MR" or dataset.get("SOPClassUID") not in MR_IMAGES:
        return "not MR"
    if dataset.get("BurnedInAnnotation") == "YES":
        return "burned-in"
    if "LOCALIZER" in words:
        return "localizer"
    if dataset.get("ComplexImageComponent") in NOT_MAGNITUDE or words & set(NOT_MAGNITUDE) or number(dataset, GE_PART):
        return "part"
    if words & set(ADC) or re.search(r"(?<![a-z])adc(?![a-z])|apparent.diffusion", derived, re.I):
        return "adc"
    if words & set(MAPS) or re.search(r"(?<![a-z])(col)?fa(?![a-z])|eadc|expon|tensor", derived, re.I):
        return "map"
    isotropic = dataset.get("DiffusionDirectionality") == "ISOTROPIC"
    if isotropic or words & set(TRACE) or re.search(r"trace|isotrop", derived, re.I):
        return "trace"
    if b_values(dataset):
        return "dwi"
    hints = " ".join([*words, *map(str, [dataset.get("SequenceName")])])
    return LOST if DIFFUSION.search(hints) else "other"
