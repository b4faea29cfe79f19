"""What does not depend on the person: made once, and read by all workers from the same files, so that it is in memory once."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from dwikit.common.errors import InputError

_FUNCTIONS: list["_Once"] = []


class _Once:
    """A function without arguments that is called once in a process, or not at all where its value is given."""

    def __init__(self, function: Callable):
        self.function, self.value = function, None
        self.__name__, self.__doc__ = function.__name__, function.__doc__
        _FUNCTIONS.append(self)

    def __call__(self) -> Any:
        if self.value is None:
            self.value = self.function()
        return self.value


once = _Once
"""Decorator of the functions whose values all workers share: (named) tuples of arrays, of sparse matrices and of tuples."""


class _Sparse(NamedTuple):
    """A sparse matrix, whose parts are files."""

    data: Path
    indices: Path
    indptr: Path
    shape: tuple[int, int]


def write(folder: Path) -> list:
    """Call all of them and write the arrays of their values.

    Returns:
        Their values with the path of a file in the place of each array.

    Raises:
        InputError: a file cannot be written.
    """
    names = (folder / f"{number}.npy" for number in count())
    try:
        return [_written(function(), names) for function in _FUNCTIONS]
    except OSError as error:
        raise InputError(
            f"{folder} could not be written ({error.strerror or error}). Free 300 MB there, or set TMPDIR to another folder."
        ) from error


def read(values: list) -> None:
    """Take their values from these files: arrays stay there, and processes that read the same files share the memory."""
    for function, value in zip(_FUNCTIONS, values, strict=True):
        function.value = _read(value)


def _written(value: Any, names: Any) -> Any:
    if isinstance(value, np.ndarray):
        path = next(names)
        np.save(path, value, allow_pickle=False)
        return path
    if isinstance(value, sparse.csr_matrix):
        return _Sparse(*(_written(part, names) for part in (value.data, value.indices, value.indptr)), value.shape)
    return _like(value, [_written(part, names) for part in value]) if isinstance(value, tuple) else value


def _read(value: Any) -> Any:
    if isinstance(value, Path):
        return np.load(value, mmap_mode="r", allow_pickle=False)
    if isinstance(value, _Sparse):
        return sparse.csr_matrix(tuple(_read(part) for part in value[:3]), value.shape, copy=False)
    return _like(value, [_read(part) for part in value]) if isinstance(value, tuple) else value


def _like(value: tuple, parts: list) -> tuple:
    """A tuple of the same kind."""
    return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
