"""Training that has gone wrong stops with a reason and a remedy."""

import math

import pytest

from dwikit import models, profiles, training
from dwikit.training import health
from dwikit.training.health import TrainingStopped


@pytest.fixture(scope="module")
def vae():
    return models.VAE.from_preset(image_size=32, channels=(8, 16))


@pytest.fixture(scope="module")
def intro():
    return models.IntroVAE.from_preset(image_size=32, width=0.25)


def rows(n=10, **terms):
    return [{"epoch": i + 1, "loss": 1.0, "variety": 0.8, **terms} for i in range(n)]


def test_healthy_logs_pass(vae, intro):
    health.check(vae, rows())
    health.check(intro, rows(kl_fake=2.0 * intro.config["margin"])[:3])
    health.check(intro, rows(kl_fake=1.1 * intro.config["margin"]))
    health.check(vae, rows(3, variety=0.0))


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"loss": math.nan}, "loss is no longer a number: lower the learning rate"),
        ({"loss": math.inf, "kl": math.nan}, "loss, kl is no longer a number"),
        ({"variety": 0.001}, "all samples have become one image"),
    ],
)
def test_what_went_wrong_is_named(vae, terms, reason):
    with pytest.raises(TrainingStopped, match=f"VAE stopped after epoch 10: .*{reason}"):
        health.check(vae, rows(**terms))


def test_a_critic_far_ahead_stops_the_style_gan():
    model = models.StyleGAN.from_preset("canonical", image_size=32, channels=(8, 8, 8, 8), critic_channels=(8, 8, 8, 8))
    with pytest.raises(TrainingStopped, match="StyleGAN stopped .* out of the generator's reach: raise penalty"):
        health.check(model, rows(real_score=5e3, fake_score=-5e3))
    health.check(model, rows(real_score=5e2, fake_score=-4e2))


def test_fakes_far_above_the_margin_stop_the_introvae(intro):
    with pytest.raises(TrainingStopped, match="far above the margin m = .*warmup_steps"):
        health.check(intro, rows(kl_fake=1.6 * intro.config["margin"]))
    recovering = rows(kl_fake=1.6 * intro.config["margin"])
    recovering[-2]["kl_fake"] = intro.config["margin"]
    health.check(intro, recovering)


def test_a_diverging_training_stops_and_keeps_what_was_good(store, tmp_path):
    """A learning rate of a million: the loss leaves the numbers, and the folder still holds a model without NaN."""
    config = profiles.resolve(
        "smoke", vae={"epochs": 4, "steps_per_epoch": 5, "model": {"channels": [8, 16], "norm": None, "learning_rate": 1e6}}
    )
    with pytest.raises(TrainingStopped, match="lower the learning rate"):
        training.train("vae", config, store, tmp_path / "vae")
    kept = models.load(tmp_path / "vae" / "model.keras")
    assert all(map(lambda weights: bool((weights == weights).all()), kept.get_weights()))
    assert (tmp_path / "vae" / "log.csv").read_text().count("\n") >= 2
