"""The study from one command: what runs side by side, with how many cores each, and what is said when a step fails."""

import json
import os
import subprocess

import pytest

from dwikit import __version__, profiles
from dwikit.common import parallel
from dwikit.common.errors import InputError
from dwikit.course import run


def test_only_notebooks_that_do_not_need_each_other_are_one_stage():
    first, data, trainings, judged, rest = run.stages(profiles.resolve("smoke"))
    assert (first, data, judged) == (["00_start_here"], ["01_preprocess"], ["05_evaluate"])
    assert trainings == ["02_train_vae", "03_train_introvae", "04_train_stylegan"]
    assert rest == ["06_reader_study", "07_paper_vs_code"]
    assert run.stages(profiles.resolve("smoke", diffusion={"in_study": True}))[2][-1] == "train diffusion"


def test_steps_run_and_the_one_that_fails_is_named(capfd):
    ended = dict(run.side_by_side({"one": ["--version"], "two": ["--version"]}))
    assert set(ended) == {"one", "two"} and all(0 < minutes < 2 for minutes in ended.values())
    assert capfd.readouterr().out.split() == [__version__] * 2
    with pytest.raises(InputError, match="99_nothing failed: see its message above. The same command continues from there."):
        list(run.side_by_side({"99_nothing": ["run", "99_nothing"]}))
    assert "There is no notebook '99_nothing'" in capfd.readouterr().err


@pytest.mark.parametrize(("steps", "threads"), [(1, None), (2, "4"), (3, "2")])
def test_each_has_its_share_of_the_cores(monkeypatch, steps, threads):
    monkeypatch.setattr(parallel, "cores", lambda: 8)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    seen = []

    def started(command, env, **settings):
        seen.append((env.get("TF_NUM_INTRAOP_THREADS"), int(env["TQDM_POSITION"])))
        return subprocess.CompletedProcess(command, 0, stdout="")

    monkeypatch.setattr(run.subprocess, "run", started)
    list(run.side_by_side({str(step): [] for step in range(steps)}))
    assert sorted(seen, key=lambda one: one[1]) == [(threads, place) for place in range(steps)]
    assert "TQDM_POSITION" not in os.environ


@pytest.mark.parametrize(("room", "groups"), [(1, [1] * 8), (2, [1, 1, 2, 1, 1, 2]), (8, [1, 1, 3, 1, 2])])
def test_no_more_run_together_than_there_is_room_for(monkeypatch, tmp_path, room, groups):
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path))
    monkeypatch.setattr(parallel, "room", lambda gigabytes: room)
    monkeypatch.setattr(parallel, "cores", lambda: 8)
    monkeypatch.setattr(run.doctor, "graphics_cards", lambda backend: [])
    seen = []
    monkeypatch.setattr(run, "side_by_side", lambda commands: seen.append(commands) or [(name, 1.0) for name in commands])
    run.reproduce("smoke")
    assert [len(commands) for commands in seen] == groups
    assert seen[0] == {"00_start_here": ["run", "00_start_here", '-pprofile="smoke"']}
    source = json.loads((tmp_path / "figures/smoke/minutes.json").read_text())
    assert source["cores_of_each"]["03_train_introvae"] == 8 // groups[2]
