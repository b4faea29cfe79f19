"""What does not depend on the person: made once, and read by all workers from one file, so that it is in memory once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib

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
"""Decorator of the functions whose values all workers share."""


def write(path: Path) -> None:
    """Call all of them and write their values as a file.

    Raises:
        InputError: it cannot be written.
    """
    try:
        joblib.dump({function.__name__: function() for function in _FUNCTIONS}, path)
    except OSError as error:
        raise InputError(
            f"{path} could not be written ({error.strerror or error}). Free 300 MB there, or set TMPDIR to another folder."
        ) from error


def read(path: Path) -> None:
    """Take their values from a file: arrays stay there, and processes that read the same file share the memory."""
    values = joblib.load(path, mmap_mode="r")
    for function in _FUNCTIONS:
        function.value = values[function.__name__]
