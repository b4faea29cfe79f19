"""Mutated files put before a reader: each is refused in words, or read right; nothing else may happen."""

import traceback
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dwikit.common.errors import InputError
from tests.hardships import guard, mutate

SECONDS, MEGABYTES = 20, 1024


@dataclass(frozen=True)
class Reader:
    """A way into the kit.

    Attributes:
        name: what it reads.
        write: makes the folder with sound files.
        damaged: names of the files that are damaged, one at a time.
        read: reads the folder; an AssertionError says that the result cannot be right.
        share: of all mutated files.
    """

    name: str
    write: Callable[[Path], None]
    damaged: tuple[str, ...]
    read: Callable[[Path], object]
    share: float = 1.0


@dataclass
class Outcome:
    """What came of the mutated files of a reader; ``failures`` should stay empty."""

    counts: Counter = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def run(reader: Reader, n: int, folder: Path, seed: int = 0) -> Outcome:
    """Read n folders, each with one mutated file; every mutated file is a function of (seed, reader, number)."""
    reader.write(folder)
    sound = {name: (folder / name).read_bytes() for name in reader.damaged}
    before = _listing(folder)
    reader.read(folder)
    outcome = Outcome()
    for number in range(n):
        rng = np.random.default_rng([seed, zlib.crc32(reader.name.encode()), number])
        name = reader.damaged[rng.integers(len(reader.damaged))]
        (folder / name).write_bytes(mutate.mutate(sound[name], name, rng))
        problem = _problem(reader, folder, outcome.counts)
        if not problem and _listing(folder) != before:
            problem = "left files behind"
        if problem:
            outcome.counts["failed"] += 1
            outcome.failures.append(f"{reader.name}, file {number} ({name}): {problem}")
        (folder / name).write_bytes(sound[name])
    reader.read(folder)
    return outcome


def _problem(reader: Reader, folder: Path, counts: Counter) -> str:
    """What went wrong at one file, empty if nothing."""
    try:
        with guard.limits(SECONDS, MEGABYTES):
            reader.read(folder)
    except InputError as error:
        counts["refused"] += 1
        return (
            ""
            if folder.name in str(error) or any(Path(name).name in str(error) for name in reader.damaged)
            else f"unnamed: {error}"
        )
    except (Exception, guard.TooSlow) as error:
        where = traceback.extract_tb(error.__traceback__)[-4:]
        return f"{type(error).__name__}: {str(error)[:200]} at " + " < ".join(f"{f.filename}:{f.lineno}" for f in where[::-1])
    counts["read"] += 1
    return ""


def _listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
