"""Features of VGG: weights that come with the kit, others that are there, missing or damaged, and the loss of the DFC-VAE."""

import shutil
import socket
import subprocess
import sys
import urllib.error
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from dwikit import models
from dwikit.common.errors import InputError
from dwikit.models import features

ROOT = Path(__file__).parents[2]
SMALL = {"image_size": 32, "width": 0.125}
LAYERS = ("block1_conv1", "block2_conv1", "block3_conv1")
DEEP = ("block1_conv1", "block4_conv2")


@pytest.fixture
def images():
    return np.random.default_rng(0).random((2, 16, 16, 1), np.float32)


@pytest.fixture
def no_network(monkeypatch):
    """Every attempt to reach another machine is counted and fails."""
    tried = []

    def refuse(*arguments, **settings):
        tried.append(arguments)
        raise OSError("no network in this test")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tried


def arrays():
    with np.load(features.SHIPPED) as stored:
        return dict(stored)


# ==== The weights that come with the kit ====


def test_their_values_are_those_that_public_code_states():
    found = arrays()
    assert found["block1_conv1/kernel"][0, 0, 0, 0] == pytest.approx(0.42947057, abs=5e-9)
    assert found["block1_conv1/bias"][25] == pytest.approx(0.7446502, abs=5e-8)
    assert found["block1_conv2/kernel"][2, 2, 63, 63] == pytest.approx(0.016082443, abs=5e-10)
    assert found["block2_conv1/bias"][1] == pytest.approx(0.06440781, abs=5e-9)
    assert all(array.dtype == np.float32 for array in found.values())
    assert sum(array.size for array in found.values()) == 555_328


def test_they_are_equal_to_the_file_published_by_keras():
    path = features.cached("vgg16")
    if not path.is_file():
        pytest.skip(f"{path} is not here: dwikit.models.features.imagenet_weights() fetches it where there is a network")
    published, found = keras.applications.VGG16(include_top=False, weights=path), arrays()
    assert len(found) == 10
    for name in sorted({name.split("/")[0] for name in found}):
        kernel, bias = published.get_layer(name).get_weights()
        np.testing.assert_array_equal(found[f"{name}/kernel"], kernel)
        np.testing.assert_array_equal(found[f"{name}/bias"], bias)


def convolved(x, kernel, bias):
    """A 3 x 3 convolution with zeros around the image and a ReLU, pixel by pixel: (B, H, W, C) in numpy."""
    padded = np.pad(x.astype(np.float64), [(0, 0), (1, 1), (1, 1), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return np.maximum(np.einsum("bhwcij,ijcd->bhwd", windows, kernel, optimize=True) + bias, 0)


def by_hand(images, caffe=False):
    """The released code's three layers, computed plainly."""
    weights = arrays()

    def layer(x, name):
        return convolved(x, weights[f"{name}/kernel"], weights[f"{name}/bias"])

    def halved(x):
        batch, height, width, channels = x.shape
        return x.reshape(batch, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))

    x = np.repeat(images, 3, axis=-1)
    x = 255 * x - np.array([103.939, 116.779, 123.68]) if caffe else x
    one = layer(x, "block1_conv1")
    two = layer(halved(layer(one, "block1_conv2")), "block2_conv1")
    return one, two, layer(halved(layer(two, "block2_conv2")), "block3_conv1")


@pytest.mark.parametrize("feature_input", ["unit", "caffe"])
def test_the_features_are_those_of_a_plain_computation(images, feature_input):
    found = features.load(LAYERS, "vgg16", feature_input)(images)
    for one, other in zip(found, by_hand(images, feature_input == "caffe"), strict=True):
        assert other.max() > 0
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * other.max())


