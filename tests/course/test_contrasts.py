"""Paper against code: the table says what the presets say, and the small computations agree with closed forms."""

import keras
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from dwikit.common.errors import InputError
from dwikit.course import contrasts
from dwikit.models import VAE, IntroVAE, losses, registry
from dwikit.models.presets import preset

OF_THE_PAPER = [key for key, network in registry.networks().items() if network.section]


@pytest.mark.parametrize("key", OF_THE_PAPER)
def test_the_table_has_a_row_for_every_setting_that_differs(key):
    network = registry.network(key)
    table, values = contrasts.differences(key), {name: preset(network, name) for name in ("paper", "released", "canonical")}
    differing = [e for e in network.presets["paper"] if len({repr(values[name].get(e)) for name in values}) > 1]
    assert list(table.index) == differing
    assert (table["paper"] == table["released"]).sum() + sum(
        values["paper"][entry] != values["released"][entry] for entry in differing
    ) == len(table)


def test_the_table_gives_values_and_their_sources():
    weight = contrasts.differences("dfc_vae").loc["feature_weight"]
    assert (weight["paper"], weight["released"]) == ("2e-09", "2e-08")
    assert "paper: sec. 3.2" in weight["source"] and "released: alpha = 2 * 10e-9" in weight["source"]
    assert contrasts.differences("style_gan").loc["loss", ["paper", "released", "canonical"]].tolist() == [
        "wasserstein",
        "least_squares",
        "logistic",
    ]
    assert contrasts.differences("vae").loc["channels", "paper"] == "32–64–128–256"
    assert all(
        "paper: " in source and "; " in source for key in OF_THE_PAPER for source in contrasts.differences(key)["source"]
    )
    with pytest.raises(InputError, match="Did you mean 'vae'"):
        contrasts.differences("vea")


def test_the_spectrum_is_that_of_the_covariance():
    points = np.random.default_rng(0).normal(size=(200, 3)) * [1, 2, 3]
    expected = np.sort(np.linalg.eigvalsh(np.cov(points.T, bias=True)))[::-1]
    np.testing.assert_allclose(contrasts.spectrum(points), expected)


def test_water_filling_is_the_least_of_the_loss():
    """Component by component, error d costs kl_weight * log(v / d) / 2 + weight * d."""
    variances, weight, kl_weight = np.array([4.0, 0.5, 0.3, 0.01]), 3.0, 2.0
    latents, error = contrasts.water_filling(variances, weight, kl_weight, latents=4)
    best = [
        minimize_scalar(lambda d, v=v: kl_weight * np.log(v / d) / 2 + weight * d, bounds=(1e-6, v), method="bounded").x
        for v in variances
    ]
    assert latents == 2
    assert error == pytest.approx(sum(best), abs=1e-4)
    assert contrasts.water_filling(variances, weight, kl_weight, latents=1) == (1, pytest.approx(1 / 3 + 0.81))


def test_the_noise_that_each_exponent_settles_at():
    weight = np.array([0.1, 1.0, 30.0])
    np.testing.assert_allclose(contrasts.chosen_noise(weight, 0.5), 1 / np.sqrt(1 + 2 * weight), rtol=1e-3)
    np.testing.assert_allclose(contrasts.chosen_noise(weight, 1.0), (np.sqrt(1 + 16 * weight) - 1) / (8 * weight), rtol=2e-3)


def test_feature_vectors_are_as_far_apart_as_the_perceptual_loss_says():
    images = keras.Input((16, 16, 1))
    first = keras.layers.Conv2D(3, 3, activation="relu")(images)
    network = keras.Model(images, [first, keras.layers.Conv2D(5, 3, strides=2)(first)])
    pair = np.random.default_rng(0).integers(0, 256, (2, 16, 16)).astype(np.uint8)
    vectors = contrasts.feature_vectors(network, pair)
    one, other = (network(image[None, ..., None] / np.float32(255)) for image in pair)
    expected = float(losses.perceptual_sum(one, other))
    assert np.sum((vectors[0] - vectors[1]) ** 2) == pytest.approx(expected, rel=1e-4)


def test_small_slices_are_means_of_blocks_and_keep_the_split(volumes, tmp_path):
    from dwikit import slices

    store = slices.build(volumes, tmp_path / "slices", slices.SliceSettings(image_size=64))
    small = contrasts.small(store)
    assert small.image_size == 32 and small.images.dtype == np.uint8
    block = store.images[5, 20:22, 30:32].astype(float)
    assert small.images[5, 10, 15] == pytest.approx(block.mean(), abs=0.51)
    assert len(small.split("test")) == len(store.split("test"))


def test_a_small_training_learns_and_logs_in_steps(store):
    vae = VAE.from_preset("paper", image_size=32, channels=(8, 16), latent_size=8, batch_size=8, learning_rate=5e-3)
    log = contrasts.train(vae, store, steps=20, epochs=2)
    assert list(log.index) == [10, 20] and log.index.name == "steps"
    assert log.loc[20, "mse"] < log.loc[10, "mse"]


def test_without_the_stop_the_encoder_learns_through_its_fakes(store):
    """The same weights, noise and losses in the first step, another gradient."""
    settings = {"image_size": 32, "architecture": "plain", "channels": (8, 16), "latent_size": 8, "batch_size": 4}
    models = [cls.from_preset("paper", **settings, seed=1) for cls in (IntroVAE, contrasts.WithoutStop)]
    first = [{k: float(v) for k, v in model.training_step(store.batches("train", 4)[0]).items()} for model in models]
    assert first[0]["kl_rec"] == pytest.approx(first[1]["kl_rec"]) and first[0]["rec"] == pytest.approx(first[1]["rec"])
    assert first[0]["kl_rec"] < 110, "the hinge is open"
    moments = [[keras.ops.convert_to_numpy(v) for v in model.encoder_optimizer.variables] for model in models]
    assert max(np.abs(one - other).max() for one, other in zip(*moments)) > 1e-3  # Adam's first step itself sees only signs


def test_the_duel_has_the_known_ends():
    """A fake that stands still at distance 1: the penalized slope ends where 1 = 2 (slope - 1), the other grows by turn."""
    assert contrasts.duel("wasserstein", generator=False)["slope"].iloc[-1] == pytest.approx(15, rel=1e-2)
    assert contrasts.duel("wasserstein", "gradient", generator=False)["slope"].iloc[-1] == pytest.approx(1.5, rel=1e-2)
    for loss in ("least_squares", "logistic"):
        assert contrasts.duel(loss, "r1")["distance"].iloc[-1] < 0.1
    assert contrasts.duel("wasserstein")["distance"].iloc[-60:].max() > 0.5, "circles"


def test_signs_are_names_when_both_are_turned():
    usual, both, one = (contrasts.duel("wasserstein", "r1", signs=s, steps=40) for s in ((1, 1), (-1, -1), (1, -1)))
    np.testing.assert_allclose(usual, both, rtol=1e-4, atol=1e-6)
    assert one["distance"].iloc[-1] > 2 > usual["distance"].max()


def test_the_nearest_is_near_in_few_dimensions_and_not_in_many():
    ratios = [contrasts.nearest_over_mean(d, n=300) for d in (1, 4, 20, 200)]
    assert ratios == sorted(ratios) and ratios[0] < 0.001 and 0.5 < ratios[-1] < 1
