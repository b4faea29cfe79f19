"""Training that can be killed: the log, the model after each epoch, exact continuation, and what is set aside."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pandas as pd
import pytest

from dwikit import metrics, models, profiles, slices, training
from dwikit.common.errors import InputError
from dwikit.models import features


def profile(epochs=3, **changes):
    return profiles.resolve("smoke", vae={"epochs": epochs, "steps_per_epoch": 5, "model": {"channels": [8, 16]}, **changes})


def weights(model):
    return [np.array(w) for w in model.get_weights()]


def test_a_run_leaves_what_the_module_promises(store, tmp_path):
    run = training.train("vae", profile(), store, tmp_path / "vae")
    assert list(run.log.index) == [1, 2, 3] and list(run.log.columns) == ["seconds", "kl", "loss", "mse", "variety", "distance"]
    assert run.log["loss"].iloc[-1] < run.log["loss"].iloc[0]
    assert run.samples.shape == (64, 32, 32) and run.samples.dtype == np.uint8
    assert run.originals.shape == run.reconstructions.shape == (26, 32, 32)
    held_out = {image.tobytes() for image in store.split("test")}
    assert all(image.tobytes() in held_out for image in run.originals)
    assert models.load(run.folder / "model.keras").epochs_done == 3
    assert sorted(path.name for path in (run.folder / "grid").iterdir()) == [f"epoch-0000{i}.npy" for i in (1, 2, 3)]
    best = models.load(run.folder / "best.keras")
    assert best.epochs_done == run.log["distance"].idxmin()
    assert json.loads((run.folder / "settings.json").read_text())["model"] == "vae"


def test_the_first_epoch_is_the_one_of_the_batches(store, tmp_path):
    """What ``fit`` trains on is batches (seed, epoch 0), not an epoch later."""
    run = training.train("vae", profile(epochs=1), store, tmp_path / "vae")
    model = models.VAE.from_preset(
        image_size=32, **{**profiles.resolve("smoke").networks["vae"].model, "channels": (8, 16), "batch_size": 8}
    )
    batches = store.batches("train", 8, steps=5)
    losses = [model.train_on_batch(batches[i], return_dict=True)["loss"] for i in range(5)]
    assert run.log["loss"].iloc[0] == pytest.approx(np.mean(losses), rel=1e-4)


def test_a_piece_ends_with_an_epoch_and_the_next_goes_on(store, tmp_path):
    piece = training.train("vae", profile(4), store, tmp_path / "parts", minutes=1e-6)
    assert piece.model.epochs_done == 1 and not (piece.folder / "samples.npy").exists()
    rest = training.train("vae", profile(4), store, tmp_path / "parts", minutes=10)
    assert rest.model.epochs_done == 4 and len(rest.samples) == 64


def test_continued_training_ends_with_the_same_weights(store, tmp_path):
    whole = training.train("vae", profile(4), store, tmp_path / "whole").model
    training.train("vae", profile(2), store, tmp_path / "parts")
    parts = training.train("vae", profile(4), store, tmp_path / "parts")
    assert list(parts.log.index) == [1, 2, 3, 4]
    for one, other in zip(weights(whole), weights(parts.model)):
        np.testing.assert_array_equal(one, other)


def test_a_training_of_an_earlier_version_goes_on(store, tmp_path, monkeypatch):
    """A setting that a network gained since is taken as it was; one that it did not gain makes it another training."""
    training.train("vae", profile(1), store, tmp_path / "vae")
    path = tmp_path / "vae" / "settings.json"
    settings = json.loads(path.read_text())
    del settings["config"]["sigma_exponent"]
    path.write_text(json.dumps(settings))
    monkeypatch.setattr(models.VAE, "added", {"sigma_exponent": 0.5})
    assert training.train("vae", profile(2), store, tmp_path / "vae").model.epochs_done == 2
    assert not (tmp_path / "vae.before-1").exists()
    del settings["config"]["learning_rate"]
    path.write_text(json.dumps(settings))
    training.train("vae", profile(2), store, tmp_path / "vae")
    assert (tmp_path / "vae.before-1").is_dir()


WORKER = """
import json, sys
from dwikit import profiles, slices, training
path, folder, key, model = sys.argv[1:]
config = profiles.resolve("smoke", **{key: {"epochs": 5, "steps_per_epoch": 20, "model": json.loads(model)}})
training.train(key, config, slices.SliceStore.open(path), folder)
"""
SMALL = {
    "vae": {"channels": [8, 16]},
    "dfc_vae": {"channels": [8, 16]},
    "intro_vae": {"channels": [8, 16], "learning_rate": 5e-5, "ema": 0.9, "warmup_steps": 30},
    "style_gan": {"ema": 0.9, "penalty_interval": 3},
    "diffusion": {"ema": 0.9},
}
"""Settings that make every kind of state matter: optimizers, statistics, moving averages, step counters, random draws."""


@pytest.fixture(scope="module")
def data(volumes, tmp_path_factory):
    """Folder with a store of slices."""
    folder = tmp_path_factory.mktemp("data")
    slices.build(volumes, folder / "slices", slices.SliceSettings(image_size=32))
    return folder


@pytest.mark.parametrize("key", [key if key == "vae" else pytest.param(key, marks=pytest.mark.hardship) for key in SMALL])
def test_killed_and_started_again_it_ends_with_the_same_weights(key, data, tmp_path):
    """A kill -9 after the second epoch or later, in a process of its own; then the rest; equal to an undisturbed run."""
    start = [sys.executable, "-c", WORKER, str(data / "slices")]
    rest = [key, json.dumps(SMALL[key])]
    process = subprocess.Popen([*start, str(tmp_path / "killed"), *rest], stderr=subprocess.DEVNULL)
    log = tmp_path / "killed" / "log.csv"
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and not (log.exists() and len(log.read_text().splitlines()) > 2):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = models.load(tmp_path / "killed" / "model.keras").epochs_done
    assert 1 <= done < 5
    for folder in ("killed", "whole"):
        subprocess.run([*start, str(tmp_path / folder), *rest], check=True, capture_output=True, timeout=900)
    killed, whole = (models.load(tmp_path / folder / "model.keras") for folder in ("killed", "whole"))
    for one, other in zip(weights(killed), weights(whole)):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(*(np.load(tmp_path / folder / "samples.npy") for folder in ("killed", "whole")))
    columns = [pd.read_csv(tmp_path / folder / "log.csv").drop(columns="seconds") for folder in ("killed", "whole")]
    pd.testing.assert_frame_equal(*columns)
    assert not list((tmp_path / "killed").rglob(".*partial*"))


def test_a_resumed_run_reads_the_feature_network_in_the_precision_of_the_first(data, monkeypatch, tmp_path):
    """It is read again when a file of the model is trained on: then, too, inside the section's precision."""
    policies, load = [], features.load
    monkeypatch.setattr(features, "load", lambda *given: policies.append(keras.config.dtype_policy().name) or load(*given))
    store = slices.SliceStore.open(data / "slices")
    model = {"channels": [8, 16]}
    for epochs in (1, 2):
        section = {"epochs": epochs, "steps_per_epoch": 2, "mixed_precision": True, "health": False, "model": model}
        training.train("dfc_vae", profiles.resolve("smoke", dfc_vae=section), store, tmp_path / "dfc_vae")
    assert len(policies) > 1 and set(policies) == {"mixed_bfloat16"}
    assert keras.config.dtype_policy().name == "float32"


