"""Cases in worker processes: in order, few in memory, the same numbers whatever the number of workers."""

import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dwikit.cohorts.phantom import once
from dwikit.common.parallel import processes, single_threaded

_CASES_A_WORKER = 8
"""A worker takes a few seconds to start, which pays off from this many cases on."""


def map_cases(function: Callable, cases: list, workers: int | None, *arguments) -> Iterator:
    """Yields function(case, *arguments) for each case, in order.

    At most two results per worker wait in memory. Numerical libraries use one thread per worker.

    Args:
        function: a module's function; it runs in ``processes`` if workers is more than 1.
        cases: numbers, or whatever says which case it is; each goes to one worker alone.
        workers: processes; 1 stays in this one; None uses one per core, but at most one for every 8 cases.
        *arguments: passed on to the function.
    """
    if workers is None:
        workers = min(os.cpu_count() or 1, len(cases) // _CASES_A_WORKER)
    if workers <= 1:
        for case in cases:
            yield single_threaded(function, case, *arguments)
        return
    with _atlas() as (folder, contents), processes(workers, once.read, contents, remains=folder) as pool:
        waiting = deque()
        try:
            for case in cases:
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(single_threaded, function, case, *arguments))
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
        with processes(1, remains=folder) as first:
            contents = first.submit(single_threaded, once.write, folder).result()
        yield folder, contents
