"""Refines an affine map to fit the whole brain: the least-squares affine of a smooth deformation.

No two brains differ by an affine map alone. An affine registration by image similarity then follows the edges with the
strongest contrast, about 2 mm off the affine map that best fits all brain voxels. So a smooth deformation (affine plus a
few cosines along each axis) is fitted first, and its least-squares affine over the brain is the result.

The deformation u minimizes sum w (I(T(p + u(p))) - S(p))^2 + penalty(u). The image S expected at template point p is a
mixture of the tissue maps; each tissue's brightness, a second-order polynomial in p, is fitted too. That covers contrast
(whatever the b-value) and coil shading. Gauss-Newton steps; robust weights w keep lesions, scalp and signal voids from
counting.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from dwikit.preprocess.template import VOXEL_MM, load_template

# Measured on 8 undistorted and 8 distorted simulated scans with a warp of 3.5 mm: mean of the scans' median error 0.38 and
# 0.61 mm, 0.6 s per scan, after an ANTs affine with 2.0 mm. Lattice of 5 mm: 0.37 and 0.62 mm, but twice the time; 7 mm: 0.43
# and 0.63 mm; cosines (6, 7, 6): no better than (5, 6, 5), (4, 5, 4): a quarter worse; penalty 1000: 0.55 and 0.82 mm, 10:
# 0.44 and 0.61 mm; blur 9 mm: 0.75 and 0.97 mm. `benchmarks/preprocess.py` measures the error of the whole.
LATTICE_MM = 6
"""Spacing of the template points that are compared; even, as the maps have 2 mm voxels."""
COSINES = (5, 6, 5)
"""Cosines along x, y, z, including the constant: the finest has a wavelength of about 70 mm."""
PENALTY = 100.0
"""Weight of the deformation's squared curvature, mm2 per voxel, against squared residuals in units of their scale."""
BLUR_MM = 6.0
"""Full width at half maximum to which scan and maps are smoothed: slices of clinical scans are 5 to 6 mm apart."""
RIM_MM = 6.0
"""Template points up to this far outside the brain count: the dark rim around the brain shows where it ends."""
STEPS = 10
STOP_MM = 0.1
"""The fit ends when no point moves farther than this in a step."""
FEWEST_POINTS = 500
"""Fewest brain points in the scan needed to refine; a whole brain has some 8,000."""
_FWHM = 2.355  # of a Gaussian, in standard deviations


class _Lattice(NamedTuple):
    """What does not depend on the scan, for N template points.

    Attributes:
        points: (N, 3) millimetres.
        brain: (N,) bool.
        tissues: (N, 3) shares of grey, white, fluid.
        slopes: (N, 3, 3) their gradients (tissue, axis), 1/mm.
        basis: (N, J) deformation basis: 1, x, y, z, then cosines.
        curvature: (J,) penalty of each basis function; 0 for the affine part.
        shading: (N, 10) polynomials of second order.
    """

    points: np.ndarray
    brain: np.ndarray
    tissues: np.ndarray
    slopes: np.ndarray
    basis: np.ndarray
    curvature: np.ndarray
    shading: np.ndarray


@cache
def _lattice() -> _Lattice:
    template = load_template()
    maps = [ndimage.gaussian_filter(tissue, BLUR_MM / _FWHM / VOXEL_MM) for tissue in template.tissues]
    near = ndimage.distance_transform_edt(template.brain < 0.5) * VOXEL_MM <= RIM_MM
    step = LATTICE_MM // VOXEL_MM
    chosen = np.zeros_like(near)
    chosen[::step, ::step, ::step] = near[::step, ::step, ::step]
    points = np.argwhere(chosen) @ template.affine[:3, :3].T + template.affine[:3, 3]
    slopes = np.stack([np.stack(np.gradient(volume, VOXEL_MM), -1)[chosen] for volume in maps], 1)
    low, high = points.min(0), points.max(0)
    unit = (points - low) / (high - low)
    waves = [np.cos(np.pi * unit[:, [axis]] * np.arange(count)) for axis, count in enumerate(COSINES)]
    cosines = np.einsum("ni,nj,nk->nijk", *waves).reshape(len(points), -1)[:, 1:]
    frequency = [np.pi * np.arange(count) / extent for count, extent in zip(COSINES, high - low, strict=True)]
    curvature = (np.stack(np.meshgrid(*frequency, indexing="ij"), -1) ** 2).sum(-1).ravel()[1:] ** 2
    x, y, z = (2 * unit - 1).T
    one = np.ones(len(points))
    return _Lattice(
        points,
        template.brain[chosen] > 0.5,
        np.stack([volume[chosen] for volume in maps], 1),
        slopes.astype(np.float32),
        np.column_stack([one, x, y, z, cosines]).astype(np.float32),
        np.concatenate([np.zeros(4), curvature]),
        np.column_stack([one, x, y, z, x * x, y * y, z * z, x * y, x * z, y * z]).astype(np.float32),
    )


