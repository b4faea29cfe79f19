"""Measures of a registered scan, and the flags that follow from them.

Every threshold was set between the real scans that came out right and scans with a known fault (cut, shifted by
25 mm, turned upside down, pure noise).
"""

import math
from functools import cache

import numpy as np
from scipy import ndimage

from dwikit.preprocess.register import Registered
from dwikit.preprocess.template import load_template, on_grid
from dwikit.preprocess.trace import Trace
from dwikit.slices import grid
from dwikit.slices.registered import FLAGS, Quality

COVERAGE = 0.97
"""Smallest share of the template's brain in the field of view. Whole-brain scans reach 0.987 to 1, including one tilted
by 20 degrees; scans of a part of the brain 0.56 to 0.80, and 0.96 if the upper 20 mm are missing."""
OVERLAP = 0.9
"""Smallest Dice overlap of the bright foreground with the template's brain: correct scans have 0.91 to 0.96, scans with a
wrong header (back to front, upside down, axes swapped) 0.86 to 0.89, a shift of 25 mm 0.79, noise 0.42."""
SIMILARITY = 0.55
"""Smallest correlation with the contrast that a DWI of a healthy brain has: correct scans have 0.75 to 0.87 (0.60 at b = 2500).
Bright lesions lower it and leave the outline as it is: 300 ml three times as bright give 0.56 to 0.60 and an overlap of 0.94
and more, a large infarct 0.47. Whatever lowers it so by a wrong place also lowers the overlap: a shift of 16 mm gives 0.43 to
0.49 and an overlap of 0.85. Bright fluid, as at b = 0, gives an overlap of 0.92 and more, and at most 0.04."""
OTHER_CONTRAST = 0.3
"""Below this similarity, a scan with the right outline is rather of another contrast than of a brain with lesions."""
SCALES = (0.65, 1.6)
"""Brain over template size along any axis: adults lie between 0.8 and 1.1, newborns near 0.7."""
SHEAR = 0.25
"""Largest shear (tangent of an angle of 14 degrees); heads differ by less than 0.1."""
ROTATION_DEG = 50.0
"""Largest rotation between scanner and template; a head coil allows about 35 degrees."""
B_VALUE = 300.0
"""s/mm2 from the wanted b-value at which the contrast is visibly different: 800 still looks like 1000, 1500 does
not."""
FOREGROUND = 0.4
"""Foreground is brighter than this share of the median brain: fluid and scalp are darker, see the README of the real
scans."""
NEAR_MM = 8.0
"""The comparison with the expected contrast counts voxels up to this far from the template's brain."""
CONTRAST = (1.0, 0.87, 0.35)
"""Expected brightness of grey matter, white matter and fluid at b = 1000 (median of whole-brain scans at b 800 to
1000)."""


def measure(trace: Trace, registered: Registered, image_size: int, fov_mm: float) -> Quality:
    """Measures a registered scan."""
    brain, near, contrast = _expected(image_size, fov_mm)
    covered = _covered(trace, registered.matrix, image_size, fov_mm)
    image = registered.image[..., grid.KEPT]
    return Quality(
        float(covered[brain].mean()),
        overlap(image, brain, covered),
        similarity(image, contrast, near & covered),
        *decompose(registered.matrix),
    )


