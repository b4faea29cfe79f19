"""The networks: counts, presets, losses, what a step may change, files that hold everything, and bad input."""

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from dwikit import models
from dwikit.backend.gradients import input_gradient
from dwikit.common.errors import InputError
from dwikit.models import cost, layers, losses, presets, registry
from dwikit.models.style_gan import networks

REFERENCE = json.loads((Path(__file__).parents[1] / "reference.json").read_text())["trainable_parameters_at_128"]
SMALL = {"image_size": 32, "width": 0.125}
STYLE = {"latent_size": 16, "mapping_width": 16}


def batch(n=8, size=32, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    radius = np.hypot(y - rng.uniform(0.4, 0.6, (n, 1, 1)), x - 0.5)
    return (np.clip(1.2 - 3 * radius, 0.02, 0.9) + 0.1 * rng.random((n, size, size)))[..., None].astype(np.float32)


@pytest.fixture(scope="module")
def small():
    """A fresh small model of each kind, with everything that a file must keep: averages, dropout, counters."""

    def build(key, **changes):
        settings = {
            "vae": {},
            "dfc_vae": {},
            "intro_vae": {"channels": [8, 16, 16], "norm": "group", "latent_size": 16, "ema": 0.9, "warmup_steps": 2},
            "style_gan": {**STYLE, "preset": "released", "noise": "normal", "ema": 0.9, "mixing": 0.5, "penalty_interval": 2},
            "diffusion": {"channels": [8, 16], "blocks": 1, "embedding": 16, "place": 2, "sampler_steps": 3, "ema": 0.9},
        }[key] | changes
        name = settings.pop("preset", "paper")
        return registry.network(key).from_preset(name, **{**SMALL, **settings})

    return build


# ==== Networks and presets ====


@pytest.mark.parametrize("entry", [name for name in REFERENCE if "/" in name])
def test_parameter_counts_at_128_pixels(entry):
    key, name = entry.split("/")
    name, *override = name.split(", ")
    config = presets.preset(
        registry.network(key), name, overrides={k: int(v) for k, v in (text.split("=") for text in override)}
    )
    if key == "style_gan":
        mapping, synthesis = networks.mapping_network(config), networks.synthesis_network(config)
        found = {"generator": count(mapping) + count(synthesis), "critic": count(networks.critic_network(config))}
    else:
        model = registry.network(key)(**config)
        found = {"encoder": count(model.encoder), "decoder": count(model.decoder)}
    assert found == {part: REFERENCE[entry][part] for part in found}


def count(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


@pytest.mark.parametrize(("key", "name"), [(key, name) for key in registry.keys() for name in registry.network(key).presets])
@pytest.mark.parametrize("size", [32, 64, 256])
def test_every_preset_makes_images_of_every_size(key, name, size):
    extra = {"dfc_vae": {"feature_network": "vgg16"}, "diffusion": {"sampler_steps": 2}}  # VGG19 does not come with the kit
    model = registry.network(key).from_preset(name, image_size=size, width=0.0625, **extra.get(key, {}))
    images = model.sample(2)
    assert images.shape == (2, size, size, 1) and images.dtype == np.float32
    assert images.min() >= 0 and images.max() <= 1


def test_every_value_of_a_preset_is_json():
    for key, network in registry.networks().items():
        found = [presets.preset(network, name) for name in network.presets]
        assert len(found) == {"intro_vae": 4}.get(key, 3 if network.section else 1) and all(
            set(one) == set(found[0]) for one in found
        ), key
        json.dumps(found)


def test_every_value_of_a_preset_has_its_source():
    for network in registry.networks().values():
        for name in network.presets:
            assert all(setting.source for setting in presets.settings(network, name).values()), (network.key, name)


def test_the_quick_recipes_can_be_expressed():
    vae = models.VAE.from_preset(
        image_size=64, channels=(32, 64, 128, 256), norm=None, slope=0.2, upsampling="transposed", initializer="he_normal",
        kl_reduction="sum", reconstruction_weight=4096.0, learning_rate=1e-3, batch_size=8,
    )  # fmt: skip
    assert vae.decoder.layers[1].units == 4 * 4 * 256
    intro = models.IntroVAE.from_preset(
        image_size=64, architecture="plain", channels=(32, 64, 128, 128), latent_size=64, norm="group", slope=0.2,
        upsampling="transposed", margin=60.0, real_weight=1.0, reconstruction_weight=0.25, learning_rate=5e-4,
        warmup_steps=800, ema=0.98,
    )  # fmt: skip
    assert (round(count(intro.encoder) / 1e6, 2), round(count(intro.generator) / 1e6, 2)) == (0.69, 0.56)
    style = models.StyleGAN.from_preset(
        "canonical", image_size=64, channels=(16, 32, 64, 128), critic_channels=(32, 64, 128, 128), latent_size=128,
        mapping_layers=2, mapping_width=128, mapping_multiplier=1.0, constant_size=8, constant="normal",
        block_convolutions=1, blur=False, output="dark_sigmoid", mixing=0.0, critic="strided", penalty=0.5,
        penalty_interval=8, learning_rate=2.5e-3, ema=0.99, batch_size=8,
    )  # fmt: skip
    assert style.map_sizes == [8, 8, 16, 32, 64]
    assert style.sample(2).shape == (2, 64, 64, 1)


def test_the_first_samples_do_not_depend_on_how_many_are_drawn(small):
    for key in registry.keys():
        model = small(key)
        assert np.allclose(model.sample(2, seed=3), model.sample(5, seed=3)[:2], atol=1e-6)
        assert not np.allclose(model.sample(2, seed=3), model.sample(2, seed=4))


# ==== Layers and losses ====


def test_blur_is_the_binomial_kernel():
    image = np.zeros((1, 5, 5, 1), np.float32)
    image[0, 2, 2] = 16
    expected = np.outer([1, 2, 1], [1, 2, 1])
    assert np.allclose(np.array(layers.blur(image))[0, 1:4, 1:4, 0], expected)


def test_adain_gives_the_mean_and_spread_of_the_style():
    x = np.random.default_rng(0).normal(3, 2, (2, 16, 16, 3)).astype(np.float32)
    style = np.array([[0.5, 0, 1, -1, 2, 0], [0, 0, 0, 5, 5, 5]], np.float32)
    y = np.array(layers.AdaIN()(x, style))
    assert np.allclose(y.mean(axis=(1, 2)), style[:, 3:], atol=1e-4)
    assert np.allclose(y.std(axis=(1, 2)), 1 + style[:, :3], atol=1e-3)


@pytest.mark.parametrize("n", [1, 3, 4, 8, 9])
def test_minibatch_deviation_of_any_batch(n):
    layer = layers.MinibatchDeviation(4)
    x = np.random.default_rng(0).normal(size=(n, 4, 4, 2)).astype(np.float32)
    y = np.array(layer(x))
    assert y.shape == (n, 4, 4, 3) and np.array_equal(y[..., :2], x)
    groups = max(n // 4, 1)
    first = x[: n // groups * groups : groups]
    assert np.allclose(y[0, ..., 2], first.std(axis=0).mean(), atol=1e-4)
    assert np.allclose(np.array(layer(np.ones_like(x)))[..., 2], 0, atol=1e-3)


def test_kl_divergence_against_its_limits():
    zero = np.zeros((3, 7), np.float32)
    assert float(losses.kl_sum(zero, zero)) == 0
    assert np.isclose(float(losses.kl_sum(zero + 1, zero)), 3.5)
    assert np.isclose(float(losses.kl_mean(zero, zero + 1)), 0.5 * (np.e - 2))


def test_gradient_penalty_of_a_linear_critic():
    x = np.zeros((4, 8, 8, 1), np.float32)
    epsilon = np.full((4, 1, 1, 1), 0.3, np.float32)

    def slope(c):  # gradient c at each of 64 pixels: its norm is 8 c
        return lambda images: c * ops.sum(images, axis=(1, 2, 3))

    real, fake = ops.convert_to_tensor(x), ops.convert_to_tensor(x + 1)
    assert np.isclose(float(losses.gradient_penalty(slope(1 / 8), real, fake, epsilon)), 0, atol=1e-6)
    assert np.isclose(float(losses.gradient_penalty(slope(3 / 8), real, fake, epsilon)), 4)
    assert np.isclose(float(losses.r1_penalty(slope(3 / 8), real)), 4.5)


def test_sums_over_pixels_are_defined_at_128(small):
    images, others = batch(2), batch(2, seed=1)
    doubled = [np.repeat(np.repeat(x, 4, axis=1), 4, axis=2) for x in (images, others)]
    assert np.isclose(
        float(small("intro_vae").reconstruction_error(images, others)), float(losses.squared_error_sum(*doubled)), rtol=1e-5
    )


def test_intro_vae_losses_as_written_in_the_design(small):
    model = small("intro_vae")
    kl_real, kl_rec, kl_fake, rec = 40.0, 100.0, 130.0, 300.0
    expected = 0.25 * kl_real + 0.25 * ((110 - kl_rec) + 0) + 0.5 * rec
    assert np.isclose(float(model.encoder_loss(kl_real, kl_rec, kl_fake, rec)), expected)
    assert np.isclose(float(model.generator_loss(kl_rec, kl_fake, rec)), 0.25 * (kl_rec + kl_fake) + 0.5 * rec)


def test_files_of_earlier_versions_lack_settings(small):
    config = {name: value for name, value in small("intro_vae").get_config().items() if name not in models.IntroVAE.added}
    again = models.IntroVAE(**config)
    assert again.config["game"] == "hinge" and set(again.config) == set(small("intro_vae").config)


def test_the_soft_game_as_its_paper_writes_it(small):
    """Eq. 4 of Daniel & Tamar: everything that the encoder's step minimizes, times the number of pixels."""
    model = small("intro_vae", preset="soft", warmup_steps=0)
    kl, error = np.array([40.0, 900.0]), np.array([30.0, 5.0])
    scale, energies = 1 / 128**2, 85.0 * kl + 1.0 * error
    assert np.isclose(float(losses.soft_hinge(energies.astype("float32"))), np.mean(np.exp(-2 * scale * energies)) / 2 / scale)
    images, noise = batch(), model.draw_noise(8)
    kl, term = model.soft_term(images, noise["z_fake"])
    mean, log_variance = (np.asarray(x, np.float64) for x in model.encoder(images, training=True))
    kl_each = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(axis=1)
    latents = (mean + np.exp(log_variance / 2) * np.asarray(noise["z_fake"])).astype("float32")
    error = 16 * ((images - np.asarray(model.generator(latents, training=True))) ** 2).sum(axis=(1, 2, 3))
    assert np.isclose(float(kl), kl_each.mean(), rtol=1e-4)
    wanted = np.mean(np.exp(-2 * scale * (85.0 * kl_each + error))) / 2 / scale
    assert np.isclose(float(term), wanted, rtol=1e-3)


def test_the_soft_game_judges_fakes_as_constants_and_needs_no_margin(small):
    model = small("intro_vae", preset="soft", warmup_steps=1)
    first = model.train_on_batch(batch(), return_dict=True)
    assert first["kl_rec"] == first["kl_fake"] == model.config["margin"], "a plain VAE in the warm-up"
    noise = model.draw_noise(8)["z_rec"]
    assert input_gradient(lambda x: model.soft_term(x, noise)[1], ops.convert_to_tensor(batch())) is None
    assert input_gradient(lambda x: model.encoder(x)[0], ops.convert_to_tensor(batch())) is not None
    model.reset_metrics()
    second = model.train_on_batch(batch(), return_dict=True)
    assert second["kl_rec"] != second["kl_fake"] and "margin" not in model.objective and "large" in model.objective
    assert model.ailing([{"kl_fake": 1e6}] * 5) is None
    assert cost.operations(model)["training"] > cost.operations(small("intro_vae"))["training"]


# ==== Training ====


def test_intro_vae_keeps_statistics_of_real_slices_only():
    model = models.IntroVAE.from_preset(**SMALL, latent_size=16)
    moving = [v for v in model.encoder.non_trainable_variables if "moving" in v.path]
    before = [np.array(v) for v in moving]
    model.kl_of_fakes(batch(), batch(seed=1), step=0)
    assert all(np.array_equal(v, b) for v, b in zip(moving, before))
    model.encoder(batch(), training=True)
    assert not any(np.array_equal(v, b) for v, b in zip(moving, before))


def test_the_warm_up_is_a_plain_vae(small):
    model = small("intro_vae", warmup_steps=1, architecture="plain")
    first = model.train_on_batch(batch(), return_dict=True)
    assert first["kl_rec"] == first["kl_fake"] == model.config["margin"]
    model.reset_metrics()
    second = model.train_on_batch(batch(), return_dict=True)
    assert second["kl_rec"] != second["kl_fake"]


@pytest.fixture
def mixed():
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


MIXED = [
    *[(key, {}) for key in registry.keys()],
    *[("style_gan", {"output": output}) for output in ("dark_sigmoid", "linear")],
    *[("style_gan", {"loss": loss, "penalty_interval": 1}) for loss in ("wasserstein", "logistic")],
    *[("style_gan", {"critic": critic, "preset": "paper"}) for critic in ("progressive", "strided")],
    *[("intro_vae", {"architecture": "plain", "upsampling": upsampling}) for upsampling in ("nearest", "transposed")],
    *[("intro_vae", {"output": "linear", "norm": None}), ("diffusion", {"patch": 2})],
]


@pytest.mark.parametrize(("key", "changes"), MIXED, ids=str)
def test_every_setting_trains_in_mixed_precision_with_losses_in_float32(key, changes, small, mixed):
    changes = {"feature_network": "vgg16"} | changes if key == "dfc_vae" else changes
    model = small(key, **changes)
    model.run_eagerly = True
    parts = {name: network for name, network in vars(model).items() if isinstance(network, keras.Model)}
    ends = [network for name, network in parts.items() if "mapping" not in name]  # whose styles go on into synthesis
    assert {str(output.dtype) for network in ends for output in network.outputs} == {"float32"}
    logs = model.train_on_batch(batch(8), return_dict=True)
    assert logs and np.isfinite(list(logs.values())).all()


def test_penalties_come_every_other_step(small):
    model = small("style_gan")
    penalties = []
    for _ in range(4):
        model.reset_metrics()
        penalties.append(float(model.train_on_batch(batch(), return_dict=True)["penalty"]))
    assert [value > 0 for value in penalties] == [True, False, True, False]


def test_the_generator_learns_only_in_its_own_step(small):
    """The critic's step must not move the generator, nor the other way round; the average follows."""
    model = small("style_gan", decay=0.0)
    before = {name: [np.array(v) for v in getattr(model, name).trainable_variables] for name in ("critic", "synthesis")}
    model.critic_optimizer.learning_rate = 0.0
    model.train_on_batch(batch())
    same = [np.array_equal(v, b) for v, b in zip(model.critic.trainable_variables, before["critic"])]
    moved = [not np.array_equal(v, b) for v, b in zip(model.synthesis.trainable_variables, before["synthesis"])]
    assert all(same) and sum(moved) > len(moved) // 2
    average = [np.array(v) for v in model.average_synthesis.variables]
    assert any(not np.array_equal(a, b) for a, b in zip(average, before["synthesis"]))


@pytest.mark.parametrize("key", registry.keys())
def test_training_goes_on_after_loading_as_if_nothing_had_happened(key, small, tmp_path):
    model = small(key)
    mixture = isinstance(model, models.Autoencoder)
    if mixture:
        model.fit_latents(batch(24), components=2)
    for i in range(3):
        model.train_on_batch(batch(seed=i))
    models.save(model, tmp_path / "model.keras")
    loaded = models.load(tmp_path / "model.keras", key=key, image_size=32)
    assert loaded.get_config() == model.get_config()
    for i in range(3, 5):
        logs = [m.train_on_batch(batch(seed=i), return_dict=True) for m in (model, loaded)]
    assert {name: float(v) for name, v in logs[0].items()} == {name: float(v) for name, v in logs[1].items()}
    for ours, theirs in zip(model.variables, loaded.variables, strict=True):
        assert np.array_equal(ours, theirs), ours.path
    for name in [name for name in vars(model) if name.endswith("_optimizer")]:
        for ours, theirs in zip(getattr(model, name).variables, getattr(loaded, name).variables, strict=True):
            assert np.array_equal(ours, theirs), ours.path
    sampler = {"sampler": "gaussian_mixture"} if mixture else {}
    assert np.array_equal(model.sample(4, **sampler), loaded.sample(4, **sampler))


@pytest.mark.parametrize("key", registry.keys())
def test_training_does_not_depend_on_what_was_built_before(key, small):
    """TensorFlow sums three gradients or more in an order that depends on the names of layers, which Keras numbers."""
    ends = []
    for built in (0, 3):
        keras.Sequential([keras.layers.Dense(2) for _ in range(built)])
        model = small(key)
        for i in range(4):
            model.train_on_batch(batch(seed=i))
        ends.append([keras.ops.convert_to_numpy(variable) for variable in model.variables])
    assert all(np.array_equal(a, b) for a, b in zip(*ends, strict=True))


# ==== Sampling ====


def test_the_mixture_puts_latents_where_those_of_training_are():
    vae = models.VAE.from_preset(**SMALL, latent_size=4)
    means = np.repeat([[-3.0, 0, 0, 0], [3.0, 1, 1, 1]], 100, axis=0) + np.random.default_rng(0).normal(0, 0.1, (200, 4))
    vae.encode = lambda images: means
    vae.decode = lambda latents: latents
    vae.fit_latents(None, components=2)
    latents = vae.sample(2000, sampler="gaussian_mixture")
    assert np.allclose(latents.mean(axis=0), means.mean(axis=0), atol=0.15)
    assert np.allclose(np.cov(latents.T), np.cov(means.T), atol=0.3)
    assert np.array_equal(vae.sample(10, sampler="gaussian_mixture"), latents[:10])


def test_truncation_and_mixing_of_styles(small):
    model = small("style_gan")
    coarse, fine = model.draw_latents(3, seed=1), model.draw_latents(3, seed=2)
    layers = len(model.map_sizes)
    assert np.allclose(model.mix(coarse, fine, layers), model.decode(coarse), atol=1e-6)
    assert np.allclose(model.mix(coarse, fine, 0), model.decode(fine), atol=1e-6)
    assert not np.allclose(model.mix(coarse, fine, 2), model.decode(coarse), atol=1e-6)
    still = model.draw(np.repeat(model.styles(coarse)[:1, None], layers, axis=1).repeat(3, axis=0), 5)
    middle = model.decode(coarse, truncation=0.0, noise_seed=5)
    assert np.std(middle - still, axis=0).max() < np.std(model.decode(coarse, noise_seed=5) - still, axis=0).max()
    with pytest.raises(InputError, match="crossover from 0 to"):
        model.mix(coarse, fine, layers + 1)


def test_images_come_as_bytes_or_as_numbers(small):
    vae = small("vae")
    images = np.round(255 * batch(3)).astype(np.uint8)
    for same in (images[..., 0], images / 255, (images / 255).astype(np.float32)):
        assert np.allclose(vae.encode(same), vae.encode(images), atol=1e-5)
    assert vae.reconstruct(images).shape == (3, 32, 32, 1)
    assert 0 <= vae.active_latents(images) <= 200


# ==== Bad input ====


@pytest.mark.parametrize(
    "images, words",
    [
        (batch() * 255, "must lie in \\[0, 1\\]; these go from"),
        (batch() - 0.5, "must lie in \\[0, 1\\]"),
        (np.where(batch() > 0.5, np.nan, batch()), "must lie in"),
        ((255 * batch()).astype(np.int16), "not int16"),
        (batch(size=64), "must be \\(N, 32, 32\\)"),
        (batch()[:0], "1 or more"),
        (batch()[0], "must be"),
    ],
)
def test_images_that_are_none(images, words, small):
    for use in ("encode", "reconstruct", "fit_latents"):
        with pytest.raises(InputError, match=words):
            getattr(small("vae"), use)(images)


@pytest.mark.parametrize(
    "key, settings, words",
    [
        ("vae", {"image_size": 48}, "power of two"),
        ("vae", {"image_size": 16}, "power of two"),
        ("vae", {"width": 0}, "width"),
        ("vae", {"name": "papper"}, "Did you mean 'paper'"),
        ("vae", {"latent": 3}, "latent_size"),
        ("vae", {"norm": "layer"}, "batch, group, affine"),
        ("vae", {"upsampling": "cubic"}, "nearest, bilinear, transposed"),
        ("vae", {"kl_reduction": "median"}, "mean, sum"),
        ("vae", {"channels": [8] * 6, "image_size": 32}, "halved"),
        ("intro_vae", {"block": "x"}, "released, canonical"),
        ("intro_vae", {"architecture": "x"}, "residual, plain"),
        ("style_gan", {"loss": "wasserstien"}, "Did you mean 'wasserstein'"),
        ("style_gan", {"critic": "x"}, "progressive, strided, released"),
        ("style_gan", {"noise": "x"}, "normal, uniform"),
        ("style_gan", {"channels": (8, 8)}, "needs 4 channels"),
        ("style_gan", {"order": "x"}, "style_last, style_first"),
        ("diffusion", {"patch": 3}, "1, 2, 4"),
        *((key, {"channels": []}, "channels must be a list such as") for key in registry.keys()[:5]),
    ],
)
def test_settings_that_do_not_exist(key, settings, words):
    with pytest.raises(InputError, match=words):
        registry.network(key).from_preset(**{**SMALL, **settings})


def test_samplers_that_do_not_exist(small):
    with pytest.raises(InputError, match="prior, gaussian_mixture"):
        small("vae").sample(2, sampler="mixture")
    with pytest.raises(InputError, match="call fit_latents"):
        small("vae").sample(2, sampler="gaussian_mixture")
    with pytest.raises(InputError, match="10 components need"):
        small("vae").fit_latents(batch(8))


def test_files_that_hold_something_else(small, tmp_path):
    path = tmp_path / "model.keras"
    with pytest.raises(InputError, match="no model at"):
        models.load(path)
    models.save(small("vae"), path)
    for expected, words in [
        ({"key": "intro_vae"}, "key 'vae', not 'intro_vae'"),
        ({"image_size": 64}, "image_size 32, not 64"),
        ({"preset": "released"}, "preset 'paper', not 'released'"),
    ]:
        with pytest.raises(InputError, match=words):
            models.load(path, **expected)
    whole = path.read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="cannot be read as a model"):
            models.load(path)
    keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]).save(path)
    with pytest.raises(InputError, match="holds a Sequential"):
        models.load(path)


def test_a_full_disk_leaves_the_file_before(small, tmp_path):
    path = tmp_path / "model.keras"
    model = small("vae")
    models.save(model, path)
    before = path.read_bytes()
    script = f"""
import resource, signal
from dwikit import models
from dwikit.backend.gradients import input_gradient
model = models.load({str(path)!r})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
models.save(model, {str(path)!r})
"""
    assert hasattr(resource, "RLIMIT_FSIZE") and hasattr(signal, "SIGXFSZ")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode != 0 and "InputError" in done.stderr and "Free some space" in done.stderr, done.stderr[-500:]
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["model.keras"]
