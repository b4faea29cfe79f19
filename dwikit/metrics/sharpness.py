"""Laplace variance: how sharp an image is (sec. 2.6)."""

import numpy as np
from scipy import ndimage

from dwikit.metrics.images import as_images


def laplace_variance(images: np.ndarray) -> np.ndarray:
    """Variance over pixels of the discrete Laplacian of each image, on the 0-255 scale (sec. 2.6).

    The paper says the images lie in [0, 1], where the largest possible value is 16 (a checkerboard); its figures are those
    of the released code, which multiplies by 255 first (``styleGAN/test.py``). The Laplacian is the 3 x 3 cross
    (0 1 0, 1 -4 1, 0 1 0) with the image mirrored about its border pixels, as in OpenCV's ``Laplacian``.

    Args:
        images: (N, H, W) or (N, H, W, 1), uint8 0-255 or floating point in [0, 1].

    Returns:
        (N,) float64, >= 0; higher is sharper, 0 for a constant image.
    """
    images = as_images(images)
    scale = 1.0 if images.dtype == np.uint8 else 255.0
    return np.array([ndimage.laplace(image.astype(np.float64) * scale, mode="mirror").var() for image in images])
