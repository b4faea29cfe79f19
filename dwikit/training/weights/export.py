"""Generators as ONNX files, which run without Keras: ``to_onnx``."""

import warnings
from pathlib import Path

import keras
import numpy as np
from keras import ops

from dwikit.common import files
from dwikit.common.errors import InputError
from dwikit.models import GenerativeModel

TOLERANCE = 1e-4
"""Largest difference allowed between a pixel of the exported network and Keras's, of a range of 1."""


def to_onnx(model: GenerativeModel, path: str | Path, seed: int = 0) -> float:
    """Write the generator of a model as ONNX and compare it with Keras on random inputs.

    The batch size is free. onnxruntime runs the file in Python, C++, JavaScript and others: its inputs and output are those of
    the model's ``sampler``.

    Args:
        model: trained, float32.
        path: of the file (.onnx).
        seed: of the inputs on which both are run.

    Returns:
        The largest difference between ONNX's and Keras's pixels.

    Raises:
        InputError: the packages of ``dwikit[export]`` are missing, Keras does not run on TensorFlow, or the file does not
            reproduce Keras's output; then no file is written.
    """
    try:
        import onnxruntime
        import tf2onnx  # noqa: F401  (Keras's export uses it)
    except ImportError as error:
        raise InputError(f"Export needs {error.name}, which is not installed: pip install -e '.[export]'.") from None
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"Export needs Keras on TensorFlow, but it runs on {keras.backend.backend()}: set KERAS_BACKEND=tensorflow. The "
            "model's file can be loaded there, whichever backend trained it."
        )
    network = model.sampler()
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
