"""What does not depend on the person: tissue maps, surroundings of the brain, fields of the sinuses."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import fft, ndimage

from dwikit.cohorts.phantom.once import once

COARSE_MM = 3
"""Spacing of the atlas's smooth fields."""

_AIR = (  # centre and half-axes in MNI152 mm; positions read off the template
    ((0, 52, -33), (20, 24, 11)),  # frontal sinus and ethmoid cells
    ((0, 18, -35), (15, 15, 11)),  # sphenoid sinus
    ((-53, -26, -37), (16, 18, 13)),  # left middle ear and mastoid
    ((53, -26, -37), (16, 18, 13)),  # right middle ear and mastoid
)
_EYES = (((-32, 62, -40), (12, 12, 12)), ((32, 62, -40), (12, 12, 12)))
_IRON = (  # iron relative to the pallidum, centre and half-axes of the right one of each pair; shortens T2
    (1.0, (20, -5, -1), (6, 9, 6)),  # pallidum
    (0.35, (27, 4, 1), (5, 14, 9)),  # putamen
    (0.20, (12, -19, 8), (8, 12, 8)),  # thalamus
    (0.80, (8, -18, -12), (6, 7, 5)),  # substantia nigra and red nucleus
    (0.60, (15, -57, -35), (8, 8, 6)),  # dentate nucleus
)
_AIR_PPM = 9.4  # susceptibility difference between tissue and air


