"""What a user's machine may have set otherwise: the home folder in paths, Keras's file of settings, kernels, YAML."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import nbformat
import numpy as np
import pytest

from dwikit import cli, models, profiles, slices
from dwikit.cohorts import phantom
from dwikit.cohorts.bids import find_cases
from dwikit.common import doctor, files, keras_settings, paths
from dwikit.common.errors import InputError
from dwikit.course import run
from dwikit.profiles import runs

ROOT = Path(__file__).resolve().parents[1]


# ==== The home folder ====


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder, and another folder to be in."""
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


def test_the_home_folder_in_environment_variables(home, monkeypatch):
    monkeypatch.setenv("DWIKIT_RUNS", "~/study")
    assert paths.runs("smoke") == home / "study" / "smoke" and paths.figures() == home / "study" / "figures"
    monkeypatch.setenv("DWIKIT_FIGURES", "~/pictures")
    assert paths.figures() == home / "pictures"
    (home / "mine.yaml").write_text("extends: smoke\n")
    monkeypatch.setenv("DWIKIT_PROFILE", "~/mine.yaml")
    assert profiles.resolve().name == "mine"
    with pytest.raises(InputError, match="~nobody-here/x begins with the home folder of a user who is unknown here"):
        paths.home("~nobody-here/x")


def test_paths_in_a_profile_are_relative_to_its_file_or_begin_in_the_home_folder(home):
    folder = home / "study"
    folder.mkdir()
    (home / "base.yaml").write_text("extends: smoke\ncohort: {bids: scans}\n")
    text = "extends: ~/base.yaml\nreader_study: {readings: read}\nbrought: {theirs: {samples: ~/s.npy}}\n"
    text += "mine: {file: ~/mine.py}\n"
    (folder / "mine.yaml").write_text(text)
    config = profiles.resolve("~/study/mine.yaml")
    assert config.cohort.bids == str(home / "scans") and config.reader_study.readings == str(folder / "read")
    assert config.brought["theirs"].samples == str(home / "s.npy") and config.networks["mine"].file == str(home / "mine.py")
    here = profiles.resolve("smoke", cohort={"bids": "scans"}, reader_study={"readings": "~/r.csv"})
    assert here.cohort.bids == str(Path.cwd() / "scans") and here.reader_study.readings == str(home / "r.csv")


def test_the_home_folder_in_arguments_that_no_shell_replaces(home, capsys):
    images = np.random.default_rng(0).integers(0, 255, (2, 40, 32, 32), dtype=np.uint8)
    for name, array in zip(("real", "fake"), images):
        np.save(home / f"{name}.npy", array)
    arguments = ["deck", "~/deck", "--real=~/real.npy", "--fake", "vae=~/fake.npy", "-n", "5"]
    assert cli.main(arguments) == 0, capsys.readouterr().err
    assert (home / "deck" / "key.json").is_file() and not list(Path.cwd().iterdir())
    assert cli.main(["export", "~/no.keras", "~/x.onnx"]) == 2
    assert f"There is no model at {home}/no.keras" in capsys.readouterr().err


def test_the_home_folder_in_parameters_of_a_notebook(home):
    found = runs.from_here({"bids": "~/scans", "readings": "r.csv", "epochs": 3, "scope": "volume"})
    there = {"bids": str(home / "scans"), "readings": str(Path.cwd() / "r.csv")}  # they need not exist to be ours
    assert found == {**there, "epochs": 3, "scope": "volume"}


def test_the_home_folder_in_python(home, store, volumes):
    phantom.write_cohort("~/bids", 1, progress=False)
    assert [case.name for case in find_cases("~/bids")] == ["sub-0001"]
    slices.build(volumes, "~/slices", slices.SliceSettings(image_size=32))
    assert (home / "slices" / "images.npy").is_file() and slices.SliceStore.open("~/slices").image_size == 32
    assert not (Path.cwd() / "~").exists()


# ==== Kernels ====


def test_a_notebook_runs_in_this_interpreter_whatever_kernel_the_user_has(home, monkeypatch):
    kernel = home / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    spec = {"argv": [sys.executable, "-c", "raise SystemExit(1)"], "display_name": "Other", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(home / "jupyter"))
    monkeypatch.setenv("JUPYTER_PATH", str(home / "jupyter"))
    monkeypatch.setenv("DWIKIT_RUNS", str(home / "runs"))
    cells = [nbformat.v4.new_code_cell(source) for source in ("profile = None", "import sys\nprint(sys.executable)")]
    cells[0].metadata["tags"] = ["parameters"]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), home / "small.ipynb")
    output = run.notebook("~/small.ipynb", {})
    assert nbformat.read(output, 4).cells[-1].outputs[0].text == f"{sys.executable}\n"
    assert os.environ["JUPYTER_PATH"] == str(home / "jupyter")


# ==== YAML ====


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("-2E3", -2000.0), ("1.", 1.0), (".5", 0.5), ("010", 10), ("0x10", 16), ("1:30", "1:30")]
    + [("2020-01-01", "2020-01-01"), ("true", True), ("", None), ("[8, 1e1]", [8, 10.0]), ("1e-4x", "1e-4x")],
)
def test_numbers_are_those_of_yaml_1_2(text, value):
    found = files.parse_yaml(text)
    assert found == value and type(found) is type(value)


