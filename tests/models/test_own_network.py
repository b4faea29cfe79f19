"""A network that lives in a file outside the package goes through what the kit's own go through."""

import math
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dwikit import models
from dwikit.common.errors import InputError
from dwikit.models import architecture, cost, registry
from dwikit.report.plots import diagrams
from dwikit.training import health
from dwikit.training.weights import export

FILE = Path(__file__).with_name("own_network.py")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return Path(shutil.copy(FILE, tmp_path_factory.mktemp("mine") / "small_gan.py"))


@pytest.fixture(scope="module")
def model(path, store):
    """Trained for two epochs of two steps."""
    model = registry.network("small_gan", path).from_preset("paper", image_size=32, seed=1)
    history = model.fit(store.batches("train", 8, steps=2), epochs=2, verbose=0).history
    assert set(history) == {"critic_loss", "generator_loss"} and np.isfinite(history["critic_loss"]).all()
    return model


def test_it_samples_and_its_file_holds_the_whole_state(model, store, tmp_path):
    assert model.config["channels"] == (8, 16) and model.config["batch_size"] == 8
    samples = model.sample(5, seed=3)
    assert samples.shape == (5, 32, 32, 1) and 0 <= samples.min() and samples.max() <= 1
    np.testing.assert_allclose(model.sample(2, seed=3), samples[:2], atol=1e-6)
    models.save(model, tmp_path / "model.keras")
    loaded = models.load(tmp_path / "model.keras", key="small_gan", image_size=32)
    np.testing.assert_array_equal(loaded.sample(5, seed=3), samples)
    batch = store.batches("train", 8)[0]
    for one in (model, loaded):
        one.train_on_batch(batch)
    for ours, theirs in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)


LOAD = """
import sys
from dwikit import models
if len(sys.argv) > 2:
    models.registry.network("small_gan", sys.argv[2])
print(models.load(sys.argv[1]).label)
"""


def test_another_process_reads_its_file_once_it_knows_the_class(model, path, tmp_path):
    models.save(model, tmp_path / "model.keras")
    command = [sys.executable, "-c", LOAD, str(tmp_path / "model.keras")]
    known, unknown = (subprocess.run(command + more, capture_output=True, text=True) for more in ([str(path)], []))
    assert known.stdout.strip() == "Small GAN", known.stderr
    assert "InputError" in unknown.stderr and "the class SmallGAN, which is not loaded. Give the profile" in unknown.stderr


def test_what_it_costs_is_counted_as_far_as_it_says(model):
    found = cost.operations(model)
    assert found["parameters"] > found["sampling"] > 0 and found["forward"] > found["sample"] > 0
    assert math.isnan(found["training"]), "it does not say its passes"


def test_it_is_drawn(model):
    figure = diagrams.chains(model)
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert {"Small GAN", "generator", "critic", "32×32×1"} <= set(shown)
    assert [list(row) for row in architecture.chains(model)] == [["generator"], ["critic"]]


def test_general_health_checks_apply(model):
    rows = [{"epoch": i + 1, "critic_loss": 1.0, "variety": 0.5} for i in range(9)]
    health.check(model, rows)
    with pytest.raises(health.TrainingStopped, match=r"Small GAN stopped .* lower the learning rate \(now 0.0002\)"):
        health.check(model, [*rows, {"epoch": 10, "critic_loss": math.nan, "variety": 0.5}])


def test_it_is_exported(model, tmp_path):
    pytest.importorskip("tf2onnx", reason="pip install -e '.[export]'")
    assert export.to_onnx(model, tmp_path / "model.onnx") < export.TOLERANCE


def test_its_class_is_pickled_by_its_name(model):
    assert pickle.loads(pickle.dumps(type(model))) is type(model)


# ==== What it may lack ====


def test_what_is_missing_is_said(path, tmp_path):
    text = path.read_text()
    other = tmp_path / "other.py"
    other.write_text(text.replace('"batch_size": 8', '"rate": 8'))
    with pytest.raises(InputError, match="preset 'paper' of small_gan has no batch_size"):
        registry.network("small_gan", other).from_preset(image_size=32)
    other.write_text(text.replace("presets =", "settings ="))
    with pytest.raises(InputError, match="small_gan has no presets"):
        registry.network("small_gan", other).from_preset(image_size=32)
    other.write_text(text.replace("self.generator", "self.painter"))
    painter = registry.network("small_gan", other).from_preset(image_size=32)
    for use in (lambda: painter.sample(2), painter.sampler):
        with pytest.raises(InputError, match="no Keras model called decoder or generator: define decode and sampler"):
            use()
    assert math.isnan(cost.operations(painter)["sample"])
    with pytest.raises(InputError, match="There is no preset of small_gan 'released'. Known: paper"):
        registry.network("small_gan", path).from_preset("released", image_size=32)
    with pytest.raises(InputError, match="learning_rate must be a number of 0 or more"):
        registry.network("small_gan", path).from_preset(image_size=32, learning_rate="fast")


