"""dwikit: from diffusion-weighted brain MR volumes to the tables and figures of a published comparison study."""

import os
from importlib.util import find_spec

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow tells every process about oneDNN and missing GPUs

if "KERAS_BACKEND" not in os.environ and not find_spec("tensorflow"):  # Keras would ask for TensorFlow all the same
    os.environ["KERAS_BACKEND"] = next((name for name in ("jax", "torch") if find_spec(name)), "tensorflow")

__version__ = "0.1.0"


def __getattr__(name: str):
    """``dwikit.pretrained``, the kit's own weights, without an import of Keras before they are asked for."""
    if name == "pretrained":
        from dwikit.training.weights import pretrained

        return pretrained
    raise AttributeError(f"module 'dwikit' has no attribute {name!r}")
