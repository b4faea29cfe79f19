"""From registered volumes to a store of slices: normalize, split by person, write."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from dwikit.common import files, lock
from dwikit.common.errors import InputError
from dwikit.slices import grid, histogram
from dwikit.slices.grid import Volume
from dwikit.slices.normalization import normalize, shrink, to_uint8
from dwikit.slices.registered import read_derivatives
from dwikit.slices.settings import CALIBRATED, SliceSettings
from dwikit.slices.split import split_by_patient
from dwikit.slices.store import COLUMNS, SliceStore


def build(
    derivatives: str | Path | Iterable[Volume],
    out: str | Path,
    settings: SliceSettings = CALIBRATED,
    seed: int = 0,
    provenance: dict | None = None,
) -> SliceStore:
    """Normalize registered volumes and write them as a store of slices.

    Every intensity is clipped at the percentile and divided by it, so that slices range from 0 to 1 (sec. 3.1: clip at the
    95th percentile, divide by the remaining maximum). The percentile is over all voxels of the kept slices, air included, as
    in the released code.

    Args:
        derivatives: folder that ``preprocess`` wrote with the same field of view and interpolator, or volumes from anywhere
            (for example ``phantom.simulate_volumes``).
        out: folder of the store; replaced as a whole when the new one is complete.
        settings: the image size divides the volumes' size, and smaller slices are means of blocks of pixels.
        seed: seed of the split.
        provenance: facts to keep in ``settings.json``.

    Raises:
        InputError: nothing to build from, volumes made with other settings, an image size that does not divide theirs, or two
            volumes of one scan.
    """
    if isinstance(derivatives, str | Path):
        source, volumes = str(derivatives), read_derivatives(derivatives, settings=settings)
    else:
        source, volumes = "the volumes given", derivatives

    def write(folder: Path) -> None:
        rows, caps = _spool(volumes, folder / "spool.bin", settings)
        if not rows:
            raise InputError(f"There is no usable volume in {source}; see its quality.tsv for the reasons.")
        _write_images(folder, caps, settings.image_size)
        _slice_table(pd.DataFrame(rows), seed).to_csv(folder / "table.tsv", sep="\t", index=False, na_rep="n/a")
        facts = {**asdict(settings), "seed": seed, "cases": len(rows)}
        facts |= {"clip": float(caps[0])} if settings.scope == "cohort" else {}
        (folder / "settings.json").write_text(json.dumps(facts | (provenance or {}), indent=1), encoding="utf-8")

    out = Path(out)
    with lock.alone(out.with_name(f".{out.name}.lock"), f"builds slices in {out}"):
        files.write_folder(out, write)
    return SliceStore.open(out)


def _spool(volumes: Iterable[Volume], path: Path, settings: SliceSettings) -> tuple[list[dict], np.ndarray]:
    """Write all slices, not yet normalized, volume by volume.

    Returns:
        the volumes' rows, and the value at which to clip each.
    """
    rows, total, caps, seen = [], None, [], set()
    with open(path, "wb") as file:
        for volume in volumes:
            if volume.case in seen:
                raise InputError(f"Scan {volume.case} occurs twice in the data. Give every scan its own name.")
            seen.add(volume.case)
            counts = histogram.histogram(volume.image)
            total = counts if total is None else total + counts
            caps.append(histogram.percentile(counts, settings.percentile))
            file.write(shrink(volume.image, settings.image_size).astype(np.float32).tobytes())
            rows.append({name: getattr(volume, name) for name in ("case", "subject", "age", "sex", "origin")})
    if rows and settings.scope == "cohort":
        caps = np.full(len(rows), histogram.percentile(total, settings.percentile))
    return rows, np.array(caps)


def _write_images(folder: Path, caps: np.ndarray, image_size: int) -> None:
    shape = (len(caps), grid.N_LEVELS, image_size, image_size)
    spool = np.memmap(folder / "spool.bin", np.float32, "r", shape=shape)
    with open(folder / "images.npy", "wb") as file:  # no memory map: on a full disk it would end the process
        files.write_header(file, (len(caps) * grid.N_LEVELS, image_size, image_size), np.uint8)
        for volume, cap in zip(spool, caps, strict=True):
            file.write(to_uint8(normalize(volume, cap)).tobytes())
    (folder / "spool.bin").unlink()


def _slice_table(cases: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One row per slice, from one row per scan."""
    cases = cases.assign(split=cases["subject"].map(split_by_patient(cases["subject"].unique(), seed)))
    table = cases.loc[cases.index.repeat(grid.N_LEVELS)].reset_index(drop=True)
    table["level"] = np.tile(np.arange(grid.N_LEVELS), len(cases))
    return table[COLUMNS]
