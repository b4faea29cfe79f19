"""The command line: one message for a mistake, exit status 2, and notebooks that run headless."""

import os
import subprocess
import sys
from dataclasses import replace

import nbformat
import pandas as pd
import pytest

from dwikit import cli
from dwikit.common import paths
from dwikit.common.errors import InputError
from dwikit.course import notebook, publish, start
from dwikit.slices import SliceSettings


@pytest.fixture
def small_notebook(tmp_path):
    """A notebook with parameters that begins as all of ours do."""

    def write(code="print(config.networks['vae'].epochs)"):
        begin = 'from dwikit.course import notebook\nconfig = notebook.begin(globals(), profile, vae={"epochs": epochs})'
        cells = [nbformat.v4.new_code_cell(source) for source in ("profile = None\nepochs = None", begin, code)]
        cells[0].metadata["tags"] = ["parameters"]
        path = tmp_path / "small.ipynb"
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
        return str(path)

    return write


def test_run_fills_in_the_output_and_passes_parameters(small_notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path / "runs"))
    assert cli.main(["run", small_notebook(), "-p", "epochs=7", "-p", "profile=smoke"]) == 0
    executed = nbformat.read(tmp_path / "runs" / "smoke" / "notebooks" / "small.ipynb", 4)
    assert executed.cells[-1].outputs[0].text == "7\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "epoch=7"], "has no parameter 'epoch'. It has: profile, epochs"),
        (["-p", "epochs"], "NAME=VALUE"),
        (["-p", "profile=fast"], "no profile or run 'fast'. Known: gpu"),
        (["-p", "epochs=many", "-p", "profile=smoke"], "epochs must be of type int, not 'many'"),
    ],
)
def test_a_mistake_is_one_message(small_notebook, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path / "runs"))
    assert cli.main(["run", small_notebook(), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_an_unknown_notebook_lists_the_known_ones(capsys):
    assert cli.main(["run", "02_train_gan"]) == 2
    assert "01_preprocess" in capsys.readouterr().err


def test_a_parameter_that_papermill_would_pass_over_is_refused():
    """What ``papermill -p epoch 3`` leaves in the notebook's namespace."""
    with pytest.raises(InputError, match="no parameter 'epoch'. It has: epochs, profile"):
        notebook.begin({"epochs": None, "epoch": 3, "In": [], "_": 1}, "smoke", vae={"epochs": None})


def test_doctor_says_what_is_missing(capsys, monkeypatch):
    assert cli.main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "Everything needed is here" in text and "GPU:" in text and "(used by Keras)" in text
    monkeypatch.setattr("dwikit.common.doctor.NEEDED", ["numpy", "no-such-package"])
    assert cli.main(["doctor"]) == 1
    assert "no-such-package MISSING" in capsys.readouterr().out


def test_cohort_preprocess_slices_from_the_command_line(tmp_path, capsys):
    assert cli.main(["cohort", "simulate", str(tmp_path / "bids"), "-n", "3", "--seed", "5"]) == 0
    assert cli.main(["preprocess", str(tmp_path / "bids"), str(tmp_path / "derivatives"), "--image-size", "32"]) == 0
    assert cli.main(["slices", str(tmp_path / "derivatives"), str(tmp_path / "slices"), "--image-size", "32"]) == 0
    assert "78 slices of 3 scans" in capsys.readouterr().out
    assert cli.main(["slices", str(tmp_path / "nothing"), str(tmp_path / "s")]) == 2
    assert "nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("statuses", "code", "words"),
    [
        (["done", "skipped"], 0, ""),
        (["done", "failed"], 1, "registered: 1; failed: 1; left out: 0"),
        (["done", "left out", "skipped"], 1, "registered: 1; failed: 0; left out: 1"),
    ],
)
def test_lost_data_are_in_the_exit_status(monkeypatch, capsys, statuses, code, words):
    report = pd.DataFrame({"case": [f"sub-M\udcfc-{status}" for status in statuses], "status": statuses})
    report = report.assign(flags="", used=report["status"] == "done", overlap=0.9, similarity=0.8)
    monkeypatch.setattr("dwikit.preprocess.preprocess", lambda *_, **__: report)
    assert cli.main(["preprocess", "bids", "out"]) == code
    said = capsys.readouterr()
    assert words in said.err and ("quality.tsv" in said.err) == bool(code) and "sub-M\\udcfc-done" in said.out


def test_committed_notebooks_are_cleaned(small_notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path / "runs"))
    path = small_notebook("import sys\nprint('out')\nprint('noise', file=sys.stderr)")
    cli.main(["run", path, "-p", "profile=smoke"])
    publish.publish(tmp_path / "runs" / "smoke" / "notebooks", tmp_path)
    published = nbformat.read(path, 4)
    assert [len(cell.outputs) for cell in published.cells] == [0, 1, 1]
    assert published.cells[-1].outputs[0].text == "out\n"
    assert "papermill" not in published.metadata and "papermill" not in published.cells[0].metadata
    assert len(published.cells) == 3
    published.cells[2].source = "changed = True"
    nbformat.write(published, path)
    with pytest.raises(InputError, match="small.ipynb has changed since"):
        publish.publish(tmp_path / "runs" / "smoke" / "notebooks", tmp_path)


