"""One person's own cortex: secondary sulci from a random field, the template's strong sulci, ribbon and fluid by age.

A sulcus is a sheet on which a band-passed Gaussian field F is zero. F is read at q, a voxel's nearest point on the hull moved a
little towards the voxel, so that sheets hang from the hull. Smooth quantities are computed on every second voxel of the lattice
and interpolated; the distance to a sheet keeps its sign until then, because it passes through zero without a kink.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import ndimage, sparse

from dwikit.cohorts.phantom import hull
from dwikit.cohorts.phantom.atlas import Atlas, load_atlas
from dwikit.cohorts.phantom.once import once
from dwikit.cohorts.phantom.person import Person, by_age
from dwikit.cohorts.phantom.settings import Settings

_NOISE_MM, _NOISE_START, _NOISE_SHAPE = 3, (92, 24, 24), (28, 64, 46)
"""Spacing, first point (voxels of the atlas's lattice) and shape of the grid on which the random fields are made. It covers the
right hemisphere; the left one is read at mirrored places."""
_TORUS_GAP_MM = 30
"""Between one end of the grid and the other, so that the two are independent."""
_STREAM = 4


class Hemisphere(NamedTuple):
    """The geometry of one hemisphere, ready for use; rows and voxels are sorted by their level z.

    Attributes:
        level: (N,) z on every second voxel of the atlas's lattice.
        depth, axis, core, strength: (N,) float32 mm, as in `hull.RANGES`.
        jacobian: (N, 3, 3) float32: [i, j] is the change of q's coordinate j along i.
        read: sparse (N, grid) matrix that reads a noise grid at q, mirrored in the left hemisphere.
        near: (N,) float32 in [0, 1]: how near a strong sulcus of the template is; near_slope (N, 3) its gradient an mm.
        finer: sparse (M, N) matrix that interpolates from the rows to the voxels at full resolution.
        voxel_level: (M,) z of the voxels.
        atlas_rows: (M,) places of the voxels in the atlas.
        voxel_depth, sheet, share: (M,) float32 depth (mm), distance to the template's sulci (mm), share of individual cortex.
    """

    level: np.ndarray
    depth: np.ndarray
    axis: np.ndarray
    core: np.ndarray
    strength: np.ndarray
    jacobian: np.ndarray
    read: sparse.csr_matrix
    near: np.ndarray
    near_slope: np.ndarray
    finer: sparse.csr_matrix
    voxel_level: np.ndarray
    atlas_rows: np.ndarray
    voxel_depth: np.ndarray
    sheet: np.ndarray
    share: np.ndarray


class Cortex(NamedTuple):
    """A part of the individual cortex.

    Attributes:
        rows: (M,) places in the atlas's index.
        share: (M,) of the individual cortex, in [0, 1].
        pial: (M,) mm below the pial surface, negative in the fluid.
        inner: (M,) mm below the border of grey and white matter.
        shade: (M,) standard normal: regional brightness.
    """

    rows: np.ndarray
    share: np.ndarray
    pial: np.ndarray
    inner: np.ndarray
    shade: np.ndarray


def fold(person: Person, settings: Settings, slab: slice) -> list[Cortex]:
    """The person's cortex in some levels z of the atlas's lattice, one part for each hemisphere."""
    rng = person.stream(_STREAM)
    fields = _random_fields(rng, settings)
    width = by_age(person.age, settings.sulcus_half_mm) * float(np.exp(rng.normal(0, settings.sulcus_half_sd)))
    return [_fold_side(side, field, width, person, settings, slab) for side, field in zip(load_hemispheres(), fields)]


def _fold_side(side: Hemisphere, fields: np.ndarray, width: float, person: Person, settings: Settings, slab: slice) -> Cortex:
    """One hemisphere's cortex from its random fields (grid, 8)."""
    rows = slice(*np.searchsorted(side.level, (slab.start // hull.STEP, -(-(slab.stop - 1) // hull.STEP) + 1)))
    voxels = slice(*np.searchsorted(side.voxel_level, (slab.start, slab.stop)))
    smooth = _smooth_quantities(side, rows, side.read[rows] @ fields, width, person, settings)
    sheet, ends, missing, half, shade = (side.finer[voxels, rows] @ smooth).T
    own = np.hypot(sheet, np.maximum(ends, 0))
    shared = np.hypot(side.sheet[voxels], np.maximum(missing, 0))
    retreat = np.float32(by_age(person.age, settings.gyrus_retreat_mm))
    outer = side.voxel_depth[voxels] - retreat
    pial = _smooth_minimum(outer, np.minimum(own, shared) - half, np.float32(settings.crown_mm))
    thickness = np.float32(by_age(person.age, settings.ribbon_mm)) * (1 + np.float32(settings.ribbon_sd) * shade)
    return Cortex(side.atlas_rows[voxels], side.share[voxels], pial, pial - thickness, shade)


def _smooth_quantities(
    side: Hemisphere, rows: slice, values: np.ndarray, width: float, person: Person, settings: Settings
) -> np.ndarray:
    """What can be interpolated, (rows, 5) float32: signed distance to the nearest own sheet, distance beyond the sheet's ends,
    distance by which a shared sulcus is missing, half width of the fluid, all in mm, and the regional shade."""
    field, slope, (reach, keep_off, opening, shade) = values[:, 0], values[:, 1:4], values[:, 4:].T
    depth, core = side.depth[rows], side.core[rows]
    push = np.float32(settings.keep_off) * np.tanh(keep_off / np.float32(0.3))
    here = np.einsum("nij,nj->ni", side.jacobian[rows], slope) + push[:, None] * side.near_slope[rows]
    sheet = _sheet_distance(
        field + push * side.near[rows],
        np.linalg.norm(here, axis=1),
        np.linalg.norm(slope, axis=1),
        np.float32(2 * np.pi / settings.fold_mm),
    )
    deepest = np.clip(settings.sulcus_depth_mm + settings.sulcus_depth_sd_mm * reach, -3, settings.sulcus_deepest_mm)
    ends = np.maximum(np.maximum(depth - deepest, 7 - core), 4.5 - side.axis[rows])
    threshold = settings.shared_strength + settings.shared_strength_sd * opening
    missing = settings.shared_fade_mm * (threshold - side.strength[rows])
    half = width * np.exp(settings.sulcus_half_spread * np.clip(opening, -2, 1.5)) * np.clip(1.35 - 0.05 * depth, 0.5, 1.35)
    return np.stack([sheet, ends, missing, half, shade], 1).astype(np.float32)


def _sheet_distance(field: np.ndarray, slope: np.ndarray, slope_on_hull: np.ndarray, wave: np.float32) -> np.ndarray:
    """Signed distance to the nearest zero of the field, mm.

    F is nearly a sine along its gradient: atan(k F / |grad F|) / k, without division by small slopes. Depth squeezes the
    pattern by |grad F| at the voxel over that on the hull.
    """
    squeeze = np.clip(slope / (slope_on_hull + np.float32(0.02)), 0.5, 2.5)
    return np.arctan2(wave * field, np.maximum(slope, np.float32(1e-3)) / squeeze) / (wave * squeeze)


def _smooth_minimum(a: np.ndarray, b: np.ndarray, over: np.float32) -> np.ndarray:
    """Smaller of two distances, the corner between two surfaces rounded over some mm."""
    overlap = np.maximum(over - np.abs(a - b), 0) / over
    return np.minimum(a, b) - overlap * overlap * over / 4


# ==== Random fields ====


@lru_cache(maxsize=2)
def _waves(shortest_mm: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Wave numbers (rad/mm, three axes) on a torus around the noise grid down to a wavelength, and the waves on the grid."""
    numbers, waves = [], []
    for count in _NOISE_SHAPE:
        torus_mm = count * _NOISE_MM + _TORUS_GAP_MM
        most = int(torus_mm / shortest_mm)
        numbers.append(np.arange(-most, most + 1) * (2 * np.pi / torus_mm))
        waves.append(np.exp(1j * numbers[-1][:, None] * np.arange(count) * _NOISE_MM).astype(np.complex64))
    return numbers, waves


def _random_fields(rng: np.random.Generator, settings: Settings) -> np.ndarray:
    """Gaussian fields of sd 1 for the right and the left hemisphere, (2, grid, 8) float32.

    The folding field, its gradient (3), and slow fields that vary depth, keeping off, opening and shade. One complex field
    holds two independent ones; the left hemisphere's is a mixture of both, on the mirrored grid.
    """
    centre, spread = 2 * np.pi / settings.fold_mm, settings.fold_band
    (kx, ky, kz), waves = _waves(settings.fold_mm / (1 + 3 * spread))
    size = np.sqrt(kx[:, None, None] ** 2 + ky[:, None] ** 2 + kz**2)
    amplitudes = [np.exp(-(((size - centre) / (spread * centre)) ** 2) / 2)]
    amplitudes += [np.exp(-((size * scale / 5) ** 2) / 2) for scale in settings.fold_slow_mm]
    noise = rng.standard_normal((len(amplitudes), *size.shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
    noise *= np.stack([part / np.sqrt((part**2).sum()) for part in amplitudes]).astype(np.float32)
    folding = noise[0]
    slopes = [1j * k.astype(np.float32) * folding for k in (kx[:, None, None], ky[:, None], kz)]
    values = np.stack([folding, *slopes, *noise[1:]]) @ waves[2]
    values = np.matmul(waves[1].T, values)
    values = np.matmul(waves[0].T, values.reshape(*values.shape[:2], -1)).reshape(len(values), -1).T
    alike = np.float32(settings.fold_symmetry)
    return np.stack([values.real, alike * values.real + np.sqrt(1 - alike * alike) * values.imag])


# ==== The geometry, made ready ====


@once
def load_hemispheres() -> tuple[Hemisphere, Hemisphere]:
    """The right and the left hemisphere from the shipped file."""
    geometry, atlas = hull.read(), load_atlas()
    fields = np.split(geometry.fields, [np.count_nonzero(geometry.inside[0])], axis=1)
    sheets = np.split(geometry.sheet, [np.count_nonzero(geometry.folded[0])])
    return tuple(
        _hemisphere(atlas, side, geometry.inside[side], fields[side], geometry.folded[side], sheets[side]) for side in (0, 1)
    )


def _hemisphere(
    atlas: Atlas, side: int, inside: np.ndarray, codes: np.ndarray, folded: np.ndarray, sheet_codes: np.ndarray
) -> Hemisphere:
    """One hemisphere's geometry from its bytes."""
    places, order = _by_level(inside)
    start, shape = places.min(0), tuple(np.ptp(places, axis=0) + 1)
    at = tuple((places - start).T)
    values = {name: hull.decode(row, ends)[order] for (name, ends), row in zip(hull.RANGES.items(), codes, strict=True)}
    q = hull.STEP * places + np.float32(1 - hull.TILT) * np.stack([values[name] for name in "xyz"], 1)
    if side == 1:
        q[:, 0] = atlas.shape[0] - 1 - q[:, 0]
    voxels, voxel_order = _by_level(folded)
    sheet = hull.decode(sheet_codes, hull.SHEET_RANGE, hull.SHEET_STEPS)[voxel_order]
    finer = _interpolation(voxels / np.float32(hull.STEP) - start, shape)[:, np.ravel_multi_index(at, shape)]
    depth, core = (finer @ np.stack([values["depth"], values["core"]], 1)).T
    near = _near_strong_sulci(voxels - hull.STEP * start, sheet, at, values["strength"], shape)
    return Hemisphere(
        level=places[:, 2].copy(),
        depth=values["depth"],
        axis=values["axis"],
        core=values["core"],
        strength=values["strength"],
        jacobian=np.stack([_gradient(q[:, j], at, shape) for j in range(3)], 2),
        read=_interpolation((q - np.float32(_NOISE_START)) / np.float32(_NOISE_MM), _NOISE_SHAPE),
        near=near[at],
        near_slope=np.stack([part[at] for part in np.gradient(near, hull.STEP)], 1),
        finer=finer,
        voxel_level=voxels[:, 2].copy(),
        atlas_rows=atlas.rows_of(*voxels.T).astype(np.int32),
        voxel_depth=depth.copy(),
        sheet=sheet,
        share=hull.folded_share(core, depth),
    )


def _near_strong_sulci(
    voxels: np.ndarray, sheet: np.ndarray, at: tuple[np.ndarray, ...], strength: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """How near a strong sulcus of the template is, in [0, 1], on a box of every second voxel."""
    distance = np.full(shape, hull.SHEET_RANGE[1], np.float32)
    even = (voxels % hull.STEP == 0).all(1)
    distance[tuple((voxels[even] // hull.STEP).T)] = sheet[even]
    strong = np.zeros(shape, np.float32)
    strong[at] = hull.smoothstep(strength, 0.05, 0.09)
    return ndimage.gaussian_filter(strong * np.exp(-((distance / 6) ** 2)), 0.5)


def _by_level(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places (N, 3) of a mask's voxels by their level, and their order among the voxels as the mask holds them."""
    places = np.argwhere(mask).astype(np.int32)
    order = np.argsort(places[:, 2], kind="stable")
    return places[order], order


def _gradient(values: np.ndarray, at: tuple[np.ndarray, ...], shape: tuple[int, int, int]) -> np.ndarray:
    """Gradient (N, 3) an mm of values known at some voxels of a box, one-sided where a neighbour is missing."""
    box = np.full(shape, np.nan, np.float32)
    box[at] = values
    slopes = []
    for axis in range(3):
        ahead = np.diff(box, axis=axis, append=np.nan) / hull.STEP
        behind = np.diff(box, axis=axis, prepend=np.nan) / hull.STEP
        both = np.stack([ahead[at], behind[at]])
        known = np.isfinite(both)
        slopes.append(np.where(known, both, 0).sum(0) / np.maximum(known.sum(0), 1))
    return np.stack(slopes, 1)


def _interpolation(places: np.ndarray, shape: tuple[int, ...]) -> sparse.csr_matrix:
    """Matrix (N, grid) of linear interpolation at places (N, 3) of a grid."""
    base = np.clip(np.floor(places).astype(np.int32), 0, np.array(shape, np.int32) - 1)
    share = (places - base).astype(np.float32)
    rows, columns, weights = [], [], []
    for corner in np.ndindex(2, 2, 2):
        weight = np.where(corner, share, 1 - share).prod(1, dtype=np.float32)
        used = np.flatnonzero(weight)
        rows.append(used.astype(np.int32))
        columns.append(np.ravel_multi_index(tuple((base[used] + np.array(corner)).T), shape, "clip").astype(np.int32))
        weights.append(weight[used])
    entries = np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))
    return sparse.csr_matrix(entries, (len(places), int(np.prod(shape))))
