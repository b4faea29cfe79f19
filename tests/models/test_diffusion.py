"""The diffusion model: its equations against values by hand, its sampler where the ideal denoiser is known."""

import keras
import numpy as np
import pytest

from dwikit import models, profiles
from dwikit.common.errors import InputError
from dwikit.models import architecture, cost, registry
from dwikit.models.diffusion import model as diffusion

SMALL = {"image_size": 32, "channels": [8, 16], "blocks": 1, "embedding": 16, "sampler_steps": 3}


@pytest.fixture(scope="module")
def small():
    return registry.network("diffusion").from_preset(**SMALL)


def test_preconditioning_by_hand():
    sigma = np.array([0.5, 1.2], np.float32)
    c_skip, c_out, c_in, c_noise = (np.array(value) for value in diffusion.preconditioning(sigma, 0.5))
    np.testing.assert_allclose(c_skip, [1 / 2, 25 / 169], rtol=1e-6)  # 0.25 / 0.5 and 0.25 / 1.69
    np.testing.assert_allclose(c_out, [0.25 / 0.5**0.5, 0.6 / 1.3], rtol=1e-6)
    np.testing.assert_allclose(c_in, [2**0.5, 1 / 1.3], rtol=1e-6)
    np.testing.assert_allclose(c_noise, [-0.1732868, 0.0455804], rtol=1e-5)
    np.testing.assert_allclose(np.array(diffusion.loss_weight(sigma, 0.5)), [8, 1.69 / 0.36], rtol=1e-6)


@pytest.mark.parametrize("sigma", [0.01, 0.4, 30.0])
def test_the_network_sees_and_answers_numbers_of_mean_square_1(sigma):
    rng = np.random.default_rng(0)
    clean, noise = 0.5 * rng.standard_normal(100_000), rng.standard_normal(100_000)
    c_skip, c_out, c_in, _ = (float(value) for value in diffusion.preconditioning(np.float32(sigma), 0.5))
    noisy = clean + sigma * noise
    assert np.std(c_in * noisy) == pytest.approx(1, rel=0.01)
    assert np.std((clean - c_skip * noisy) / c_out) == pytest.approx(1, rel=0.01)


def test_added_noise_is_as_strong_as_asked():
    noise = np.random.default_rng(0).standard_normal(100_000)
    noisy = diffusion.add_noise(3.0, 0.25, noise)
    assert noisy.mean() == pytest.approx(3, abs=0.01) and noisy.std() == pytest.approx(0.25, rel=0.01)


def test_noise_levels_by_hand():
    """Between 80 and 0.002 lies the 7th power of the mean of their 7th roots, 1.870122 and 0.411560."""
    np.testing.assert_allclose(diffusion.noise_levels(3, 0.002, 80.0, 7.0), [80, 1.1408410**7, 0.002, 0], rtol=1e-4)
    assert diffusion.noise_levels(1, 0.002, 80.0, 7.0) == pytest.approx([80, 0])


def test_a_step_of_heun_by_hand():
    """Where the denoiser halves, from 2 to 1: slope 1/4, so 3/4; slope there 3/8; mean 5/16. To 0, Euler alone: 1/2."""

    def halved(x, sigma):
        return 0.5 * x

    assert diffusion.heun_step(halved, 1.0, 2.0, 1.0) == 1 - 5 / 16
    assert diffusion.heun_step(halved, 1.0, 2.0, 0.0) == 1 / 2


def ideal(mean, spread):
    """The denoiser of data from N(mean, spread^2): between the image and the mean, as their variances say."""
    return lambda x, sigma: (spread**2 * x + sigma**2 * mean) / (spread**2 + sigma**2)


def toy(steps, mean=-0.6, spread=0.5):
    noise = np.random.default_rng(0).standard_normal(200_000)
    levels = diffusion.noise_levels(steps, 0.002, 80.0, 7.0)
    return diffusion.heun(ideal(mean, spread), levels[0] * noise, levels), noise


def exact(noise, mean=-0.6, spread=0.5):
    """Where the way of each sample ends, in closed form: the distance to the mean shrinks like the spread."""
    return mean + (80 * noise - mean) * spread / np.hypot(spread, 80)


def test_the_sampler_recovers_mean_and_variance_of_normal_data():
    found, noise = toy(128)
    assert found.mean() == pytest.approx(-0.6, abs=5e-3) and found.std() == pytest.approx(0.5, rel=5e-3)
    np.testing.assert_allclose(found, exact(noise), atol=5e-3)


def test_twice_the_steps_of_heun_leave_about_a_quarter_of_the_error():
    errors = []
    for steps in (16, 32, 64):
        found, noise = toy(steps)
        errors.append(np.abs(found - exact(noise)).mean())
    ratios = np.divide(errors[:-1], errors[1:])
    assert (ratios > 3).all() and (ratios < 6).all(), errors


def test_half_of_the_noise_is_weaker_than_the_median(small):
    strength = np.random.default_rng(0).standard_normal(20_001).astype(np.float32)
    logarithms = np.log(np.array(small.sigma(strength)))
    assert np.median(logarithms) == pytest.approx(-1.2, abs=0.03) and logarithms.std() == pytest.approx(1.2, rel=0.02)


def test_at_first_the_network_answers_nothing(small):
    """So D is c_skip x, and the loss is what it leaves of slices and noise."""
    x, sigma = np.full((2, 32, 32, 1), 0.8, np.float32), np.array([0.5, 1.2], np.float32).reshape(2, 1, 1, 1)
    fresh = registry.network("diffusion").from_preset(**SMALL)
    denoised = np.array(fresh.denoise(x, sigma))
    np.testing.assert_allclose(denoised[:, 0, 0, 0], [0.4, 0.8 * 25 / 169], rtol=1e-5)


