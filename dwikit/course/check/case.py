"""One question of an exercise, and the seeds of its inputs."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """One call of a student's function: arguments by name, the value it should return (a tuple: several), and a hint."""

    arguments: dict[str, Any]
    expected: Any
    hint: str
    measure: Callable | None = None
    """A function of the returned value to compare instead of it, where several answers are right."""


def seeded(seed: int) -> np.random.Generator:
    """The random generator of one question."""
    return np.random.default_rng([2020, seed])
