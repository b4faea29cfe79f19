"""The diffusion files of a data set on OpenNeuro, from its public storage (Amazon S3), without an account.

Not through openneuro-py: it brings urllib3-future, which replaces urllib3 under every other package of the environment.
"""

import fnmatch
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pandas as pd
import requests

from dwikit.cohorts.public.download import TIMEOUT_S, download, failure
from dwikit.common import files
from dwikit.common.errors import InputError
from dwikit.common.progress import tqdm

TOP = ("dataset_description.json", "participants.*", "README*", "CHANGES", "LICENSE*", "dwi.*", "*_dwi.*")
"""Files of the data set's own folder that are fetched: what it is, who took part, inherited tables and sidecars."""
PARALLEL = 4
"""Requests at a time."""


class Remote(NamedTuple):
    """A file in the storage: path in the data set, bytes, and MD5 if the storage gives it."""

    path: str
    size: int
    md5: str | None


def fetch(url: str, dataset: str, doi: str, out: Path, progress: bool = True) -> pd.DataFrame:
    """Fetches what the DWI of a data set needs: `sub-*/[ses-*/]dwi/*` and the files that describe it.

    Args:
        url: of the storage.
        dataset: accession number, such as "ds002790".
        doi: DOI of the wanted snapshot; the storage holds only the latest one.
        out: folder of the data set.
        progress: shows progress bars.

    Returns:
        One row per file: name, bytes, result ("fetched" or "there already"), note (how it was checked).

    Raises:
        InputError: the data set is not there, is another snapshot, or a file cannot be fetched.
    """
    top, folders = listing(url, f"{dataset}/", delimiter="/")
    top = [file for file in top if any(fnmatch.fnmatchcase(file.path, pattern) for pattern in TOP)]
    if "dataset_description.json" not in {file.path for file in top}:
        raise InputError(f"{url} holds no data set {dataset}. Check the recipe's `url` and `dataset`.")
    rows = [_fetch_one(url, dataset, out, file) for file in top]
    found = str(files.read_object(out / "dataset_description.json").get("DatasetDOI", "")).removeprefix("doi:")
    if found != doi:
        raise InputError(
            f"{url} holds {found or 'an unnamed snapshot'} of {dataset}, but the recipe asks for {doi}. Copy the recipe, write "
            "the new DOI into it, choose an empty folder, and use the copy."
        )
    subjects = [folder for folder in folders if folder.startswith("sub-")]
    with ThreadPoolExecutor(PARALLEL) as pool:
        lists = pool.map(lambda folder: listing(url, f"{dataset}/{folder}")[0], subjects)
        lists = tqdm(lists, total=len(subjects), unit="subject", desc="listing", disable=not progress)
        wanted = [file for of_subject in lists for file in of_subject if re.search(r"/dwi/[^/]+$", file.path)]
    bar = tqdm(total=sum(file.size for file in wanted), unit="B", unit_scale=True, desc=dataset, disable=not progress)
    pool = ThreadPoolExecutor(PARALLEL)
    try:
        for row in pool.map(lambda file: _fetch_one(url, dataset, out, file), wanted):
            rows.append(row)
            bar.update(row["bytes"])
    finally:
        pool.shutdown(cancel_futures=True)
        bar.close()
    return pd.DataFrame(rows)


def _fetch_one(url: str, dataset: str, out: Path, file: Remote) -> dict:
    """Fetches one file; its row of the report."""
    path = out / file.path
    if not path.resolve().is_relative_to(out.resolve()):
        raise InputError(f"{url} names a file {file.path!r} outside its data set. Do not trust this storage.")
    fetched = download(f"{url}/{dataset}/{requests.utils.quote(file.path)}", path, file.size, file.md5)
    check = "MD5 equal" if file.md5 else "size equal; the storage tells no MD5"
    return {"name": file.path, "bytes": file.size, "result": "fetched" if fetched else "there already", "note": check}


def listing(url: str, prefix: str, delimiter: str = "") -> tuple[list[Remote], list[str]]:
    """Files and folders below a prefix, by S3's ListObjectsV2; their paths are relative to the data set.

    An ETag of 32 hexadecimal digits is the file's MD5; files uploaded in parts have another kind.
    """
    dataset = prefix.split("/")[0] + "/"
    found, folders = [], []
    for page in _pages(url, {"list-type": "2", "prefix": prefix, "delimiter": delimiter}):
        for entry in page.findall("{*}Contents"):
            tag = entry.findtext("{*}ETag", "").strip('"')
            path = entry.findtext("{*}Key", "").removeprefix(dataset)
            md5 = tag if re.fullmatch("[0-9a-f]{32}", tag) else None
            found.append(Remote(path, int(entry.findtext("{*}Size", "0")), md5))
        folders += [e.findtext("{*}Prefix", "").removeprefix(dataset).rstrip("/") for e in page.findall("{*}CommonPrefixes")]
    return found, folders


def _pages(url: str, query: dict[str, str]) -> Iterator[ElementTree.Element]:
    """Pages of a listing, at most 1,000 entries each."""
    token = ""
    while True:
        query = {name: text for name, text in query.items() if text} | ({"continuation-token": token} if token else {})
        try:
            answer = requests.get(url + "/", params=query, timeout=TIMEOUT_S)
            answer.raise_for_status()
            page = ElementTree.fromstring(answer.content)
        except (requests.RequestException, ElementTree.ParseError) as error:
            raise failure(url, error) from error
        yield page
        token = page.findtext("{*}NextContinuationToken", "")
        if not token:
            return
