"""Sorts the series of a folder of DICOM by their headers: DWI, trace images, ADC maps, and others.

Nothing here writes, and nothing of a header is put into a message: names and dates hide in every free text.
"""

import contextlib
import logging
import os
import re
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from tqdm.auto import tqdm

from dwikit.cohorts.dicom.pseudonym import age_in_years

MR_IMAGES = ("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4")
"""SOP classes of MR images: classic, enhanced, and enhanced made of classic ones."""
PRIVATE_B_VALUES = (
    ((0x0019, 0x0010), "SIEMENS MR HEADER", (0x0019, 0x100C)),
    ((0x0043, 0x0010), "GEMS_PARM_01", (0x0043, 0x1039)),
    ((0x2001, 0x0010), "Philips Imaging DD 001", (0x2001, 0x1003)),
)
"""Where vendors keep the b-value: tag of the private creator, the creator, tag of the value."""
GE_FLAG = 100_000
"""GE adds a multiple of this to b-values of multi-shell protocols."""
GE_PART = 0x0043, 0x102F
"""GE: 0 magnitude, 1 phase, 2 real, 3 imaginary."""
HEADER = [
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "ImageType", "SeriesDescription"),
    *("PatientID", "IssuerOfPatientID", "PatientAge", "PatientBirthDate", "PatientSex", "StudyDate", "BurnedInAnnotation"),
    *("NumberOfFrames", "ComplexImageComponent", "DiffusionBValue", "DiffusionDirectionality", "ImagePositionPatient"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *(tag for creator, _, value in PRIVATE_B_VALUES for tag in (creator, value)),
    GE_PART,
]
MAPS = ("FA", "COLFA", "RA", "TENSOR", "TENSOR_B0", "EXPONENTIAL", "EADC", "IVIM")
ADC = ("ADC", "ADC_UNSPECIFIED", "APPARENT_DIFFUSION", "DIFFUSION_ADC")
TRACE = ("TRACE", "TRACEW", "ISOTROPIC", "COMBINED")
NOT_MAGNITUDE = ("P", "PHASE", "PHASE MAP", "R", "REAL", "I", "IMAGINARY", "MIXED")
REASONS = {
    "adc": "ADC map",
    "map": "another map computed from DWI",
    "localizer": "localizer",
    "part": "phase, real or imaginary part",
    "burned-in": "text is burned into its pixels, which may name the patient",
    "not MR": "no MR image",
    "other": "no b-value: not diffusion-weighted",
}
"""Why a kind is left out."""


@dataclass
class Series:
    """Images of one kind of one series.

    Attributes:
        patient: issuer and ID.
        study, series: UIDs.
        kind: "dwi", "trace", or a key of REASONS.
        images: SOP instance UID -> file; an image that occurs twice counts once.
        n_frames: images, or frames of multi-frame files.
        positions: position of a slice's corner (mm) -> number of images there; empty for multi-frame files.
        damaged: files whose pixels are found cut off when the series is converted.
        mosaic: whether a frame shows all slices of a volume.
        b_values: s/mm2, as far as known from the headers.
        age: whole years or None; sex: "F", "M" or None.
    """

    patient: tuple[str, str]
    study: str
    series: str
    kind: str
    images: dict[str, Path] = field(default_factory=dict)
    n_frames: int = 0
    positions: Counter[tuple[float, ...]] = field(default_factory=Counter)
    damaged: list[Path] = field(default_factory=list)
    mosaic: bool = False
    b_values: set[float] = field(default_factory=set)
    age: float | None = None
    sex: str | None = None


def read_folder(folder: Path, progress: bool = True) -> tuple[list[Series], list[Path]]:
    """Series of a folder and its subfolders, sorted by UID, and the files that are not readable DICOM."""
    paths = sorted(Path(parent) / name for parent, _, names in os.walk(folder) for name in names)
    found: dict[tuple, Series] = {}
    unreadable = []
    with silence():
        for path in tqdm(paths, unit="file", desc="headers", disable=not progress):
            try:
                _add(found, _plain(pydicom.dcmread(path, stop_before_pixels=True, specific_tags=HEADER)), path)
            except Exception:  # whatever a damaged header raises, its text may quote the header
                unreadable.append(path)
    return sorted(found.values(), key=lambda one: (one.study, one.series, one.kind)), unreadable


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


