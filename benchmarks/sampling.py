"""Images per second of sampling at 128 x 128 and the preset ``paper``: ``python benchmarks/sampling.py``.

``model.sample`` in Keras, and the generator exported as ONNX in onnxruntime if that is installed (``dwikit[export]``);
the weights are random. The time includes drawing latents and the StyleGAN's noise maps.
"""

import importlib.util
import tempfile
import time

import numpy as np
import pandas as pd
from machine import show, source

from dwikit import paper
from dwikit.models import registry
from dwikit.models.base import SAMPLING_BATCH, in_batches
from dwikit.training.weights import export

ROUNDS = 5


def onnx_sampler(model, folder: str):
    """``sample(n, seed)`` by onnxruntime, or None if it is not installed."""
    if importlib.util.find_spec("onnxruntime") is None or importlib.util.find_spec("tf2onnx") is None:
        return None
    import onnxruntime

    export.to_onnx(model, f"{folder}/{model.key}.onnx")
    session = onnxruntime.InferenceSession(f"{folder}/{model.key}.onnx")

    def draw(latents, indices):
        inputs = {"latents": latents}
        for i in range(len(getattr(model, "map_sizes", ()))):
            inputs[f"noise_{i}"] = model.noise_map(len(latents), i, indices[0], 0)
        return session.run(["images"], inputs)[0]

    return lambda n, seed: in_batches(draw, model.draw_latents(n, seed), np.arange(n))


def main() -> None:
    rows = {}
    for key in paper.MODELS:
        model = registry.network(key).from_preset("paper")
        with tempfile.TemporaryDirectory() as folder:
            samplers = {"Keras": model.sample, "onnxruntime": onnx_sampler(model, folder)}
            samplers = {name: sampler for name, sampler in samplers.items() if sampler}
            seconds = {name: [] for name in samplers}
            for seed in range(ROUNDS + 1):  # in turns; the first round compiles
                for name, sampler in samplers.items():
                    start = time.perf_counter()
                    sampler(SAMPLING_BATCH, seed)
                    seconds[name].append(time.perf_counter() - start)
        rows[key] = {f"{name}, img/s": f"{SAMPLING_BATCH / np.median(values[1:]):.1f}" for name, values in seconds.items()}
    show(pd.DataFrame.from_dict(rows, orient="index").rename_axis("model"), "sampling", source("python benchmarks/sampling.py"))


if __name__ == "__main__":
    main()
