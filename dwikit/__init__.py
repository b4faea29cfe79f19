"""dwikit: from diffusion-weighted brain MR volumes to the tables and figures of a published comparison study."""

import os

from dwikit.backend import quiet
from dwikit.common import keras_settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # after its start; earlier lines take more (backend/quiet.py)
quiet.install()
keras_settings.install()

__version__ = "0.2.0"


def __getattr__(name: str):
    """``dwikit.pretrained``, the kit's own weights, without importing Keras until they are used."""
    if name == "pretrained":
        from dwikit.training.weights import pretrained

        return pretrained
    raise AttributeError(f"module 'dwikit' has no attribute {name!r}")
