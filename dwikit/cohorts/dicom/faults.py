"""Why a series cannot be converted, as far as its files show: pixels cut off, slices missing."""

import statistics
from pathlib import Path

import pydicom

from dwikit.cohorts.dicom.series import Series, silence


def cut_off(one: Series) -> list[Path]:
    """Files of a series that cannot be read to their last pixel."""
    with silence():
        return [path for path in one.images.values() if not _whole(path)]


def _whole(path: Path) -> bool:
    try:
        dataset = pydicom.dcmread(path)
        pixels, frames, samples = dataset["PixelData"], dataset.get("NumberOfFrames") or 1, dataset.get("SamplesPerPixel") or 1
        bits = int(frames) * dataset.Rows * dataset.Columns * samples * dataset.BitsAllocated
        return pixels.is_undefined_length or len(pixels.value) >= bits // 8  # packed pixels were read to the mark at their end
    except Exception:  # whatever a damaged file raises, its text may quote the file
        return False


def gaps(one: Series) -> str:
    """Which slices are missing or surplus; empty if every slice position has the same number of images."""
    counts = one.positions.values()
    volumes = statistics.mode(counts) if counts else 0
    missing = sum(max(volumes - count, 0) for count in counts)
    surplus = sum(max(count - volumes, 0) for count in counts)
    if not (missing or surplus):
        return ""
    return f"{sum(counts)} slices do not fill {volumes} volumes of {len(counts)}: {missing} missing, {surplus} too many"
