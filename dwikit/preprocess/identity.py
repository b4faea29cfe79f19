"""What a scan is, by its content: hashes of all voxels and tables, never of names, sizes or dates."""

import gzip
import hashlib
import os
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from dwikit.cohorts.bids import Case
from dwikit.cohorts.names import split_name
from dwikit.common import files
from dwikit.common.progress import tqdm

CHUNK = 2**20


def content(case: Case) -> str | None:
    """SHA-256 (hexadecimal) of a scan's image, unpacked, its b-values and its directions; None if a file cannot be read.

    Of an image without a table, it also counts whether it is called a trace image, and the b-value in its sidecar.
    """
    digest = hashlib.sha256()
    try:
        with (gzip.open if case.image.name.lower().endswith(".gz") else open)(case.image, "rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        for table in (case.bval, case.bvec):
            digest.update(b"\0" + ((table.read_bytes() or b"\0") if table else b""))  # an empty table is not none
        if case.bval is None:
            if case.sidecar and files.absence(case.sidecar):
                return None
            told = files.read_object(case.sidecar).get("DiffusionBValue") if case.sidecar else None
            digest.update(f"{split_name(case.image.name)[1]} {told!r}".encode())
    except (OSError, EOFError, zlib.error):
        return None
    return digest.hexdigest()


def contents(cases: list[Case], progress: bool = True) -> dict[str, str | None]:
    """The content of every scan by its name."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = pool.map(content, cases)
        bar = tqdm(found, total=len(cases), desc="Reading", unit="scan", disable=not progress, leave=False, delay=2)
        return dict(zip((case.name for case in cases), bar, strict=True))


def voxels(image: np.ndarray) -> str:
    """SHA-256 of an image's positive values in ascending order, so that turning, mirroring or padding it changes nothing."""
    return hashlib.sha256(np.sort(image[image > 0]).astype("<f4").tobytes()).hexdigest()
