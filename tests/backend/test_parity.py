"""Steps give the same losses, gradients and weights on TensorFlow, PyTorch and JAX, and epochs take every step."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from dwikit import models
from dwikit.common.errors import InputError
from dwikit.training import fit
from tests.backend.epoch_worker import CASES as EPOCHS
from tests.backend.epoch_worker import STEPS
from tests.backend.parity_worker import BACKENDS, CASES, compare, missing, run

TOLERANCE = {"loss": 1e-5, "sample": 1e-4, "gradient": 1e-2, "change": 1e-2, "later": 1e-4}
"""Relative; what each kind is, is said in parity_worker.py."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("parity")


@pytest.fixture(scope="module")
def reference(folder):
    return run("tensorflow", folder)


def where_installed(backend: str):
    """The backend as a parameter of a test, which is skipped before anything is computed if it is not installed."""
    reason = f"{backend} is not installed (pip install dwikit[backends])"
    return pytest.param(backend, marks=pytest.mark.skipif(missing(backend), reason=reason))


@pytest.mark.parametrize("backend", map(where_installed, BACKENDS[1:]))
def test_one_step_is_the_same_on_every_backend(backend, folder, reference):
    results = run(backend, folder)
    for case in CASES:
        for kind, deviation in compare(results[case], reference[case]).items():
            assert deviation < TOLERANCE[kind], (case, kind, deviation)
    for name, value in reference["rectified"].items():
        np.testing.assert_allclose(results["rectified"][name], value, rtol=1e-4, atol=1e-6, err_msg=name)


def epochs(backend, folder, *arguments):
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(Path(__file__).with_name("epoch_worker.py")), str(folder), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.hardship
@pytest.mark.parametrize("key", EPOCHS)
def test_an_epoch_of_quick_takes_every_step_on_every_backend_with_the_same_losses(key, tmp_path):
    """From the same weights, on the same batches, several steps per execution; only the noise differs."""
    found = {"tensorflow": epochs("tensorflow", tmp_path, key, "0", "1", "2")}
    found |= {backend: epochs(backend, tmp_path, key, "0") for backend in BACKENDS[1:] if not missing(backend)}
    losses = [name for name in found["tensorflow"][0]["log"] if name.endswith("loss")]
    middle = {name: np.mean([one["log"][name] for one in found["tensorflow"]]) for name in losses}
    for backend, runs in found.items():
        for trained in runs:
            assert set(trained["iterations"]) == {STEPS}, backend
            assert trained["asked"][-STEPS:] == list(range(STEPS)), "each batch once, in order"
            for name in losses:  # other noise changes them by 2 %; a tenth of the steps would triple the VAE's
                assert trained["log"][name] == pytest.approx(middle[name], rel=0.05), (backend, name)


@pytest.fixture
def vae():
    return models.VAE.from_preset(image_size=32, batch_size=8, channels=(8, 16))


def test_an_epoch_that_misses_steps_is_refused_and_not_kept(vae, store, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.src.backend.config, "_MAX_STEPS_PER_EPOCH", 2)
    with pytest.raises(InputError, match="VAE: epoch 1 took 2 of its 5 steps on .*, so its results are not kept"):
        fit(vae, store, tmp_path / "vae", 1, 5)
    assert models.load(tmp_path / "vae" / "model.keras").epochs_done == 0 and not (tmp_path / "vae" / "log.csv").exists()


def test_steps_per_execution_can_change_between_fits(vae, store):
    """What the first fit compiled does not decide how many steps the second one takes."""
    for n, (chained, steps) in enumerate([(5, 12), (1, 7), (4, 6)]):
        vae.steps_per_execution, before = chained, int(vae.adam_optimizer.iterations)
        vae.fit(store.batches("train", 8, steps=steps), verbose=0)
        assert int(vae.adam_optimizer.iterations) - before == steps, n
