"""One question of a lesson."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from keras import ops


class Question(NamedTuple):
    """What the reader of a lesson writes: a function of ten lines or fewer."""

    solution: Callable
    """Its name is the question's, its docstring and parameters are those of the cell to write in."""
    try_out: Callable[[Callable], Any]
    """From such a function to numbers (a tuple: several), by calling it on small seeded inputs."""
    hints: tuple[str, ...]
    """One more with each attempt, from a nudge to nearly everything."""
    kit: tuple[Callable, ...]
    """The kit's own lines, to be shown."""
    same: Callable | None = None
    """The kit's lines called as the solution is; None: the first of ``kit`` is."""
    tape: bool = False
    """Whether it takes gradients outside of a training: tried on TensorFlow alone."""


def on(*calls: tuple) -> Callable[[Callable], Any]:
    """``Question.try_out`` for functions of arrays: what they return for each tuple of arguments, which they may change."""

    def try_out(function: Callable) -> Any:
        values = [numbers(function(*map(_own, arguments))) for arguments in calls]
        return values[0] if len(values) == 1 else tuple(values)

    return try_out


def _own(argument: Any) -> Any:
    return argument.copy() if isinstance(argument, np.ndarray) else argument


def numbers(value: Any) -> Any:
    """Tensors as arrays; the values of a dict as a tuple; anything else as it is."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return tuple(numbers(one) for one in value)
    return ops.convert_to_numpy(value) if ops.is_tensor(value) else np.asarray(value) if np.isscalar(value) else value
