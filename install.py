"""``python install.py REQUIREMENT ...``: pip install at the versions of constraints.txt that shows how far it is.

The Makefile runs it with the Python of .venv. Of what pip writes the last step is shown, and more of it where it fails.
"""

import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

FREE_GB = 4
"""For the packages and what is downloaded meanwhile."""
ENVIRONMENT = Path(sys.prefix)
[PACKAGES] = ENVIRONMENT.glob("lib/python3*/site-packages")
PIP = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", "--no-compile"]


def unpacked() -> int:
    """Packages in the environment."""
    return len(list(PACKAGES.glob("*.dist-info")))


def step(lines: list[str], before: int) -> str:
    """What pip does, by the lines that it has written; ``before`` is how many packages there were."""
    for line in reversed(lines):
        if line.startswith("Installing collected packages: "):
            names = line.count(",") + 1
            return f"unpacking {min(unpacked() - before + 1, names)} of {names} packages"
        if line.startswith(("Collecting ", "Downloading ", "WARNING: Retrying ")):
            return line
    return "looking for packages"


def show(text: str, end: bool = False) -> None:
    """One line that is written over again on a terminal; elsewhere a line each."""
    if sys.stdout.isatty():
        print(f"\r\033[K{text[: shutil.get_terminal_size().columns - 1]}", end="\n" if end else "", flush=True)
    else:
        print(text, flush=True)


def main(requirements: list[str]) -> None:
    """Install, or leave with one message."""
    start, before, lines, free = time.monotonic(), unpacked(), [], shutil.disk_usage(ENVIRONMENT).free / 1e9
    if free < FREE_GB and not (PACKAGES / "tensorflow").exists():
        sys.exit(f"The packages need {FREE_GB} GB in {ENVIRONMENT}, and {free:.1f} GB are free there.")
    what = " ".join(one for one in requirements if not one.startswith("-"))
    print(f"Installing {what} and all it needs into {ENVIRONMENT} ({free:.0f} GB are free)", flush=True)
    command = [*PIP, "-c", "constraints.txt", *requirements]
    pip = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    reader = threading.Thread(target=lambda: lines.extend(map(str.strip, pip.stdout)), daemon=True)
    reader.start()
    while reader.is_alive():
        reader.join(0.5 if sys.stdout.isatty() else 20)
        show(f"{time.monotonic() - start:4.0f} s  {step(lines, before)}")
    if pip.wait():
        show("pip could not install this:", end=True)
        sys.exit("\n".join(f"  {line}" for line in lines[-20:]))
    shutil.rmtree(PACKAGES / "tensorflow" / "include", ignore_errors=True)  # for those who write operations in C++: 0.4 GB
    taken = max(0.0, free - shutil.disk_usage(ENVIRONMENT).free / 1e9)
    show(f"{unpacked() - before} packages more, {taken:.1f} GB, after {time.monotonic() - start:.0f} s", end=True)


if __name__ == "__main__":
    main(sys.argv[1:])
