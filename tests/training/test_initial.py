"""Fine-tuning: weights to start from, parts that do not learn, and epochs that count from its beginning."""

import keras
import numpy as np
import pytest

from dwikit import models, profiles, study, training
from dwikit.common import files
from dwikit.common.errors import InputError
from dwikit.course import notebook
from dwikit.models import VAE, StyleGAN
from dwikit.training.weights import pretrained, stored

TINY = {"epochs": 1, "steps_per_epoch": 2, "model": {"channels": [4, 8], "latent_size": 4}}


def trained(store, folder, key="vae", **section):
    config = profiles.resolve("smoke", **{key: TINY | section}, evaluation={"samples": 8})
    return training.train(key, config, store, folder)


@pytest.fixture(scope="module")
def first(store, tmp_path_factory):
    """A training of two epochs."""
    return trained(store, tmp_path_factory.mktemp("first") / "vae", epochs=2)


def weights(network):
    return np.concatenate([array.ravel() for array in network.get_weights()])


def test_a_training_starts_from_the_weights_of_a_file(first, store, tmp_path, capsys):
    path = str(first.folder / "model.keras")
    run = trained(store, tmp_path / "vae", init=path, model=TINY["model"] | {"learning_rate": 1e-9}, seed=5)
    assert "other slices" not in capsys.readouterr().out
    assert run.epochs == run.model.epochs_done == 1
    np.testing.assert_allclose(run.model.decoder.trainable_weights[0], first.model.decoder.trainable_weights[0], atol=1e-6)
    assert run.title.startswith("VAE (fine-tuned from ") and run.title.endswith("vae/model.keras)")
    assert run.origin.endswith("model.keras, 1 epochs") and first.title == "VAE" and first.origin == "2 epochs"
    assert run.facts()["init"] == path and "init" not in first.facts()
    turned = type(store)(np.array(store.images)[:, ::-1], store.table, store.settings)
    trained(turned, tmp_path / "turned", init=path)
    assert f"{path} was trained on other slices than these" in capsys.readouterr().out


def test_another_file_of_weights_is_another_training(first, store, tmp_path, capsys):
    for number in (1, 2):
        start = VAE.from_preset("paper", image_size=32, channels=(4, 8), latent_size=4, seed=number)
        models.save(start, tmp_path / "start.keras")
        trained(store, tmp_path / "vae", init=str(tmp_path / "start.keras"))
    assert (tmp_path / "vae.before-1").is_dir()
    settings = files.read_json(tmp_path / "vae/settings.json")
    assert settings["init_content"] != files.read_json(tmp_path / "vae.before-1/settings.json")["init_content"]


def test_frozen_parts_keep_their_weights_through_an_interruption(first, store, tmp_path):
    given = {"init": str(first.folder / "model.keras"), "frozen": ["encoder"]}
    trained(store, tmp_path / "vae", **given)
    run = trained(store, tmp_path / "vae", epochs=2, **given)  # goes on from the file
    np.testing.assert_array_equal(weights(run.model.encoder), weights(first.model.encoder))
    assert not np.array_equal(weights(run.model.decoder), weights(first.model.decoder))
    whole = trained(store, tmp_path / "whole", epochs=2, **given)
    np.testing.assert_array_equal(weights(whole.model.decoder), weights(run.model.decoder))
    assert run.title.endswith("encoder frozen)")


def test_the_first_layers_of_a_network_can_be_frozen():
    model = StyleGAN.from_preset("paper", image_size=32, channels=(8,) * 4, critic_channels=(8,) * 4, latent_size=8)
    all_of_it = len(model.critic.trainable_weights)
    model.compile(frozen=["critic[:2]"])
    assert 0 < len(model.critic.trainable_weights) < all_of_it
    for parts, message in (
        (["critc"], "no network to freeze 'critc'. Did you mean 'critic'"),
        (["critic[:99]"], r"critic\[:99\] cannot be frozen: critic has \d+ layers"),
        (["critic"], "everything that one of its optimizers could learn is frozen"),
    ):
        with pytest.raises(InputError, match=message):
            model.compile(frozen=parts)


