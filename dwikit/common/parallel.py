"""Work side by side. Processes of one thread each, which end with this one: the same digits whatever their number.

Small work gains little from a second thread and much from a second process: two trainings of a small network, one thread each,
take about as long as one with two threads.
"""

import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
from threadpoolctl import threadpool_limits

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
"""Environment variables that say how many threads a library starts."""
MOST = 8
"""Processes, unless more are asked for."""
_SPAWN = multiprocessing.get_context("spawn")


@contextmanager
def processes(
    workers: int, begin: Callable | None = None, *arguments: Any, remains: Path | None = None
) -> Iterator[ProcessPoolExecutor]:
    """Processes for functions of modules, with one thread each and without a GPU, which they could not share.

    A script that uses them must guard its main part by `if __name__ == "__main__":`.

    Args:
        workers: how many.
        begin: function that each calls first, with the arguments.
        *arguments: of it.
        remains: folder that the processes remove if this one is killed, which cannot do it then.
    """
    with (
        _environment(environment(1) | {"CUDA_VISIBLE_DEVICES": ""}),
        ProcessPoolExecutor(workers, _SPAWN, _begin, (remains, begin, arguments)) as pool,
    ):
        try:
            yield pool
        except BaseException:  # Ctrl-C, too: what has not begun is left out
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def as_ready(function: Callable, waves: Iterable[Mapping[Any, tuple]], workers: int | None = None) -> Iterator[tuple[Any, Any]]:
    """Yields (key, function(*arguments)) of jobs side by side, in the order in which they end.

    Args:
        function: of a module.
        waves: jobs, arguments by key; those of a wave are asked for when all before them have ended.
        workers: processes, which stay for all waves; None: as many as there is ``room`` for.
    """
    with ExitStack() as stack:
        pool = None
        for jobs in filter(None, waves):
            pool = pool or stack.enter_context(processes(workers or room(1.0)))
            waiting = {pool.submit(function, *arguments): key for key, arguments in jobs.items()}
            for done in as_completed(waiting):
                yield waiting[done], done.result()


def room(gigabytes: float) -> int:
    """How many processes of so much memory each the free memory and the cores have room for: 1 to ``MOST``."""
    free = psutil.virtual_memory().available / 1e9
    return max(1, min(cores(), MOST, int(free / gigabytes)))


def environment(threads: int) -> dict[str, str]:
    """Environment of a process in which every library has so many threads."""
    return dict.fromkeys(THREADS, str(threads))


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def single_threaded(function: Callable, *arguments: Any) -> Any:
    """Calls the function with one BLAS thread: the last bit of a sum depends on the number of threads."""
    with threadpool_limits(1):
        return function(*arguments)


def _begin(remains: Path | None, begin: Callable | None, arguments: tuple) -> None:
    """First thing in a process: it ends when its parent is gone, which it could wait for for ever."""

    def watch() -> None:
        multiprocessing.parent_process().join()
        if remains:
            shutil.rmtree(remains, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    if begin:
        begin(*arguments)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Processes that are started meanwhile have these variables."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
