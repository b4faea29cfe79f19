"""From registered volumes to a store of slices: normalize, split by person, write."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from dwikit.common import files, lock, paths
from dwikit.common.errors import InputError
from dwikit.slices import grid, histogram
from dwikit.slices.grid import Volume
from dwikit.slices.normalization import normalize, shrink, to_uint8
from dwikit.slices.registered import read_derivatives
from dwikit.slices.settings import CALIBRATED, SEED, SliceSettings
from dwikit.slices.split import refuse_twins, split_by_patient
from dwikit.slices.store import COLUMNS, SliceStore, digest


def build(
    derivatives: str | Path | Iterable[Volume],
    out: str | Path,
    settings: SliceSettings = CALIBRATED,
    seed: int = SEED,
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
        InputError: nothing to build from, volumes made with other settings, an image size that does not divide theirs, two
            volumes of one scan, two subjects with the same voxels, or simulated people among real ones.
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
        cases = pd.DataFrame(rows)
        cases["split"] = cases["subject"].map(split_by_patient(cases["subject"].unique(), seed))
        cases.to_csv(folder / "cases.tsv", sep="\t", index=False, na_rep="n/a")
        _slice_table(cases).to_csv(folder / "table.tsv", sep="\t", index=False, na_rep="n/a")
        facts = {**asdict(settings), "seed": seed, "cases": len(rows), "sha256": digest(folder)}
        facts |= {"clip": float(caps[0])} if settings.scope == "cohort" else {}
        (folder / "settings.json").write_text(json.dumps(facts | (provenance or {}), indent=1), encoding="utf-8")

    out = paths.home(out)
    with lock.alone(out.with_name(f".{out.name}.lock"), f"builds slices in {out}"):
        files.write_folder(out, write)
    return SliceStore.open(out)


def _spool(volumes: Iterable[Volume], path: Path, settings: SliceSettings) -> tuple[list[dict], np.ndarray]:
    """Write all slices, not yet normalized, volume by volume.

    Returns:
        the volumes' rows, and the value at which to clip each.
    """
    rows, total, caps, contents = [], None, [], {}
    with open(path, "wb") as file:
        for volume in volumes:
            if volume.case in contents:
                raise InputError(f"Scan {volume.case} occurs twice in the data. Give every scan its own name.")
            counts = histogram.histogram(volume.image)
            total = counts if total is None else total + counts
            caps.append(histogram.percentile(counts, settings.percentile))
            file.write(shrink(volume.image, settings.image_size).astype(np.float32).tobytes())
            rows.append(_describe(volume))
            contents[volume.case] = volume.subject, rows[-1]["content"]
            if len({row["origin"].startswith("simulated") for row in (rows[0], rows[-1])}) > 1:
                raise InputError(
                    f"{rows[0]['case']} is {rows[0]['origin']} and {volume.case} is {volume.origin}: simulated and real people "
                    "are never pooled. Give each their own data set."
                )
    refuse_twins(contents, "The data")
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


def _describe(volume: Volume) -> dict[str, str]:
    """Row of a scan in `cases.tsv`, as text; `content` is the SHA-256 of its voxels, float32."""
    return {
        "case": volume.case,
        "subject": volume.subject,
        "age": "n/a" if volume.age is None else str(float(volume.age)),
        "sex": volume.sex or "n/a",
        "origin": volume.origin,
        "content": hashlib.sha256(np.ascontiguousarray(volume.image, "<f4").tobytes()).hexdigest(),
    }


def is_made_of(path: str | Path, volumes: Iterable[Volume]) -> bool:
    """Whether the store in a folder was built from these registered scans as they are now, whatever was simulated for it.

    One that is incomplete, or was changed since, counts as made of others; a line says so.
    """
    try:
        SliceStore.open(path)
        known = pd.read_csv(Path(path) / "cases.tsv", sep="\t", dtype=str, keep_default_na=False)
        known = known[known["origin"] != "simulated"].drop(columns="split").to_dict("records")
    except InputError as error:
        print(error)
        return False
    except (OSError, ValueError, LookupError):
        return False
    return known == [_describe(volume) for volume in volumes]


def _slice_table(cases: pd.DataFrame) -> pd.DataFrame:
    """One row per slice, from one row per scan."""
    table = cases.loc[cases.index.repeat(grid.N_LEVELS)].reset_index(drop=True)
    table["level"] = np.tile(np.arange(grid.N_LEVELS), len(cases))
    return table[COLUMNS]
