"""One process at a time on one output folder."""

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from dwikit.common.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None


@contextlib.contextmanager
def alone(path: str | Path, task: str, wait: bool = False) -> Iterator[None]:
    """Hold a lock file while inside; a second process is refused at once, or waits.

    The lock is the kernel's (flock), so it ends with the process that holds it, however that ends: the file that a
    killed process leaves blocks nobody. File systems without such locks (some network ones) lock nothing.

    Args:
        path: of the lock file; it is gone afterwards.
        task: what the holder does, for the second process's message.
        wait: until the holder has ended.

    Raises:
        InputError: another process holds the lock, or the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = _acquire(path, wait)
    except BlockingIOError as error:
        raise InputError(
            f"Another process ({_holder(path)}) {task}. Wait until it has ended, or choose another folder; then run the same "
            "again."
        ) from error
    except OSError as error:
        raise InputError(
            f"{path.parent} could not be written ({error.strerror or error}). Free some space or choose another folder."
        ) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # before the lock ends, so that nobody waits on a file that is gone
        os.close(handle)


def _acquire(path: Path, wait: bool) -> int:
    """Descriptor of the locked file.

    Raises:
        BlockingIOError: it is already locked.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if fcntl:
                fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise
        except OSError:
            pass  # no locks on this file system
        if _is(path, handle):
            with contextlib.suppress(OSError):  # on a full disk the message lacks the number
                os.truncate(handle, 0)
                os.write(handle, f"{os.getpid()} on {platform.node()}".encode())
            return handle
        os.close(handle)  # its holder ended and removed it between our two steps


def _is(path: Path, handle: int) -> bool:
    """Whether the open file is still the one at this path."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or "of unknown number"
    except OSError:
        return "of unknown number"
