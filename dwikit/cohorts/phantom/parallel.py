"""Cases in worker processes: in order, few in memory, the same numbers whatever the number of workers."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

_CASES_A_WORKER = 8
"""A worker takes a few seconds to start, which pays off from this many cases on."""
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)


def map_cases(function: Callable, numbers: list[int], workers: int | None, *arguments) -> Iterator:
    """Yields function(number, *arguments) for each number, in order.

    At most two results per worker wait in memory. Numerical libraries use one thread per worker.

    Args:
        function: a module's function; it runs in spawned processes if workers is more than 1. A script that
            asks for several workers must guard its main part by `if __name__ == "__main__":`.
        numbers: case numbers.
        workers: processes; 1 stays in this one; None uses one per core, but at most one for every 8 cases.
        *arguments: passed on to the function.
    """
    if workers is None:
        workers = min(os.cpu_count() or 1, len(numbers) // _CASES_A_WORKER)
    if workers <= 1:
        for number in numbers:
            yield _single_threaded(function, number, *arguments)
        return
    with _one_thread_each(), ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        waiting = deque()
        try:
            for number in numbers:
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(_single_threaded, function, number, *arguments))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _single_threaded(function: Callable, number: int, *arguments):
    """Calls the function with one BLAS thread: the last bit of a sum depends on the number of threads."""
    with threadpool_limits(1):
        return function(number, *arguments)


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
