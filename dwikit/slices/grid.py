"""The target grid in MNI152 space: 128 x 128 pixels, 40 slices, of which 26 are kept (paper, sec. 3.1).

The paper gives the matrix (128 x 128 x 40) and what it drops (6 slices at the top, 8 at the bottom). The field of view is
our choice: a square in the plane (`dwikit.slices.SliceSettings`), and 189 mm from foot to head, the MNI152 template's extent
along z.
"""

from typing import NamedTuple

import numpy as np

IMAGE_SIZE = 128
"""Pixels along one side of the target grid; smaller slices are means of blocks of them."""
CENTRE_MM = (0.0, -18.0)
"""In-plane centre of the field of view (x, y) in MNI152 millimetres: the middle of the template."""
Z_BOTTOM_MM = -72.0
SLICE_MM = 4.725
N_SLICES = 40
DROPPED_BOTTOM, DROPPED_TOP = 8, 6
KEPT = slice(DROPPED_BOTTOM, N_SLICES - DROPPED_TOP)
N_LEVELS = N_SLICES - DROPPED_BOTTOM - DROPPED_TOP
"""26 levels per volume; 2,029 volumes make the paper's 52,754 slices."""


def affine(image_size: int, fov_mm: float) -> np.ndarray:
    """Voxel-to-MNI152 affine (4 x 4, millimetres, RAS+) of the grid of shape (image_size, image_size, 40)."""
    pixel = fov_mm / image_size
    first = -fov_mm / 2 + pixel / 2
    matrix = np.diag([pixel, pixel, SLICE_MM, 1.0])
    matrix[:3, 3] = CENTRE_MM[0] + first, CENTRE_MM[1] + first, Z_BOTTOM_MM + SLICE_MM / 2
    return matrix


def to_slices(volume: np.ndarray) -> np.ndarray:
    """Kept axial slices of a volume on the target grid, as they are displayed.

    Args:
        volume: (X, Y, 40) on the target grid, RAS+.

    Returns:
        (26, Y, X), from the lowest kept level to the highest. Row 0 is anterior and column 0 the patient's right
        (radiological display).
    """
    return np.ascontiguousarray(volume[::-1, ::-1, KEPT].transpose(2, 1, 0))


OLDEST = 130
"""Years, the oldest age on record; a larger number is not an age."""


class Volume(NamedTuple):
    """One scan on the target grid.

    Attributes:
        case: name of the scan, such as sub-0001.
        subject: the person's label; several scans may share one.
        age: in years, or None.
        sex: F, M or None.
        origin: "registered", "simulated", or "simulated, registered".
        image: (26, H, W) float32 in the scanner's units, not normalized, as `to_slices` orders it.
        labels: (26, H, W) uint8 tissue (0 none, 1 grey, 2 white, 3 fluid) where it is known, else None.
    """

    case: str
    subject: str
    age: float | None
    sex: str | None
    origin: str
    image: np.ndarray
    labels: np.ndarray | None = None
