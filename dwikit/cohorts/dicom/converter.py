"""Runs dcm2niix (Li, Morgan, Ashburner, Smith, Rorden, J Neurosci Methods 2016) and reads what it made.

What it prints may quote a header: only whether listed phrases occur in it is kept.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import dcm2niix
import nibabel as nib
import numpy as np

from dwikit.common import files

TIMEOUT_S = 600
"""Time limit per series; a large one takes seconds."""
PHRASES = {
    "unsupported transfer syntax": "it does not read the transfer syntax",
    "unable to decompress": "it cannot unpack the pixels",
    "decompression error": "it cannot unpack the pixels",
    "unable to decode": "it cannot unpack the pixels",
    "rle header error": "it cannot unpack the pixels",
    "dimensions vary": "matrix sizes vary",
    "tr varies": "repetition times vary",
    "flip angle varies": "flip angles vary",
    "echo varies": "echo times or echo numbers vary",
    "trigger time varies": "trigger times vary",
    "coil varies": "receive coils vary",
    "protocol name varies": "protocol names or descriptions vary",
    "orientation varies": "slice orientations vary",
    "date/time (0008,0020;0008,0030)": "study dates or times vary",
    "phase/real/imaginary": "magnitude, phase, real or imaginary images are mixed",
    "interslice distance varies": "distances between slices vary",
    "images may be missing": "images may be missing",
    "missing images": "images may be missing",
    "unable to determine slice direction": "slices could not be ordered",
    "spatial orientation: 0020,0037 missing": "the orientation is missing",
    "disk full": "the disk may be full",
}
"""What dcm2niix says, in lower case, and what is told of it: nothing of a header."""


class Failed(Exception):
    """A series that could not be converted; the message quotes nothing of it."""


class Made(NamedTuple):
    """One image of dcm2niix: image, sidecar, b-values (N,) and b-vectors (3, N) or None."""

    image: nib.Nifti1Image
    sidecar: dict
    bvals: np.ndarray | None
    bvecs: np.ndarray | None


def run(paths: Iterable[Path], work: Path, *options: str) -> tuple[list[Made], str]:
    """Runs dcm2niix on links with neutral names.

    Args:
        paths: DICOM files of one series.
        work: an existing folder to work in.
        options: more options of dcm2niix.

    Returns:
        The images that it made, and what it did: their number, its status, and the reasons of PHRASES.

    Raises:
        Failed: the folder cannot be written, dcm2niix hangs, or its image cannot be read.
    """
    try:
        source, out = (Path(tempfile.mkdtemp(dir=work)) for _ in range(2))
        for number, path in enumerate(paths):
            _place(path.resolve(), source / f"{number:06d}.dcm")
    except OSError as error:
        raise Failed(f"the temporary folder cannot be written ({error.strerror})") from None
    arguments = ["-g", "i", "-z", "n", "-b", "y", "-ba", "y", *options, "-f", "image", "-o", str(out), str(source)]
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    try:
        done = subprocess.run([dcm2niix.bin, *arguments], **silent, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise Failed(f"dcm2niix did not end within {TIMEOUT_S} s") from None
    made = [_load(path) for path in sorted(out.glob("*.nii"))]
    said = done.stdout.decode("ascii", "replace").lower()
    reasons = dict.fromkeys(reason for phrase, reason in PHRASES.items() if phrase in said)
    return made, f"dcm2niix made {len(made)} images of it (status {done.returncode})" + "".join(f"; {text}" for text in reasons)


def _place(path: Path, link: Path) -> None:
    """Links a file; one that begins with its meta information, which dcm2niix does not read, is copied behind a preamble."""
    with open(path, "rb") as file:
        start = file.read(132)
    if start[:2] == b"\x02\x00" and start[128:] != b"DICM":
        link.write_bytes(bytes(128) + b"DICM" + path.read_bytes())
    else:
        os.symlink(path, link)


def _load(path: Path) -> Made:
    try:
        image = nib.load(path, mmap=False)
        image.get_fdata(dtype=np.float32)
        tables = (path.with_suffix(ending) for ending in (".bval", ".bvec"))
        bvals, bvecs = (np.loadtxt(file, ndmin=2) if file.exists() else None for file in tables)
    except Exception:
        raise Failed("dcm2niix made an image that cannot be read") from None
    return Made(image, files.read_object(path.with_suffix(".json")), None if bvals is None else bvals.ravel(), bvecs)
