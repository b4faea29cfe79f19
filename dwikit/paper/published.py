"""The published numbers, as data: Hirte et al. 2020, Tables 1 and 2 and section 3.

Keys are ``original`` and the four models' keys (``vae``, ``dfc_vae``, ``intro_vae``, ``style_gan``).
"""

import pandas as pd

LABELS = {
    "original": "Original",
    "vae": "VAE",
    "dfc_vae": "DFC-VAE",
    "intro_vae": "IntroVAE",
    "style_gan": "StyleGAN",
}
MODELS = tuple(key for key in LABELS if key != "original")

N_CASES = 2029
N_SLICES = 52_754
N_SAMPLES = 1000


def _table(columns: list[str], rows: dict[str, tuple]) -> pd.DataFrame:
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("model")


TABLE_1 = _table(
    ["ds", "isd", "min_isd", "laplace", "laplace_sd"],
    {
        "original": (0.0494, 0.0449, 0.0063, 1495.0, 659.0),
        "vae": (0.0552, 0.0254, 0.0078, 201.0, 115.0),
        "dfc_vae": (0.0538, 0.0219, 0.0055, 450.0, 219.0),
        "intro_vae": (0.0478, 0.0432, 0.0009, 1514.0, 560.0),
        "style_gan": (0.0487, 0.0419, 0.0008, 1650.0, 715.0),
    },
)
"""Table 1: Dataset Similarity, Intra-Sample Diversity, Minimum ISD, Laplace variance (mean, sd) of 1000 samples."""

RECONSTRUCTION = _table(
    ["mse", "mse_sd", "laplace", "laplace_sd"],
    {
        "original": (float("nan"), float("nan"), 1495.0, 659.0),
        "vae": (0.004, 0.02, 349.0, 160.0),
        "dfc_vae": (0.008, 0.03, 715.0, 254.0),
        "intro_vae": (0.008, 0.03, 1222.0, 490.0),
    },
)
"""Section 4.1: mean squared error and Laplace variance of 1000 reconstructions."""

TABLE_2 = _table(
    ["reader_1", "reader_2"],
    {
        "original": (0.94, 1.00),
        "vae": (0.04, 0.00),
        "dfc_vae": (0.00, 0.04),
        "intro_vae": (0.84, 1.00),
        "style_gan": (0.92, 0.98),
    },
)
"""Table 2: share of 50 images per group that each reader called real."""
N_READ = 50
"""Images per group in the reader study."""
KAPPA = 0.84
"""Cohen's kappa between the two readers."""
JOINT_READINGS = ((134, 3), (17, 96))
"""Images that both readers called real, only reader 1 did; only reader 2 did, neither did: the only table that the margins
of Table 2 and kappa allow."""
DFC_IN_TEXT = (0.08, 0.02)
"""Share of the DFC-VAE's images called real by reader 1 and 2 if the running text is right, which says 92 and 98 percent
were called fake; Table 2 says 0 and 0.04."""

EPOCHS = {"vae": 2000, "dfc_vae": 2000, "intro_vae": 300, "style_gan": 200}
"""Passes over the slices (sec. 3.2)."""
TRAINING_HOURS = 48
"""Training time of each network (sec. 3.2)."""
PEAK_FLOPS = 8.9e12
"""Peak single-precision operations per second of the paper's graphics card, an NVIDIA GTX 1080 (the maker's figure)."""
