"""Laplace variance: how sharp an image is (sec. 2.6)."""

import numpy as np

from dwikit.metrics.images import as_images, opencv


def laplace_variance(images: np.ndarray) -> np.ndarray:
    """Variance over pixels of the discrete Laplacian of each image, on the 0-255 scale (sec. 2.6).

    The paper says the images lie in [0, 1], where the largest possible value is 16 (a checkerboard); its figures are those
    of the released code, which multiplies by 255 first (``styleGAN/test.py``). The Laplacian is OpenCV's: the 3 x 3 cross
    (0 1 0, 1 -4 1, 0 1 0) with the image mirrored about its border pixels.

    Args:
        images: (N, H, W) or (N, H, W, 1), uint8 0-255 or floating point in [0, 1].

    Returns:
        (N,) float64, >= 0; higher is sharper, 0 for a constant image.

    Raises:
        InputError: images that no metric takes, such as a mask of True and False; or OpenCV is not installed.
    """
    images, cv2 = as_images(images), opencv()
    scale = 1.0 if images.dtype == np.uint8 else 255.0
    doubles = (np.ascontiguousarray(image, np.float64) * scale for image in images)  # OpenCV crashes on half precision
    return np.array([cv2.Laplacian(image, cv2.CV_64F).var() for image in doubles])
