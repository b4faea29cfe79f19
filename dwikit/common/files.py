"""Files that are either whole or not there: written under a temporary name, then renamed; and their readers."""

import contextlib
import json
import os
import re
import shutil
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import yaml

from dwikit.common.errors import InputError


def write(path: str | Path, writer: Callable[[Path], Any]) -> None:
    """Let ``writer`` fill a temporary file beside ``path`` (of the same suffix), then put it in its place.

    Raises:
        InputError: the folder cannot be written or the disk is full; an earlier file is unharmed.
    """
    write_together({Path(path): writer})


def write_together(writers: dict[Path, Callable[[Path], Any]]) -> None:
    """The same for files that belong together: none is put in place before all are written.

    The last marks them as complete: it is removed while the others change, so a killed process never leaves a marked mixture.

    Raises:
        InputError: one cannot be written; earlier files are unharmed.
    """
    partials = {path: path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}") for path in writers}
    try:
        for path, partial in partials.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            _remove_remains(path)
            writers[path](partial)
        if len(partials) > 1:
            path.unlink(missing_ok=True)
        for path, partial in partials.items():
            os.replace(partial, path)
    except OSError as error:
        raise _not_written(path, error) from error
    finally:
        for partial in partials.values():
            with contextlib.suppress(OSError):
                partial.unlink()


