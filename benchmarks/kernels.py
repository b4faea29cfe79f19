"""The quick forms of ``dwikit.backend.kernels`` against the plain ones, piece by piece: ``python benchmarks/kernels.py``.

Forward and backward in milliseconds, in the shapes of the preset ``paper`` at 128 x 128. Forms take turns; the fastest of all
rounds counts. In rows where the quick form loses, the layer uses the plain one.
"""

import functools
import time

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from machine import show, source

from dwikit.backend import kernels

ROUNDS = 15
CONVOLUTIONS = [  # resampling, batch, pixels of a side before it, channels before and after it
    ("up", 64, 8, 256, 128),
    ("up", 64, 32, 64, 32),
    ("up", 64, 64, 32, 1),
    ("up", 8, 4, 512, 256),
    ("up", 8, 16, 128, 64),
    ("up", 8, 64, 32, 16),
    ("down", 4, 128, 32, 64),
    ("down", 4, 32, 128, 256),
    ("down", 4, 8, 512, 512),
]
NORMALIZATIONS = [(64, 64, 32), (64, 8, 256), (8, 128, 16)]


def best(*forms) -> list[float]:
    """Milliseconds of each form."""
    seconds = [[] for _ in forms]
    for _ in range(ROUNDS):
        for form, times in zip(forms, seconds):
            start = time.perf_counter()
            form()
            times.append(time.perf_counter() - start)
    return [1000 * min(times[2:]) for times in seconds]


def forward_and_backward(layer, x, **settings):
    """One call of a layer and the gradients of its inputs and weights, compiled."""

    @tf.function
    def run():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, **settings)
        return tape.gradient(y, [x, *[v.value for v in layer.trainable_variables]], output_gradients=y)

    return lambda: run()[0].numpy()


def convolutions() -> dict:
    rows = {}
    for resample, batch, size, inputs, outputs in CONVOLUTIONS:
        x, forms = tf.random.normal((batch, size, size, inputs)), []
        for one_step in (False, True):
            layer = kernels.Conv2D(outputs, resample)
            layer(x)
            chosen, layer.one_step = layer.one_step, one_step
            forms.append(forward_and_backward(layer, x))
        other = 2 * size if resample == "up" else size // 2
        rows[f"convolution, {size} to {other} px, {inputs} to {outputs} channels, batch {batch}"] = (*best(*forms), chosen)
    return rows


def normalizations() -> dict:
    rows = {}
    for batch, size, channels in NORMALIZATIONS:
        x = tf.random.normal((batch, size, size, channels))
        pair = keras.layers.BatchNormalization(), kernels.BatchNormalization()
        times = best(*(forward_and_backward(layer, x, training=True) for layer in pair))
        rows[f"batch normalization, {size} px, {channels} channels, batch {batch}"] = (*times, True)
    return rows


def adam(parameters: int = 3_276_800) -> dict:
    """A step of the VAE's largest layer."""
    gradient, forms = tf.random.normal((parameters,)), []
    for kind in (keras.optimizers.Adam, kernels.Adam):
        optimizer, variable = kind(), keras.Variable(np.zeros(parameters, np.float32))
        optimizer.build([variable])
        forms.append(tf.function(functools.partial(optimizer.apply, [gradient], [variable])))
    return {f"Adam, {parameters / 1e6:.1f} million parameters": (*best(*forms), True)}


def main() -> None:
    rows = {}
    for name, (plain, quick, chosen) in (convolutions() | normalizations() | adam()).items():
        times = {"plain, ms": f"{plain:.1f}", "quick, ms": f"{quick:.1f}", "times as fast": f"{plain / quick:.2f}"}
        rows[name] = {**times, "taken": "quick" if chosen else "plain"}
    show(pd.DataFrame.from_dict(rows, orient="index").rename_axis("piece"), "kernels", source("python benchmarks/kernels.py"))


if __name__ == "__main__":
    main()
