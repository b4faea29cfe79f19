"""A silent start of TensorFlow.

Its libraries write a dozen lines to standard error while they load and look for GPUs, some before any setting is read
(``TF_CPP_MIN_LOG_LEVEL``), all bypassing Python. So file descriptor 2 is held meanwhile. What was written is passed on if it
shows a problem: the start failed, or the process was aborted, or TensorFlow cannot use this machine's NVIDIA GPU.

Later lines of optimizers and kernels, which no user can act on, are turned off; errors are raised in Python all the same.
With ``TF_CPP_MIN_LOG_LEVEL`` 0 or 1 in the environment nothing is held or turned off.
"""

import contextlib
import importlib.abc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from dwikit.common import keras_settings

KEEPER = "import sys; held = sys.stdin.buffer.read(); sys.stderr.buffer.write(held)"
"""Another process keeps what was written: it survives if this one is aborted."""
NVIDIA = Path("/proc/driver/nvidia/version")
"""Exists if the driver of an NVIDIA GPU is loaded."""
UNUSED = (
    "TensorFlow does not use this machine's NVIDIA GPU. TF_CPP_MIN_LOG_LEVEL=0 in the environment shows why; the extra gpu "
    "brings what it needs (docs/gpu.md).\n"
)


@contextlib.contextmanager
def held_back() -> Iterator[Callable[[], None]]:
    """Inside, anything written to file descriptor 2 is held; it is dropped at the end, or printed if the block fails.

    Yields:
        A function to call if it should be printed anyway.
    """
    try:
        before = os.dup(2)
    except OSError:  # standard error is closed
        yield lambda: None
        return
    command = [sys.executable, "-I", "-S", "-c", KEEPER]
    keeper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=before, start_new_session=True)
    os.dup2(keeper.stdin.fileno(), 2)
    wanted = []
    try:
        yield lambda: wanted.append(True)
        if not wanted:
            keeper.kill()
    finally:
        os.dup2(before, 2)
        os.close(before)
        keeper.stdin.close()
        keeper.wait()


class QuietTensorFlow(importlib.abc.MetaPathFinder):
    """Finds TensorFlow like the finders after it, and loads it, with its search for GPUs, inside ``held_back``."""

    def find_spec(self, name, path=None, target=None):
        """See ``importlib.abc.MetaPathFinder``."""
        if name != "tensorflow" or os.environ.get("TF_CPP_MIN_LOG_LEVEL") in ("0", "1"):
            return None
        others = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((spec for spec in others if spec), None)
        if spec and spec.loader:
            load = spec.loader.exec_module

            def quietly(module) -> None:
                with held_back() as print_it:
                    load(module)
                    if keras_settings.backend() != "tensorflow":
                        return  # Keras imports it beside any backend, but computes nothing with it
                    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
                    if not module.config.list_physical_devices("GPU") and NVIDIA.exists() and not hidden:
                        os.write(2, UNUSED.encode())
                        print_it()

            spec.loader.exec_module = quietly
        return spec


def install() -> None:
    """Make TensorFlow start silently, whoever in this process imports it first."""
    if not any(isinstance(finder, QuietTensorFlow) for finder in sys.meta_path):
        sys.meta_path.insert(0, QuietTensorFlow())
