"""One series of DICOM to NIfTI with dcm2niix, and nothing of the patient beside it.

dcm2niix (Li, Morgan, Ashburner, Smith, Rorden, J Neurosci Methods 2016) works in a private folder on links with neutral names;
what it prints is thrown away, only numbers and listed words of its sidecar are kept, and the image gets a new header.
"""

import gzip
import os
import subprocess
import tempfile
from pathlib import Path

import dcm2niix
import nibabel as nib
import numpy as np

from dwikit.cohorts.dicom.faults import cut_off, gaps
from dwikit.cohorts.dicom.series import Series
from dwikit.common import files

TIMEOUT_S = 600
"""Time limit per series; a large one takes seconds."""
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


class Failed(Exception):
    """A series that could not be converted; the message quotes nothing of it."""


def convert(one: Series, target: Path) -> None:
    """Writes sidecar, b-table and image; the image last, so that a series with an image is complete.

    Raises:
        Failed: with the cause as far as the files show it, else with what dcm2niix did.
    """
    one.damaged = cut_off(one)
    if one.damaged:
        raise Failed(f"{len(one.damaged)} of {len(one.images)} files cannot be read or end too early: their pixels are cut off")
    with tempfile.TemporaryDirectory(prefix="dwikit-") as work:
        image, sidecar, table = _dcm2niix(one, Path(work))
        volumes = image.shape[3] if image.ndim == 4 else 1
        if one.n_frames != volumes * (1 if one.mosaic else image.shape[2]):
            raise Failed(gaps(one) or f"{one.n_frames} slices do not fill {volumes} volumes of {image.shape[2]}")
        if not table and len(one.b_values) == volumes == 1:
            table = {".bval": f"{min(one.b_values):g}\n"}
        if one.kind == "dwi" and len(table.get(".bval", "").split()) != volumes:
            raise Failed(gaps(one) or "dcm2niix found no b-value for every volume")
        stem = target.with_suffix("").with_suffix("")
        files.write_json(stem.with_suffix(".json"), plain_sidecar(sidecar))
        for ending, text in table.items():
            files.write_text(stem.with_suffix(ending), text)
        packed = gzip.compress(plain_image(image, sidecar.get("RepetitionTime")).to_bytes(), compresslevel=6, mtime=0)
        files.write(target, lambda path: path.write_bytes(packed))


def _dcm2niix(one: Series, work: Path) -> tuple[nib.Nifti1Image, dict, dict[str, str]]:
    """Runs dcm2niix on links to a series' files: image, sidecar, and b-table by file ending."""
    try:
        (work / "in").mkdir()
        (work / "out").mkdir()
        for number, path in enumerate(one.images.values()):
            os.symlink(path.resolve(), work / "in" / f"{number:06d}.dcm")
    except OSError as error:
        raise Failed(f"the temporary folder cannot be written ({error.strerror})") from None
    options = ["-g", "i", "-z", "n", "-b", "y", "-ba", "y", "-f", "image", "-o", str(work / "out"), str(work / "in")]
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        done = subprocess.run([dcm2niix.bin, *options], **silent, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise Failed(f"dcm2niix did not end within {TIMEOUT_S} s") from None
    images = list((work / "out").glob("*.nii"))
    if len(images) != 1:
        raise Failed(gaps(one) or f"dcm2niix made {len(images)} images of it (status {done.returncode}), not one")
    try:
        image = nib.load(images[0], mmap=False)
        image.get_fdata(dtype=np.float32)
    except Exception:
        raise Failed("dcm2niix made an image that cannot be read") from None
    texts = {ending: images[0].with_suffix(ending) for ending in (".bval", ".bvec")}
    table = {ending: _numbers_only(path.read_text()) for ending, path in texts.items() if path.exists()}
    return image, files.read_object(images[0].with_suffix(".json")), table


def _numbers_only(text: str) -> str:
    """A table of numbers, rewritten."""
    return "".join(" ".join(f"{float(cell):g}" for cell in line.split()) + "\n" for line in text.splitlines() if line.strip())


def plain_sidecar(sidecar: dict) -> dict:
    """The fields of a sidecar that name nobody: those of NUMBERS with a number, those of WORDS with a word listed there."""
    numbers = {name: sidecar[name] for name in NUMBERS if type(sidecar.get(name)) in (int, float)}
    words = {name: sidecar[name] for name, known in WORDS.items() if sidecar.get(name) in known}
    return dict(sorted((numbers | words).items()))


def plain_image(image: nib.Nifti1Image, repetition_time: float | None) -> nib.Nifti1Image:
    """The same voxels and affine under a new header; free texts, comments and extensions stay behind.

    Stored numbers are kept with their type where the header does not scale them, else they become float32.
    """
    scaled = image.dataobj.slope != 1 or image.dataobj.inter != 0
    voxels = image.get_fdata(dtype=np.float32) if scaled else np.asanyarray(image.dataobj)
    plain = nib.Nifti1Image(voxels, image.affine)
    plain.set_sform(image.affine, code=1)
    plain.set_qform(image.affine, code=1)
    plain.header.set_xyzt_units("mm", "sec")
    if voxels.ndim == 4 and isinstance(repetition_time, (int, float)):
        plain.header["pixdim"][4] = repetition_time
    return plain
