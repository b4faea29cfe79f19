"""Slices of scans that take long to make: stopped anywhere, the building goes on from there, to the same bytes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dwikit import profiles, slices, study
from dwikit.cohorts import phantom
from dwikit.cohorts.phantom.parallel import map_cases
from dwikit.slices import grid

SMALL = slices.SliceSettings(image_size=32)
COUNT, STOP = 8, 5
ROOT = Path(__file__).parents[2]


def scans(made: list[int], made_with: str = "", gain: float = 1.0, stop: int = COUNT, then=None) -> slices.Repeatable:
    """Eight people who are the same whenever they are made; `made` records who was, and `then` is called at one of them."""

    def since(number: int):
        for i in range(number, COUNT):
            if i == stop:
                then()
            made.append(i)
            image = np.random.default_rng(i).random((26, 64, 64), np.float32) * gain * (1 + i)
            yield grid.Volume(f"sub-{i}", f"sub-{i}", 30.0 + i, "F", "simulated", image)

    return slices.Repeatable({"with": made_with}, since)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def whole(tmp_path) -> dict[str, bytes]:
    slices.build([], tmp_path / "whole", SMALL, then=scans([]))
    return content(tmp_path / "whole")


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Path:
    """What a process left that was killed while it made the sixth of eight people."""
    folder = tmp_path_factory.mktemp("killed")
    script = "import sys; from tests.slices.test_resuming import *; hang(sys.argv[1])"
    process = subprocess.Popen([sys.executable, "-c", script, folder / "s"], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout.readline() == b"hanging\n"
    process.kill()
    process.wait()
    process.stdout.close()
    return folder


@pytest.fixture
def stopped(killed, tmp_path) -> Path:
    """A folder for the slices, with these remains beside it."""
    shutil.copytree(killed, tmp_path / "killed")
    return tmp_path / "killed" / "s"


def hang(folder: str) -> None:
    """Build until the sixth person, then wait to be killed."""
    slices.build([], folder, SMALL, then=scans([], stop=STOP, then=lambda: (print("hanging", flush=True), time.sleep(100))))


def test_a_killed_building_goes_on_to_the_same_bytes(stopped, whole):
    assert not stopped.exists(), "nothing unfinished is taken for a store"
    made = []
    slices.build([], stopped, SMALL, then=scans(made))
    assert made == list(range(STOP - 1, COUNT))  # the last that was there is made again, to see that it still is the same
    assert content(stopped) == whole
    assert not (stopped.parent / ".s.begun").exists() and not list(stopped.parent.glob(".s.*.partial"))


@pytest.mark.parametrize("name", ["slices.bin", "scans.jsonl"])
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_what_is_half_written_is_made_again(stopped, whole, name, kept):
    file = stopped.parent / ".s.begun" / name
    os.truncate(file, int(kept * file.stat().st_size))
    made = []
    slices.build([], stopped, SMALL, then=scans(made))
    assert made[0] <= int(kept * STOP) and content(stopped) == whole


def test_slices_that_are_not_those_of_their_line_are_made_again(stopped, whole):
    file = stopped.parent / ".s.begun" / "slices.bin"
    pixels = bytearray(file.read_bytes())
    pixels[len(pixels) // 2] ^= 1  # in the third of five people
    file.write_bytes(pixels)
    made = []
    slices.build([], stopped, SMALL, then=scans(made))
    assert made[0] == 1 and content(stopped) == whole


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        (slices.SliceSettings(image_size=32, percentile=95.0), {}),
        (slices.SliceSettings(image_size=16), {}),
        (SMALL, {"made_with": "other settings"}),
        (SMALL, {"gain": 2.0}),  # other code behind the same settings
    ],
)
def test_changed_settings_or_people_begin_anew(stopped, tmp_path, settings, changed):
    made = []
    slices.build([], stopped, settings, then=scans(made, **changed))
    assert sorted(set(made)) == list(range(COUNT))
    slices.build([], tmp_path / "whole", settings, then=scans([], **changed))
    assert content(stopped) == content(tmp_path / "whole")


def test_a_building_that_fails_once_and_again_loses_nothing(tmp_path, whole):
    def fail() -> None:
        raise KeyboardInterrupt

    made = []
    for stop in (2, 3, 6):
        with pytest.raises(KeyboardInterrupt):
            slices.build([], tmp_path / "s", SMALL, then=scans(made, stop=stop, then=fail))
    slices.build([], tmp_path / "s", SMALL, then=scans(made))
    assert made == [0, 1, 1, 2, 2, 3, 4, 5, 5, 6, 7] and content(tmp_path / "s") == whole


def test_the_study_goes_on_with_the_direct_path(tmp_path, monkeypatch):
    profile = profiles.resolve("smoke", cohort={"cases": 5, "registered": 0, "workers": 1})
    simulate, calls = phantom.simulate_volumes, []

    def cut(n_cases, seed, first, workers, **options):
        calls.append((n_cases, first))
        for i, volume in enumerate(simulate(n_cases, seed, first, workers, **options)):
            if first + i == 3 and len(calls) == 1:
                raise KeyboardInterrupt
            yield volume

    monkeypatch.setattr(phantom, "simulate_volumes", cut)
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path / "runs"))
    with pytest.raises(KeyboardInterrupt):
        study.slices(profile)
    store = study.slices(profile)
    assert calls == [(5, 0), (3, 2)]
    whole = slices.build(
        simulate(5, profile.cohort.seed, settings=profile.slice_settings), tmp_path / "s", profile.slice_settings
    )
    assert store.content == whole.content and store.settings["clip"] == whole.settings["clip"]


def pid(case: int) -> int:
    """The process that works on a case."""
    return os.getpid()


def wait_with_workers() -> None:
    """Start two workers, say who they are, and wait to be killed."""
    answers = map_cases(pid, list(range(100)), 2)
    print(*{next(answers) for _ in range(20)}, flush=True)
    time.sleep(100)


def test_workers_end_with_a_killed_parent(tmp_path):
    """And take along the file that they read."""
    script = "from tests.slices.test_resuming import *; wait_with_workers()"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT, env=environment)
    workers = [int(word) for word in process.stdout.readline().split()]
    assert workers and list(tmp_path.glob("dwikit-atlas-*/*.npy"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    end = time.monotonic() + 20
    while any(map(_runs, workers)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(map(_runs, workers)) and not list(tmp_path.glob("dwikit-atlas-*"))


def _runs(number: int) -> bool:
    """Whether a process is there and not only its entry in the table (Linux)."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")")[-1].split()[0] != "Z"
    except OSError:
        return False
