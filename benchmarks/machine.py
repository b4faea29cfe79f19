"""What a benchmark's numbers depend on, besides the code."""

import contextlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dwikit import profiles, report

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
