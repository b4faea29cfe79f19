"""Feature networks: the pretext task, ImageNet weights that are there, missing or damaged, and the DFC-VAE's use of them."""

import urllib.error

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from dwikit import models
from dwikit.common.errors import InputError
from dwikit.models import features

SMALL = {"image_size": 32, "width": 0.125}
LAYERS = ("block1_conv1", "block2_conv1", "block3_conv1")


@pytest.fixture(scope="module")
def slices():
    """Discs whose size tells their level, with a mark that tells how they were turned."""
    rng = np.random.default_rng(0)
    levels = rng.integers(26, size=200)
    y, x = np.mgrid[:32, :32] - 15.5
    images = np.hypot(x, y)[None] < 5 + levels[:, None, None] / 3
    images = images * 120.0
    images[:, 3:8, 6:14] += 100
    return np.uint8(images + rng.uniform(0, 20, images.shape)), levels


@pytest.fixture(scope="module")
def pretext(slices, tmp_path_factory):
    path = tmp_path_factory.mktemp("features") / "pretext.keras"
    scores = features.train_pretext(*slices, path, steps=60, widths=(8, 8, 16))
    return path, scores


def test_the_pretext_network_learns_its_task(pretext):
    assert pretext[1]["orientation"] > 0.5
    assert pretext[1]["level"] < 6


def test_an_even_grey_image_is_as_far_as_in_pixels(pretext, slices):
    network = features.load(str(pretext[0]), LAYERS)
    images = slices[0][..., None].astype(np.float32) / 255
    grey = np.full_like(images, 0.5)
    distance = np.mean([np.mean((np.array(a) - np.array(b)) ** 2) for a, b in zip(network(images), network(grey))])
    assert np.isclose(distance, np.mean((images - 0.5) ** 2), rtol=0.1)


def test_the_weights_of_the_pretext_network_repeat(slices, tmp_path):
    for name in ("a", "b"):
        features.train_pretext(*slices, tmp_path / f"{name}.keras", steps=2, widths=(8, 8, 8))
    a, b = (keras.saving.load_model(tmp_path / f"{name}.keras").get_weights() for name in ("a", "b"))
    assert all(np.allclose(x, y, atol=1e-6) for x, y in zip(a, b))


def test_feature_networks_are_no_part_of_the_model(pretext, tmp_path, monkeypatch):
    model = models.DFCVAE.from_preset(features=str(pretext[0]), **SMALL)
    vae = models.VAE.from_preset(**SMALL)
    assert [v.shape for v in model.variables] == [v.shape for v in vae.variables]
    frozen = [np.array(w) for w in model.extractor.network.get_weights()]
    model.train_on_batch(np.random.default_rng(0).random((8, 32, 32, 1), np.float32))
    assert all(np.array_equal(a, b) for a, b in zip(frozen, model.extractor.network.get_weights()))
    models.save(model, tmp_path / "model.keras")
    pretext[0].rename(tmp_path / "away.keras")
    try:
        loaded = models.load(tmp_path / "model.keras")
        assert np.array_equal(loaded.sample(2), model.sample(2))
        with pytest.raises(InputError, match="no feature network at"):
            loaded.train_on_batch(np.zeros((8, 32, 32, 1), np.float32))
    finally:
        (tmp_path / "away.keras").rename(pretext[0])


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def offline(*arguments, **settings):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(features.urllib.request, "urlopen", offline)
    return tmp_path


def test_without_imagenet_weights_the_message_says_what_to_put_where(keras_home):
    with pytest.raises(InputError) as error:
        models.DFCVAE.from_preset(**SMALL)
    expected = keras_home / "models" / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    for words in (str(expected), "https://", "KERAS_HOME", "train_pretext", "no route to host"):
        assert words in str(error.value)


def test_imagenet_weights_in_the_cache_are_used(keras_home):
    path = keras_home / "models" / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    path.parent.mkdir()
    path.write_bytes(b"not weights")
    with pytest.raises(InputError, match="cannot be read as a feature network"):
        models.DFCVAE.from_preset(**SMALL)
    vgg = keras.applications.VGG16(include_top=False, weights=None)
    with h5py.File(path, "w") as file:  # the format of the published file
        legacy_h5_format.save_weights_to_hdf5_group(file, vgg)
    images = np.random.default_rng(0).random((2, 32, 32, 1), np.float32)
    outputs = features.load("imagenet", LAYERS)(images)
    assert [tuple(output.shape[1:]) for output in outputs] == [(32, 32, 64), (16, 16, 128), (8, 8, 256)]
    tap = keras.Model(vgg.input, vgg.get_layer("block1_conv1").output)
    assert np.allclose(outputs[0], tap(np.repeat(images, 3, axis=-1)), atol=1e-5) and np.min(outputs[0]) == 0
    model = models.DFCVAE.from_preset(**SMALL)
    logs = model.train_on_batch(np.repeat(images, 4, axis=0), return_dict=True)
    weighted = 2e-9 * 64 * (128 / 32) ** 2 * float(logs["perceptual"])
    assert np.isclose(float(logs["loss"]), float(logs["kl"]) + weighted, rtol=1e-4)
    with pytest.raises(InputError, match="block5_conv3"):
        models.DFCVAE.from_preset(feature_layers=["block9_conv1"], **SMALL)


def test_layers_networks_and_files_that_do_not_exist(pretext, tmp_path):
    path = str(pretext[0])
    with pytest.raises(InputError, match="Known: block1_conv1, block2_conv1, block3_conv1"):
        models.DFCVAE.from_preset(features=path, feature_layers=["relu4"], **SMALL)
    with pytest.raises(InputError, match="feature_layers is empty"):
        models.DFCVAE.from_preset(features=path, feature_layers=[], **SMALL)
    with pytest.raises(InputError, match="no feature network at pretext"):
        models.DFCVAE.from_preset(features="pretext", **SMALL)
    with pytest.raises(InputError, match="vgg16, vgg19"):
        models.DFCVAE.from_preset(feature_network="resnet", **SMALL)
    (tmp_path / "half.keras").write_bytes(pretext[0].read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be read as a feature network"):
        models.DFCVAE.from_preset(features=str(tmp_path / "half.keras"), **SMALL)


def test_slices_that_cannot_train_a_network(slices, tmp_path):
    images, levels = slices
    with pytest.raises(InputError, match="20 slices or more"):
        features.train_pretext(images[:5], levels[:5], tmp_path / "x.keras")
    with pytest.raises(InputError, match="a level for each"):
        features.train_pretext(images, levels[:5], tmp_path / "x.keras")
    with pytest.raises(InputError, match="feature layer"):
        features.train_pretext(images, levels, tmp_path / "x.keras", feature_layers=("block4_conv1",))