@pytest.mark.parametrize("layer", range(3))
def test_one_layer_alone_is_compared_as_one_of_several(layer):
    """Keras gives a network with one output without its list, and a sum over the batch looks like one over layers."""
    images = np.random.default_rng(3).random((2, 32, 32, 1), np.float32)
    (found,), several = features.load(LAYERS[layer : layer + 1])(images), features.load(LAYERS)(images)
    np.testing.assert_allclose(found, several[layer], rtol=1e-5, atol=1e-6)
    for reduction in ("mean", "sum"):
        model = models.DFCVAE.from_preset(**SMALL, feature_layers=LAYERS[layer : layer + 1], feature_reduction=reduction)
        terms = [model.reconstruction_terms(images[:n], 1 - images[:n])["perceptual"] for n in (1, 2)]
        alone = [model.reconstruction_terms(images[i : i + 1], 1 - images[i : i + 1])["perceptual"] for i in (0, 1)]
        assert float(terms[1]) == pytest.approx(np.mean([float(one) for one in alone]), rel=1e-4)
    assert np.isfinite(model.train_on_batch(images, return_dict=True)["loss"])


def test_other_weights_than_imagenets_are_refused(tmp_path, monkeypatch):
    path, altered = tmp_path / "altered.npz", {name: 2 * array for name, array in arrays().items()}
    np.savez(path, **altered)
    monkeypatch.setattr(features, "SHIPPED", path)
    with pytest.raises(InputError, match="altered.npz is missing or damaged .*other bytes.*install it again"):
        features.load(LAYERS)