@cache
def _expected(image_size: int, fov_mm: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Template on the kept slices: brain (bool), its surroundings included (bool), expected brightness (float32)."""
    template = load_template()
    brain = on_grid(template.brain, image_size, fov_mm) > 0.5
    voxel = np.diag(grid.affine(image_size, fov_mm))[:3]
    near = ndimage.distance_transform_edt(~brain, sampling=voxel) <= NEAR_MM
    contrast = sum(
        share * on_grid(tissue, image_size, fov_mm) for share, tissue in zip(CONTRAST, template.tissues, strict=True)
    )
    return brain[..., grid.KEPT], near[..., grid.KEPT], contrast[..., grid.KEPT]


def _covered(trace: Trace, matrix: np.ndarray, image_size: int, fov_mm: float) -> np.ndarray:
    """Which voxels of the kept slices lie inside the acquired field of view, bool.

    Rows, columns and slices of zeros at the border of the scan count as not acquired: some archives pad.
    """
    seen = trace.image > 0
    lows, highs = [], []
    for axis in range(3):
        filled = np.flatnonzero(seen.any(tuple(other for other in range(3) if other != axis)))
        lows.append(filled[0] - 0.5)
        highs.append(filled[-1] + 0.5)
    to_voxel = np.linalg.inv(trace.affine) @ matrix @ grid.affine(image_size, fov_mm)
    shape = (image_size, image_size, grid.N_LEVELS)
    covered = np.ones(shape, bool)
    x, y, z = np.ogrid[:image_size, :image_size, grid.KEPT]
    for row, low, high in zip(to_voxel[:3], lows, highs, strict=True):
        place = row[0] * x + row[1] * y + row[2] * z + row[3]
        covered &= (place >= low) & (place <= high)
    return covered


def overlap(image: np.ndarray, brain: np.ndarray, covered: np.ndarray) -> float:
    """Dice overlap of the foreground with the brain, both within the field of view; 0 if nothing is there.

    The foreground is the largest connected part that is brighter than a share of the median brain.
    """
    inside = brain & covered
    if not inside.any() or not (median := np.median(image[inside])) > 0:
        return 0.0
    bright = ndimage.binary_opening((image > FOREGROUND * median) & covered)
    labels, count = ndimage.label(bright)
    if not count:
        return 0.0
    largest = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    return float(2 * (largest & inside).sum() / (largest.sum() + inside.sum()))


def similarity(image: np.ndarray, contrast: np.ndarray, counted: np.ndarray) -> float:
    """Correlation of the image, its brightest 2 % clipped, with the expected contrast; 0 if the image has no contrast."""
    if np.count_nonzero(counted) < 2:
        return 0.0
    values, expected = image[counted].astype(float), contrast[counted].astype(float)
    values = np.minimum(values, np.percentile(values, 98))
    if values.std() == 0 or expected.std() == 0:
        return 0.0
    return float(np.corrcoef(values, expected)[0, 1])


def decompose(matrix: np.ndarray) -> tuple[float, float, float, float]:
    """Smallest and largest scale, largest shear and rotation (degrees) of an affine map; a mirrored one has a scale < 0.

    The linear part is split into rotation x (scales along the axes) x (shears of the template's axes).
    """
    rotation, upper = np.linalg.qr(matrix[:3, :3])
    signs = np.sign(np.diag(upper))
    rotation, upper = rotation * signs, upper * signs[:, None]
    scales = np.diag(upper) * (1.0 if np.linalg.det(rotation) > 0 else -1.0)
    shears = np.abs(np.triu(upper / np.diag(upper)[:, None], 1))
    cosine = np.clip((np.trace(rotation) - 1) / 2, -1, 1)
    return float(scales.min()), float(scales.max()), float(shears.max()), math.degrees(math.acos(cosine))


def flags(quality: Quality, trace_b_value: float, b_value: float) -> list[str]:
    """Flags of a scan, in the order of `FLAGS`.

    Args:
        quality: from `measure`.
        trace_b_value: b-value of the scan, s/mm2; nan (a ready trace image) is not flagged.
        b_value: wanted b-value, s/mm2.
    """
    sizes = SCALES[0] <= quality.scale_min and quality.scale_max <= SCALES[1]
    plausible = sizes and quality.shear <= SHEAR and quality.rotation_deg <= ROTATION_DEG
    outlined = quality.overlap >= OVERLAP
    raised = {
        "partial_coverage": quality.coverage < COVERAGE,
        "implausible_affine": not plausible,
        "low_overlap": not outlined,
        "unusual_contrast": quality.similarity < SIMILARITY and plausible and outlined,
        "empty": quality.overlap == 0,
        "b_value": abs(trace_b_value - b_value) > B_VALUE,
    }
    return [name for name in FLAGS if raised[name]]
