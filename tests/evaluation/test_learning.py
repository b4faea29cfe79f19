"""Learning curves: metrics of the samples of every epoch, and whether a network remembers whom it was trained on."""

import numpy as np
import pytest

from dwikit import evaluation, metrics, profiles, training
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


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_of_copies_is_found_whatever_the_number_of_training_people(store, share):
    """Copies with a little noise of some training slices; the others, of people whom nobody saw, as often as slices are."""
    rng, rows = np.random.default_rng(0), np.arange(len(store.images))
    fresh = rng.choice(rows, round(400 * (1 - share)))
    images = store.images[np.concatenate([fresh, rng.choice(store.indices("train"), round(400 * share))])].astype(int)
    found = evaluation.copied(store, (images + rng.integers(0, 2, images.shape)).clip(0, 255).astype(np.uint8))
    assert found.share == pytest.approx(share, abs=0.3)


def test_chance_is_known_also_where_all_images_are_alike(store):
    """Who is in training is drawn anew: the estimates vary as said, for images of many people, and for one image many times."""
    rng, people = np.random.default_rng(0), store.table["subject"].unique()
    for rows in (rng.choice(len(store.images), 100), np.full(100, 40)):
        found = []
        for _ in range(60):
            known = rng.choice(people, 6, replace=False)
            table = store.table.assign(split=np.where(store.table["subject"].isin(known), "train", "test"))
            found.append(evaluation.copied(SliceStore(store.images, table, store.settings), store.images[rows]))
        assert np.std([one.share for one in found]) == pytest.approx(np.mean([one.by_chance for one in found]), rel=0.3)
        assert np.mean([one.share for one in found]) == pytest.approx(0, abs=0.4)


def test_one_brain_at_all_levels_is_not_diverse_within_a_level(store):
    table = store.table
    everybody = evaluation.diversity_within_levels(store, store.images)
    one = store.images[np.repeat(np.flatnonzero(table["subject"] == table["subject"].iloc[0]), 2)]
    assert evaluation.diversity_within_levels(store, one) < 1e-9 < everybody
    assert everybody < metrics.intra_sample_diversity(store.images)
    assert metrics.intra_sample_diversity(one) > 0.5 * metrics.intra_sample_diversity(store.images), "which sees only levels"


def test_the_kit_gets_the_curve_with_the_log(run, store, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "folder", lambda: tmp_path)
    store = SliceStore(store.images, store.table, {**store.settings, "cohort": {"bids": None, "cases": 12, "seed": 0}})
    config = profiles.resolve("smoke")
    kit_weights.publish(run, config, store)
    log = np.genfromtxt(tmp_path / "vae-32.csv", delimiter=",", names=True)
    np.testing.assert_allclose(log["isd"], learning.curve(run, store)["isd"])
    assert np.isfinite(log["loss"]).all() and len(log) == 3
