"""What a benchmark's numbers depend on, besides the code."""

import contextlib
import os
import platform
import subprocess
import threading
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from dwikit import profiles, report
from dwikit.common import paths

ALSO = ("onnxruntime",)
"""Packages that a benchmark may use but provenance does not name."""


def machine() -> dict:
    """Processor, cores, load and system."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor()
    load = round(os.getloadavg()[0], 1)
    return {"processor": processor, "cores": os.cpu_count(), "load": load, "system": platform.platform()}


def changed_since(commit: str, code: Sequence[str]) -> bool:
    """Whether any of these files and folders of the kit has changed since a commit."""
    command = ["git", "diff", "--quiet", commit, "--", *code]
    return subprocess.run(command, cwd=paths.project(), capture_output=True).returncode != 0


def source(command: str) -> dict:
    """Provenance of a table at the profile ``paper``."""
    facts = report.provenance(profiles.resolve("paper"), command, **machine())
    for name in ALSO:
        with contextlib.suppress(PackageNotFoundError):
            facts["versions"][name] = version(name)
    return facts


def show(table, name: str, facts: dict) -> None:
    """Save a table and print it with what it depends on."""
    print(report.save_table(table, name, facts).read_text(encoding="utf-8"))
    names = ("processor", "cores", "load", "python")
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items() if number)
    print(", ".join(f"{name} {facts[name]}" for name in names) + "; " + versions)


class Memory(threading.Thread):
    """The largest private memory of this process from now on, from /proc/self/smaps_rollup (Linux), read every 20 ms.

    Pages of files, which the system reclaims when needed, are counted apart.
    """

    def __init__(self):
        super().__init__(daemon=True)
        self.own = self.with_file = 0
        self.done = threading.Event()
        self.start()

    def run(self) -> None:
        """Read until told to stop."""
        while not self.done.wait(0.02):
            lines = (line.split() for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
            kib = {fields[0]: int(fields[1]) for fields in lines}
            self.own = max(self.own, kib["Private_Dirty:"])
            self.with_file = max(self.with_file, kib["Private_Dirty:"] + kib["Private_Clean:"])

    def peaks(self) -> tuple[int, int]:
        """Bytes without and with pages of files; ends the measurement."""
        self.done.set()
        self.join()
        return 1024 * self.own, 1024 * self.with_file


class Family(threading.Thread):
    """The largest memory of this process and its children together inside a ``with`` block, read twice a second (Linux).

    A page that several processes share counts once: their proportional set sizes are added.
    """

    def __init__(self):
        super().__init__(daemon=True)
        self.total = self.largest = 0
        """Bytes: of all together, and of the largest child."""
        self.done = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exception) -> None:
        self.done.set()
        self.join()

    def run(self) -> None:
        """Read until told to stop."""
        own = psutil.Process()
        while not self.done.wait(0.5):
            sizes = []
            for process in own.children(recursive=True):
                with contextlib.suppress(psutil.Error):  # it has just ended
                    sizes.append(process.memory_full_info().pss)
            self.total = max(self.total, own.memory_full_info().pss + sum(sizes))
            self.largest = max(self.largest, *sizes, 0)
