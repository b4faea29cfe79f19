"""Files that are either whole or not there: written under a temporary name, then renamed."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dwikit.errors import InputError


def write(path: str | Path, writer: Callable[[Path], Any]) -> None:
    """Let ``writer`` fill a temporary file beside ``path`` (of the same suffix), then put it in its place.

    Raises:
        InputError: the folder cannot be written or the disk is full; a file that stood there before is unharmed.
    """
    path = Path(path)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_remains(path)
        writer(partial)
        os.replace(partial, path)
    except OSError as error:
        raise InputError(
            f"{path} could not be written ({error.strerror or error}); what stood there before is unharmed. Free some space "
            "or choose another folder, then run the same again: it goes on where it stopped."
        ) from error
    finally:
        if partial.exists():
            partial.unlink()


def _remove_remains(path: Path) -> None:
    """Delete partial files that processes left behind which were killed while they wrote ``path``."""
    for remains in path.parent.glob(f".{path.stem}.*.partial{path.suffix}"):
        pid = remains.name.split(".")[-3 if path.suffix else -2]
        if not pid.isdigit() or not _alive(int(pid)):
            remains.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_text(path: str | Path, text: str) -> None:
    """Write text (UTF-8)."""
    write(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def write_json(path: str | Path, value: Any) -> None:
    """Write plain values as JSON."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Plain values of a JSON file, or None where there is no readable one."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_array(path: str | Path, array: np.ndarray) -> None:
    """Write an array as .npy."""

    def writer(partial: Path) -> None:
        with open(partial, "wb") as file:
            np.save(file, array, allow_pickle=False)

    write(path, writer)
