"""The paper's four metrics (sec. 2.6), in closed form and in blocks, and what came after them.

Images are (N, H, W) or (N, H, W, 1), uint8 0-255 or floating point in [0, 1]; anything else is refused with the reason.
"""

from dwikit.metrics.frechet import PixelSpace, frechet_distance, gaussian
from dwikit.metrics.images import as_images
from dwikit.metrics.neighbours import nearest_distances
from dwikit.metrics.sharpness import laplace_variance
from dwikit.metrics.similarity import (
    Moments,
    dataset_similarity,
    intra_sample_diversity,
    minimum_intra_sample_diversity,
    moments,
)

__all__ = [
    "Moments",
    "PixelSpace",
    "as_images",
    "dataset_similarity",
    "frechet_distance",
    "gaussian",
    "intra_sample_diversity",
    "laplace_variance",
    "minimum_intra_sample_diversity",
    "moments",
    "nearest_distances",
]