def test_a_setting_that_the_network_no_longer_has_is_a_difference(store, tmp_path):
    run, section = training.train("vae", profile(1), store, tmp_path / "vae"), profile(1).networks["vae"]
    assert training.differences(run, section) == ""
    run.model.config["features"] = "others.keras"
    assert training.differences(run, section) == "features others.keras (profile: no such setting)"


def test_finished_training_is_not_done_again(store, tmp_path):
    training.train("vae", profile(2), store, tmp_path / "vae")
    before = (tmp_path / "vae" / "model.keras").stat().st_mtime_ns
    training.train("vae", profile(2), store, tmp_path / "vae")
    assert (tmp_path / "vae" / "model.keras").stat().st_mtime_ns == before


@pytest.mark.parametrize("change", [{"seed": 4}, {"model": {"latent_size": 9}}, {"epochs": 1}, {"steps_per_epoch": 3}])
def test_other_settings_set_the_old_folder_aside(store, tmp_path, change):
    training.train("vae", profile(2), store, tmp_path / "vae")
    changed = profile(**{"epochs": 2, **change})
    run = training.train("vae", changed, store, tmp_path / "vae")
    assert models.load(tmp_path / "vae.before-1" / "model.keras").epochs_done == 2
    assert run.model.epochs_done == changed.networks["vae"].epochs


