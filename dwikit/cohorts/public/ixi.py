"""The IXI data set's DTI archive as BIDS.

The archive holds one NIfTI file per volume, IXI<number>-<hospital>-<scan>-DTI-<volume>.nii.gz: one b = 0 and 15 directions of
b = 1000 s/mm2 make volumes 00 to 15 and share one table of 16 b-values. A 17th volume is computed from them (the mean
diffusivity, as users found out: https://neurostars.org/t/3506) and is left out.
"""

import gzip
import os
import re
import tarfile
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import xlrd

from dwikit.cohorts.public.download import download
from dwikit.common import files
from dwikit.common.errors import InputError
from dwikit.common.progress import tqdm

N_VOLUMES = 16
MEMBER = re.compile(r"(?:\./)?IXI(\d+)-(Guys|HH|IOP)-(\d+)-DTI-(\d\d)\.nii\.gz")
SEXES = {1: "M", 2: "F"}


def fetch(url: str, checksums: dict[str, str | None], out: Path, progress: bool = True) -> pd.DataFrame:
    """Fetches the archive into `out/sourcedata` and converts it to BIDS.

    Args:
        url: folder of the archive.
        checksums: MD5 by file name, None where unknown.
        out: folder of the data set.
        progress: shows a progress bar.

    Returns:
        One row per file and person: name, bytes, result ("fetched", "converted", "there already", "left out"), note.

    Raises:
        InputError: a file cannot be fetched, or is not what it should be.
    """
    source, rows = out / "sourcedata", []
    for name, md5 in checksums.items():
        fetched = download(f"{url}/{name}", source / name, md5=md5)
        row = {"name": name, "bytes": (source / name).stat().st_size, "result": "fetched" if fetched else "there already"}
        rows.append(row | {"note": "MD5 equal" if md5 else "no MD5 known"})
    _write_tables(source, out)
    rows += convert(source / "IXI-DTI.tar", out, progress)
    _write_participants(source / "IXI.xls", out, rows)
    return pd.DataFrame(rows).fillna({"bytes": 0, "note": "n/a"})


def _write_tables(source: Path, out: Path) -> None:
    """The shared b-values, and the description of the data set."""
    bvals = np.loadtxt(source / "bvals.txt").ravel()
    if len(bvals) != N_VOLUMES:
        raise InputError(f"{source / 'bvals.txt'} holds {len(bvals)} b-values, not {N_VOLUMES}. Delete it and fetch it again.")
    for name, ending in (("bvals.txt", "bval"), ("bvecs.txt", "bvec")):
        files.write_text(out / f"dwi.{ending}", (source / name).read_text())
    description = {"Name": "IXI, diffusion-weighted images", "BIDSVersion": "1.10.0", "License": "CC BY-SA 3.0"}
    files.write_json(out / "dataset_description.json", description | {"DatasetType": "raw"})


def convert(archive: Path, out: Path, progress: bool = True) -> list[dict]:
    """Writes `sub-IXI<number>/dwi/sub-IXI<number>_dwi.nii.gz` of 16 volumes for everyone not there yet.

    Returns:
        One row per scan: name, result, note.

    Raises:
        InputError: the archive cannot be read.
    """
    rows = []
    try:
        with tarfile.open(archive) as tar:
            scans: dict[tuple, dict[int, tarfile.TarInfo]] = {}
            for member in tar:
                if match := MEMBER.fullmatch(member.name):
                    scans.setdefault(match.groups()[:3], {})[int(match[4])] = member
            for (number, hospital, _), volumes in tqdm(sorted(scans.items()), unit="subject", disable=not progress):
                label = f"sub-IXI{int(number):03d}"
                row = {"name": label, "hospital": hospital}
                rows.append(row | _convert_one(tar, volumes, out / label / "dwi" / f"{label}_dwi.nii.gz"))
    except tarfile.TarError as error:
        raise InputError(f"{archive} cannot be read ({error}). Delete it and fetch it again.") from error
    if not rows:
        raise InputError(f"{archive} holds no IXI...-DTI-00.nii.gz. Delete it and fetch it again.")
    return rows


def _convert_one(tar: tarfile.TarFile, volumes: dict[int, tarfile.TarInfo], target: Path) -> dict:
    """Result and note of one scan."""
    if target.exists():
        return {"result": "there already"}
    if missing := sorted(set(range(N_VOLUMES)) - set(volumes)):
        return {"result": "left out", "note": f"volume {missing[0]:02d} is missing"}
    try:
        images = [nib.Nifti1Image.from_bytes(gzip.decompress(tar.extractfile(volumes[n]).read())) for n in range(N_VOLUMES)]
        stack = np.stack([np.squeeze(np.asanyarray(image.dataobj)) for image in images], -1)
    except (OSError, EOFError, ValueError, zlib.error, nib.filebasedimages.ImageFileError):
        return {"result": "left out", "note": "a volume is damaged, or they differ in shape"}
    if not all(np.allclose(image.affine, images[0].affine, atol=1e-3) for image in images):
        return {"result": "left out", "note": "the volumes differ in position"}
    stack = stack.astype(np.float32) if stack.dtype == np.float64 else stack
    packed = gzip.compress(nib.Nifti1Image(stack, images[0].affine).to_bytes(), compresslevel=6, mtime=0)
    files.write(target, lambda partial: partial.write_bytes(packed))
    return {"result": "converted"}


def _write_participants(sheet: Path, out: Path, rows: list[dict]) -> None:
    """participants.tsv with age, sex and hospital, from the first sheet of the archive's table; conflicting rows are n/a."""
    try:
        with open(os.devnull, "w") as silent:
            table = xlrd.open_workbook(sheet, logfile=silent).sheet_by_index(0)
        rows_of_table = [table.row_values(n) for n in range(table.nrows)]
        people = pd.DataFrame(rows_of_table[1:], columns=rows_of_table[0]).replace("", None)
        sex = next(name for name in people if str(name).startswith("SEX_ID"))
        people = people.assign(sex=people[sex].map(SEXES))[["IXI_ID", "AGE", "sex"]]
    except (OSError, xlrd.XLRDError, LookupError, StopIteration, ValueError) as error:
        raise InputError(f"{sheet} cannot be read as the IXI table ({error}). Delete it and run the same again.") from error
    people = people.groupby("IXI_ID").agg(lambda values: values.dropna().iloc[0] if values.nunique() == 1 else None)
    lines = ["participant_id\tage\tsex\thospital"]
    for row in rows:
        if row.get("hospital") and (out / row["name"]).is_dir():
            age, sex = (
                people.loc[number] if (number := int(row["name"].removeprefix("sub-IXI"))) in people.index else (None, None)
            )
            lines.append(f"{row['name']}\t{f'{age:.1f}' if pd.notna(age) else 'n/a'}\t{sex or 'n/a'}\t{row['hospital']}")
    files.write_text(out / "participants.tsv", "\n".join(lines) + "\n")
