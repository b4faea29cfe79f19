"""Files from the web: whole or not there, checked, and resumed where a broken download stopped."""

import hashlib
import os
import socket
import time
import urllib.parse
from pathlib import Path

import requests

from dwikit.common.errors import InputError

WAITS_S = (1, 5, 20)
"""Wait before asking a failed server again."""
TIMEOUT_S = 60
CHUNK = 1 << 16
"""Bytes; at most this many are lost if a connection breaks."""


class _Again(Exception):
    """The server failed, perhaps temporarily."""


def download(url: str, path: Path, size: int | None = None, md5: str | None = None) -> bool:
    """Fetches a file; a partial download waits as `.NAME.part` beside it, and a file that is there is complete.

    Args:
        url: where from.
        path: where to; its folder is made.
        size: bytes that it must have; None if unknown.
        md5: hexadecimal checksum that it must have; None if unknown.

    Returns:
        Whether it was fetched; False if it was there already.

    Raises:
        InputError: the server does not have it or keeps failing, size or checksum are wrong, or it cannot be written.
    """
    if path.exists():
        if size not in (None, path.stat().st_size):
            raise InputError(f"{path} has {path.stat().st_size} bytes, {url} has {size}. Move it away to fetch it again.")
        return False
    part = path.with_name(f".{path.name}.part")
    try:
        for wait in (*WAITS_S, None):
            try:
                _append(url, part, size)
                break
            except (_Again, requests.RequestException) as error:
                nameless = isinstance(_cause(error), socket.gaierror)  # mostly there is no network: do not try for long
                if wait is None or nameless and wait != WAITS_S[0]:
                    raise failure(url, error) from error
                time.sleep(wait)
        _check(url, part, size, md5)
        os.replace(part, path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror or error}). Free some space and run the same again."
        ) from error
    return True


def failure(url: str, error: Exception) -> InputError:
    """The message for a failed request."""
    cause = _cause(error)
    if isinstance(error, requests.ConnectionError | requests.Timeout | requests.exceptions.ChunkedEncodingError):
        reason = getattr(cause, "strerror", None) or ("no answer in time" if "timed out" in str(cause) else "it broke off")
        what = f"No connection to {urllib.parse.urlsplit(url).hostname}: {reason[0].lower() + reason[1:]}"
    else:
        what = f"{url} cannot be fetched: {cause}"
    return InputError(f"{what}. Check the network and run the same again to resume.")


def _cause(error: BaseException) -> BaseException:
    """The original cause of an error."""
    while deeper := error.__cause__ or error.__context__:
        error = deeper
    return error


def _append(url: str, part: Path, size: int | None) -> None:
    """Adds what is missing to a partial file."""
    have = part.stat().st_size if part.exists() else 0
    if have and have == size:
        return
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
        if answer.status_code == 416:  # nothing after what we have; the check follows
            return
        if answer.status_code in (408, 429) or answer.status_code >= 500:
            raise _Again(f"HTTP {answer.status_code}")
        if answer.status_code not in (200, 206):
            raise InputError(
                f"{url} cannot be fetched: HTTP {answer.status_code}. The archive may have moved it; see the recipe."
            )
        part.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "ab" if answer.status_code == 206 else "wb") as file:
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)


def _check(url: str, part: Path, size: int | None, md5: str | None) -> None:
    """Deletes and refuses a file of wrong size or checksum."""
    found = part.stat().st_size
    if size not in (None, found):
        part.unlink()
        raise InputError(f"{url} came with {found} bytes, not {size}. Run the same again.")
    if md5 and file_md5(part) != md5:
        part.unlink()
        raise InputError(f"{url} came with a wrong checksum, not {md5}: it was damaged, or the archive has changed. Try again.")


def file_md5(path: Path) -> str:
    """MD5 of a file, hexadecimal; it guards against damage, not against forgery."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