@pytest.mark.parametrize("part", ["label", "build_optimizers", "training_step"])
def test_a_class_without_a_part_is_refused_before_anything_is_trained(path, tmp_path, part):
    text = path.read_text().replace('key, label = "small_gan", "Small GAN"', 'key = "small_gan"\n    label = "Small GAN"')
    (tmp_path / "other.py").write_text(text.replace(f"    {part} =", "    other =").replace(f"def {part}(", "def other("))
    with pytest.raises(InputError, match=f"The class SmallGAN in .*other.py lacks {part}"):
        registry.network("small_gan", tmp_path / "other.py")


def test_a_step_that_draws_needs_draw_noise(path, tmp_path, store):
    (tmp_path / "other.py").write_text(path.read_text().replace("def draw_noise(", "def other("))
    model = registry.network("small_gan", tmp_path / "other.py").from_preset(image_size=32)
    with pytest.raises(InputError, match="Small GAN calls step_noise: its class must define draw_noise"):
        model.fit(store.batches("train", 8, steps=1), verbose=0)


@pytest.mark.parametrize("name", ["name", "image_size", "width", "seed", "preset"])
def test_a_setting_called_as_an_argument_is_refused(path, tmp_path, name):
    """A profile could not choose it: ``from_preset`` would take the value for its own argument."""
    (tmp_path / "other.py").write_text(path.read_text().replace('"latent_size": 8', f'"{name}": 8, "latent_size": 8'))
    with pytest.raises(InputError, match=f"has a setting called '{name}'.*Give it another name"):
        registry.network("small_gan", tmp_path / "other.py").from_preset(image_size=32)


@pytest.mark.parametrize(
    ("line", "other", "message"),
    [
        ("return [self.critic_optimizer, self.generator_optimizer]", "pass", "must return a list of optimizers, not None"),
        ("return [self.critic_optimizer, self.generator_optimizer]", "return self.critic_optimizer", "must return a list"),
        (
            "self.adam(self.critic.trainable_variables)",
            "keras.optimizers.RMSprop(1e-3)",
            r"call build\(variables\) .* rm_sprop",
        ),
        (
            "return [self.critic_optimizer,",
            "return [self.adam(self.critic.trainable_variables),",
            "keep the optimizer .*adam.* attribute",
        ),
    ],
)
def test_optimizers_whose_state_would_not_be_saved_are_refused(path, tmp_path, line, other, message):
    assert line in (text := path.read_text())
    (tmp_path / "other.py").write_text(text.replace(line, other))
    with pytest.raises(InputError, match=f"Small GAN: .*{message}"):
        registry.network("small_gan", tmp_path / "other.py").from_preset(image_size=32)


def test_an_optimizer_that_is_built_and_kept_in_a_list_is_resumed(path, tmp_path, store):
    text = path.read_text().replace("return [self.critic_optimizer, self.generator_optimizer]", "return self.both")
    text = text.replace(
        "self.critic_optimizer = self.adam(self.critic.trainable_variables)", "critic = keras.optimizers.RMSprop(1e-3)"
    )
    text = text.replace(
        "self.generator_optimizer = self.adam", "critic.build(self.critic.trainable_variables)\n        generator = self.adam"
    )
    text = text.replace("        return self.both", "        self.both = [critic, generator]\n        return self.both")
    text = text.replace("self.critic_optimizer", "self.both[0]").replace("self.generator_optimizer", "self.both[1]")
    (tmp_path / "other.py").write_text(text)
    model = registry.network("small_gan", tmp_path / "other.py").from_preset(image_size=32)
    model.fit(store.batches("train", 8, steps=2), verbose=0)
    models.save(model, tmp_path / "model.keras")
    loaded = models.load(tmp_path / "model.keras")
    for ours, theirs in zip(model.both, loaded.both, strict=True):
        assert len(ours.variables) == len(theirs.variables) > 2
        for one, other in zip(ours.variables, theirs.variables, strict=True):
            np.testing.assert_array_equal(one, other)
