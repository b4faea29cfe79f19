"""What the files of a series say of each slice: where it lies, how it is weighted, and which pixels it has."""

import hashlib
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder
from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dwikit.cohorts.dicom import converter
from dwikit.cohorts.dicom.converter import Failed
from dwikit.cohorts.dicom.diffusion import b_value, direction, inside
from dwikit.cohorts.dicom.series import ADC, MAPS, TRACE, image_type

BLANK = b""
"""Digest of a slice whose pixels are all equal."""
PLAIN = {(True, True): ImplicitVRLittleEndian, (False, True): ExplicitVRLittleEndian, (False, False): ExplicitVRBigEndian}
"""Transfer syntax by whether types are implicit and bytes are in little-endian order."""


class Frame(NamedTuple):
    """One slice by its header.

    Attributes:
        corner: centre of its first pixel, mm, in the patient's axes (left, posterior, head).
        axes: (2, 3) unit vectors from column to column and from row to row.
        spacing: mm from column to column and from row to row.
        shape: columns, rows.
        b: s/mm2, or None.
        direction: of diffusion weighting; None without one.
        computed: whether the header says that the scanner computed it: a trace image or a map.
        number: of the image or frame in its series.
        contrast: echo time (ms), repetition time (ms), flip angle (degrees); nan where unknown.
        digest: of the order of its pixels' values, which scaling and numeric types leave as it is; BLANK if all are equal.
    """

    corner: np.ndarray
    axes: np.ndarray
    spacing: tuple[float, float]
    shape: tuple[int, int]
    b: float | None
    direction: tuple[float, ...] | None
    computed: bool
    number: float
    contrast: tuple[float, float, float]
    digest: bytes


def digest(pixels: np.ndarray) -> bytes:
    """Digest of a slice (rows, columns) that two slices share if one is a rising function of the other."""
    values, ranks = np.unique(pixels, return_inverse=True)
    return hashlib.blake2b(ranks.astype("<u4").tobytes(), digest_size=16).digest() if len(values) > 1 else BLANK


def read(path: Path, work: Path) -> list[Frame]:
    """Frames of a file; those of a mosaic are its tiles.

    Raises:
        Failed: the header lacks a position, contradicts itself, or the pixels are packed in a way that nothing here unpacks.
        Exception: whatever a damaged file raises.
    """
    dataset = pydicom.dcmread(path, force=True)
    pixels = _pixels(dataset, path, work)
    if "MOSAIC" in image_type(dataset):
        return list(_tiles(dataset, pixels[0]))
    shared = [*dataset.get("SharedFunctionalGroupsSequence", ())]
    own = dataset.get("PerFrameFunctionalGroupsSequence") or [Dataset()] * len(pixels)
    if len(own) != len(pixels):
        raise Failed("the number of frames and the number of their headers differ")
    return [
        _frame([*inside(group), *(place for one in shared for place in inside(one)), dataset], image, number)
        for number, (group, image) in enumerate(zip(own, pixels))
    ]


def _pixels(dataset: Dataset, path: Path, work: Path) -> np.ndarray:
    """Stored pixels (frames, rows, columns); dcm2niix unpacks what pydicom cannot, one frame at a time."""
    element, n_frames, syntax = dataset["PixelData"], int(dataset.get("NumberOfFrames") or 1), transfer_syntax(dataset)
    if (dataset.get("SamplesPerPixel") or 1) > 1:
        raise Failed("its pixels are coloured: pictures, not measured intensities")
    if syntax in PLAIN.values() or syntax == DeflatedExplicitVRLittleEndian:
        if len(element.value) < n_frames * dataset.Rows * dataset.Columns * dataset.BitsAllocated // 8:
            raise ValueError
        dataset.file_meta.TransferSyntaxUID = syntax
    elif n_frames == 1:  # read to the mark at its end
        with tempfile.TemporaryDirectory(dir=work) as alone:
            made, said = converter.run([path], Path(alone), "-s", "y")
            if not made:
                raise Failed(said + packed_as(dataset))
            return made[0].image.get_fdata(dtype=np.float32)[:, ::-1, 0].T[np.newaxis]
    elif not any(syntax == known and get_decoder(known).is_available for known in AllTransferSyntaxes):
        raise Failed("its frames cannot be unpacked here" + packed_as(dataset))
    return dataset.pixel_array.reshape(n_frames, dataset.Rows, dataset.Columns)


