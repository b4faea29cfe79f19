"""Several processes on one output folder, let go at the same moment."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.hardships import kills

HEAD = """
import sys
from dwikit import profiles, slices, training
from dwikit.common.errors import InputError
from dwikit.preprocess import preprocess
source, out = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
try:
    {work}
except InputError as error:
    sys.exit(str(error))
"""
WORK = {
    "Preprocessing": "preprocess(source, out, workers=1, grid_size=32, progress=False)",
    "Slices": "slices.build(source, out, slices.SliceSettings(image_size=32))",
    "Training": """config = profiles.resolve("smoke", vae={"epochs": 2, "steps_per_epoch": 4, "model": {"channels": [8, 16]}})
    training.train("vae", config, slices.SliceStore.open(source), out)""",
}
CONTENTS: dict[str, Callable[[Path], dict]] = {
    "Preprocessing": kills.files_of,
    "Slices": kills.files_of,
    "Training": kills.training_of,
}


def together(kind: str, source: Path, out: Path, n: int = 3) -> list[str]:
    """What each of n processes said at its end: nothing, or why it was refused."""
    command = [sys.executable, "-c", HEAD.replace("{work}", WORK[kind]), str(source), str(out)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, env=kills.ENVIRONMENT, **pipes) for _ in range(n)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=300)[1].strip() for process in processes]
    return ["" if process.returncode == 0 else text for process, text in zip(processes, said)]
