"""The quick forms of layers, updates and steps give what the plain forms give, within rounding."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from dwikit import models
from dwikit.backend import kernels
from dwikit.backend.gradients import input_gradient, isolated, update
from dwikit.models import losses
from dwikit.models.layers import AdaIN


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def value_and_gradients(fn, layer, x):
    """Output, gradients with respect to inputs and weights of a loss that weighs every pixel differently."""
    with tf.GradientTape() as tape:
        x = tf.constant(x)
        tape.watch(x)
        y = fn(x)
        loss = tf.reduce_sum(y * draw(*y.shape, seed=9))
    gradients = tape.gradient(loss, [x, *[v.value for v in layer.trainable_variables]])
    return [np.array(y), *map(np.array, gradients)]


def assert_close(ones, others, tolerance=2e-5):
    for one, other in zip(ones, others, strict=True):
        assert one.shape == other.shape
        assert np.linalg.norm(one - other) <= tolerance * max(np.linalg.norm(other), 1e-3)


@pytest.mark.parametrize("resample", ["up", "down"])
@pytest.mark.parametrize("size,inputs,outputs", [(8, 3, 5), (16, 4, 1), (2, 64, 64)])
def test_resampling_convolution(resample, size, inputs, outputs):
    x = draw(2, size, size, inputs)
    layer = kernels.Conv2D(outputs, resample, kernel_initializer="he_normal", bias_initializer="normal")
    double, halve = keras.layers.UpSampling2D(), keras.layers.AveragePooling2D(2)

    def plain(x):
        x = double(x) if resample == "up" else x
        x = ops.conv(x, layer.kernel, padding="same") + layer.bias
        return x if resample == "up" else halve(x)

    assert layer(x).shape == layer.compute_output_shape(x.shape)
    assert layer.one_step == (size != 2)
    assert [tuple(v.shape) for v in layer.weights] == [(3, 3, inputs, outputs), (outputs,)]
    assert_close(value_and_gradients(layer, layer, x), value_and_gradients(plain, layer, x))
    copy = kernels.Conv2D.from_config(layer.get_config())
    assert copy.resample == resample and copy.kernel_size == (3, 3)


def test_penalty_through_a_halving_convolution():
    """The critic is differentiated twice."""
    layer = kernels.Conv2D(3, "down")
    x = draw(2, 8, 8, 2)
    layer(x)

    def penalty(fn):
        def value(x):
            return ops.sum(ops.square(input_gradient(lambda x: ops.square(fn(x)), x)))[None]

        return value_and_gradients(value, layer, x)[0], value_and_gradients(value, layer, x)[2]

    halve = keras.layers.AveragePooling2D(2)
    plain = penalty(lambda x: halve(ops.conv(x, layer.kernel, padding="same") + layer.bias))
    assert_close(penalty(layer), plain)


@pytest.mark.parametrize("shape", [(4, 8, 8, 3), (2, 1, 1, 2), (1, 1, 1, 2)])
def test_batch_normalization(shape):
    x = 3 + 2 * draw(*shape)
    quick, plain = (cls(gamma_initializer="normal") for cls in (kernels.BatchNormalization, keras.layers.BatchNormalization))
    results = []
    for layer in (quick, plain):
        layer.build(shape)
        layer.set_weights([draw(shape[-1], seed=i) ** 2 for i in range(4)])
        results.append(value_and_gradients(lambda x, layer=layer: layer(x, training=True), layer, x))
    assert_close(*results, tolerance=2e-4 if shape[0] > 2 else 2e-3)
    assert_close([np.array(v) for v in quick.weights], [np.array(v) for v in plain.weights])
    assert_close([np.array(quick(x))], [np.array(plain(x))])
    quick.trainable = False
    before = np.array(quick.moving_mean)
    quick(x, training=True)
    assert np.array_equal(before, np.array(quick.moving_mean))


@pytest.mark.parametrize("channels", [8, 16])
def test_batch_normalization_in_bfloat16_is_that_in_float32(channels):
    """Within the rounding of 8 bits; the statistics are kept in float32."""
    x, layers = 3 + 2 * draw(4, 8, 8, channels), []
    for policy in ("float32", "mixed_bfloat16"):
        layer = kernels.BatchNormalization(dtype=policy)
        layer.build(x.shape)
        layer.set_weights([draw(channels, seed=i) ** 2 for i in range(4)])
        layers.append(layer)
    whole, half = (ops.cast(layer(x, training=True), "float32") for layer in layers)
    assert layers[1](x, training=True).dtype == tf.bfloat16
    assert_close([np.array(half)], [np.array(whole)], tolerance=0.02)
    assert {str(v.dtype) for v in layers[1].weights} == {"float32"}
    layers[0](x, training=True)
    assert_close([np.array(v) for v in layers[1].weights], [np.array(v) for v in layers[0].weights], tolerance=1e-2)


@pytest.mark.parametrize(("shape", "groups"), [((3, 8, 8, 16), 8), ((2, 4, 6, 12), 3), ((1, 1, 1, 4), 2), ((2, 4, 4, 8), 8)])
def test_group_normalization(shape, groups):
    x, results, outputs = 3 + 2 * draw(*shape), [], []
    for cls in (kernels.GroupNormalization, keras.layers.GroupNormalization):
        layer = cls(groups)
        layer.build(shape)
        layer.set_weights([draw(shape[-1], seed=i) for i in range(2)])
        call = functools.partial(layer, training=True) if cls is kernels.GroupNormalization else layer
        results.append(value_and_gradients(call, layer, x))
        outputs.append(np.array(layer(x)))
    assert_close(*results, tolerance=2e-4)
    assert np.array_equal(*outputs), "drawn from, it is Keras's"


@pytest.mark.parametrize("shape", [(3, 8, 8, 16), (2, 4, 6, 3), (1, 2, 2, 2)])
def test_each_channel_of_each_image(shape):
    x, style = tf.constant(3 + 2 * draw(*shape)), tf.constant(draw(shape[0], 2 * shape[-1]))
    results = []
    for training in (True, False):
        with tf.GradientTape() as tape:
            tape.watch([x, style])
            y = AdaIN()(x, style, training=training)
            loss = tf.reduce_sum(y * draw(*shape, seed=9))
        results.append([np.array(one) for one in (y, *tape.gradient(loss, [x, style]))])
    assert_close(*results, tolerance=2e-4)


@pytest.mark.parametrize("channels", [8, 16])
def test_normalizations_of_each_image_in_bfloat16_are_those_in_float32(channels):
    x, style = 3 + 2 * draw(4, 8, 8, channels), draw(4, 2 * channels, seed=1)
    upstream = draw(4, 8, 8, channels, seed=2)
    ends = []
    for policy in ("float32", "mixed_bfloat16"):
        group, each = kernels.GroupNormalization(4, dtype=policy), AdaIN(dtype=policy)
        group.build(x.shape)
        group.set_weights([1 + draw(channels, seed=3), draw(channels, seed=4)])
        given = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(given)
            first = group(given, training=True)
            second = each(first, ops.cast(style, first.dtype), training=True)
            loss = tf.reduce_sum(tf.cast(second, "float32") * upstream)
        assert second.dtype == ("bfloat16" if policy == "mixed_bfloat16" else "float32")
        ends.append([np.array(ops.cast(one, "float32")) for one in (second, tape.gradient(loss, given))])
    assert_close(*ends, tolerance=0.03)


def test_adam():
    ends = []
    for optimizer in (kernels.Adam, keras.optimizers.Adam):
        schedule = keras.optimizers.schedules.InverseTimeDecay(0.1, decay_steps=1, decay_rate=0.1)
        adam, variable = optimizer(schedule, 0.5, 0.99), keras.Variable(draw(7, 3))
        adam.build([variable])
        for i in range(5):
            update(lambda v=variable, i=i: {"loss": ops.sum(ops.sin(v) * draw(7, 3, seed=i))}, [variable], adam)
        ends.append([np.array(v) for v in [variable, *adam.variables]])
    assert_close(*ends, tolerance=1e-5)


def test_the_intro_vae_draws_once_for_both_steps():
    """Each step with images of its own, drawn again, gives the same: the encoder's step does not touch the generator."""
    images = np.random.default_rng(0).uniform(0.1, 0.9, (4, 32, 32, 1)).astype(np.float32)
    ends = []
    for plain in (False, True):
        model = models.IntroVAE.from_preset(image_size=32, width=0.125, latent_size=8, ema=0.9)
        for optimizer in (model.encoder_optimizer, model.generator_optimizer):
            optimizer.epsilon = 1e-3  # else a gradient that is zero but for rounding counts as much as any
        noise = {name: ops.convert_to_tensor(draw(4, 8, seed=i)) for i, name in enumerate(("z", "prior"))}
        model.draw_noise = lambda batch_size, noise=noise: noise
        (plain_step if plain else type(model).training_step)(model, images)
        ends.append([np.array(v) for v in model.encoder.variables + model.generator.variables])
    assert_close(*ends)


def plain_step(model, images):
    """What the paper says, step by step."""
    noise = model.draw_noise(4)

    def encode():
        mean, log_variance = model.encoder(images, training=True)
        return mean, log_variance, model.reparameterize(mean, log_variance, noise["z"])

    def fakes():
        with isolated():
            return model.generator(noise["prior"], training=True)

    def encoder_loss():
        mean, log_variance, z = encode()
        with isolated():
            reconstruction = model.generator(z, training=True)
        kl = model.kl_of_fakes(ops.stop_gradient(reconstruction), ops.stop_gradient(fakes()), 0)
        rec = model.reconstruction_error(images, reconstruction)
        return {"loss": model.encoder_loss(losses.kl_sum(mean, log_variance), *kl, rec), "z": z}

    terms = update(encoder_loss, model.encoder.trainable_variables, model.encoder_optimizer)
    z = ops.stop_gradient(terms["z"])

    def generator_loss():
        reconstruction = model.generator(z, training=True)
        rec = model.reconstruction_error(images, reconstruction)
        return {"loss": model.generator_loss(*model.kl_of_fakes(reconstruction, fakes(), 0), rec)}

    update(generator_loss, model.generator.trainable_variables, model.generator_optimizer)
