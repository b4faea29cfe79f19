"""The paper's four metrics (sec. 2.6), in closed form and in blocks, and later ones.

Images are (N, H, W) or (N, H, W, 1), uint8 0-255 or floating point in [0, 1]; anything else is refused with the reason.
Features are (n, d), one vector per image, from any network; ``dwikit.evaluation`` brings networks and metrics together.
``METRICS`` is the one table of them; ``dwikit.metrics.table`` says how to add one.
"""

from dwikit.metrics.copies import authenticity, copy_ratio, copying_score
from dwikit.metrics.frechet import PixelSpace, frechet_distance, gaussian
from dwikit.metrics.images import as_images
from dwikit.metrics.kernel import kernel_distance
from dwikit.metrics.manifold import manifold
from dwikit.metrics.neighbours import nearest_distances
from dwikit.metrics.periodic import periodic_excess
from dwikit.metrics.reader import machine_reader
from dwikit.metrics.sharpness import laplace_variance
from dwikit.metrics.similarity import (
    Moments,
    dataset_similarity,
    distances_to,
    distances_to_others,
    intra_sample_diversity,
    minimum_intra_sample_diversity,
    moments,
)
from dwikit.metrics.structure import ms_ssim, ms_ssim_diversity, scales
from dwikit.metrics.table import METRICS, Metric, table_1_metrics

__all__ = [
    "METRICS",
    "Metric",
    "Moments",
    "PixelSpace",
    "as_images",
    "authenticity",
    "copy_ratio",
    "copying_score",
    "dataset_similarity",
    "distances_to",
    "distances_to_others",
    "frechet_distance",
    "gaussian",
    "intra_sample_diversity",
    "kernel_distance",
    "laplace_variance",
    "machine_reader",
    "manifold",
    "minimum_intra_sample_diversity",
    "moments",
    "ms_ssim",
    "ms_ssim_diversity",
    "nearest_distances",
    "periodic_excess",
    "scales",
    "table_1_metrics",
]
