"""From registered volumes to a store of slices: normalize, split by person, write."""

import itertools
import json
import shutil
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from dwikit.common import files, lock, paths
from dwikit.common.errors import InputError
from dwikit.slices import grid, histogram
from dwikit.slices.grid import Volume
from dwikit.slices.normalization import normalize, to_uint8
from dwikit.slices.registered import read_derivatives
from dwikit.slices.settings import CALIBRATED, SEED, SliceSettings
from dwikit.slices.split import refuse_twins, split_by_patient
from dwikit.slices.spool import Repeatable, Spool, describe, resumed
from dwikit.slices.store import COLUMNS, SliceStore, digest


def build(
    derivatives: str | Path | Iterable[Volume],
    out: str | Path,
    settings: SliceSettings = CALIBRATED,
    seed: int = SEED,
    provenance: dict | None = None,
    then: Repeatable | None = None,
    include: Collection[str] = (),
) -> SliceStore:
    """Normalize registered volumes and write them as a store of slices.

    Every intensity is clipped at the percentile and divided by it, so that slices range from 0 to 1 (sec. 3.1: clip at the
    95th percentile, divide by the remaining maximum). The percentile is over all voxels of the kept slices, air included, as
    in the released code. One scan is in memory at a time.

    Args:
        derivatives: folder that ``preprocess`` wrote with the same field of view and interpolator, or volumes from anywhere
            (for example ``phantom.simulate_volumes``).
        out: folder of the store; replaced as a whole when the new one is complete.
        settings: the image size divides the volumes' size, and smaller slices are means of blocks of pixels.
        seed: seed of the split.
        provenance: facts to keep in ``settings.json``.
        include: scans of a folder that are used in spite of their flags.
        then: scans that come after these and take long to make. They are kept beside ``out`` until the store is complete: if
            the process is stopped, the same call goes on after the last of them, and the store is the same to the last byte.

    Raises:
        InputError: nothing to build from, volumes made with other settings, an image size that does not divide theirs, two
            volumes of one scan, two subjects with the same voxels, simulated people among real ones, a volume that is no scan
            (its shape, numbers or person), or a percentile that leaves nothing.
    """
    if isinstance(derivatives, str | Path):
        source, volumes = str(derivatives), read_derivatives(derivatives, settings=settings, include=include)
    else:
        source, volumes = "the volumes given", derivatives
    out = paths.home(out)
    begun = out.with_name(f".{out.name}.begun")

    def write(folder: Path) -> None:
        spools = [Spool(folder / "spool", settings)]
        found = spools[0].fill(volumes)
        if then:
            spools.append(Spool(begun, settings, then.made_with))
            found = itertools.chain(found, resumed(spools[1], then))
        rows = _compatible(found)
        if not rows:
            raise InputError(f"There is no usable volume in {source}; see its quality.tsv for the reasons.")
        caps = [cap for spool in spools for cap in spool.caps]
        if settings.scope == "cohort":
            caps = [histogram.percentile(sum((spool.total for spool in spools), Counter()), settings.percentile)] * len(rows)
        for row, cap in zip(rows, caps):
            if cap <= 0:
                of = f"the slices of {row['case']}" if settings.scope == "volume" else "all slices"
                raise InputError(
                    f"percentile {settings.percentile:g} of {of} is {cap:g}, so clipping there leaves nothing: most voxels are "
                    "air. Choose a higher percentile or a narrower field of view."
                )
        _write_images(folder, itertools.chain(*(spool.images() for spool in spools)), caps, settings.image_size)
        shutil.rmtree(folder / "spool")
        cases = pd.DataFrame(rows)
        cases["split"] = cases["subject"].map(split_by_patient(cases["subject"].unique(), seed))
        cases.to_csv(folder / "cases.tsv", sep="\t", index=False, na_rep="n/a")
        _slice_table(cases).to_csv(folder / "table.tsv", sep="\t", index=False, na_rep="n/a")
        facts = {**asdict(settings), "seed": seed, "cases": len(rows), "sha256": digest(folder)}
        facts |= {"clip": float(caps[0])} if settings.scope == "cohort" else {}
        (folder / "settings.json").write_text(json.dumps(facts | (provenance or {}), indent=1), encoding="utf-8")

    with lock.alone(out.with_name(f".{out.name}.lock"), f"builds slices in {out}"):
        files.write_folder(out, write)
        shutil.rmtree(begun, ignore_errors=True)
    return SliceStore.open(out)


def _compatible(rows: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """The rows of scans that may stand in one store.

    Raises:
        InputError: two volumes of one scan, two subjects with the same voxels, or simulated people among real ones.
    """
    seen: dict[str, dict[str, str]] = {}
    for row in rows:
        first = next(iter(seen.values()), row)
        if row["case"] in seen:
            raise InputError(f"Scan {row['case']} occurs twice in the data. Give every scan its own name.")
        if row["origin"].startswith("simulated") != first["origin"].startswith("simulated"):
            raise InputError(
                f"{first['case']} is {first['origin']} and {row['case']} is {row['origin']}: simulated and real people are "
                "never pooled. Give each their own data set."
            )
        seen[row["case"]] = row
    refuse_twins({name: (row["subject"], row["content"]) for name, row in seen.items()}, "The data")
    return list(seen.values())


def _write_images(folder: Path, scans: Iterable[np.ndarray], caps: list[float], image_size: int) -> None:
    with open(folder / "images.npy", "wb") as file:  # no memory map: on a full disk it would end the process
        files.write_header(file, (len(caps) * grid.N_LEVELS, image_size, image_size), np.uint8)
        for scan, cap in zip(scans, caps, strict=True):
            file.write(to_uint8(normalize(scan, cap)).tobytes())


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
    return known == [describe(volume) for volume in volumes]


def _slice_table(cases: pd.DataFrame) -> pd.DataFrame:
    """One row per slice, from one row per scan."""
    table = cases.loc[cases.index.repeat(grid.N_LEVELS)].reset_index(drop=True)
    table["level"] = np.tile(np.arange(grid.N_LEVELS), len(cases))
    return table[COLUMNS]
