"""Learning curves: metrics of the samples of every epoch, and whether a network remembers whom it was trained on."""

import numpy as np
import pytest

from dwikit import evaluation, profiles, training
from dwikit.evaluation import kit_weights, learning
from dwikit.slices import SliceStore
from dwikit.training.weights import pretrained


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    section = {"epochs": 3, "steps_per_epoch": 5, "snapshots": 30, "model": {"channels": [8, 16]}}
    return training.train("vae", profiles.resolve("smoke", vae=section), store, tmp_path_factory.mktemp("run") / "vae")


def test_a_curve_has_the_metrics_of_the_samples_of_each_epoch(run, store):
    curve = learning.curve(run, store)
    assert list(curve.index) == [1, 2, 3]
    samples = np.load(run.folder / "curve" / "epoch-00002.npy")
    row = evaluation.table_1(store, {"vae": samples}, 30).loc["vae"]
    for key in ("ds", "isd", "min_isd", "laplace", "laplace_sd", "periodic"):
        assert curve.loc[2, key] == pytest.approx(row[key]), key
    assert curve.loc[2, "memory"] == learning.memory(store, samples)


def test_without_snapshots_there_is_no_curve(run, store, tmp_path):
    assert learning.curve(training.Run(run.model, tmp_path), store).empty


def test_memory_tells_copies_of_training_people_from_those_of_others(store):
    """A copy with a little noise of a training slice, of a held-out one, and an image that is none of either."""
    rng, train = np.random.default_rng(0), store.indices("train")
    held_out = np.setdiff1d(np.arange(len(store.images)), train)

    def noisy(rows):
        images = store.images[rows].astype(int) + rng.integers(0, 3, store.images[rows].shape)
        return images.clip(0, 255).astype(np.uint8)

    subjects = store.table["subject"].to_numpy()
    n = len(set(subjects[held_out]))
    searched = np.random.default_rng(0).permutation(np.unique(subjects[train]))[:n]
    known = train[np.isin(subjects[train], searched)]
    assert learning.memory(store, noisy(known[:20])) < 0.1 and learning.memory(store, noisy(held_out[:20])) > 10
    assert 0.5 < learning.memory(store, rng.integers(0, 255, (20, *store.images.shape[1:])).astype(np.uint8)) < 2


def test_the_kit_gets_the_curve_with_the_log(run, store, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "folder", lambda: tmp_path)
    store = SliceStore(store.images, store.table, {**store.settings, "cohort": {"bids": None, "cases": 12, "seed": 0}})
    config = profiles.resolve("smoke")
    kit_weights.publish(run, config, store)
    log = np.genfromtxt(tmp_path / "vae-32.csv", delimiter=",", names=True)
    np.testing.assert_allclose(log["isd"], learning.curve(run, store)["isd"])
    assert np.isfinite(log["loss"]).all() and len(log) == 3
