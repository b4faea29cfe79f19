"""The known map: from a native point in the scanner to its place in MNI152.

    template = affine @ native + warp(native) - shift(native) * affine's phase-encoding column

`warp` is a cubic B-spline over the field of view: a smooth part, a fine part, and the pull towards the
ventricles that makes them larger. `shift` is the EPI distortion, in acquired voxels; without distortion it
is zero.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from dwikit.cohorts.phantom.atlas import COARSE_MM, Atlas
from dwikit.cohorts.phantom.person import CENTRE, Person
from dwikit.cohorts.phantom.settings import Settings

_MARGIN = 2  # control points beyond the field of view on each side
_EXTENT_MM = 256, 288, 256
"""Of the box in the template, symmetric about the midline, where the random warp lives."""
# sd of a cubic B-spline of independent unit weights: its squared weights add up to 0.48 an axis
_SPLINE_SD = 0.48**1.5


class Warp(NamedTuple):
    """Cubic B-spline over acquired voxel coordinates whose values are vectors of template millimetres.

    Attributes:
        weights: (3, X, Y, Z) float32.
        spacing: (3,) voxels between control points.
    """

    weights: np.ndarray
    spacing: np.ndarray

    def dense(self, axes: list[np.ndarray], part: slice = slice(None)) -> np.ndarray:
        """Values on the lattice of three axes of voxel coordinates x, y and a part of z: (3, x, y, part) float32."""
        return _tensor_product(self.weights, axes, self.spacing, part)


def smooth_field(
    rng: np.random.Generator,
    axes: list[np.ndarray],
    shape: tuple[int, int, int],
    voxel_mm: np.ndarray,
    spacing_mm: float,
    sd: float,
    part: slice = slice(None),
) -> np.ndarray:
    """Random smooth scalar field on the lattice of three axes of voxel coordinates, float32 (x, y, part of z).

    Args:
        rng: source of the control points.
        axes: voxel coordinates along x, y, z.
        shape: voxels of the whole scan, which decide how many control points there are.
        voxel_mm: (3,) voxel size.
        spacing_mm: distance of the control points: the field's scale.
        sd: of the values, about.
        part: of the axis z; the values there are the same as in the whole.
    """
    spacing = spacing_mm / voxel_mm
    counts = [int(np.ceil((n - 1) / step)) + 1 + 2 * _MARGIN for n, step in zip(shape, spacing, strict=True)]
    weights = rng.standard_normal((1, *counts), dtype=np.float32) * np.float32(sd / _SPLINE_SD)
    return _tensor_product(weights, axes, spacing, part)[0]


def make_warp(person: Person, atlas: Atlas, settings: Settings) -> Warp:
    """The person's warp: random anatomy, and ventricles as wide as at their age."""
    shape = np.array([person.protocol.matrix, person.protocol.matrix, person.protocol.n_slices])
    voxel_mm = np.linalg.norm(person.voxel_to_world[:3, :3], axis=0)
    spacing = settings.control_mm / voxel_mm
    counts = np.ceil((shape - 1) / spacing).astype(int) + 1 + 2 * _MARGIN
    places = (np.stack(np.indices(counts), -1).reshape(-1, 3) - _MARGIN) * spacing
    points = voxels_to_template(person, places)
    shift = (_random_shift(person, settings, points) + _ventricle_shift(person, atlas, points)).T.reshape(3, *counts)
    weights = np.stack([ndimage.spline_filter(part) for part in shift])  # the spline passes through these
    return Warp(weights.astype(np.float32), spacing)