def test_a_damaged_checkpoint_is_set_aside(store, tmp_path):
    training.train("vae", profile(1), store, tmp_path / "vae")
    path = tmp_path / "vae" / "model.keras"
    path.write_bytes(path.read_bytes()[:2000])
    assert training.train("vae", profile(1), store, tmp_path / "vae").model.epochs_done == 1
    assert (tmp_path / "vae.before-1" / "model.keras").stat().st_size == 2000


def test_stopped_by_hand_it_says_how_to_go_on(store, tmp_path, monkeypatch, capsys):
    from dwikit.training.loop import Keeper

    original = Keeper.on_epoch_begin

    def interrupt(self, epoch, logs=None):
        original(self, epoch, logs)
        if epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Keeper, "on_epoch_begin", interrupt)
    with pytest.raises(KeyboardInterrupt):
        training.train("vae", profile(4), store, tmp_path / "vae")
    assert "run the same again" in capsys.readouterr().out
    assert models.load(tmp_path / "vae" / "model.keras").epochs_done == 2


def test_a_batch_larger_than_the_split_and_an_unknown_network_are_named(store, tmp_path):
    with pytest.raises(InputError, match="batch of 9000"):
        training.train("vae", profile(batch_size=9000), store, tmp_path / "vae")
    with pytest.raises(InputError, match="no network 'gan'"):
        training.train("gan", profile(), store, tmp_path / "gan")


def test_a_backend_that_cannot_train_is_named(data, tmp_path):
    pytest.importorskip("jax", reason="the numpy backend of Keras imports it")
    code = "import sys; from dwikit import models, slices, training; store = slices.SliceStore.open(sys.argv[1]); "
    code += "training.fit(models.VAE.from_preset('paper', image_size=32), store, sys.argv[2], 1)"
    done = subprocess.run(
        [sys.executable, "-c", code, data / "slices", tmp_path],
        env={**os.environ, "KERAS_BACKEND": "numpy"},
        text=True,
        capture_output=True,
    )
    assert done.stderr.splitlines()[-1].endswith(
        "InputError: Keras's backend numpy cannot train: set KERAS_BACKEND to one of tensorflow, jax, torch."
    )


def test_an_unwritable_folder_is_named(store, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="could not be written"):
        training.train("vae", profile(1), store, tmp_path / "file" / "vae")


def test_tensorboard_logs_and_several_steps_a_call_are_settings(store, tmp_path):
    run = training.train("vae", profile(1, tensorboard=True, steps_per_execution=5), store, tmp_path / "vae")
    assert list((tmp_path / "vae" / "tensorboard").rglob("events*"))
    plain = training.train("vae", profile(1), store, tmp_path / "plain")
    assert run.log["loss"].iloc[0] == pytest.approx(plain.log["loss"].iloc[0], rel=1e-6)


COMPILED = """
import sys
from dwikit import profiles, slices, training
section = {"epochs": 1, "steps_per_epoch": 5, "jit_compile": True, "model": {"channels": [8, 16]}}
config = profiles.resolve("smoke", vae=section)
run = training.train("vae", config, slices.SliceStore.open(sys.argv[1]), sys.argv[2])
print(run.model.jit_compile, run.log["loss"].iloc[0])
"""


def test_the_best_epoch_stands_for_a_training(store, tmp_path, monkeypatch):
    """By samples kept after every epoch, beside validation people; ``best.keras`` is the model that draws and is judged."""
    spaces = []
    distances = iter([0.5, 0.2, 0.2, 0.4, 0.1])
    monkeypatch.setattr(metrics.PixelSpace, "distance", lambda space, images: spaces.append((space, images)) or next(distances))
    config = profile(4, keep="best", snapshots=40)
    run = training.train("vae", config, store, tmp_path / "vae")
    assert run.epochs == 4 and run.model.epochs_done == 3 and run.origin == "epoch 3 of 4", "the last of equals"
    assert run.facts()["epochs"] == 4 and run.facts()["kept_epoch"] == 3 and run.steps(store) == 15
    curve = {epoch: np.load(path) for epoch, path in training.epochs_in(run.folder / "curve").items()}
    assert list(curve) == [1, 2, 3, 4] and curve[3].shape == (40, 32, 32)
    np.testing.assert_array_equal(run.samples[:40], curve[3])
    assert [np.array_equal(images, curve[epoch]) for epoch, (_, images) in enumerate(spaces, 1)] == [True] * 4
    section = config.networks["vae"]
    assert training.left_out(run.folder, section, store) is None and training.kept(run.folder, "best")[1] == 3
    assert "not fully trained" in training.left_out(run.folder, profile(4).networks["vae"], store), "samples are of epoch 3"
    longer = training.train("vae", profile(5, keep="best", snapshots=40), store, tmp_path / "vae")
    assert longer.epochs == longer.model.epochs_done == 5 and longer.origin == "5 epochs"


