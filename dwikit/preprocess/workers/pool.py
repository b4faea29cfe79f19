"""Runs jobs in worker processes that may die: `dwikit.preprocess.workers.process`, one job at a time each.

Not `concurrent.futures`: there, one killed process fails every job, and a spawned process imports the user's script
again. Here it is known which job killed a process, and the processes start with ITK's threads already limited.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dwikit.common.errors import InputError
from dwikit.preprocess.register import ONE_THREAD

TRIALS = 2
"""A job that kills its process is retried once: the process may have died for another reason, such as another program's
use of memory."""
COMMAND = (sys.executable, "-m", "dwikit.preprocess.workers.process")
_PACKAGE_PARENT = Path(__file__).resolve().parents[3]


class _Died(Exception):
    """The worker process ended in the middle of a job."""


class _Worker:
    """A worker process and the pipe to it."""

    def __init__(self) -> None:
        self.errors = tempfile.TemporaryFile()
        places = [str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH", "")]
        self.process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env={**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(filter(None, places))},
            encoding="utf-8",
        )

    def wait_ready(self) -> None:
        """Waits until the process has loaded what it needs.

        Raises:
            InputError: it ended instead.
        """
        if not self.process.stdout.readline():
            self.errors.seek(0)
            lines = self.errors.read().decode(errors="replace").strip().splitlines() or ["no message"]
            raise InputError(
                f"The process that registers images could not start: {lines[-1]}. `dwikit doctor` says what is missing."
            )

    def ask(self, job: dict[str, Any]) -> dict[str, Any]:
        """Sends a job and waits for its answer.

        Raises:
            _Died: the process ended first.
        """
        try:
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except OSError as error:
            raise _Died from error
        if not answer.endswith("\n"):
            raise _Died
        return json.loads(answer)

    def end(self) -> str:
        """Ends the process, and says how it ended if it had already ended."""
        ended_before = self.process.poll() is not None
        self.process.kill()
        code = self.process.wait()
        for file in (self.process.stdout, self.errors):
            file.close()
        try:
            self.process.stdin.close()
        except OSError:
            pass  # a line was left in the pipe of a process that is gone
        if ended_before and code < 0:
            return signal.Signals(-code).name
        return f"exit status {code}"


def run_jobs(jobs: list[dict[str, Any]], workers: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Runs jobs in worker processes; answers come as they are ready.

    When the iteration ends, for whatever reason, the processes are gone.

    Args:
        jobs: for `dwikit.preprocess.workers.process`.
        workers: processes.

    Yields:
        (number of the job, answer). A job that kills its process twice is answered with status "failed".

    Raises:
        InputError: the processes cannot start.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(len(jobs)):
        waiting.put(number)
    answers: queue.SimpleQueue[tuple[int, dict[str, Any]] | BaseException] = queue.SimpleQueue()
    hands = [Hand() for _ in range(min(workers, len(jobs)))]
    threads = [threading.Thread(target=_serve, args=(jobs, waiting, answers, hand), daemon=True) for hand in hands]
    try:
        for thread in threads:
            thread.start()
        for _ in jobs:
            answer = answers.get()
            if isinstance(answer, BaseException):
                raise answer
            yield answer
    finally:
        for hand in hands:
            hand.stop()
        for thread in threads:
            thread.join()


class Hand:
    """One worker process, started when first needed and restarted when it has died. For one thread at a time."""

    def __init__(self) -> None:
        self.worker: _Worker | None = None
        self.stopped = False

    def do(self, job: dict[str, Any]) -> dict[str, Any]:
        """Answer to a job; one that kills its process `TRIALS` times is answered with status "failed".

        Raises:
            InputError: the process cannot start.
            Stopped: another thread called `stop`.
        """
        for _ in range(TRIALS):
            if self.worker is None:
                self.worker = _Worker()
                if not self.stopped:
                    self.worker.wait_ready()
            try:
                return self.worker.ask(job)
            except _Died:
                self.worker.process.wait()
                end = self.end()
                if self.stopped:
                    raise Stopped from None
        return _death(job, end)

    def stop(self) -> None:
        """Kills the process for good from another thread, even in the middle of a job."""
        self.stopped = True
        if worker := self.worker:
            worker.process.kill()

    def end(self) -> str:
        """Ends the process, and says how it ended; the next job starts another."""
        worker, self.worker = self.worker, None
        return worker.end() if worker else ""


class Stopped(Exception):
    """Nobody is waiting for the answer any more."""


def _serve(
    jobs: list[dict[str, Any]], waiting: "queue.SimpleQueue[int]", answers: "queue.SimpleQueue[Any]", hand: Hand
) -> None:
    """Lets one hand do jobs until none is left."""
    try:
        while not hand.stopped:
            number = waiting.get_nowait()
            answers.put((number, hand.do(jobs[number])))
    except (queue.Empty, Stopped):
        pass
    except BaseException as error:
        answers.put(error)
    finally:
        hand.end()


def _death(job: dict[str, Any], end: str) -> dict[str, Any]:
    message = (
        f"{job['case']['image']}: the process registering it died {TRIALS} times ({end}). If memory ran out, use fewer"
        " workers; else leave the scan out."
    )
    return {"status": "failed", "message": message, "flag": ""}
