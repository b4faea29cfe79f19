"""Where the heads are: a mask of each, and one frame around those of all pictures that are shown together.

Pictures only: metrics see whole images.
"""

import numpy as np
from scipy import ndimage

from dwikit.common.errors import InputError

BRIGHT = 0.1
"""A pixel may belong to a head if it is brighter than this share of the range; noise in the air is darker."""
SPECK = 0.002
"""Connected parts of at most this share of an image's pixels are noise, and may lie outside the frame."""
MARGIN = 0.02
"""Of the image's side, left free around the heads."""


def head_mask(image: np.ndarray) -> np.ndarray:
    """What is larger than a speck of noise in an image (H, W), uint8 or in [0, 1], as a mask."""
    parts, _ = ndimage.label(image > BRIGHT * (255 if image.dtype == np.uint8 else 1), np.ones((3, 3)))
    large = np.bincount(parts.ravel()) > SPECK * image.size
    large[0] = False  # the ground
    return large[parts]


def head_frame(*groups: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns that hold every head of some groups of images, and little else.

    Whatever is larger than a speck of noise and brighter than a tenth of the range lies inside, in samples as in originals. A
    fainter haze and specks far from the head may lie outside; metrics see them. The whole image, if nothing in any of them is
    bright.

    Args:
        groups: images (n, H, W) or (n, H, W, 1) of one size, uint8 or in [0, 1].

    Returns:
        Slices of rows and columns: ``images[:, rows, columns]``.

    Raises:
        InputError: images of another type or range, whose heads would be taken for something else.
    """
    for images in groups:
        if images.dtype != np.uint8 and (images.dtype.kind != "f" or images.size and np.nanmax(images) > 1.001):
            found = f"{images.dtype} up to {images.max():g}"
            raise InputError(f"Pictures are made of uint8 images, or of numbers in [0, 1], not of {found}.")
    height, width = groups[0].shape[1:3]
    seen = np.zeros((height, width), bool)
    for images in groups:
        for image in images.reshape(-1, height, width):
            seen |= head_mask(image)
    return _bounds(seen.any(axis=1)), _bounds(seen.any(axis=0))


def _bounds(seen: np.ndarray) -> slice:
    places, margin = np.flatnonzero(seen), max(1, round(MARGIN * len(seen)))
    if not len(places):
        return slice(0, len(seen))
    return slice(max(0, int(places[0]) - margin), min(len(seen), int(places[-1]) + 1 + margin))