def test_the_mean_is_that_of_all_steps_and_is_kept(tmp_path):
    rng, fresh = np.random.default_rng(0), registry.network("diffusion").from_preset(**SMALL)
    batches = rng.random((3, 4, 32, 32, 1)).astype(np.float32)
    for batch in batches:
        fresh.train_on_batch(batch)
    mean = 2 * batches.mean(axis=(0, 1))
    np.testing.assert_allclose(np.array(fresh.mean.image), mean, atol=1e-6)
    models.save(fresh, tmp_path / "model.keras")
    again = models.load(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.array(again.mean.image), np.array(fresh.mean.image))
    np.testing.assert_allclose(np.array(again.outside(again.inside(batches[0]))), batches[0], atol=1e-6)
    assert any(variable is again.mean.image for variable in again.sampler().weights), "goes wherever the sampler goes"
    np.testing.assert_array_equal(again.sample(2, seed=1), fresh.sample(2, seed=1))


def test_the_noise_of_the_profile_hides_where_a_slice_comes_from(store):
    """The best denoiser of slices draws all of them equally often only if the first noise hides which it was."""
    images = store.split("train")
    slices = 2.0 * images.reshape(len(images), -1) / 255

    def denoise(x, sigma):
        squares = (x**2).sum(axis=1)[:, None] - 2 * x @ slices.T + (slices**2).sum(axis=1)
        weights = np.exp((squares.min(axis=1, keepdims=True) - squares) / (2 * sigma**2))
        return weights / weights.sum(axis=1, keepdims=True) @ slices

    config = profiles.resolve("quick").networks["diffusion"].overrides
    highest = config["sigma_max"] * store.image_size / 64  # a slice's length goes with its sides
    levels = diffusion.noise_levels(16, config["sigma_min"], highest, 7.0)
    noise = np.random.default_rng(0).standard_normal((2000, slices.shape[1]))
    drawn = diffusion.heun(denoise, slices.mean(axis=0) + highest * noise, levels)
    brightness = np.quantile(slices.mean(axis=1), [0.2, 0.4, 0.6, 0.8])
    shares = np.bincount(np.searchsorted(brightness, drawn.mean(axis=1)), minlength=5) / 2000
    np.testing.assert_allclose(shares, 0.2, atol=0.04)


def test_the_loss_of_a_step_by_hand():
    """Grey slices of two strengths, sigma 0.3012: the fresh denoiser answers c_skip x."""
    fresh = registry.network("diffusion").from_preset(**SMALL)
    noise = np.random.default_rng(0).standard_normal((4, 32, 32, 1)).astype(np.float32)
    fresh.draw_noise = lambda n: {
        "strength": keras.ops.zeros((n, 1, 1, 1)),
        "noise": keras.ops.convert_to_tensor(noise),
    }
    images = np.float32([0.25, 0.25, 0.75, 0.75]).reshape(4, 1, 1, 1) * np.ones((4, 32, 32, 1), np.float32)
    loss = fresh.train_on_batch(images, return_dict=True)["loss"]
    clean = 2 * images
    sigma = np.exp(-1.2)
    skip = 0.25 / (sigma**2 + 0.25)
    weight = (sigma**2 + 0.25) / (0.5 * sigma) ** 2
    assert float(loss) == pytest.approx(weight * np.square(skip * (clean + sigma * noise) - clean).mean(), rel=1e-4)


def test_steps_of_the_sampler(small):
    for layer in small.unet.layers:  # a network that does something
        layer.set_weights([np.random.default_rng(1).normal(0, 0.1, w.shape) for w in layer.get_weights()])
    same, other = small.sample(2, seed=1, steps=3), small.sample(2, seed=1, steps=5)
    assert np.array_equal(same, small.sample(2, seed=1)) and not np.allclose(same, other)
    for steps in (0, 2.5, "3"):
        with pytest.raises(InputError, match=f"steps must be a whole number of at least 1, not {steps!r}"):
            small.sample(2, steps=steps)


@pytest.mark.parametrize(
    "wrong",
    [{"sigma_min": 0.0}, {"sigma_data": 0.0}, {"sigma_min": 90.0}, {"rho": 0.0}, {"noise_spread": 0.0}, {"sigma_max": 1e30}],
)
def test_noise_that_no_sampler_can_take(wrong):
    with pytest.raises(InputError, match="sigma_max above sigma_min, above 0"):
        registry.network("diffusion").from_preset(**SMALL, **wrong)


def test_statistics_of_a_batch_would_mix_noise_levels():
    with pytest.raises(InputError, match="norm must not be 'batch' in a diffusion model"):
        registry.network("diffusion").from_preset(**SMALL | {"norm": "batch"})


def test_what_training_and_sampling_cost(small):
    found, forward = cost.operations(small), architecture.flops(small.unet)
    assert found["training"] == 3 * forward and found["sample"] == 5 * forward, "2 a step, 1 in the last of 3"
    assert found["sampling"] == found["parameters"] == small.unet.count_params(), "the same weights each time"


def test_it_does_not_reconstruct_and_says_why(small):
    assert not hasattr(small, "reconstruct")
    with pytest.raises(AttributeError, match="it has no encoder"):
        small.reconstruct(np.zeros((1, 32, 32, 1)))