def test_minutes_in_the_head_are_filled_in_and_no_change(tmp_path, monkeypatch):
    source = {"profile": {"name": "quick"}, "cores": 2, "cores_of_each": {"n": 1}}
    monkeypatch.setattr(start, "measured_minutes", lambda: ({"n": 2.04}, source))
    fresh = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A notebook\n| Minutes | - |")])
    for folder in ("executed", "committed"):
        (tmp_path / folder).mkdir()
        nbformat.write(fresh, tmp_path / folder / "n.ipynb")
        beside = nbformat.v4.new_notebook(cells=fresh.cells, metadata={"papermill": {"duration": 90}})
        nbformat.write(beside if folder == "executed" else fresh, tmp_path / folder / "beside.ipynb")
    for _ in range(2):
        publish.publish(tmp_path / "executed", tmp_path / "committed")
    heads = [nbformat.read(tmp_path / "committed" / f"{name}.ipynb", 4).cells[0].source for name in ("n", "beside")]
    assert heads == [
        f"# A notebook\n| Minutes | {minutes} at `quick` on {cores} |" for minutes, cores in ((2.0, "1 core"), (1.5, "2 cores"))
    ]


def test_relative_paths_are_those_of_the_caller(small_notebook, tmp_path, monkeypatch):
    path = small_notebook("import os\nprint(profile, os.environ['DWIKIT_RUNS'])")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "mine.yaml").write_text("vae:\n  epochs: 9\n")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("DWIKIT_RUNS", "results")
    assert cli.main(["run", path, "-p", "profile=mine.yaml"]) == 0
    executed = nbformat.read(tmp_path / "here" / "results" / "mine" / "notebooks" / "small.ipynb", 4)
    assert executed.cells[-1].outputs[0].text == f"{tmp_path}/here/mine.yaml {tmp_path}/here/results\n"


def test_tables_of_a_study_apart_stay_with_it(monkeypatch, tmp_path):
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path))
    assert paths.figures() == tmp_path / "figures"
    monkeypatch.delenv("DWIKIT_RUNS")
    assert paths.figures() == paths.project() / "figures"


@pytest.mark.parametrize("command", [[], ["preprocess"], ["slices"], ["train"], ["cohort", "pacs", "fetch"], ["deck"]])
def test_help_loads_nothing_that_is_slow(command):
    code = "import atexit, sys\natexit.register(lambda: print(*sys.modules))\nfrom dwikit import cli\ncli.main()"
    done = subprocess.run([sys.executable, "-c", code, *command, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: ") and done.stderr == ""
    loaded = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert not loaded & {"numpy", "pandas", "scipy", "matplotlib", "sklearn", "nibabel", "papermill", "keras", "tensorflow"}


def test_preprocess_and_slices_take_the_settings_of_the_image_size_unless_told_otherwise(monkeypatch):
    asked, report = {}, pd.DataFrame(columns=["case", "status", "flags", "used", "overlap", "similarity"])
    monkeypatch.setattr("dwikit.preprocess.preprocess", lambda *_, **options: asked.update(options) or report)
    assert cli.main(["preprocess", "bids", "out", "--image-size", "64", "--fov-mm", "220"]) == 0
    assert asked["settings"] == replace(SliceSettings.for_size(64), fov_mm=220)
    settings = []
    monkeypatch.setattr("dwikit.slices.build", lambda *given, **_: settings.append(given[2]) or 1 / 0, raising=False)
    with pytest.raises(ZeroDivisionError):
        cli.main(["slices", "derivatives", "out", "--scope", "volume"])
    assert settings == [SliceSettings(scope="volume")]


def test_a_backend_is_chosen_before_keras_starts(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    seen = []
    monkeypatch.setattr("dwikit.course.reproduce.reproduce", lambda profile: seen.append(os.environ["KERAS_BACKEND"]))
    assert cli.main(["reproduce", "--backend", "jax"]) == 0 and cli.main(["reproduce", "--backend", "torch"]) == 0
    assert seen == ["jax", "torch"]
    with pytest.raises(SystemExit):
        cli.main(["reproduce", "--backend", "theano"])