def _random_shift(person: Person, settings: Settings, points: np.ndarray) -> np.ndarray:
    """Random smooth shift (N, 3) in mm at template points (N, 3): a coarse part and a fine one, the sides alike.

    With n a random field and m its mirror image, [sqrt(1 + a) (n + m) + sqrt(1 - a) (n - m)] / 2 has a correlation of a
    between the sides.
    """
    rng = person.stream(1)
    counts = [int(extent / settings.control_mm) + 1 for extent in _EXTENT_MM]
    total = np.zeros((3, *counts))
    for amplitude, scale_mm in (
        (settings.warp_mm, settings.warp_scale_mm),
        (settings.ripple_mm, settings.ripple_scale_mm),
    ):
        noise = rng.standard_normal((3, *counts))
        noise = ndimage.gaussian_filter(noise, (0, *[scale_mm / settings.control_mm] * 3), mode="reflect")
        total += noise * (amplitude / noise.std())
    mirrored = total[:, ::-1] * np.array([-1, 1, 1])[:, None, None, None]
    like, unlike = np.sqrt([1 + settings.warp_symmetry, 1 - settings.warp_symmetry]) / 2
    total = like * (total + mirrored) + unlike * (total - mirrored)
    where = ((points - CENTRE * (0, 1, 1)) / settings.control_mm + (np.array(counts) - 1) / 2).T
    return np.stack([ndimage.map_coordinates(part, where, order=1, mode="nearest") for part in total], -1)


def _ventricle_shift(person: Person, atlas: Atlas, points: np.ndarray) -> np.ndarray:
    """Shift (N, 3) in mm towards the ventricles at template points (N, 3): looking inwards widens them."""
    where = (points - atlas.affine[:3, 3]).T / COARSE_MM
    pull = [ndimage.map_coordinates(part, where, order=1, mode="constant") for part in atlas.ventricle_pull]
    return np.stack(pull, -1) * person.ventricle_mm


def voxels_to_template(person: Person, voxels: np.ndarray) -> np.ndarray:
    """Affine part of the known map: acquired voxel coordinates (N, 3) to template millimetres (N, 3)."""
    matrix = person.world_to_template @ person.voxel_to_world
    return voxels @ matrix[:3, :3].T + matrix[:3, 3]


def template_lattice(person: Person, warp: Warp, axes: list[np.ndarray], part: slice = slice(None)) -> np.ndarray:
    """Undistorted known map on the lattice of three axes of voxel coordinates: (3, x, y, part of z) float32 mm."""
    matrix = person.world_to_template @ person.voxel_to_world
    field = warp.dense(axes, part)
    x, y, z = (axis.astype(np.float32) for axis in (*axes[:2], axes[2][part]))
    for component, row in zip(field, matrix[:3].astype(np.float32), strict=True):
        component += (row[0] * x + row[3])[:, None, None] + (row[1] * y)[:, None] + row[2] * z
    return field


def fit_affine(native: np.ndarray, template: np.ndarray) -> np.ndarray:
    """Least-squares affine (4, 4) from native points (N, 3) to template points (N, 3), millimetres."""
    extended = np.c_[native, np.ones(len(native))]
    solution, *_ = np.linalg.lstsq(extended, template, rcond=None)
    matrix = np.eye(4)
    matrix[:3] = solution.T
    return matrix


def _spline_matrix(places: np.ndarray, count: int) -> np.ndarray:
    """Cubic B-spline weights (len(places), count) float32 of control points at 0, 1, ..., count - 1."""
    distance = np.abs(places[:, None] - np.arange(count))
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)


def _tensor_product(weights: np.ndarray, axes: list[np.ndarray], spacing: np.ndarray, part: slice) -> np.ndarray:
    """B-spline of (C, X, Y, Z) weights on a lattice: (C, x, y, part of z) float32.

    Each level is a product of its own, because the last bit of a larger product depends on its size.
    """
    x, y, z = (
        _spline_matrix(axis / step + _MARGIN, count) for axis, step, count in zip(axes, spacing, weights.shape[1:], strict=True)
    )
    levels = np.moveaxis((weights @ z.T)[..., part], 3, 1)
    return np.ascontiguousarray(np.moveaxis(x @ levels @ y.T, 1, 3))
