"""Runs jobs on a Dask cluster: the same answers as from `pool`, from other machines.

Each thread of a Dask worker keeps one of the pool's processes (`pool.Hand`), so that a scan is registered by a process that
starts exactly as on one machine, whatever the worker's environment, and a scan that kills its process fails alone.
A task writes its files itself and returns the values of the report's row. When a worker is lost, the scheduler gives its
tasks to another.

First, a worker checks that it sees the dataset and the folder of the results, and that it has the versions
on which the result depends.
"""

import functools
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from dwikit.common import files
from dwikit.common.errors import InputError
from dwikit.common.progress import tqdm
from dwikit.preprocess import derivative
from dwikit.preprocess.workers.pool import Hand

TIMEOUT_S = 10
"""How long the scheduler's first answer may take."""
REPORTED = ("Subject", "Flags", "BValue", "NumberOfDirections", "Quality", "Voxels")
"""Entries of a sidecar that go into the report's row."""
REMEDY = "Every machine needs the same environment: install this version of dwikit[scale] with constraints.txt there"


# ==== On the calling machine ====


def run_jobs(jobs: list[dict[str, Any]], scheduler: str, raw: Path, out: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Runs jobs on a cluster; answers come as they are ready.

    Args:
        jobs: for `dwikit.preprocess.workers.process`, with absolute paths.
        scheduler: address of the Dask scheduler, e.g. "tcp://10.0.0.1:8786". Workers may join and leave at any time.
        raw: folder of the dataset, which every worker must see.
        out: folder of the results, which every worker must see.

    Yields:
        (number of the job, answer). A job that was lost with several workers in turn is answered with status "failed".

    Raises:
        InputError: Dask is not installed, no scheduler answers, it was lost, or a worker lacks dwikit, has other versions
            or does not see the folders.
    """
    if not jobs:
        return
    with connection(scheduler) as client, _mark(out) as mark:
        from distributed import CancelledError, as_completed

        place = Place(str(raw), str(out), mark, tuple(derivative.versions().items()))
        futures = {}
        try:
            _check_workers(client, place, scheduler)
            futures = {client.submit(work, job, place, key=f"{mark}-{number}"): number for number, job in enumerate(jobs)}
            for future in as_completed(list(futures), loop=client.loop):
                number = futures.pop(future)
                yield number, _answer(future, jobs[number], scheduler)
        except (CancelledError, OSError) as error:
            raise InputError(f"The scheduler {scheduler} was lost. Start it again; what was finished is kept.") from error
        finally:
            if client.status == "running":
                client.cancel(list(futures))
                client.run(rest, on_error="ignore")


@contextmanager
def connection(scheduler: str) -> Iterator[Any]:
    """A connection to the scheduler.

    Raises:
        InputError: Dask is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError("A scheduler needs Dask: pip install -e '.[scale]'.") from error
    try:
        if not re.fullmatch(r"inproc://.+|(\w+://)?.+:\d+", scheduler):
            raise ValueError("it has no port")  # the client would leave a thread behind that complains later
        client = Client(scheduler, timeout=TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"No Dask scheduler answers at {scheduler} ({error}). Start one with `dask scheduler` and give the address that it"
            " prints, such as tcp://10.0.0.1:8786."
        ) from error
    try:
        yield client
    finally:
        client.close()


@contextmanager
def _mark(out: Path) -> Iterator[str]:
    """Name of a file that only this folder has, and only inside this context."""
    path = out / f".dwikit-{uuid4().hex}.partial"  # a name that the next run clears away
    files.write_text(path, "Written to see which machines share this folder.\n")
    try:
        yield path.name
    finally:
        path.unlink(missing_ok=True)


def _check_workers(client: Any, place: "Place", scheduler: str) -> None:
    """Checks the workers that are there; those that join later are checked with their first task.

    Raises:
        InputError: one of them cannot do the work.
    """
    complaints = client.run(complaint, place, on_error="return")
    for worker, reason in complaints.items():
        if isinstance(reason, Exception):
            reason = f"it cannot load this version of dwikit ({reason}). {REMEDY}."
        if reason:
            raise InputError(f"The worker {worker} of {scheduler}: {reason}")
    if not complaints:
        tqdm.write(f"The scheduler {scheduler} has no workers yet; waiting for the first.")


def _answer(future: Any, job: dict[str, Any], scheduler: str) -> dict[str, Any]:
    """Answer to a finished job.

    Raises:
        InputError: the worker cannot work.
    """
    from distributed import CancelledError, KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        message = (
            f"{job['case']['image']}: the workers registering it were lost one after another ({error}). If their memory ran"
            " out, use fewer workers per machine; else leave the scan out."
        )
        return {"status": "failed", "message": message, "flag": ""}
    except (InputError, CancelledError, OSError):
        raise
    except Exception as error:  # the worker could not even load the job
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"A worker of {scheduler} could not do its work ({reason}). {REMEDY}.") from error


# ==== On a worker ====


class Place(NamedTuple):
    """What a worker must find: dataset, folder of the results with a file that marks it, versions of packages."""

    raw: str
    out: str
    mark: str
    versions: tuple[tuple[str, str], ...]


@functools.cache
def complaint(place: Place) -> str | None:
    """Why this machine cannot do the work, or None."""
    host = socket.gethostname()
    try:
        versions = derivative.versions()
    except metadata.PackageNotFoundError as error:
        return f"{host} lacks the package {error.name}. {REMEDY}."
    others = [f"{name} {versions[name]}, not {version}" for name, version in place.versions if versions[name] != version]
    if others:
        return f"{host} has {', '.join(others)}, on which results depend. {REMEDY}."
    for folder, seen in ((place.raw, Path(place.raw).is_dir()), (place.out, Path(place.out, place.mark).is_file())):
        if not seen:
            return (
                f"{host} does not see the folder {folder} of the calling machine. Put dataset and results on a file system"
                " that all machines share, mounted at the same path."
            )
    return None


_HANDS: dict[int, tuple[threading.Lock, Hand]] = {}
"""The process of each thread of this worker."""


def work(job: dict[str, Any], place: Place) -> dict[str, Any]:
    """One job, done by the process that this thread keeps; its files are written when this returns.

    Raises:
        InputError: this machine cannot do the work.
    """
    if reason := complaint(place):
        raise InputError(reason)
    lock, hand = _HANDS.setdefault(threading.get_ident(), (threading.Lock(), Hand()))
    with lock:
        answer = hand.do(job)
    if answer["status"] == "done":
        answer["sidecar"] = {name: answer["sidecar"][name] for name in REPORTED}
    return answer


def rest() -> None:
    """Ends the idle processes of this worker."""
    for lock, hand in list(_HANDS.values()):
        if lock.acquire(blocking=False):
            try:
                hand.end()
            finally:
                lock.release()
