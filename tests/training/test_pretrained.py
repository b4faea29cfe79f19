"""The weights that come with the kit, and how others are made."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dwikit import metrics, models, training
from dwikit.common.errors import InputError
from dwikit.models import registry
from dwikit.training.weights import pretrained, stored

LOG = pd.DataFrame({"seconds": [1.0]}, index=pd.Index([1], name="epoch"))
SHIPPED = [(key, size) for key, sizes in pretrained.available().items() for size in sizes]


def test_there_are_weights_of_every_network_of_the_paper():
    of_the_paper = {key for key, network in registry.networks().items() if network.section}
    assert of_the_paper <= {key for key, size in SHIPPED if size == 64}
    sizes = [path.stat().st_size for path in pretrained.folder().glob("*.npz")]
    assert sum(sizes) <= 30e6


@pytest.mark.parametrize(("key", "size"), SHIPPED)
def test_they_sample_what_their_card_says(key, size):
    model, card = pretrained.load(key, size), pretrained.card(key, size)
    assert card["parameters"] == sum(np.prod(variable.shape) for variable in stored.wanted(model))
    samples = np.round(model.sample(96, seed=5) * 255).astype(np.uint8)
    assert samples.shape == (96, size, size, 1)
    assert metrics.intra_sample_diversity(samples) == pytest.approx(card["metrics"]["isd"], rel=0.35)
    assert metrics.laplace_variance(samples).mean() == pytest.approx(card["metrics"]["laplace"], rel=0.25)
    page = pretrained.folder().joinpath(f"{key}-{size}.md").read_text()
    assert "Not for clinical use" in page and page == pretrained.as_page(card)
    log = pd.read_csv(pretrained.folder() / f"{key}-{size}.csv", index_col="epoch")
    assert card["hours"] == pytest.approx(log["seconds"].loc[: card["epochs"]].sum() / 3600)
    assert card["training"] == {"epochs": len(log), "hours": pytest.approx(log["seconds"].sum() / 3600)}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A small VAE published in a folder of its own."""
    monkeypatch.setattr(pretrained, "folder", lambda: tmp_path)
    model = models.VAE.from_preset(image_size=32, channels=(8, 16), latent_size=4, seed=2)
    model.epochs_done = 3
    facts = {
        "data": "d",
        "steps": 3,
        "images": 9,
        "machine": "m",
        "command": "c",
        "samples": 8,
        "metrics": {"ds": 1.0},
    }
    return model, pretrained.publish(model, LOG, facts)


def test_what_is_published_comes_back_within_float16(own):
    model, _ = own
    again = pretrained.load("vae", 32)
    assert again.epochs_done == 3 and again.config == model.config
    np.testing.assert_allclose(again.sample(4, seed=1), model.sample(4, seed=1), atol=1e-3)
    assert again.train_on_batch(np.zeros((2, 32, 32, 1), np.float32), return_dict=True)["loss"] > 0


@pytest.fixture
def large(own, tmp_path, monkeypatch):
    """An IntroVAE with a moving average, published as large ones are."""
    monkeypatch.setattr(stored, "LARGE", 10_000)
    model = models.IntroVAE.from_preset(image_size=32, channels=(8, 16), latent_size=4, ema=0.9, seed=2)
    for variable in model.weights:  # of trained size, and different in the generator and its average
        variable.assign(np.random.default_rng(len(variable.shape)).normal(0, 0.1, variable.shape) + variable.numpy())
    facts = {"steps": 3, "images": 9, "samples": 8, "metrics": {}}
    pretrained.publish(model, LOG, facts | dict.fromkeys(("data", "machine", "command"), "x"))
    return model


def test_a_large_network_is_stored_in_8_bits(large, tmp_path):
    again, path = pretrained.load("intro_vae", 32), tmp_path / "intro_vae-32.npz"
    images = np.random.default_rng(0).random((4, 32, 32, 1), np.float32)
    for ours, theirs in ((large.sample(4, 1), again.sample(4, 1)), (large.reconstruct(images), again.reconstruct(images))):
        assert 0 < np.abs(ours - theirs).max() < 0.05 * np.ptp(ours)
    kinds = {name: array.dtype for name, array in np.load(path).items()}
    assert {kind for name, kind in kinds.items() if "scale" not in name} == {np.dtype(np.int8), np.dtype(np.float16)}
    assert pretrained.card("intro_vae", 32)["stored"].startswith("8 bits")
    once, twice = (stored.as_arrays(model) for model in (again, stored.copy(again)))
    assert all(np.array_equal(once[name], twice[name]) for name in once | twice)


def test_what_only_training_needs_is_not_a_number_where_it_is_not_stored(large):
    again = pretrained.load("intro_vae", 32)
    mean, log_variance = (np.array(values) for values in again.encoder(np.zeros((1, 32, 32, 1), np.float32)))
    assert np.isfinite(mean).all() and np.isnan(log_variance).all()
    assert all(np.isnan(values).all() for values in again.generator.get_weights()), "only its average draws"
    assert all(np.isfinite(values).all() for values in again.average_generator.get_weights())
    with pytest.raises(InputError, match="comes without what only training needs"):
        pretrained.load_into(large)


def test_tables_say_what_a_card_notes(own, tmp_path):
    model, _ = own
    titles = [training.Run(model, tmp_path, card).title for card in (None, {"epochs": 3}, {"note": "older"})]
    assert titles == ["VAE", "VAE (the kit's weights)", "VAE (older, the kit's weights)"]


def test_weights_for_another_architecture_are_refused(own):
    with pytest.raises(InputError, match="another architecture"):
        pretrained.load_into(models.VAE.from_preset(image_size=32, channels=(8, 24), latent_size=4))


def test_what_is_missing_or_damaged_is_named(own, tmp_path):
    _, path = own
    with pytest.raises(InputError, match="no weights of 'style_gan' at 128 pixels. Available: vae at 32"):
        pretrained.load("style_gan", 128)
    shutil.copyfile(path, tmp_path / "vae-32-old.npz")
    assert pretrained.available() == {"vae": [32]}, "and somebody's copy"
    for facts in ({}, {"people": None, "slices": None}, {"people": {"seed": 0}, "slices": {}}):
        for name, ask in (("people", pretrained.seen), ("slices", pretrained.otherwise)):
            with pytest.raises(InputError, match=f"The card of the kit's vae in .* does not say its {name}. Restore it"):
                ask({"model": "vae", **facts}, SimpleNamespace(table=None, settings={"cohort": None}))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match="^[^ ]*vae-32.npz cannot be read") as found:
        pretrained.load("vae", 32)
    assert str(found.value).count("Restore it") == 1
    path.with_suffix(".json").write_text(json.dumps({"model": "style_gan"}))
    with pytest.raises(InputError, match="vae-32.json is missing or damaged"):
        pretrained.load("vae", 32)


def test_arrays_that_would_run_code_are_refused(own):
    _, path = own
    np.savez(path, **{"0000": np.array([print], dtype=object)})
    with pytest.raises(InputError, match="cannot be read"):
        pretrained.load("vae", 32)


def test_weights_that_float16_cannot_hold_are_not_published(own, tmp_path):
    model, path = own
    before = path.read_bytes()
    model.weights[0].assign(model.weights[0] + 1e6)
    with pytest.raises(InputError, match="not finite or too large"):
        pretrained.publish(model, LOG, {})
    assert path.read_bytes() == before
