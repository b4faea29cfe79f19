"""Two processes on one output folder: the second is refused at once or waits, and a killed holder keeps nobody out."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from dwikit import profiles, slices, training
from dwikit.cohorts import phantom
from dwikit.common import lock
from dwikit.common.errors import InputError
from dwikit.preprocess import preprocess

HOLD = """
import sys, time
from dwikit.common import lock
with lock.alone(sys.argv[1], "holds it"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def hold():
    """Holds a lock in a process of its own; calling it twice is not needed."""
    holders = []

    def hold(path):
        holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
        holders.append(holder)
        assert holder.stdout.readline() == "held\n"
        return holder

    yield hold
    for holder in holders:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_the_second_is_refused_and_told_who_holds_it(tmp_path, hold):
    holder = hold(tmp_path / "deep" / ".lock")
    with pytest.raises(InputError, match=rf"Another process \({holder.pid} on .*\) trains here. Wait until it has ended"):
        with lock.alone(tmp_path / "deep" / ".lock", "trains here"):
            pytest.fail("two inside")


def test_the_second_may_wait_for_the_first(tmp_path, hold):
    holder = hold(tmp_path / ".lock")
    start = time.monotonic()
    threading.Timer(0.5, holder.kill).start()
    with lock.alone(tmp_path / ".lock", "waits", wait=True):
        assert time.monotonic() - start > 0.4 and holder.wait() != 0
        with pytest.raises(InputError, match="Another process"):
            with lock.alone(tmp_path / ".lock", "does not wait"):
                pytest.fail("two inside")


def test_a_killed_holder_keeps_nobody_out(tmp_path, hold):
    holder = hold(tmp_path / ".lock")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / ".lock").exists()
    with lock.alone(tmp_path / ".lock", "goes on"):
        with pytest.raises(InputError, match="Another process"):  # also for a second thread of this one
            with lock.alone(tmp_path / ".lock", "goes on"):
                pytest.fail("two inside")
    assert not (tmp_path / ".lock").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file could not be written"):
        with lock.alone(tmp_path / "file" / ".lock", "works"):
            pass


RACE = """
import sys, time
from dwikit.common import lock
from dwikit.common.errors import InputError
wins = 0
end = time.monotonic() + 240
while wins < 100 and time.monotonic() < end:
    try:
        with lock.alone(sys.argv[1] + "/.lock", "races"):
            inside = open(sys.argv[1] + "/inside", "x")  # fails if another is inside
            wins += 1
            __import__("os").unlink(sys.argv[1] + "/inside")
    except InputError:
        pass
print(wins)
"""


def test_never_two_inside_however_often_it_is_taken_and_given_back(tmp_path):
    racers = [
        subprocess.Popen([sys.executable, "-c", RACE, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    ends = [racer.communicate(timeout=300) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0], ends
    assert [int(out) for out, _ in ends] == [100, 100, 100]


def test_every_stage_that_takes_long_refuses_company(tmp_path, hold, store, volumes):
    (tmp_path / "bids").mkdir()
    phantom.write_cohort(tmp_path / "bids", 1, workers=1, progress=False)
    stages = {
        tmp_path / "out" / ".lock": lambda: preprocess(tmp_path / "bids", tmp_path / "out", progress=False),
        tmp_path / ".slices.lock": lambda: slices.build(volumes, tmp_path / "slices", slices.SliceSettings(image_size=32)),
        tmp_path / ".vae.lock": lambda: training.train("vae", profiles.resolve("smoke"), store, tmp_path / "vae"),
    }
    for path, stage in stages.items():
        hold(path)
        before, start = sorted(tmp_path.rglob("*")), time.perf_counter()
        with pytest.raises(InputError, match="Another process .* Wait until it has ended"):
            stage()
        assert time.perf_counter() - start < 60 and sorted(tmp_path.rglob("*")) == before