def test_the_loss_is_that_of_a_plain_computation():
    """Sec. 2.3, eq. 6-7, at the printed weight: sums over features and layers, times the batch of 64; KL as a mean."""
    batch = np.random.default_rng(1).random((4, 32, 32, 1), np.float32)
    model = models.DFCVAE.from_preset(**SMALL)
    noise = model.draw_noise(4)
    model.draw_noise = lambda n: noise
    mean, log_variance = (np.array(x, np.float64) for x in model.encoder(batch, training=True))
    z = mean + np.exp(log_variance / 2) * np.array(noise["z"])
    drawn = np.array(model.decoder(z.astype(np.float32), training=True))
    perceptual = sum(np.sum((a - b) ** 2) for a, b in zip(by_hand(batch), by_hand(drawn))) / 4
    kl = np.mean(0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance))
    logs = model.train_on_batch(batch, return_dict=True)
    assert float(logs["perceptual"]) == pytest.approx(perceptual, rel=1e-3)
    assert float(logs["loss"]) == pytest.approx(kl + 2e-9 * 64 * (128 / 32) ** 2 * perceptual, rel=1e-3)


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_nothing_is_downloaded(preset, no_network, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    model = models.DFCVAE.from_preset(preset, **SMALL)
    model.train_on_batch(np.zeros((4, 32, 32, 1), np.float32))
    features.load(("block2_conv2", "block3_conv1"), feature_input="caffe")
    assert not no_network and not list(tmp_path.rglob("*.h5"))
    with pytest.raises(InputError, match="no network in this test"):
        features.load(DEEP)
    assert no_network, "deeper layers need a network, so an attempt would have been seen"


def test_the_network_without_weights_has_the_same_layers():
    """Operations are counted on it."""
    plain = features.network(LAYERS, image_size=32)
    assert [tuple(output.shape[1:]) for output in plain.outputs] == [(32, 32, 64), (16, 16, 128), (8, 8, 256)]
    assert sum(int(np.prod(weight.shape)) for weight in plain.weights) == 555_328
    for name in features.VGG:
        whole = features.VGG[name](include_top=False, weights=None)
        last = whole.get_layer("block5_conv3").output
        ours, theirs = features.network(("block5_conv3",), name), keras.Model(whole.input, last)
        assert [weight.shape for weight in ours.weights] == [weight.shape for weight in theirs.weights]
        assert [layer.name for layer in ours.layers if layer.weights] == [
            layer.name for layer in theirs.layers if layer.weights
        ]


def test_a_damaged_file_is_named(tmp_path, monkeypatch):
    damaged = tmp_path / "weights.npz"
    damaged.write_bytes(features.SHIPPED.read_bytes()[:1000])
    for path in (damaged, tmp_path / "gone.npz"):
        monkeypatch.setattr(features, "SHIPPED", path)
        with pytest.raises(InputError, match=f"{path.name} is missing or damaged"):
            features.load(LAYERS)


def test_feature_networks_are_no_part_of_the_model(tmp_path):
    model = models.DFCVAE.from_preset(**SMALL)
    vae = models.VAE.from_preset(**SMALL)
    assert [v.shape for v in model.variables] == [v.shape for v in vae.variables]
    frozen = [np.array(w) for w in model.extractor.network.get_weights()]
    model.train_on_batch(np.random.default_rng(0).random((8, 32, 32, 1), np.float32))
    assert all(np.array_equal(a, b) for a, b in zip(frozen, model.extractor.network.get_weights()))
    models.save(model, tmp_path / "model.keras")
    loaded = models.load(tmp_path / "model.keras")
    assert loaded.extractor.network is None and np.array_equal(loaded.sample(2), model.sample(2))
    loaded.train_on_batch(np.zeros((8, 32, 32, 1), np.float32))
    assert loaded.extractor.network is not None


def test_the_wheel_holds_the_weights_their_card_and_the_notice(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    for name in ("dwikit", "figures"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.svg", "*.png"))
    build = "from setuptools.build_meta import build_wheel; print(build_wheel('..'))"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True, text=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = {Path(name).name: archive.read(name) for name in archive.namelist() if "vgg16" in name or "NOTICE" in name}
    assert inside[features.SHIPPED.name] == features.SHIPPED.read_bytes()
    assert {"NOTICE", "README.md", features.SHIPPED.name} == set(inside)
    for text in (inside["NOTICE"], inside["README.md"]):
        assert all(word in text.decode() for word in ("CC BY 4.0", "Simonyan", "Zisserman", "ImageNet"))
    assert f"vgg16/{features.SHIPPED.name}" in inside["NOTICE"].decode()


# ==== Other layers, and VGG19 ====


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def offline(*arguments, **settings):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(features.urllib.request, "urlopen", offline)
    return tmp_path


@pytest.mark.parametrize(
    ("preset", "changes", "network"), [("canonical", {}, "vgg19"), ("paper", {"feature_layers": DEEP}, "vgg16")]
)
def test_without_their_weights_the_message_says_what_to_put_where(preset, changes, network, keras_home):
    with pytest.raises(InputError) as error:
        models.DFCVAE.from_preset(preset, **SMALL, **changes)
    expected = keras_home / "models" / f"{network}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    for words in (str(expected), "https://", "KERAS_HOME", "feature_network vgg16", "no route to host"):
        assert words in str(error.value)


def test_weights_in_the_cache_are_used(keras_home, images):
    path = features.cached("vgg16")
    path.parent.mkdir()
    path.write_bytes(b"not weights")
    with pytest.raises(InputError, match="cannot be read as the weights of VGG16"):
        features.load(DEEP)
    vgg = keras.applications.VGG16(include_top=False, weights=None)
    with h5py.File(path, "w") as file:  # the format of the published file
        legacy_h5_format.save_weights_to_hdf5_group(file, vgg)
    outputs = features.load(DEEP)(images)
    taps = keras.Model(vgg.input, [vgg.get_layer(name).output for name in DEEP])
    for one, other in zip(outputs, taps(np.repeat(images, 3, axis=-1)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_layers_networks_and_inputs_that_do_not_exist(keras_home):
    for changes, message in (
        ({"feature_layers": ["relu4"]}, "no feature layer 'relu4'.*Known: block1_conv1, block1_conv2"),
        ({"feature_layers": ["block3_conv4"]}, "no feature layer 'block3_conv4'"),
        ({"feature_layers": []}, "feature_layers must be a list such as"),
        ({"feature_network": "resnet"}, "vgg16, vgg19"),
        ({"feature_input": "torch"}, "unit, caffe"),
    ):
        with pytest.raises(InputError, match=message):
            models.DFCVAE.from_preset(**SMALL, **changes)
