"""The study from one command: what runs side by side, with how many cores each, and what is said when a step fails."""

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
    ended = dict(run.side_by_side({"one": ["--version"], "two": ["--version"]}, workers=2))
    assert set(ended) == {"one", "two"} and all(0 < minutes < 2 for minutes in ended.values())
    assert capfd.readouterr().out.split() == [__version__] * 2
    with pytest.raises(InputError, match="99_nothing failed: see its message above. The same command continues from there."):
        list(run.side_by_side({"99_nothing": ["run", "99_nothing"]}, workers=2))
    assert "There is no notebook '99_nothing'" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("workers", "steps", "together", "threads"), [(1, 3, 1, None), (2, 3, 2, "4"), (8, 3, 3, "2"), (8, 1, 1, None)]
)
def test_each_has_its_share_of_the_cores(monkeypatch, workers, steps, together, threads):
    monkeypatch.setattr(parallel, "cores", lambda: 8)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    seen = []

    def started(command, env, **settings):
        seen.append((env.get("TF_NUM_INTRAOP_THREADS"), int(env["TQDM_POSITION"])))
        return subprocess.CompletedProcess(command, 0, stdout="")

    monkeypatch.setattr(run.subprocess, "run", started)
    list(run.side_by_side({str(step): [] for step in range(steps)}, workers))
    assert {share for share, _ in seen} == {threads} and {place for _, place in seen} <= set(range(together))
    assert "TQDM_POSITION" not in os.environ
