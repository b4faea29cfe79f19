"""What a user gets wrong ends as one message that names the cause, with nothing made before it."""

import json
import zipfile

import numpy as np
import pytest

from dwikit import cli, models, profiles, study
from dwikit.common.errors import InputError
from dwikit.metrics import as_images
from dwikit.models import registry
from dwikit.models.base import check_images

DIRECT = "extends: smoke\ncohort: {registered: 0}\n"
"""A profile whose data are made in a second."""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path / "runs"))
    return tmp_path


def message(capsys, *arguments, status=2):
    """What a command prints to standard error, without progress bars: one message, ``status``."""
    assert cli.main([str(one) for one in arguments]) == status
    error = capsys.readouterr().err
    assert error.count("dwikit: ") == 1 and "Traceback" not in error
    return error[error.index("dwikit: ") :].strip()


# ==== Images ====


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("value", [1.0005, 1.00002, 255.4, -0.0004])
def test_a_value_outside_the_range_is_shown_in_full(value, dtype):
    images = np.zeros((2, 32, 32), dtype)
    images[1, 2, 3] = value
    if not 0 <= images.max() <= 1 or images.min() < 0:
        for check in (lambda: as_images(images, "samples.npy"), lambda: check_images(images, 32)):
            with pytest.raises(InputError) as told:
                check()
            assert str(images[1, 2, 3]) in str(told.value), told.value


def test_the_remedy_fits_the_range():
    for low, high, remedy in ((0, 255.4, "by 255"), (-1, 1, r"\(x \+ 1\) / 2"), (0, 1.0005, "Clip or scale"), (-3, 1, "Clip")):
        with pytest.raises(InputError, match=remedy):
            as_images(np.linspace(low, high, 64).reshape(1, 8, 8), "samples.npy")


# ==== Losses that are no longer numbers ====


def test_losses_that_are_no_numbers_end_in_one_message_and_the_next_run_recovers(here, capsys):
    profile = here / "mine.yaml"
    profile.write_text(DIRECT + "vae: {epochs: 3, model: {channels: [8, 16], learning_rate: 1e3}}\n")
    told = message(capsys, "train", "vae", "--profile", profile, status=1)
    assert (
        told.startswith("dwikit: VAE stopped after epoch ") and "no longer a number: lower the learning rate (now 1000)" in told
    )
    assert "\n" not in told
    folder = here / "runs" / "mine" / "vae"
    kept = models.load(folder / "model.keras")
    assert all(np.isfinite(weight).all() for weight in kept.get_weights())
    profile.write_text(DIRECT + "vae: {epochs: 3, model: {channels: [8, 16]}}\n")
    assert cli.main(["train", "vae", "--profile", str(profile)]) == 0
    assert models.load(folder / "model.keras").epochs_done == 3 and (here / "runs" / "mine" / "vae.before-1").is_dir()


def test_a_notebook_whose_losses_are_no_numbers_ends_in_one_message(here, capsys):
    profile = here / "mine.yaml"
    small = "channels: [8, 16], learning_rate: 1e3"
    profile.write_text(DIRECT + f"vae: {{model: {{{small}}}}}\ndfc_vae: {{model: {{{small}}}}}\n")
    told = message(capsys, "run", "02_train_vae", "-p", f"profile={profile}", status=2)
    assert "TrainingStopped: VAE stopped after epoch 1: " in told and "lower the learning rate (now 1000)" in told


# ==== The command line ====


def test_arguments_that_no_command_can_use(here, capsys):
    assert "--seed must be 0 or more, not -1" in message(capsys, "cohort", "simulate", "bids", "--seed", "-1")
    assert "--seed must be 0 or more, not -3" in message(capsys, "slices", "derivatives", "out", "--seed", "-3")
    (here / "notes.txt").write_text("no model")
    assert "notes.txt is no model: models are .keras files" in message(capsys, "export", "notes.txt", "x.onnx")
    (here / "cut.keras").write_text("no model")
    assert "cut.keras cannot be read as a model: it is damaged" in message(capsys, "export", "cut.keras", "x.onnx")
    told = message(capsys, "train", "--profile", "smoke", "--minutes", "nan")
    assert told == "dwikit: minutes must be more than 0, not nan."
    told = message(capsys, "evaluate", "x.npy", "--originals", "slices", "--split", "trian")
    assert told == "dwikit: There is no split 'trian'. Did you mean 'train'? Known: train, validation, test."
    assert sorted(path.name for path in here.iterdir()) == ["cut.keras", "notes.txt"]


# ==== Profiles and networks ====


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("vae: {seed: -1}", "vae: seed must be 0 or more, not -1"),
        ("cohort: {seed: -1}", "cohort: seed must be 0 or more, not -1"),
        (
            "vae: {model: {learning_rate: fast}}",
            "mine.yaml: learning_rate must be a number of 0 or more, such as .*, not 'fast'",
        ),
        ("vae: {model: {latnt_size: 3}}", "mine.yaml: There is no setting of vae 'latnt_size'"),
        ("vae: {preset: papr}", "mine.yaml: There is no preset of vae 'papr'. Did you mean 'paper'"),
        ("brought: {theirs: }", "mine.yaml: brought: theirs needs a line samples:"),
        ("mine: ", "mine.yaml: There is no section 'mine'"),
    ],
)
def test_what_is_wrong_in_a_profile_is_told_when_it_is_read(here, text, told):
    (here / "mine.yaml").write_text(f"extends: smoke\n{text}\n")
    with pytest.raises(InputError, match=told):
        profiles.resolve("mine.yaml")


def test_a_value_that_only_the_network_knows_is_told_before_data_are_made(here, capsys):
    (here / "mine.yaml").write_text(DIRECT + "vae: {model: {kl_reduction: meen}}\n")
    assert "no kl_reduction 'meen'. Did you mean 'mean'" in message(capsys, "train", "--profile", "mine.yaml")
    assert not (here / "runs").exists()


def test_a_profile_without_networks(here, capsys, store):
    (here / "mine.yaml").write_text("image_size: 32\n")
    for command in ("train", "pack", "weights"):
        assert "Profile mine has no network" in message(capsys, command, "--profile", "mine.yaml")
    with pytest.raises(InputError, match="Profile mine has no network"):
        study.trained(profiles.resolve("mine.yaml"), store)
    assert not (here / "runs").exists()


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import sys\nsys.exit(3)\n", "SystemExit in line 2: it ends Python by sys.exit"),
        ("x = 1\nclass Mine(:\n", "SyntaxError in line 2: "),
        ("import no_such_package\n", "ModuleNotFoundError in line 1: No module named 'no_such_package'"),
        ("raise KeyError('a\\nb')\n", "KeyError in line 1: "),
    ],
)
def test_a_file_of_ones_own_that_does_not_run_is_one_message(here, code, told):
    (here / "mine.py").write_text(code)
    with pytest.raises(InputError, match="mine.py cannot be imported: ") as found:
        registry.network("mine", here / "mine.py")
    assert told in str(found.value) and "\n" not in str(found.value)


def test_a_model_whose_file_no_longer_fits_names_the_file(here):
    model = models.VAE.from_preset(image_size=32, channels=(8, 16), batch_size=8)
    models.save(model, here / "a.keras")
    with zipfile.ZipFile(here / "a.keras") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(contents["config.json"])
    config["config"]["kl_reduction"] = "meen"
    contents["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(here / "a.keras", "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    with pytest.raises(InputError, match="a.keras cannot be read as a model: .*no kl_reduction 'meen'"):
        models.load(here / "a.keras")
