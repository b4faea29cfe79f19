"""dwikit: from diffusion-weighted brain MR volumes to the tables and figures of a published comparison study."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow tells every process about oneDNN and missing GPUs

__version__ = "0.1.0"