def _plain(dataset: Dataset) -> Dataset:
    """The header, if it is one of an image or of another object that belongs to a series."""
    if not (dataset.get("SeriesInstanceUID") and dataset.get("SOPInstanceUID")):  # such as a DICOMDIR
        raise ValueError
    return dataset


def _add(found: dict[tuple, Series], dataset: Dataset, path: Path) -> None:
    """Adds an image to its series."""
    kind = kind_of(dataset)
    uid = str(dataset.SeriesInstanceUID)
    patient = str(dataset.get("IssuerOfPatientID") or ""), str(dataset.get("PatientID") or "")
    study = str(dataset.get("StudyInstanceUID") or uid)
    series = found.setdefault((patient, uid, kind), Series(patient, study, uid, kind))
    if dataset.SOPInstanceUID in series.images:
        return
    series.images[str(dataset.SOPInstanceUID)] = path
    series.n_frames += int(dataset.get("NumberOfFrames") or 1)
    if corner := dataset.get("ImagePositionPatient"):
        series.positions[tuple(round(float(mm), 3) for mm in corner)] += 1
    series.mosaic |= "MOSAIC" in _image_type(dataset)
    series.b_values |= b_values(dataset)
    born, then = str(dataset.get("PatientBirthDate") or ""), str(dataset.get("StudyDate") or "")
    series.age = age_in_years(str(dataset.get("PatientAge") or ""), born, then)
    sex = str(dataset.get("PatientSex") or "")
    series.sex = sex if sex in ("F", "M") else None


def _image_type(dataset: Dataset) -> tuple[str, ...]:
    value = dataset.get("ImageType") or ()
    return tuple(text.strip().upper() for text in ([value] if isinstance(value, str) else value))


def kind_of(dataset: Dataset) -> str:
    """Kind of an image by its header: "dwi", "trace", or a key of REASONS.

    Words of the series' description count for derived images only: a raw series is often called after the maps that the scanner
    computes from it.
    """
    words = set(_image_type(dataset))
    derived = str(dataset.get("SeriesDescription") or "") if "DERIVED" in words else ""
    if dataset.get("Modality") != "MR" or dataset.get("SOPClassUID") not in MR_IMAGES:
        return "not MR"
    if dataset.get("BurnedInAnnotation") == "YES":
        return "burned-in"
    if "LOCALIZER" in words:
        return "localizer"
    if dataset.get("ComplexImageComponent") in NOT_MAGNITUDE or words & set(NOT_MAGNITUDE) or _number(dataset, GE_PART):
        return "part"
    if words & set(ADC) or re.search(r"(?<![a-z])adc(?![a-z])|apparent.diffusion", derived, re.I):
        return "adc"
    if words & set(MAPS) or re.search(r"(?<![a-z])(col)?fa(?![a-z])|eadc|expon|tensor", derived, re.I):
        return "map"
    isotropic = dataset.get("DiffusionDirectionality") == "ISOTROPIC"
    if isotropic or words & set(TRACE) or re.search(r"trace|isotrop", derived, re.I):
        return "trace"
    return "dwi" if b_values(dataset) else "other"


def b_values(dataset: Dataset) -> set[float]:
    """b-values (s/mm2) of an image or of the frames of a file; empty if the header has none.

    The standard's field (0018,9087) comes first, then those of Siemens (0019,100C), GE (0043,1039) and Philips (2001,1003).
    """
    if "DiffusionBValue" in dataset:
        return {float(dataset.DiffusionBValue)}
    for creator, name, tag in PRIVATE_B_VALUES:
        value = _number(dataset, tag)
        if value is not None and value >= 0 and name in str(dataset.get(creator)):
            return {value % GE_FLAG}
    groups = [*dataset.get("SharedFunctionalGroupsSequence", ()), *dataset.get("PerFrameFunctionalGroupsSequence", ())]
    items = [item for group in groups for item in group.get("MRDiffusionSequence", ())]
    return {float(item.DiffusionBValue) for item in items if "DiffusionBValue" in item}


def _number(dataset: Dataset, tag: tuple[int, int]) -> float | None:
    """First number of an element; its type is unknown if the file keeps no types."""
    element = dataset.get(tag)
    if element is None or element.value is None:
        return None
    value = element.value
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace").strip(" \0").split("\\")
    try:
        return float(value if isinstance(value, (str, int, float)) else value[0])
    except (TypeError, ValueError, IndexError):
        return None
