"""Files are whole or not there, and what killed processes left behind is cleared away."""

import os
import subprocess
import sys

import numpy as np
import pytest

from dwikit.common import files
from dwikit.common.errors import InputError


def test_a_failure_leaves_the_old_file(tmp_path):
    files.write_text(tmp_path / "a.txt", "old")

    def fail(path):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="a.txt could not be written .No space left on device.; .*unharmed"):
        files.write(tmp_path / "a.txt", fail)
    assert (tmp_path / "a.txt").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["a.txt", "a.nii.gz", "LICENSE"])
def test_remains_of_dead_processes_go_and_those_of_living_ones_stay(tmp_path, name):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    path = tmp_path / name
    remains = [path.with_name(f".{path.stem}.{pid}.partial{path.suffix}") for pid in (dead.pid, os.getppid())]
    for remain in remains:
        remain.write_text("half")
    files.write_text(path, "whole")
    assert [remain.exists() for remain in remains] == [False, True]


def test_a_folder_is_whole_or_what_it_was(tmp_path):
    path = tmp_path / "store"
    files.write_folder(path, lambda partial: (partial / "a").write_text("old"))

    def fail(partial):
        (partial / "a").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="store could not be written .No space left on device.; .*unharmed"):
        files.write_folder(path, fail)

    def interrupted(partial):
        (partial / "a").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_folder(path, interrupted)
    assert (path / "a").read_text() == "old" and [entry.name for entry in tmp_path.iterdir()] == ["store"]
    files.write_folder(path, lambda partial: (partial / "b").write_text("new"))
    assert [entry.name for entry in path.iterdir()] == ["b"] and [entry.name for entry in tmp_path.iterdir()] == ["store"]


def test_a_folder_set_aside_by_a_killed_process_comes_back(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    path = tmp_path / "store"
    for kind in ("old", "partial"):  # killed between the two renamings
        (tmp_path / f".store.{dead.pid}.{kind}").mkdir()
        (tmp_path / f".store.{dead.pid}.{kind}" / kind).write_text("x")

    def fail(partial):
        raise InputError("nothing to write")

    with pytest.raises(InputError, match="nothing to write"):
        files.write_folder(path, fail)
    assert [entry.name for entry in tmp_path.iterdir()] == ["store"] and (path / "old").read_text() == "x"


def test_round_trips(tmp_path):
    files.write_json(tmp_path / "deep" / "a.json", {"b": [1, "ü"]})
    assert files.read_json(tmp_path / "deep" / "a.json") == {"b": [1, "ü"]}
    assert files.read_json(tmp_path / "none.json") is None
    files.write_array(tmp_path / "a.npy", np.arange(3))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), [0, 1, 2])


DISK = """
import resource, signal, sys
import numpy as np
from dwikit.common import files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    files.write_array(sys.argv[1], np.zeros(10**6))
except files.InputError as error:
    print(error)
"""


def test_a_full_disk_is_one_message_and_the_old_file_survives(tmp_path):
    files.write_array(tmp_path / "a.npy", np.ones(3))
    result = subprocess.run([sys.executable, "-c", DISK, str(tmp_path / "a.npy")], capture_output=True, text=True)
    assert "a.npy could not be written" in result.stdout and "Free some space" in result.stdout, result.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.ones(3))
    assert len(list(tmp_path.iterdir())) == 1
