"""The study from one command: what runs side by side, with how many cores each, and what is said when a step fails."""

import json
import os
import subprocess
import sys
import time

import pytest

from dwikit import __version__, profiles
from dwikit.common import parallel
from dwikit.common.errors import InputError
from dwikit.course import reproduce


def test_only_what_does_not_need_each_other_is_one_stage():
    data, trainings, judges = reproduce.stages(profiles.resolve("smoke", evaluation={"seeds": {"vae": 1, "dfc_vae": 3}}))
    assert (data, judges) == (["01_preprocess"], ["05_evaluate", "06_reader_study"])
    notebooks, seeds, short = trainings[:4], trainings[4:-2], trainings[-2:]
    assert notebooks == ["02_train_vae", "03_train_introvae", "04_train_stylegan", "07_paper_vs_code"]
    assert seeds == ["train dfc_vae --seed 1", "train dfc_vae --seed 2"], "05 shows these, too"
    assert short == ["features", "00_start_here"]
    *_, trainings, judges, later = reproduce.stages(profiles.resolve("smoke", diffusion={"in_study": True}))
    assert "train diffusion" in trainings and "08_beyond" not in trainings, "two would train it at once"
    assert later == ["08_beyond"]


def test_a_notebook_is_started_without_loading_keras():
    """Its own process does that, which takes ten seconds."""
    code = "import sys; from dwikit import profiles; import dwikit.course.run; profiles.resolve('quick'); "
    code += "print(sorted({'keras', 'tensorflow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_steps_run_and_the_one_that_fails_is_named(capfd):
    ended = dict(reproduce.side_by_side({"one": ["--version"], "two": ["--version"]}, 2))
    assert set(ended) == {"one", "two"} and all(0 < minutes < 2 for minutes in ended.values())
    assert capfd.readouterr().out.split() == [__version__] * 2
    with pytest.raises(InputError, match="99_nothing failed: see its message above. The same command continues from there."):
        list(reproduce.side_by_side({"99_nothing": ["run", "99_nothing"], "not begun": ["--version"]}, 1))
    told = capfd.readouterr()
    assert "There is no notebook '99_nothing'" in told.err and not told.out


@pytest.mark.parametrize(("steps", "workers", "threads"), [(1, 8, None), (2, 8, "4"), (3, 8, "2"), (5, 2, "4"), (3, 1, None)])
def test_each_has_its_share_of_the_cores_and_a_line_of_its_own(monkeypatch, steps, workers, threads):
    monkeypatch.setattr(parallel, "cores", lambda: 8)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    seen, now = [], []

    def started(command, env, **settings):
        line = int(env["TQDM_POSITION"])
        assert line not in now
        now.append(line)
        time.sleep(0.1)
        now.remove(line)
        seen.append((env.get("TF_NUM_INTRAOP_THREADS"), line))
        return subprocess.CompletedProcess(command, 0, stdout="")

    monkeypatch.setattr(reproduce.subprocess, "run", started)
    ended = dict(reproduce.side_by_side({str(step): [] for step in range(steps)}, workers))
    assert len(ended) == len(seen) == steps and {of for of, _ in seen} == {threads}
    assert {line for _, line in seen} == set(range(min(steps, workers)))
    assert "TQDM_POSITION" not in os.environ


@pytest.mark.parametrize("room", [1, 2, 8])
def test_no_more_run_together_than_there_is_room_for(monkeypatch, tmp_path, room):
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path))
    monkeypatch.setattr(parallel, "room", lambda gigabytes: room)
    monkeypatch.setattr(parallel, "cores", lambda: 8)
    monkeypatch.setattr(reproduce.doctor, "graphics_cards", lambda backend: [])
    seen = []

    def ended(commands, workers):
        seen.append((commands, workers))
        return [(name, 1.0) for name in commands]

    monkeypatch.setattr(reproduce, "side_by_side", ended)
    reproduce.reproduce("smoke")
    assert [workers for _, workers in seen] == [room] * 3
    assert seen[0][0] == {"01_preprocess": ["run", "01_preprocess", '-pprofile="smoke"']}
    source = json.loads((tmp_path / "figures/smoke/minutes.json").read_text())
    assert source["cores_of_each"]["03_train_introvae"] == 8 // min(room, len(seen[1][0]))
