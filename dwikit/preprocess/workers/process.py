"""A worker process: `python -m dwikit.preprocess.workers.process`. Reads jobs from stdin and answers on stdout, one JSON line
each.

First it says {"ready": true}. A job holds "case", its "content", "out" and "settings"; an answer holds "status": "done" (with
the "sidecar"), "failed" (this scan cannot be used: "message", "flag") or "stop" (no scan could be written: "message").
When its parent ends for any reason, stdin closes and the process stops at once.
"""

import json
import os
import queue
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from dwikit.common.errors import InputError
from dwikit.preprocess import derivative


def main() -> None:
    """Works until stdin closes."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever ITK prints must not mix with the answers
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()
    derivative.warm_up()
    _answer(answers, {"ready": True})
    while True:
        _answer(answers, work(json.loads(jobs.get())))


def _listen(jobs: "queue.SimpleQueue[str]") -> None:
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)


def _answer(answers: Any, value: dict[str, Any]) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Does one job; every mistake becomes an answer."""
    case, out = derivative.from_plain(job["case"]), Path(job["out"])
    settings = derivative.Settings(**job["settings"])
    try:
        registered, sidecar = derivative.compute(case, settings, job["content"])
    except InputError as error:
        return {"status": "failed", "message": str(error), "flag": getattr(error, "flag", "")}
    except MemoryError:
        message = f"{case.image} needs more memory than there is. Use fewer workers, or leave the scan out."
        return {"status": "failed", "message": message, "flag": ""}
    except Exception as error:  # one broken scan must not end the others
        traceback.print_exc()
        message = f"{case.image}: {type(error).__name__}: {error}. Leave the scan out, and please report this."
        return {"status": "failed", "message": message, "flag": ""}
    try:
        derivative.write(case, out, settings, registered, sidecar)
    except (InputError, OSError) as error:
        return {"status": "stop", "message": str(error)}
    return {"status": "done", "sidecar": sidecar}


if __name__ == "__main__":
    main()
