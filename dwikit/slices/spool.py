"""Slices on their way into a store, not yet normalized: on disk, so that a cohort of any size needs little memory."""

import hashlib
import json
import os
import shutil
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dwikit.common import files
from dwikit.common.errors import InputError
from dwikit.slices import grid, histogram
from dwikit.slices.grid import Volume
from dwikit.slices.normalization import shrink
from dwikit.slices.settings import SliceSettings


class Repeatable(NamedTuple):
    """Scans that come out the same whenever they are made, so that building slices of them goes on after a stop.

    Attributes:
        made_with: all that decides them, as plain values.
        since: the scans from a number on, in order; 0 is the first.
    """

    made_with: dict[str, Any]
    since: Callable[[int], Iterable[Volume]]


class Spool:
    """A folder of slices that is filled scan by scan.

    settings.json   what decides the slices; with any other, the folder is emptied
    slices.bin      (26, H, H) float32 of each scan
    scans.jsonl     one line a scan, written after its slices: row, cap, their CRC-32, and the histogram of its voxels

    A scan counts if its line is whole and its slices are those of the line: what a killed process left half-written is cut off.

    Attributes:
        rows: of the scans in ``cases.tsv``, without the split (`describe`).
        caps: value at which to clip each scan, if each has its own.
        total: histogram of the voxels of all scans.
    """

    def __init__(self, folder: Path, settings: SliceSettings, made_with: dict[str, Any] | None = None):
        self.folder, self.settings = folder, settings
        self._decides = json.loads(json.dumps({"slices": asdict(settings), "scans": made_with}))
        self._clear()
        if files.read_object(folder / "settings.json") == self._decides:
            self._cut(*self._take_up())
        else:
            self.empty()

    def __len__(self) -> int:
        return len(self.rows)

    def empty(self) -> None:
        """Begin anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._clear()
        files.write_json(self.folder / "settings.json", self._decides)

    def _clear(self) -> None:
        self.rows: list[dict[str, str]] = []
        self.caps: list[float] = []
        self.total: Counter[int] = Counter()

    def _take_up(self) -> tuple[int, int]:
        """Read what is whole; returns its bytes in ``scans.jsonl`` and in ``slices.bin``."""
        lines, size = 0, 4 * np.prod(self._shape)
        try:
            with open(self.folder / "scans.jsonl", "rb") as scans, open(self.folder / "slices.bin", "rb") as slices:
                for line in scans:
                    scan, pixels = json.loads(line), slices.read(size)
                    if not line.endswith(b"\n") or len(pixels) < size or zlib.crc32(pixels) != scan["crc"]:
                        break
                    self._count(scan)
                    lines += len(line)
        except (OSError, ValueError, LookupError, TypeError):
            pass
        return lines, len(self) * size

    def _cut(self, lines: int, pixels: int) -> None:
        for name, size in (("scans.jsonl", lines), ("slices.bin", pixels)):
            if (self.folder / name).exists():
                os.truncate(self.folder / name, size)

    def _count(self, scan: dict[str, Any]) -> None:
        counts = Counter({int(number): count for number, count in scan["histogram"].items()})
        self.rows.append(scan["row"])
        self.caps.append(scan["cap"])
        self.total.update(counts)

    def fill(self, volumes: Iterable[Volume]) -> Iterator[dict[str, str]]:
        """Add scans; yields the row of each.

        Raises:
            InputError: an image or a person that no store can hold.
        """
        with open(self.folder / "slices.bin", "ab") as slices, open(self.folder / "scans.jsonl", "ab") as scans:
            for volume in volumes:
                _require_a_scan(volume)
                counts = histogram.histogram(volume.image)
                pixels = shrink(volume.image, self.settings.image_size).astype(np.float32).tobytes()
                scan = {
                    "row": describe(volume),
                    "cap": histogram.percentile(counts, self.settings.percentile),
                    "crc": zlib.crc32(pixels),
                    "histogram": counts,
                }
                for file, content in ((slices, pixels), (scans, json.dumps(scan).encode() + b"\n")):
                    file.write(content)
                    file.flush()
                self._count(scan)
                yield self.rows[-1]

    def images(self) -> Iterator[np.ndarray]:
        """The slices of each scan, (26, H, H) float32, read one scan at a time."""
        with open(self.folder / "slices.bin", "rb") as file:
            for _ in self.rows:
                yield np.fromfile(file, np.float32, np.prod(self._shape)).reshape(self._shape)

    @property
    def _shape(self) -> tuple[int, int, int]:
        return grid.N_LEVELS, self.settings.image_size, self.settings.image_size


def resumed(spool: Spool, scans: Repeatable) -> Iterator[dict[str, str]]:
    """Fill a spool with what it lacks; yields the row of every scan, also of those that were there.

    The last scan that was there is made once more: if it comes out otherwise, as after a change of the code that makes it, all
    are made anew.
    """
    volumes = iter(scans.since(max(len(spool) - 1, 0)))
    if len(spool) and describe(next(volumes)) != spool.rows[-1]:
        spool.empty()
        volumes = scans.since(0)
    yield from list(spool.rows)
    yield from spool.fill(volumes)


def _require_a_scan(volume: Volume) -> None:
    """Refuse what would become wrong slices: other levels than the grid's, no square, no numbers, nothing, nobody."""
    image, levels = np.asarray(volume.image), grid.N_LEVELS
    age, sex = volume.age, volume.sex
    if image.ndim != 3 or len(image) != levels or image.shape[1] != image.shape[2]:
        wrong = f"its image has the shape {image.shape}, not ({levels}, H, H), levels first (slices.grid.to_slices)"
    elif not np.isfinite(image).all():
        wrong = f"{np.mean(~np.isfinite(image)):.1%} of its voxels are no finite numbers"
    elif image.max() <= 0:
        wrong = "it is empty: no voxel is brighter than 0"
    elif not all(isinstance(name, str) and name.strip() and name != "n/a" for name in (volume.case, volume.subject)):
        wrong = f"its case {volume.case!r} and subject {volume.subject!r} must both be names"
    elif age is not None and not 0 <= age <= grid.OLDEST:
        wrong = f"its age must be None or 0 to {grid.OLDEST} years, not {age}"
    elif sex not in (None, "F", "M"):
        wrong = f"its sex must be None, F or M, not {sex!r}"
    else:
        return
    raise InputError(f"Scan {volume.case}: {wrong}.")


def describe(volume: Volume) -> dict[str, str]:
    """Row of a scan in `cases.tsv`, as text; `content` is the SHA-256 of its voxels, float32."""
    return {
        "case": volume.case,
        "subject": volume.subject,
        "age": "n/a" if volume.age is None else str(float(volume.age)),
        "sex": volume.sex or "n/a",
        "origin": volume.origin,
        "content": hashlib.sha256(np.ascontiguousarray(volume.image, "<f4").tobytes()).hexdigest(),
    }
