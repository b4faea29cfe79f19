"""The published numbers against themselves, and the count of operations against TensorFlow's own."""

import contextlib

import keras
import numpy as np
import pandas as pd
import pytest

from dwikit import metrics, paper
from dwikit.backend import kernels
from dwikit.common import paths
from dwikit.models import architecture, cost
from dwikit.paper import audit


def test_the_original_row_was_no_independent_draw():
    table = audit.similarity_audit()
    known = {"original": 0.02695, "vae": 0.0425, "dfc_vae": 0.04285, "intro_vae": 0.0262, "style_gan": 0.02775}
    assert table["difference"].to_dict() == pytest.approx(known, abs=3e-5)  # DS - ISD / 2, without the term in 1 / n
    assert table.loc["original", "shift"] == pytest.approx(0.00060, abs=1e-5)  # 0.00075, and 0.00015 may be rounding
    assert table.loc["original", "times"] > 20
    assert (table.loc[["vae", "dfc_vae"], "shift"] > 0.016).all() and table.loc["intro_vae", "shift"] == 0


def test_the_bound_holds_for_images_and_is_the_mean_images_distance():
    rng = np.random.default_rng(0)
    data = rng.integers(0, 200, (300, 8, 8)).astype(np.uint8)
    shifted = data[:100] + np.uint8(40)
    originals = metrics.moments(data)
    variance = (originals.square - originals.mean @ originals.mean) / 64
    for samples, shift in ((data[:100], None), (shifted, (40 / 255) ** 2)):
        row = {"ds": [metrics.dataset_similarity(samples, originals)], "isd": [metrics.intra_sample_diversity(samples)]}
        difference = audit.similarity_audit(pd.DataFrame(row), n=100)["difference"].item()
        distance = np.square(samples.mean(axis=0) / 255 - originals.mean.reshape(8, 8)).mean()
        assert difference == pytest.approx(variance + distance)
        assert shift is None or distance == pytest.approx(shift, rel=0.1)


def test_operations_are_counted_by_the_formula():
    images = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(8, 5, strides=2, padding="same")(images)
    x = keras.layers.Conv2DTranspose(4, 4, strides=2, padding="same")(keras.layers.ReLU()(x))
    network = keras.Model(images, keras.layers.Dense(10)(keras.layers.Flatten()(x)))
    by_hand = 2 * (25 * 3 * 8 * 16 * 16 + 16 * 8 * 4 * 16 * 16 + 32 * 32 * 4 * 10)
    assert architecture.flops(network) == by_hand


def test_a_convolution_that_resamples_counts_as_both():
    images = keras.Input((16, 16, 3))
    up, down = (kernels.Conv2D(8, resample=way)(images) for way in ("up", "down"))
    assert architecture.flops(keras.Model(images, up)) == 2 * 9 * 3 * 8 * 32 * 32
    assert architecture.flops(keras.Model(images, down)) == 2 * 9 * 3 * 8 * 16 * 16


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's profiler counts TensorFlow's graphs")
def test_a_training_step_costs_what_the_audit_counts():
    """TensorFlow's own count, over the graph of a step: convolutions, their gradients and matrix products."""
    import tensorflow as tf
    from tensorflow.compat.v1 import profiler

    from dwikit import models

    model = models.VAE.from_preset("paper", image_size=32, upsampling="transposed")  # no layer that does less than it says
    graph = tf.function(model.training_step).get_concrete_function(tf.TensorSpec((1, 32, 32, 1))).graph
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation()).with_empty_output().build()
    counted, nodes = 0, [profiler.profile(graph, options=options, cmd="op")]
    while nodes:
        node = nodes.pop()
        counted += node.float_ops if node.name.startswith(("Conv2D", "MatMul")) else 0
        nodes.extend(node.children)
    parts = architecture.networks(model)
    assert counted == sum(count * architecture.flops(parts[name]) for name, count in model.passes.items())


class Untracked(contextlib.nullcontext):
    """In place of PyTorch's record of which module runs, which does not stand gradients of inputs."""

    parents = ("Global",)


@pytest.mark.parametrize("key", list(paper.MODELS))
def test_a_training_step_costs_what_pytorch_counts(key, monkeypatch):
    """PyTorch's own count over a step of the same network and loss, written apart from the kit's (benchmarks)."""
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    from dwikit.models import registry
    from dwikit.models.presets import preset

    monkeypatch.syspath_prepend(paths.project() / "benchmarks")
    import torch_models

    config = preset(registry.network(key), "paper", 32, 0.5)
    found = cost.operations(registry.network(key)(**config))
    other = torch_models.build(key, config, "eager")
    batch = torch.rand(4, 1, 32, 32)
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = Untracked()
    with counter:
        other.step(batch)
    # The kit counts the first layers' gradients of the images, too; nobody needs them, and PyTorch leaves them out
    assert found["training"] == pytest.approx(counter.get_total_flops() / len(batch), rel=0.03)
    assert found["parameters"] == sum(torch_models.count(network) for network in other.networks())
    assert 0 < found["sampling"] < found["parameters"] and found["sample"] < found["forward"] < found["training"]


def test_a_rare_penalty_costs_its_share_and_features_are_those_of_the_model():
    from dwikit import models

    always, seldom, never = (
        cost.operations(models.StyleGAN.from_preset(image_size=32, width=0.25, **changes))["training"]
        for changes in ({}, {"penalty_interval": 8}, {"penalty": 0.0})
    )
    assert always > seldom and always - never == pytest.approx(8 * (seldom - never))
    sizes = {"image_size": 32, "channels": (8, 16), "batch_size": 4}
    plain = cost.operations(models.VAE.from_preset(**sizes))
    dfc = cost.operations(models.DFCVAE.from_preset(**sizes))
    first, then = 2 * 9 * 32**2, 2 * 9 * 16**2  # convolutions of VGG16, by hand: a channel in and out
    by_hand = first * (3 * 64 + 64 * 64) + then * (64 * 128 + 128 * 128) + then / 4 * 128 * 256
    assert dfc["training"] - plain["training"] == 3 * by_hand


def test_the_printed_times_are_checked_against_the_card():
    table = audit.time_audit(cost.of_training(("paper",), image_size=32))
    assert list(table.index) == ["VAE, paper", "DFC-VAE, paper", "IntroVAE, paper", "StyleGAN, paper"]
    vae = architecture.networks(architecture.build("vae", image_size=32))
    flop = 3 * sum(architecture.flops(part) for part in vae.values())
    rate = flop * 2000 * 52_754 / (48 * 3600)
    assert table.loc["VAE, paper", "tflops"] == pytest.approx(rate / 1e12)
    assert table.loc["VAE, paper", "share"] == pytest.approx(rate / paper.PEAK_FLOPS)
    assert table.loc["DFC-VAE, paper", "gflop"] > 3 * table.loc["VAE, paper", "gflop"], "VGG16 costs more than the VAE"
