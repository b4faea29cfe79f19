"""Processes side by side: one thread each, and the same answers as one after another."""

import os
from types import SimpleNamespace

import pytest

from dwikit.common import parallel


def threads(number: int) -> tuple[int, dict]:
    """The number, and what the process sees of its surroundings."""
    return number * number, {name: os.environ.get(name) for name in (*parallel.THREADS, "CUDA_VISIBLE_DEVICES")}


def fail(number: int) -> None:
    """Something that goes wrong."""
    raise ValueError(f"no {number}")


def test_answers_come_by_their_key_from_processes_of_one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    before = dict(os.environ)
    asked = []

    def waves():
        for first in (0, 5, 9):
            asked.append(len(ready))
            yield {f"job {n}": (n,) for n in range(first, min(first + 5, 9))}

    ready = {}
    for key, answer in parallel.as_ready(threads, waves(), workers=2):
        ready[key] = answer
    assert asked == [0, 5, 9], "a wave is asked for when all before it have ended"
    assert {key: square for key, (square, _) in ready.items()} == {f"job {n}": n * n for n in range(9)}
    assert all(seen == parallel.environment(1) | {"CUDA_VISIBLE_DEVICES": ""} for _, seen in ready.values())
    assert dict(os.environ) == before and list(parallel.as_ready(threads, [{}])) == []


@pytest.mark.parametrize(
    ("gigabytes", "cores", "found"), [(0.5, 8, 1), (3.9, 8, 1), (4.1, 8, 2), (99, 4, 4), (99, 64, parallel.MOST)]
)
def test_there_are_no_more_processes_than_memory_and_cores(monkeypatch, gigabytes, cores, found):
    monkeypatch.setattr(parallel.psutil, "virtual_memory", lambda: SimpleNamespace(available=gigabytes * 1e9))
    monkeypatch.setattr(parallel, "cores", lambda: cores)
    assert parallel.room(2.0) == found


def test_what_goes_wrong_in_a_process_is_raised_here():
    with pytest.raises(ValueError, match="no 3"):
        list(parallel.as_ready(fail, [{"only": (3,)}]))