class Atlas(NamedTuple):
    """Maps on the 1 mm MNI152 lattice of shape (197, 233, 189), and coarse fields on every third voxel of it.

    Attributes:
        affine: (4, 4) voxel to MNI152 mm.
        shape: of the lattice.
        column, level: (N,) the voxels in the brain and the fluid around it: x * 233 + y, and z. They are sorted by z, so that
            a slab of levels is a slice of them.
        fluid, white: (N,) float32 shares in [0, 1]; fluid is what is neither grey nor white, white is white
            minus grey.
        iron: (N,) float32 in [0, 1], relative to the pallidum.
        limbic: (N,) float32 in [0, 1]: cortex that is brighter in diffusion-weighted images.
        fibre: (N, 3) float32 unit vectors: rough main direction of white matter.
        around: uint8 lattice, kind of tissue outside the brain: 1 scalp, 2 muscle, 3 eye, else 0.
        brain: bool lattice, the template's brain mask.
        head: bool lattice, everything that has signal.
        ventricle_pull: (3, ...) coarse, unit-free: towards the ventricles, largest length 1.
        field_ppm: (4, ...) coarse, the field of each air cell as a share of the main field, in ppm.
    """

    affine: np.ndarray
    shape: tuple[int, int, int]
    column: np.ndarray
    level: np.ndarray
    fluid: np.ndarray
    white: np.ndarray
    iron: np.ndarray
    limbic: np.ndarray
    fibre: np.ndarray
    around: np.ndarray
    brain: np.ndarray
    head: np.ndarray
    ventricle_pull: np.ndarray
    field_ppm: np.ndarray

    def rows(self, slab: slice) -> slice:
        """Places of a slab's voxels among all."""
        return slice(*(int(end) for end in np.searchsorted(self.level, (slab.start, slab.stop))))

    def rows_of(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Places of some of the voxels among all."""
        plane = self.shape[0] * self.shape[1]
        return np.searchsorted(self.level.astype(np.int64) * plane + self.column, z * plane + x * self.shape[1] + y)

    def lattice(self, slab: slice, values: np.ndarray, background: np.ndarray | None = None) -> np.ndarray:
        """Values of a slab's voxels on its lattice (x, y, levels), float32, over a background of that shape or 0."""
        shape = (*self.shape[:2], slab.stop - slab.start)
        lattice = np.zeros(shape, np.float32) if background is None else background
        rows = self.rows(slab)
        lattice.reshape(-1, shape[2])[self.column[rows], self.level[rows] - slab.start] = values
        return lattice


@once
def load_atlas() -> Atlas:
    """Builds the atlas from the MNI152 maps that nilearn ships: offline, a few seconds."""
    brain, affine = brain_mask()
    distance = _distance(brain[::2, ::2, ::2], brain.shape)
    around = _surroundings(brain, distance, affine)
    wet = brain | (distance <= 3)  # subarachnoid fluid around the brain
    del distance
    level, x, y = (place.astype(np.int16) for place in np.nonzero(np.moveaxis(wet, 2, 0)))
    places = x, y, level
    grey, white = tissue_maps()
    share = {"fluid": 1 - grey[places] - white[places], "white": white[places] - grey[places]}
    tissue = np.add(grey, white, out=grey)
    del grey, white
    pull = _ventricle_pull(tissue, brain, affine)
    del tissue
    return Atlas(
        affine=affine,
        shape=brain.shape,
        column=x.astype(np.int32) * brain.shape[1] + y,
        level=level,
        **share,
        iron=_iron(places, affine),
        limbic=_limbic(places, affine),
        fibre=_fibres(places, affine),
        around=around,
        brain=brain,
        head=wet | (around > 0),
        ventricle_pull=pull,
        field_ppm=_air_fields(brain, affine),
    )


def brain_mask() -> tuple[np.ndarray, np.ndarray]:
    """The MNI152 brain mask, bool on the 1 mm lattice, and its affine (4, 4)."""
    from nilearn.datasets import load_mni152_brain_mask

    image = load_mni152_brain_mask(resolution=1)
    return np.asarray(image.dataobj) > 0, image.affine


def tissue_maps() -> list[np.ndarray]:
    """MNI152 shares of grey and of white matter, float32 on the 1 mm lattice."""
    from nilearn.datasets import load_mni152_gm_template, load_mni152_wm_template

    loads = load_mni152_gm_template, load_mni152_wm_template
    return [load(resolution=1).get_fdata(dtype=np.float32, caching="unchanged") for load in loads]


def _distance(mask: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Millimetres outside a mask given on every second voxel, interpolated to the full lattice."""
    coarse = 2 * ndimage.distance_transform_edt(~mask).astype(np.float32)
    return ndimage.zoom(coarse, np.array(shape) / mask.shape, order=1, grid_mode=True, mode="nearest")


def _surroundings(brain: np.ndarray, distance: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Scalp (1), muscle (2) and eyes (3) around the brain, uint8 lattice."""
    half = np.maximum.accumulate(brain[::2, ::2, ::-2], axis=2)[:, :, ::-1]  # the head is no narrower further down
    hull = ndimage.gaussian_filter(np.pad(half, 12).astype(np.float32), 3) > 0.4
    smooth = _distance(hull[12:-12, 12:-12, 12:-12], brain.shape)
    around = np.zeros(brain.shape, np.uint8)
    low = np.arange(brain.shape[2]) + affine[2, 3] < -8
    around[(smooth < 6) & (distance > 7) & low] = 2
    around[(smooth >= 9) & (smooth < 14)] = 1
    around[ellipsoids(_EYES, brain.shape, affine) & (distance > 3)] = 3
    return around


def _iron(places: tuple[np.ndarray, ...], affine: np.ndarray) -> np.ndarray:
    """Iron of the deep nuclei at lattice places, float32 in [0, 1], with soft edges."""
    axes = [(place + affine[i, 3]).astype(np.float32) for i, place in enumerate(places)]
    iron = np.zeros(len(places[0]), np.float32)
    for amount, (x, y, z), half in _IRON:
        radius = np.sqrt(_squared_radius((((x, y, z), half), ((-x, y, z), half)), axes))
        iron = np.maximum(iron, amount * np.clip((1.2 - radius) / 0.4, 0, 1))
    return iron


def ellipsoids(shapes, shape: tuple[int, int, int], affine: np.ndarray) -> np.ndarray:
    """Union of ellipsoids, pairs of centre and half-axes in millimetres, on a lattice, bool."""
    x, y, z = (np.arange(n) * affine[i, i] + affine[i, 3] for i, n in enumerate(shape))
    return _squared_radius(shapes, (x[:, None, None], y[:, None], z)) < 1


def _squared_radius(shapes, axes: Sequence[np.ndarray]) -> np.ndarray:
    """Squared distance from the nearest ellipsoid's centre, 1 on its surface, at places with the axes x, y, z, float32."""
    nearest = np.float32(np.inf)
    for centre, half in shapes:
        x, y, z = (np.float32(((axis - c) / h) ** 2) for axis, c, h in zip(axes, centre, half, strict=True))
        nearest = np.minimum(nearest, x + y + z)
    return nearest


def _fibres(inside: tuple[np.ndarray, ...], affine: np.ndarray) -> np.ndarray:
    """Unit vectors: left-right in the commissures, foot-head in the capsules, front-back further out."""
    x = np.abs(inside[0] * np.float32(affine[0, 0]) + np.float32(affine[0, 3]))
    across, up, along = np.exp(-((x / 14) ** 2)), np.exp(-(((x - 24) / 8) ** 2)), np.clip((x - 20) / 25, 0, 1)
    fibre = np.stack([across, along, up], -1) + np.float32(1e-3)
    return fibre / np.linalg.norm(fibre, axis=-1, keepdims=True)


def _limbic(places: tuple[np.ndarray, ...], affine: np.ndarray) -> np.ndarray:
    """Cingulate gyrus (a band around the callosum), insula and medial temporal cortex, with soft edges."""
    x, y, z = ((place * affine[i, i] + affine[i, 3]).astype(np.float32) for i, place in enumerate(places))
    radius = np.hypot((y + 6) / 42, (z - 3) / 28)
    cingulate = np.exp(-(((radius - 1.2) / 0.2) ** 2) - (x / 12) ** 4) / (1 + np.exp(-z / 3))
    insula = np.exp(-(((np.abs(x) - 40) / 8) ** 2) - ((y - 2) / 20) ** 2 - ((z - 2) / 14) ** 2)
    temporal = np.exp(-(((np.abs(x) - 26) / 14) ** 2) - ((y + 8) / 22) ** 2 - ((z + 20) / 14) ** 2)
    return np.maximum(np.maximum(cingulate, insula), temporal)


def _ventricle_pull(tissue: np.ndarray, brain: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Coarse vector field towards the ventricles: the gradient of their blurred mask, largest length 1."""
    step = COARSE_MM
    depth = ndimage.distance_transform_edt(brain[::step, ::step, ::step]) * step
    empty = ndimage.uniform_filter(1 - tissue, step)[::step, ::step, ::step]
    x, y, z = [np.arange(n) * step * affine[i, i] + affine[i, 3] for i, n in enumerate(empty.shape)]
    cistern = (np.abs(x) < 10)[:, None, None] & (y < -25)[:, None]  # behind the midbrain: no ventricle
    ventricles = (empty > 0.5) & (depth > 24) & (z > -8) & ~cistern
    blurred = ndimage.gaussian_filter(ventricles.astype(np.float32), 9 / step)
    pull = np.stack(np.gradient(blurred))
    return (pull / np.linalg.norm(pull, axis=0).max()).astype(np.float32)


def _air_fields(brain: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Field of each air cell along the main field (z), by the dipole kernel in Fourier space, ppm, coarse."""
    step = COARSE_MM
    mask = ndimage.binary_dilation(brain[::step, ::step, ::step])
    coarse = affine.copy()
    coarse[:3, :3] *= step
    padding = 24
    shape = tuple(n + 2 * padding for n in mask.shape)
    kx, ky, kz = (fft.fftfreq(n).astype(np.float32) for n in shape)
    kz = np.abs(kz[: shape[2] // 2 + 1])
    square = kx[:, None, None] ** 2 + ky[:, None] ** 2 + kz**2
    square[0, 0, 0] = 1
    kernel = 1 / 3 - kz**2 / square
    kernel[0, 0, 0] = 0
    fields = []
    for cell in _AIR:
        air = ellipsoids((cell,), mask.shape, coarse) & ~mask
        source = np.pad(ndimage.gaussian_filter(air.astype(np.float32), 0.7), padding)
        field = fft.irfftn(fft.rfftn(-np.float32(_AIR_PPM) * source) * kernel, shape)
        fields.append(field[padding:-padding, padding:-padding, padding:-padding])
    return np.stack(fields).astype(np.float32)