def test_a_key_that_is_there_twice_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_text("extends: smoke\nvae:\n  epochs: 3\n  epochs: 4\n")
    with pytest.raises(InputError, match="mine.yaml .*'epochs' is there twice, again in line 4"):
        profiles.resolve(str(tmp_path / "mine.yaml"))


def test_a_learning_rate_of_1e_4_is_a_number(tmp_path):
    (tmp_path / "mine.yaml").write_text("extends: smoke\nvae:\n  model:\n    learning_rate: 1e-4\n")
    assert profiles.resolve(str(tmp_path / "mine.yaml")).networks["vae"].model["learning_rate"] == 1e-4


def test_a_parameter_that_is_no_yaml_is_one_message(capsys):
    assert cli.main(["run", "00_start_here", "-p", "profile=[smoke"]) == 2
    error = capsys.readouterr().err
    assert "-p profile=[smoke: the value cannot be read as YAML" in error and error.count("\n") == 1


# ==== Keras ====

USE = """
import warnings
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    from dwikit.models import VAE
import keras, numpy as np
model = VAE.from_preset(image_size=32, channels=(8, 16), batch_size=8)
model.fit(np.zeros((16, 32, 32, 1), np.float32), batch_size=8, verbose=0)
print(keras.backend.backend(), model.sample(2).dtype, model.decoder.weights[0].dtype, np.isfinite(model.sample(2)).all())
print(*[str(one.message) for one in told if "dwikit" in str(one.message)])
"""


def python(code, folder, settings, **environment):
    (folder / "keras.json").write_text(json.dumps(settings))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KERAS_")}
    kept |= {"KERAS_HOME": str(folder), "PYTHONPATH": str(ROOT)} | environment
    return subprocess.run([sys.executable, "-c", code], env=kept, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"image_data_format": "channels_first"}, "image_data_format channels_last, not channels_first"),
        ({"floatx": "float16", "epsilon": 1e-3}, "floatx float32, not float16; epsilon 1e-07, not 0.001"),
        ({"backend": "theano"}, ""),
    ],
)
def test_the_kit_works_with_the_keras_file_of_another_project(settings, told, tmp_path):
    done = python(USE, tmp_path, settings)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = done.stdout.splitlines()[-2:]
    assert first == "tensorflow float32 float32 True" and told in second and bool(told) == bool(second)


@pytest.mark.parametrize(
    ("settings", "environment", "message"),
    [
        ({}, {"KERAS_BACKEND": "theano"}, "Keras has no backend 'theano', which KERAS_BACKEND names: change it to one of"),
        ({"floatx": "float8"}, {}, "keras.json says floatx: 'float8', which Keras does not know: change it to 'float32'"),
        ({}, {"KERAS_MAX_EPOCHS": "1"}, "KERAS_MAX_EPOCHS=1 would end every training early: unset it"),
    ],
)
def test_what_keras_cannot_start_with_is_one_sentence_and_the_doctor_says_it_too(settings, environment, message, tmp_path):
    first = "import sys\nfrom dwikit import cli\nsys.exit(cli.main(sys.argv[1:] or ['train', 'vae', '--profile', 'smoke']))"
    done = python(first, tmp_path, settings, **environment, DWIKIT_RUNS=str(tmp_path))
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    told = python("from dwikit.common import doctor\nprint(*doctor.report())", tmp_path, settings, **environment)
    assert message in told.stdout and "PROBLEM" in told.stdout and told.stdout.rstrip().endswith("False")


def test_a_backend_that_needs_a_package_of_another_name_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(keras_settings, "find_spec", lambda name: None if name == "jax" else object())
    monkeypatch.setattr(keras_settings, "backend", lambda: "numpy")
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    [told] = keras_settings.complaints()
    assert (
        "names the backend numpy, which needs jax, which is not installed: install it, or set KERAS_BACKEND=tensorflow" in told
    )
    monkeypatch.delenv("KERAS_BACKEND")
    keras_settings.choose_backend()
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


def test_the_doctor_names_the_backend_that_the_file_chooses(tmp_path, monkeypatch):
    done = python("from dwikit.common import keras_settings as k\nprint(k.backend())", tmp_path, {"backend": "jax"})
    assert done.stdout.split() == ["jax" if keras_settings.find_spec("jax") else "tensorflow"]
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "keras.json").write_text(json.dumps({"floatx": "float64"}))
    assert "says floatx: float64; the kit uses float32" in doctor.report()[0]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("dtype_policy", "mixed_float16", "mixed_float16: call .*set mixed_precision: true"),
        ("floatx", "float64", "floatx float64, not"),
    ],
)
def test_settings_changed_later_are_refused_where_a_network_is_built(name, value, message):
    before = getattr(keras.config, name)()
    getattr(keras.config, f"set_{name}")(value)
    try:
        with pytest.raises(InputError, match=message):
            models.VAE.from_preset(image_size=32, channels=(8, 16))
    finally:
        getattr(keras.config, f"set_{name}")(before)