def transfer_syntax(dataset: Dataset) -> UID:
    """Transfer syntax of a file; by the reading itself if the file has no meta information."""
    return dataset.file_meta.get("TransferSyntaxUID") or PLAIN[dataset.original_encoding]


def packed_as(dataset: Dataset) -> str:
    """What to do about the transfer syntax of a file; empty if it is a plain one. An unknown UID could identify somebody."""
    syntax = transfer_syntax(dataset)
    if syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian):
        return ""
    name = syntax.name if syntax in AllTransferSyntaxes else "a private one"
    return f"; its transfer syntax is {name}: export it as Explicit VR Little Endian"


def _first(places: list[Dataset], name: str):
    """The first value of a field that is not empty."""
    found = (place.get(name) for place in places)
    return next((value for value in found if value not in (None, "", [])), None)


def _frame(places: list[Dataset], pixels: np.ndarray, index: int) -> Frame:
    """A frame by the first of some data sets that has a field."""
    names = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
    corner, turned, spacing = (np.array(_first(places, name) or (), float) for name in names)
    if (len(corner), len(turned), len(spacing)) != (3, 6, 2):
        raise Failed("the position, orientation or pixel spacing of its slices is missing in the header")
    found = sorted(b_value(places))
    if len(found) > 1:
        raise Failed(
            f"its header contradicts itself: b = {found[0]:g} and {found[1]:g} in the standard's and the maker's field"
        )
    words = {str(word).strip().upper() for word in _first(places, "FrameType") or ()}
    contrast = (_first(places, name) for name in ("RepetitionTime", "FlipAngle"))
    contrast = (_first(places, "EffectiveEchoTime") or _first(places, "EchoTime"), *contrast)
    return Frame(
        corner,
        turned.reshape(2, 3),
        (spacing[1], spacing[0]),
        pixels.shape[::-1],
        found[0] if found else None,
        direction(places),
        bool(words & {*ADC, *MAPS, *TRACE}) or _first(places, "DiffusionDirectionality") == "ISOTROPIC",
        float(_first(places, "InstanceNumber") or 0) * 1e6 + index,
        tuple(float(value or math.nan) for value in contrast),
        digest(pixels),
    )


def _tiles(dataset: Dataset, pixels: np.ndarray) -> Iterator[Frame]:
    """Slices of a volume that Siemens wrote as one picture, in the order and direction of its private header (CSA)."""
    from nibabel.nicom.csareader import get_csa_header  # warns when it is imported; the reader of a series is silent
    from nibabel.nicom.dicomwrappers import MosaicWrapper

    csa = get_csa_header(dataset)
    if csa is None:
        raise Failed("a mosaic without Siemens' private header (0029,1010): where its slices lie cannot be told")
    mosaic = MosaicWrapper(dataset, csa)
    side = math.ceil(math.sqrt(mosaic.n_mosaic))
    rows, columns = pixels.shape[0] // side, pixels.shape[1] // side
    tiles = pixels.reshape(side, rows, side, columns).swapaxes(1, 2).reshape(-1, rows, columns)
    whole = _frame([dataset], pixels, 0)
    for k, tile in enumerate(tiles[: mosaic.n_mosaic]):
        corner = mosaic.image_position + k * mosaic.voxel_sizes[2] * mosaic.slice_normal
        yield whole._replace(corner=corner, shape=(columns, rows), number=whole.number + k, digest=digest(tile))
