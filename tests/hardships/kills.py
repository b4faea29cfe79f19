"""kill -9 at random moments: started again and again, a run ends as an undisturbed one does."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from dwikit import models

PREPROCESS = """
import sys
from dwikit.preprocess import preprocess
import dwikit.preprocess.derivative
print("ready", flush=True)
preprocess(sys.argv[1], sys.argv[2], workers=2, grid_size=64, progress=False)
"""
TRAIN = """
import json, sys
from dwikit import profiles, slices, training
path, folder, key, model = sys.argv[1:]
config = profiles.resolve("smoke", **{key: {"epochs": 5, "steps_per_epoch": 6, "model": json.loads(model)}})
store = slices.SliceStore.open(path)
print("ready", flush=True)
training.train(key, config, store, folder)
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TF_CPP_MIN_LOG_LEVEL": "3"}


class Trials:
    """A command that writes a folder, killed at random moments.

    Attributes:
        stages: what stood in the folder at each kill.
        endings: how many runs came to their end, each equal to the undisturbed one.
    """

    def __init__(self, command: list[str], folder: Path, contents: Callable[[Path], dict], seed: int = 0):
        self.command, self.folder, self.contents = [sys.executable, *command], folder, contents
        self.moments, self.stages, self.endings = random.Random(seed), Counter(), 0
        start = self._start()
        assert start.wait() == 0
        self.whole = contents(folder)
        self.seconds = time.monotonic() - self.ready
        shutil.rmtree(folder)

    def _start(self) -> subprocess.Popen:
        process = subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENVIRONMENT, start_new_session=True, text=True
        )
        assert process.stdout.readline() == "ready\n"
        self.ready = time.monotonic()
        return process

    def kill(self, n: int) -> None:
        """Kill n times, then let it end; every ending is compared, and begun anew while there are kills left."""
        for number in range(n):
            while not self._killed(self._start(), number):
                self._compare()
        assert self._start().wait() == 0
        self._compare()

    def _killed(self, process: subprocess.Popen, number: int) -> bool:
        """Whether the process was killed, at a random moment, before it ended: every second time while a file is half written,
        and every third time with its children."""
        moment = self.ready + self.moments.uniform(0, self.seconds)
        while process.poll() is None and time.monotonic() < moment:
            time.sleep(0.001)
        while number % 2 and process.poll() is None and not self._half():
            time.sleep(0.0002)
        if process.poll() is not None:
            assert process.returncode == 0, f"it failed by itself: {process.returncode}"
            return False
        if number % 3:
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        half = self._half()
        self.stages[f"writing {half}" if half else f"{self._done()} files there"] += 1
        return True

    def _half(self) -> str:
        """The kind of a file that is half written; empty if none is."""
        for path in self.folder.rglob(".*.partial*"):
            return path.name.split(".partial")[-1].lstrip(".") or path.name
        return ""

    def _done(self) -> str:
        n = sum(not path.name.startswith(".") for path in self.folder.rglob("*") if path.is_file())
        return "no" if not n else "some" if n < len(self.whole) else "all"

    def _compare(self) -> None:
        there = self.contents(self.folder)
        assert there.keys() == self.whole.keys(), there.keys() ^ self.whole.keys()
        assert not [name for name in there if there[name] != self.whole[name]]
        self.endings += 1
        shutil.rmtree(self.folder)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file, byte by byte."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def training_of(folder: Path) -> dict[str, bytes]:
    """The same of a training: of a model its weights, of the log all but the times."""
    found = files_of(folder)
    for name in found:
        if name.endswith(".keras"):
            found[name] = b"".join(np.array(weight).tobytes() for weight in models.load(folder / name).get_weights())
    log = pd.read_csv(folder / "log.csv").drop(columns="seconds")
    return found | {"log.csv": log.to_csv().encode()}


def preprocessing(bids: Path, folder: Path) -> Trials:
    """Trials of the preprocessing of a dataset."""
    return Trials(["-c", PREPROCESS, str(bids), str(folder)], folder, files_of)


def training(slices: Path, folder: Path, key: str, model: dict) -> Trials:
    """Trials of the training of one network."""
    return Trials(["-c", TRAIN, str(slices), str(folder), key, json.dumps(model)], folder, training_of, seed=len(key))