def test_snapshots_are_compared_with_validation_people(store, tmp_path):
    run = training.train("vae", profile(1, snapshots=40), store, tmp_path / "vae")
    images = np.load(run.folder / "curve" / "epoch-00001.npy")
    found = {
        split: metrics.PixelSpace(store.images, rows=store.indices("train"), like=store.indices(split)).distance(images)
        for split in ("train", "validation")
    }
    assert (
        run.log["distance"].iloc[0] == pytest.approx(found["validation"], rel=1e-6) != pytest.approx(found["train"], rel=1e-3)
    )


def test_an_epoch_whose_samples_are_no_numbers_is_not_the_best(store, tmp_path, monkeypatch):
    found = iter((math.nan, 0.5, math.nan, 0.9))
    monkeypatch.setattr(metrics.PixelSpace, "distance", lambda *_: next(found))
    run = training.train("vae", profile(4, keep="best", health=False), store, tmp_path / "vae")
    assert run.model.epochs_done == 2 and training.kept(tmp_path / "vae", "last")[1] == 4
    run.log.assign(distance=math.nan).to_csv(tmp_path / "vae" / "log.csv")
    assert training.kept(tmp_path / "vae", "last")[1] == 4
    with pytest.raises(InputError, match="No epoch of .*vae is the best"):
        training.kept(tmp_path / "vae", "best")


def test_samples_are_those_of_the_weights_of_today(store, tmp_path):
    """As when the kit's weights are renewed, or those of another size are judged in the same folder."""
    for seed in (1, 2):
        model = models.VAE.from_preset(image_size=32, channels=(4, 8), latent_size=4, seed=seed)
        training.draw_samples(model, store, tmp_path, 4)
        drawn = slices.to_uint8(model.sample(4, seed=training.SAMPLE_SEED)[..., 0])
        np.testing.assert_array_equal(np.load(tmp_path / "samples.npy"), drawn)
    before = (tmp_path / "samples.npy").stat().st_mtime_ns
    training.draw_samples(model, store, tmp_path, 4)
    assert (tmp_path / "samples.npy").stat().st_mtime_ns == before


@pytest.mark.parametrize("values, named", [({"keep": "first"}, "keep must be last or best"), ({"snapshots": -1}, "0 or more")])
def test_what_is_kept_is_checked(values, named):
    with pytest.raises(InputError, match=named):
        profile(**values)


def test_compilation_is_a_setting(data, tmp_path):
    """In a process of its own: where repeatable results were asked for before, TensorFlow compiles nothing."""
    command = [sys.executable, "-c", COMPILED, str(data / "slices"), str(tmp_path / "compiled")]
    answer = subprocess.run(command, capture_output=True, text=True)
    compiled, loss = answer.stdout.split()[-2:]
    plain = training.train("vae", profile(1), slices.SliceStore.open(data / "slices"), tmp_path / "plain")
    assert compiled == "True" and float(loss) == pytest.approx(plain.log["loss"].iloc[0], rel=0.02)  # XLA draws other noise


def test_mixed_precision_is_a_setting(store, tmp_path):
    piece = training.train("vae", profile(2, mixed_precision=True), store, tmp_path / "mixed", minutes=1e-6)
    assert piece.model.encoder.layers[1].compute_dtype == "bfloat16"
    mixed = training.train("vae", profile(2, mixed_precision=True), store, tmp_path / "mixed")
    plain = training.train("vae", profile(2), store, tmp_path / "plain")
    assert mixed.model.encoder.layers[1].compute_dtype == "float32", "drawn from as everyone loads it"
    loaded = models.load(mixed.folder / "model.keras")
    np.testing.assert_array_equal(mixed.samples, slices.to_uint8(loaded.sample(64, seed=training.SAMPLE_SEED)[..., 0]))
    assert {str(w.dtype) for w in mixed.model.trainable_variables} == {"float32"}
    assert mixed.log["loss"].to_numpy() == pytest.approx(plain.log["loss"].to_numpy(), rel=0.05)
    assert models.VAE.from_preset(image_size=32, channels=(8, 16)).encoder.layers[1].compute_dtype == "float32"
    again = training.train("vae", profile(3, mixed_precision=True), store, tmp_path / "mixed")
    assert list(again.log.index) == [1, 2, 3]
