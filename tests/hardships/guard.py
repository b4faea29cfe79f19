"""Limits on time and memory around a piece of code."""

import contextlib
import resource
import signal
from pathlib import Path


class TooSlow(BaseException):
    """Raised where the time is over; no handler of ordinary exceptions stops it."""


@contextlib.contextmanager
def limits(seconds: float, megabytes: int):
    """Inside, ``TooSlow`` ends what takes too long, and ``MemoryError`` what asks for more memory than that."""

    def over(*_):
        raise TooSlow(f"not done after {seconds:g} s")

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGALRM, over)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + megabytes * 2**20, before[1]))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)
