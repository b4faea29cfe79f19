"""Cases in worker processes: in order, few in memory, the same numbers whatever the number of workers."""

import multiprocessing
import os
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from threadpoolctl import threadpool_limits

from dwikit.cohorts.phantom import once

_CASES_A_WORKER = 8
"""A worker takes a few seconds to start, which pays off from this many cases on."""
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)

_SPAWN = multiprocessing.get_context("spawn")


def map_cases(function: Callable, cases: list, workers: int | None, *arguments) -> Iterator:
    """Yields function(case, *arguments) for each case, in order.

    At most two results per worker wait in memory. Numerical libraries use one thread per worker. The workers end with this
    process, however it ends.

    Args:
        function: a module's function; it runs in spawned processes if workers is more than 1. A script that
            asks for several workers must guard its main part by `if __name__ == "__main__":`.
        cases: numbers, or whatever says which case it is; each goes to one worker alone.
        workers: processes; 1 stays in this one; None uses one per core, but at most one for every 8 cases.
        *arguments: passed on to the function.
    """
    if workers is None:
        workers = min(os.cpu_count() or 1, len(cases) // _CASES_A_WORKER)
    if workers <= 1:
        for case in cases:
            yield _single_threaded(function, case, *arguments)
        return
    with _one_thread_each(), _atlas() as shared, ProcessPoolExecutor(workers, _SPAWN, _begin, shared) as pool:
        waiting = deque()
        try:
            for case in cases:
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(_single_threaded, function, case, *arguments))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def _atlas() -> Iterator[tuple[Path, list]]:
    """A folder with what all workers read, made by a process of its own, since this one needs none of it; and its contents."""
    with tempfile.TemporaryDirectory(prefix="dwikit-atlas-") as name:
        folder = Path(name)
        with ProcessPoolExecutor(1, _SPAWN, _end_with_parent, (folder,)) as first:
            contents = first.submit(_single_threaded, once.write, folder).result()
        yield folder, contents


def _begin(folder: Path, contents: list) -> None:
    """First thing in a worker."""
    _end_with_parent(folder)
    once.read(contents)


def _end_with_parent(folder: Path) -> None:
    """Ends this worker when its parent is gone, and removes the folder.

    Killed, the parent cannot do either: the worker would wait for work for ever.
    """

    def watch() -> None:
        multiprocessing.parent_process().join()
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _single_threaded(function: Callable, case, *arguments):
    """Calls the function with one BLAS thread: the last bit of a sum depends on the number of threads."""
    with threadpool_limits(1):
        return function(case, *arguments)


@contextmanager
def _one_thread_each():
    """Tells processes started meanwhile to use one thread."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