def test_weights_that_do_not_fit_are_refused(first, store, tmp_path):
    path = str(first.folder / "model.keras")
    with pytest.raises(InputError, match="a VAE of another architecture than this profile's: they differ in latent_size"):
        trained(store, tmp_path / "a", init=path, model=TINY["model"] | {"latent_size": 6})
    with pytest.raises(InputError, match="with key 'vae', not 'intro_vae'"):
        trained(store, tmp_path / "b", key="intro_vae", init=path, model={})
    with pytest.raises(InputError, match="There are no weights of 'vae' at 32 pixels"):
        trained(store, tmp_path / "c", init="pretrained")


def test_a_wrong_start_is_told_before_data_are_made(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "slices", lambda config: pytest.fail("data are made"))
    missing, frozen = {"init": str(tmp_path / "typo.keras")}, {"frozen": ["encodr"]}
    for given, message in ((missing, "no model at .*typo.keras"), (frozen, "Did you mean 'encoder'")):
        with pytest.raises(InputError, match=message):
            study.train_in_pieces(profiles.resolve("smoke", vae=given), ["vae"])
        with pytest.raises(InputError, match=message):
            notebook.begin({}, "smoke", networks=["vae"], **given)


def test_weights_of_which_only_what_draws_is_there_are_refused(store, tmp_path):
    """As in the kit's large networks, and in networks that were carried from another machine."""
    model = VAE.from_preset("paper", image_size=32, channels=(4, 8), latent_size=4, batch_size=8)
    kept = stored.drawing(model)
    stored.fill(model, kept, [variable.numpy() for variable in kept])
    models.save(model, tmp_path / "drawing.keras")
    with pytest.raises(InputError, match="drawing.keras comes without what only training needs"):
        trained(store, tmp_path / "vae", init=str(tmp_path / "drawing.keras"))
    with pytest.raises(InputError, match="This VAE comes without what only training needs"):
        training.fit(model, store, tmp_path / "fit", 1, steps_per_epoch=1)


def test_the_kits_weights_that_saw_people_held_out_here_are_refused(store, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "file", lambda key, size: tmp_path)
    monkeypatch.setattr(pretrained, "card", lambda key, size: {})
    monkeypatch.setattr(pretrained, "seen", lambda card, store: ["sub-0007"])
    with pytest.raises(InputError, match="trained on 1 people who are held out here, such as sub-0007"):
        trained(store, tmp_path / "vae", init="pretrained")


def test_a_model_from_elsewhere_begins_at_its_first_epoch(store, tmp_path):
    model = VAE.from_preset("paper", image_size=32, channels=(4, 8), latent_size=4, batch_size=8)
    model.epochs_done = 40  # as in pretrained.load
    for epochs in (1, 2):
        training.fit(model, store, tmp_path / "vae", epochs, steps_per_epoch=1)
        assert model.epochs_done == len(training.read_log(tmp_path / "vae")) == epochs


def test_callbacks_of_ones_own_see_every_epoch(store, tmp_path):
    seen = []
    config = profiles.resolve("smoke", vae=TINY | {"epochs": 2}, evaluation={"samples": 8})
    own = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append((epoch, "mse" in logs)))
    training.train("vae", config, store, tmp_path / "vae", callbacks=[own])
    assert seen == [(0, True), (1, True)]


def test_a_path_in_a_profile_is_relative_to_its_file(tmp_path):
    (tmp_path / "mine.yaml").write_text("extends: smoke\nvae: {init: start.keras}\nintro_vae: {init: pretrained}\n")
    networks = profiles.resolve(str(tmp_path / "mine.yaml")).networks
    assert networks["vae"].init == str(tmp_path / "start.keras") and networks["intro_vae"].init == "pretrained"
