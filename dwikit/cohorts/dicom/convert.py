"""One series of DICOM to NIfTI, checked against its headers, and nothing of the patient beside it.

Only numbers and listed words of dcm2niix's sidecar are kept, and the image gets a new header.
"""

import gzip
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom

from dwikit.cohorts.dicom import check, converter, frames
from dwikit.cohorts.dicom.converter import Failed
from dwikit.cohorts.dicom.series import Series, silence
from dwikit.common import files

NUMBERS = (
    *("MagneticFieldStrength", "EchoTime", "RepetitionTime", "FlipAngle", "SliceThickness", "SpacingBetweenSlices"),
    *("PixelBandwidth", "EchoTrainLength", "PartialFourier", "ParallelReductionFactorInPlane", "EffectiveEchoSpacing"),
    *("TotalReadoutTime", "AcquisitionMatrixPE", "ReconMatrixPE"),
)
"""Fields of dcm2niix's sidecar that are kept if they hold one number."""
WORDS = {
    "Modality": ("MR",),
    "Manufacturer": ("Siemens", "GE", "Philips", "Toshiba", "Canon", "UIH", "Hitachi", "Bruker", "Mediso"),
    "MRAcquisitionType": ("2D", "3D"),
    "PhaseEncodingDirection": ("i", "i-", "j", "j-", "k", "k-"),
    "PhaseEncodingAxis": ("i", "j", "k"),
}
"""Fields that are kept if they hold one of these words."""


def convert(one: Series, target: Path) -> str:
    """Writes sidecar, b-table and image; the image last, so that a series with an image is complete.

    Returns:
        What was left out of the series, such as the scanner's own trace image; empty if nothing.

    Raises:
        Failed: with the cause as far as the files and their headers show it, else with what dcm2niix did.
    """
    with tempfile.TemporaryDirectory(prefix="dwikit-") as work, silence():
        found = _read(one, Path(work))
        of = check.stack(found)
        made, said = converter.run(one.images.values(), Path(work), "--ignore_trigger_times")
        if not made:
            header = pydicom.dcmread(next(iter(one.images.values())), stop_before_pixels=True, force=True)
            raise Failed(said + frames.packed_as(header))
        whole, note = check.assemble(found, of, made, said)
        stem = target.with_suffix("").with_suffix("")
        files.write_json(stem.with_suffix(".json"), plain_sidecar(whole.sidecar))
        if whole.bvals is not None:
            files.write_text(stem.with_suffix(".bval"), _row(whole.bvals))
        if whole.bvecs is not None:
            files.write_text(stem.with_suffix(".bvec"), "".join(map(_row, whole.bvecs)))
        packed = gzip.compress(
            plain_image(whole.image, whole.sidecar.get("RepetitionTime")).to_bytes(), compresslevel=6, mtime=0
        )
        files.write(target, lambda path: path.write_bytes(packed))
    return note


def _read(one: Series, work: Path) -> list[frames.Frame]:
    """Frames of all files; those that cannot be read are listed in the series."""
    found = []
    one.damaged = []
    for path in one.images.values():
        try:
            found += frames.read(path, work)
        except Failed:
            raise
        except Exception:  # whatever a damaged file raises, its text may quote the file
            one.damaged.append(path)
    if one.damaged:
        raise Failed(f"{len(one.damaged)} of {len(one.images)} files cannot be read or end too early: cut off, or damaged")
    return found


def _row(numbers: np.ndarray) -> str:
    return " ".join(f"{value:g}" for value in numbers) + "\n"


def plain_sidecar(sidecar: dict) -> dict:
    """The fields of a sidecar that name nobody: those of NUMBERS with a number, those of WORDS with a word listed there."""
    numbers = {name: sidecar[name] for name in NUMBERS if type(sidecar.get(name)) in (int, float)}
    words = {name: sidecar[name] for name, known in WORDS.items() if sidecar.get(name) in known}
    return dict(sorted((numbers | words).items()))


def plain_image(image: nib.Nifti1Image, repetition_time: float | None) -> nib.Nifti1Image:
    """The same voxels and affine under a new header; free texts, comments and extensions stay behind.

    Stored numbers are kept with their type where the header does not scale them, else they become float32.
    """
    voxels = check.stored(image)
    plain = nib.Nifti1Image(voxels, image.affine)
    plain.set_sform(image.affine, code=1)
    plain.set_qform(image.affine, code=1)
    plain.header.set_xyzt_units("mm", "sec")
    if voxels.ndim == 4 and isinstance(repetition_time, (int, float)):
        plain.header["pixdim"][4] = repetition_time
    return plain
