"""The feature network that a study trains on its own slices, to judge samples by."""

import functools

import keras
import numpy as np
import pytest

from dwikit import cli, evaluation, profiles, study
from dwikit.common.errors import InputError
from dwikit.evaluation import slice_features
from dwikit.models import features


@pytest.fixture(scope="module")
def discs():
    """Discs whose size tells their level, with a mark that tells how they were turned."""
    rng = np.random.default_rng(0)
    levels = rng.integers(26, size=200)
    y, x = np.mgrid[:32, :32] - 15.5
    images = np.hypot(x, y)[None] < 5 + levels[:, None, None] / 3
    images = images * 120.0
    images[:, 3:8, 6:14] += 100
    return np.uint8(images + rng.uniform(0, 20, images.shape)), levels


def test_it_learns_its_task(discs, tmp_path):
    scores = slice_features.train(*discs, tmp_path / "a.keras", steps=60, widths=(8, 8, 16))
    assert scores["orientation"] > 0.5 and scores["level"] < 6
    assert slice_features.load(tmp_path / "a.keras")(np.zeros((3, 32, 32, 1), np.float32)).shape == (3, 8 + 8 + 16)


def test_features_are_means_of_channels_of_layers_of_unit_variance(discs):
    images = discs[0][:100]
    backbone, taps = slice_features._blocks((4, 4, 8))
    layers = keras.Model(backbone.input, taps)
    unit = images[..., None].astype(np.float32) / 255
    found = np.array(slice_features._pooled(layers, images, np.arange(100), 0)(unit))
    plain = [np.array(x) for x in layers(unit)]
    np.testing.assert_allclose(found, np.concatenate([x.mean((1, 2)) / x.std() for x in plain], axis=1), rtol=1e-3, atol=1e-5)


def test_no_network_is_judged_by_what_it_learned_from(store, tmp_path, monkeypatch):
    """VGG16 is never asked; the numbers name features of another kind."""
    for name in ("load", "imagenet_weights", "network"):
        monkeypatch.setattr(features, name, lambda *_, **__: pytest.fail("VGG is for training"))
    monkeypatch.setattr(slice_features, "train", functools.partial(slice_features.train, steps=2, widths=(4, 4, 8)))
    networks = evaluation.feature_networks(store, tmp_path)
    assert list(networks) == ["slice features"]
    assert networks["slice features"](store.images[:70]).shape == (70, 16)
    table = evaluation.beyond_paper(store, {"vae": store.split("train")[:40]}, networks)
    rows = evaluation.readable(table).index
    assert {"FID (slice features)", "coverage (slice features)", "machine reader, accuracy (slice features)"} <= set(rows)


def test_trained_again_it_is_the_same(store, tmp_path, monkeypatch):
    monkeypatch.setattr(slice_features, "train", functools.partial(slice_features.train, steps=20))
    one, other = (evaluation.feature_networks(store, tmp_path / name)["slice features"](store.images[:9]) for name in "ab")
    np.testing.assert_array_equal(one, other)


def test_slices_and_files_that_cannot_be_used(discs, tmp_path):
    images, levels = discs
    with pytest.raises(InputError, match="20 slices or more"):
        slice_features.train(images[:5], levels[:5], tmp_path / "x.keras")
    with pytest.raises(InputError, match="a level for each"):
        slice_features.train(images, levels[:5], tmp_path / "x.keras")
    (tmp_path / "half.keras").write_bytes(b"PK half")
    with pytest.raises(InputError, match="half.keras cannot be read as a feature network .* Delete it"):
        slice_features.load(tmp_path / "half.keras")


def test_the_command_trains_it_once_where_the_judge_looks(store, tmp_path, monkeypatch, capsys):
    """``make reproduce`` has it trained beside the networks, so that 05 finds it."""
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path))
    monkeypatch.setattr("dwikit.study.slices", lambda config: store)
    monkeypatch.setattr(slice_features, "train", functools.partial(slice_features.train, steps=2, widths=(4, 4, 8)))
    assert cli.main(["features", "--profile", "smoke"]) == 0
    assert capsys.readouterr().out.startswith("Training a feature network")
    assert slice_features.kept(store, study.features_folder(profiles.resolve("smoke"))).is_file()
    assert cli.main(["features", "--profile", "smoke"]) == 0
    assert "Training" not in capsys.readouterr().out