def write_folder(path: str | Path, writer: Callable[[Path], Any]) -> None:
    """The same for a folder: ``writer`` fills a new one beside ``path``, which then replaces the old one.

    Raises:
        InputError: it cannot be written; an earlier folder is unharmed.
    """
    path = Path(path)
    partial, old = (path.with_name(f".{path.stem}.{os.getpid()}.{kind}{path.suffix}") for kind in ("partial", "old"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_remains(path)
        partial.mkdir()
        writer(partial)
        if path.exists():
            os.replace(path, old)
        os.replace(partial, path)
    except OSError as error:
        raise _not_written(path, error) from error
    finally:
        if old.exists() and not path.exists():
            os.replace(old, path)
        for remains in (partial, old):
            shutil.rmtree(remains, ignore_errors=True)


def _not_written(path: Path, error: OSError) -> InputError:
    return InputError(
        f"{path} could not be written ({error.strerror or error}); what was there before is unharmed. Free some space "
        "or choose another folder, then run the same again: it resumes where it stopped."
    )


def _remove_remains(path: Path) -> None:
    """Delete the remains of processes killed while writing ``path``; first restore a folder that was moved aside."""
    for remains in path.parent.glob(f".{path.stem}.*.*{path.suffix}"):
        pid, kind = remains.name.removesuffix(path.suffix).split(".")[-2:]
        if kind not in ("partial", "old") or (pid.isdigit() and int(pid) != os.getpid() and _alive(int(pid))):
            continue
        if kind == "old" and not path.exists():
            os.replace(remains, path)
        elif remains.is_dir():
            shutil.rmtree(remains)
        else:
            remains.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    if os.name == "nt":  # where signal 0 is Ctrl-C
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def set_aside(folder: Path) -> Path:
    """Rename a folder to ``<name>.before-1`` or the next free name and return it: nothing computed is lost."""
    return folder.rename(aside(folder))


def aside(folder: Path) -> Path:
    """``<name>.before-1`` beside a folder, or the next free name."""
    return next(path for i in range(1, 10**6) if not (path := folder.with_name(f"{folder.name}.before-{i}")).exists())


def write_text(path: str | Path, text: str) -> None:
    """Write text (UTF-8)."""
    write(path, as_text(text))


def write_json(path: str | Path, value: Any) -> None:
    """Write plain values as JSON."""
    write(path, as_json(value))


def as_text(text: str) -> Callable[[Path], Any]:
    """A function that writes text (UTF-8); bytes of a file name that are no UTF-8 are escaped, as JSON escapes them."""
    return lambda partial: partial.write_text(text, encoding="utf-8", errors="backslashreplace")


def as_json(value: Any) -> Callable[[Path], Any]:
    """A function that writes plain values as JSON."""
    return as_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


POINTERS = {b"annex/objects/": "`datalad get` or `git annex get`", b"version https://git-lfs.": "`git lfs pull`"}
"""How the files begin that git-annex and Git LFS leave in place of a content, and the command that fetches it."""


def absence(path: str | Path) -> str | None:
    """Why the content of a file is not here, as the end of a sentence that begins with its name; None if it is here.

    A clone of a DataLad dataset holds links that lead nowhere, or short files with the name of the content.
    """
    path = Path(path)
    fetch = POINTERS[b"annex/objects/"]
    if path.is_symlink() and not path.exists():
        target = os.readlink(path)
        how = f"Fetch it with {fetch}" if "annex" in target else f"Restore what it links to, or fetch it with {fetch}"
        return f"is not fetched: it is a link to {target}, which is not here. {how}."
    try:
        if not path.is_file() or path.stat().st_size > 32_768:
            return None
        with open(path, "rb") as file:
            beginning = file.read(200)
    except OSError:
        return None  # whoever reads it says why it cannot be opened
    for mark, command in POINTERS.items():
        if mark in beginning and b"\0" not in beginning:
            return f"is not fetched: it only holds the name of its content. Fetch it with {command}."
    return None


def read_json(path: str | Path) -> Any:
    """Plain values of a JSON file, or None if it is missing or unreadable."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def read_object(path: str | Path) -> dict[str, Any]:
    """The names and values of a JSON file; empty if it is missing, unreadable or holds something else."""
    value = read_json(path)
    return value if isinstance(value, dict) else {}


class _Plain(yaml.SafeLoader):
    """Plain values only: no tags that make objects, and no aliases, through which a value can contain itself.

    Numbers are those of YAML 1.2 (core schema), where 1e-4 is one and 1:30, 010 and dates are not what they were in 1.1.
    """

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in found if tag.endswith((":null", ":bool"))]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it repeats a value by an *alias; write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        """As in the base class; a key that is there twice is refused, since only one of its values would count."""
        seen: set = set()
        for key, _ in node.value:
            if key.value in seen and isinstance(key, yaml.ScalarNode):
                raise yaml.YAMLError(f"{key.value!r} is there twice, again in line {key.start_mark.line + 1}; keep one")
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        return super().construct_mapping(node, deep)


_Plain.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"), list("-+0123456789")
)
_Plain.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"),
    list("-+0123456789."),
)
_Plain.add_constructor(
    "tag:yaml.org,2002:int",
    lambda loader, node: int(node.value, {"0o": 8, "0x": 16}.get(node.value[:2], 10)),
)


def parse_yaml(text: str) -> Any:
    """The plain value that a text of YAML stands for, such as ``3``, ``1e-4`` or ``[8, 16]``.

    Raises:
        ValueError: it is not YAML; the message says why.
    """
    try:
        return _Plain(text).get_single_data()
    except (yaml.YAMLError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(str(error) or type(error).__name__) from error  # invalid numbers and tags raise many types


def read_yaml(path: str | Path, like: str | Path) -> dict[str, Any]:
    """The names and values of a YAML file of plain values; nothing in it can run code.

    Args:
        path: path of the file.
        like: a file to compare with, for the message.

    Raises:
        InputError: it cannot be read, is not YAML, or does not hold ``key: value`` lines.
    """
    try:
        value = parse_yaml(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not readable as YAML: {str(error)[:500]}. Compare it with {like}.") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} must hold 'key: value' lines, like {like}.")
    return value


def write_array(path: str | Path, array: np.ndarray) -> None:
    """Write an array of numbers as .npy."""
    array = np.asarray(array, order="C")

    def writer(partial: Path) -> None:
        with open(partial, "wb") as file:
            write_header(file, array.shape, array.dtype)
            file.write(array.tobytes())  # numpy's own writer loses the reason of a failure

    write(path, writer)


def write_header(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Write the beginning of a .npy file, whose values follow row by row."""
    description = np.lib.format.dtype_to_descr(np.dtype(dtype))
    np.lib.format.write_array_header_1_0(file, {"descr": description, "fortran_order": False, "shape": shape})


DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    tokenize.TokenError,
    EOFError,
    LookupError,
    RuntimeError,
    OverflowError,
)
"""Errors besides OSError and ValueError that numpy passes on from the libraries below it."""


def read_array(path: str | Path) -> np.ndarray:
    """The array of a .npy file as a read-only memory map; Python objects are not read, since they could run code.

    Raises:
        ValueError: it is damaged; the message says how.
        OSError: it cannot be opened.
    """
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except DAMAGED as error:
        raise ValueError(str(error) or type(error).__name__) from error


def read_arrays(path: str | Path, only: str | None = None) -> dict[str, np.ndarray]:
    """The arrays of a .npz file by name; Python objects in it are not read, since they could run code.

    Args:
        path: path of the file.
        only: read only this array, if there is one of that name.

    Raises:
        ValueError: it is damaged or not an archive; the message says how.
        OSError: it cannot be opened.
    """
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            raise ValueError("it holds one array, not an archive of several")
        with found:
            names = [only] if only in found.files else found.files
            arrays = {name: found[name] for name in names}
    except DAMAGED as error:
        raise ValueError(str(error) or type(error).__name__) from error
    except MemoryError as error:
        raise ValueError("it claims to hold more than fits into memory") from error
    if strange := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
        raise ValueError(f"{strange[0]!r} in it is not an array")
    return arrays
