"""Generators as ONNX files, which run without Keras: ``to_onnx``."""

import warnings
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from dwikit.common import files
from dwikit.common.errors import InputError
from dwikit.models import GenerativeModel, StyleGAN

TOLERANCE = 1e-4
"""How far a pixel of the exported network may lie from Keras's, of a range of 1."""


def generator(model: GenerativeModel) -> keras.Model:
    """What samples are made with, as one network with images (B, H, W, 1) in [0, 1] as output ``images``.

    Inputs are ``latents`` (B, latent_size), N(0, 1); and for the StyleGAN ``noise_0``, ``noise_1``, ... (B, S, S, 1), one a
    styled layer, drawn as ``StyleGenerator.noise_map`` does. Where moving averages of the weights were kept, they are used.
    """
    latents = keras.Input((model.latent_size,), name="latents")
    if not isinstance(model, StyleGAN):
        return keras.Model([latents], _clipped(model.decoder(latents, training=False)))
    maps = [keras.Input((size, size, 1), name=f"noise_{i}") for i, size in enumerate(model.map_sizes)]
    styles = layers.RepeatVector(len(maps))((model.average_mapping or model.mapping)(latents))
    images = (model.average_synthesis or model.synthesis)([styles, *maps], training=False)
    return keras.Model([latents, *maps], _clipped(images))


def _clipped(images):
    return {"images": ops.clip(images, 0.0, 1.0)}


def to_onnx(model: GenerativeModel, path: str | Path, seed: int = 0) -> float:
    """Write the generator of a model as ONNX and compare it with Keras on random inputs.

    The batch is free. onnxruntime runs the file in Python, C++, JavaScript and others: its inputs and output are those of
    ``generator``.

    Args:
        model: trained, float32.
        path: of the file (.onnx).
        seed: of the inputs that both are run on.

    Returns:
        The largest difference between a pixel of ONNX's and of Keras's.

    Raises:
        InputError: the packages of ``dwikit[export]`` are missing, Keras does not run on TensorFlow, or the file does not
            give what Keras gives; then none is written.
    """
    try:
        import onnxruntime
        import tf2onnx  # noqa: F401  (Keras exports by it)
    except ImportError as error:
        raise InputError(f"Export needs {error.name}, which is not installed: pip install -e '.[export]'.") from None
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"Export needs Keras on TensorFlow, and it runs on {keras.backend.backend()}: set KERAS_BACKEND=tensorflow. The "
            "model's file can be loaded there, whichever backend trained it."
        )
    network = generator(model)
    rng = np.random.default_rng(seed)
    inputs = [rng.standard_normal((3, *tensor.shape[1:]), np.float32) for tensor in network.inputs]
    expected = ops.convert_to_numpy(network(inputs)["images"])
    worst = np.inf

    def writer(partial: Path) -> None:
        nonlocal worst
        with warnings.catch_warnings(category=FutureWarning, action="ignore"):
            network.export(str(partial), format="onnx", verbose=False)
        session = onnxruntime.InferenceSession(str(partial), providers=["CPUExecutionProvider"])
        named = dict(zip((entry.name for entry in session.get_inputs()), inputs, strict=True))
        images = session.run(None, named)[0]
        worst = float(np.max(np.abs(images - expected)))
        if not worst <= TOLERANCE:
            raise InputError(f"The exported {model.label} differs from Keras's by {worst:.2g}: no file was written.")

    files.write(path, writer)
    return worst
