"""Long trials: training killed at random moments, many times (``make hardships``; DWIKIT_TRIALS sets how many)."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from dwikit import models, slices
from tests.test_training import SMALL, WORKER, weights

TRIALS = int(os.environ.get("DWIKIT_TRIALS", "20"))


@pytest.mark.hardship
def test_training_killed_at_random_moments(volumes, tmp_path):
    """Every start but the last is killed; the final weights are those of an undisturbed run."""
    slices.build(volumes, tmp_path / "slices", image_size=32)
    command, rest = [sys.executable, "-c", WORKER, str(tmp_path / "slices")], ["intro_vae", json.dumps(SMALL["intro_vae"])]
    start = time.time()
    subprocess.run([*command, str(tmp_path / "whole"), *rest], check=True, capture_output=True)
    seconds = time.time() - start
    moments, kills = random.Random(0), 0
    for _ in range(TRIALS):
        process = subprocess.Popen([*command, str(tmp_path / "killed"), *rest], stderr=subprocess.DEVNULL)
        try:
            process.wait(moments.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    subprocess.run([*command, str(tmp_path / "killed"), *rest], check=True, capture_output=True)
    killed, whole = (models.load(tmp_path / folder / "model.keras") for folder in ("killed", "whole"))
    for one, other in zip(weights(killed), weights(whole)):
        np.testing.assert_array_equal(one, other)
    assert not list((tmp_path / "killed").rglob(".*partial*"))
    print(f"\nTraining: {kills} of {TRIALS} starts killed at random moments, final weights equal bit for bit.")