def refine(image: np.ndarray, affine: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Least-squares affine of the smooth deformation that takes the template to a scan.

    Args:
        image: (X, Y, Z) trace-weighted.
        affine: (4, 4) voxel to world, millimetres.
        start: (4, 4) map from MNI152 to world, millimetres, accurate to about a centimetre.

    Returns:
        (4, 4) map from MNI152 to world, millimetres; `start` itself if the scan shows too little of the brain.
    """
    lattice = _lattice()
    smooth = _smoothed(image, affine)
    to_voxel = np.linalg.inv(affine) @ start
    moved = np.zeros((lattice.basis.shape[1], 3), np.float32)
    for _ in range(STEPS):
        places = (lattice.points + lattice.basis @ moved) @ to_voxel[:3, :3].T + to_voxel[:3, 3]
        seen = ndimage.map_coordinates(smooth, places.T, order=1, mode="constant", cval=np.nan)
        inside = np.isfinite(seen)
        if np.count_nonzero(inside & lattice.brain) < FEWEST_POINTS:
            return start
        residual, slope, weight, scale = _compare(lattice, np.where(inside, seen, 0), inside)
        step = _gauss_newton(lattice, residual, slope, weight, scale, moved)
        moved += step
        if np.linalg.norm(lattice.basis @ step, axis=1).max() < STOP_MM:
            break
    counted = lattice.brain & inside
    points = np.column_stack([lattice.points, np.ones(len(lattice.points))])[counted]
    correction = np.eye(4)
    correction[:3] = np.linalg.lstsq(points, points[:, :3] + (lattice.basis @ moved)[counted], rcond=None)[0].T
    return start @ correction


def _smoothed(image: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """The scan at the maps' sharpness (a voxel is a box, about as wide as a Gaussian of 0.7 times its size), scaled to
    about 1."""
    voxel = np.linalg.norm(affine[:3, :3], axis=0)
    width = np.sqrt(np.maximum(BLUR_MM**2 - 0.5 * voxel**2, 0)) / _FWHM / voxel
    smooth = ndimage.gaussian_filter(image, width)
    return smooth / np.percentile(smooth, 98)


def _compare(lattice: _Lattice, seen: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Fits the tissues' brightness to the observed intensities.

    Returns:
        residual (N,) observed minus expected; slope (N, 3) of the expected image, 1/mm; robust weight (N,); residuals' scale.
    """
    n_terms = lattice.shading.shape[1]
    parts = [lattice.tissues[:, [kind]] * lattice.shading for kind in range(3)]
    design = np.column_stack([*parts, np.ones(len(seen))]).astype(np.float32)
    weight = inside.astype(np.float32)
    ridge = 1e-2 * np.eye(design.shape[1])
    for _ in range(2):
        weighted = design * weight[:, None]
        fit = np.linalg.solve(weighted.T @ design + ridge, weighted.T @ seen)
        residual = (seen - design @ fit).astype(np.float32)
        scale = max(1.4826 * float(np.median(np.abs(residual[inside & lattice.brain]))), 1e-3)
        weight = (inside / (1 + (residual / (3 * scale)) ** 2) ** 2).astype(np.float32)
    brightness = np.column_stack([lattice.shading @ fit[k * n_terms : (k + 1) * n_terms] for k in range(3)])
    return residual, np.einsum("nk,nka->na", brightness, lattice.slopes).astype(np.float32), weight, scale


def _gauss_newton(
    lattice: _Lattice, residual: np.ndarray, slope: np.ndarray, weight: np.ndarray, scale: float, moved: np.ndarray
) -> np.ndarray:
    """One step (J, 3) of the deformation's weights."""
    root = np.sqrt(weight)
    jacobian = np.concatenate([lattice.basis * (root * along)[:, None] for along in slope.T], axis=1)
    hessian = (jacobian.T @ jacobian).astype(float)  # of a matrix and itself: BLAS computes one half
    penalty = np.tile(lattice.curvature * PENALTY * scale**2 * len(residual), 3)
    gradient = jacobian.T @ (root * residual) + penalty * moved.T.ravel()
    ridge = 1e-6 * np.trace(hessian) / len(hessian)
    step = np.linalg.solve(hessian + np.diag(penalty + ridge), -gradient)
    return step.reshape(3, -1).T.astype(np.float32)
