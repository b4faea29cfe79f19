"""Training on two devices is training on one within rounding; what cannot be is refused with the reason."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dwikit import models, profiles, training
from dwikit.backend import distribution
from dwikit.common.errors import InputError
from dwikit.models.layers import MinibatchDeviation

TESTS = Path(__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(TESTS.parents[1]), "TF_CPP_MIN_LOG_LEVEL": "3"}
sys.path.insert(0, str(TESTS))
from distribution_worker import CASES, store  # noqa: E402

ALWAYS = ("vae", "intro_vae")
"""The others are with the hardships; StyleGAN is also trained on two machines (``test_machines.py``)."""


@pytest.mark.parametrize("case", [c if c in ALWAYS else pytest.param(c, marks=pytest.mark.hardship) for c in CASES])
def test_two_devices_end_where_one_does(case):
    """Losses and weights after four steps; what single variables may differ by is said in distribution_worker.py."""
    command = [sys.executable, str(TESTS / "distribution_worker.py"), "--json", case]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    deviation = json.loads(done.stdout.splitlines()[-1])[case]
    assert deviation["losses"] < 1e-5
    assert deviation["weights"] < 1e-5
    assert deviation["worst"] < 1e-3


SWITCH = """
import sys
import distribution_worker as worker
worker.two_devices()
from dwikit import profiles, training
section = {"steps_per_epoch": 4, "steps_per_execution": 2, "health": False, "model": {"channels": [8, 16]}}
logs = {}
for name, devices in (("one", (1, 1)), ("switched", (2, 1)), ("two", (2, 2))):
    for epochs, n in enumerate(devices, 1):
        config = profiles.resolve("smoke", vae={**section, "epochs": epochs})
        run = training.train("vae", config, worker.store(), f"{sys.argv[1]}/{name}", devices=n)
    logs[name] = run.log["loss"]
print(*logs["switched"] / logs["one"] - 1, *logs["two"] / logs["one"] - 1)
"""


def test_a_run_goes_on_with_another_number_of_devices(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SWITCH, str(tmp_path)], env=ENVIRONMENT, cwd=TESTS, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert np.abs([float(value) for value in done.stdout.split()[-4:]]).max() < 1e-5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "switched", "two"]  # nothing was set aside


def test_groups_of_the_critic_stay_whole_when_slices_are_dealt_out():
    batch = np.random.default_rng(0).normal(size=(16, 4, 4, 3)).astype(np.float32)
    layer = MinibatchDeviation(4)
    [dealt] = [distribution.deal([batch], 2)[0]]
    whole, parts = np.array(layer(batch)), np.concatenate([np.array(layer(dealt[:8])), np.array(layer(dealt[8:]))])
    np.testing.assert_allclose(parts[np.argsort(np.r_[0:16:2, 1:16:2])], whole, rtol=1e-6)


# ==== What cannot be ====


def test_more_devices_than_there_are(tmp_path):
    config = profiles.resolve("smoke")
    with pytest.raises(InputError, match=r"99 devices were asked for, but TensorFlow has \d+: .*PU:0"):
        training.train("vae", config, store(), tmp_path / "vae", devices=99)
    with pytest.raises(InputError, match="at least 1, not 0"):
        training.train("vae", config, store(), tmp_path / "vae", devices=0)


def test_another_backend(monkeypatch):
    monkeypatch.setattr(distribution, "BACKEND", "jax")
    with pytest.raises(InputError, match="need KERAS_BACKEND=tensorflow, but Keras runs on jax"):
        distribution.scope(2)


@pytest.mark.parametrize(
    ("key", "preset", "batch_size", "message"),
    [
        ("vae", "paper", 7, "VAE: 7 slices do not make 2 equal shares. Set a batch_size that 2 divides"),
        ("style_gan", "paper", 4, "StyleGAN: 4 slices do not make 2 equal shares of whole groups of 4 slices.* that 8 divides"),
        ("style_gan", "released", 8, "critic's dropout of 0.6 drops other values"),
    ],
)
def test_batches_that_several_devices_cannot_share(key, preset, batch_size, message):
    model = models.registry.network(key).from_preset(preset, image_size=32, width=0.1, batch_size=batch_size)
    with pytest.raises(InputError, match=message):
        model.check_devices(2)
