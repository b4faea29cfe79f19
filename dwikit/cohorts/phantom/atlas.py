"""What does not depend on the person: tissue maps, surroundings of the brain, fields of the sinuses."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import ndimage

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
        index: (N,) flat indices of the voxels in the brain and the fluid around it.
        fluid, white: (N,) float32 shares in [0, 1]; fluid is what is neither grey nor white, white is white
            minus grey.
        iron: (N,) float32 in [0, 1], relative to the pallidum.
        fibre: (N, 3) float32 unit vectors: rough main direction of white matter.
        around: uint8 lattice, kind of tissue outside the brain: 1 scalp, 2 muscle, 3 eye, else 0.
        brain: bool lattice, the template's brain mask.
        head: bool lattice, everything that has signal.
        ventricle_pull: (3, ...) coarse, unit-free: towards the ventricles, largest length 1.
        field_ppm: (4, ...) coarse, the field of each air cell as a share of the main field, in ppm.
    """

    affine: np.ndarray
    shape: tuple[int, int, int]
    index: np.ndarray
    fluid: np.ndarray
    white: np.ndarray
    iron: np.ndarray
    fibre: np.ndarray
    around: np.ndarray
    brain: np.ndarray
    head: np.ndarray
    ventricle_pull: np.ndarray
    field_ppm: np.ndarray


@lru_cache(maxsize=1)
def load_atlas() -> Atlas:
    """Builds the atlas from the MNI152 maps that nilearn ships: offline, a few seconds, once per process."""
    from nilearn.datasets import load_mni152_brain_mask, load_mni152_gm_template, load_mni152_wm_template

    grey_image = load_mni152_gm_template(resolution=1)
    affine = grey_image.affine
    grey = grey_image.get_fdata(dtype=np.float32)
    white = load_mni152_wm_template(resolution=1).get_fdata(dtype=np.float32)
    brain = load_mni152_brain_mask(resolution=1).get_fdata(dtype=np.float32) > 0
    distance = _distance(brain[::2, ::2, ::2], brain.shape)
    around = _surroundings(brain, distance, affine)
    wet = brain | (distance <= 3)  # subarachnoid fluid around the brain
    index = np.flatnonzero(wet)
    inside = np.unravel_index(index, brain.shape)
    fluid = 1 - (grey + white).ravel()[index]
    return Atlas(
        affine=affine,
        shape=brain.shape,
        index=index,
        fluid=fluid,
        white=(white - grey).ravel()[index],
        iron=_iron(brain.shape, affine).ravel()[index],
        fibre=_fibres(inside, affine),
        around=around,
        brain=brain,
        head=wet | (around > 0),
        ventricle_pull=_ventricle_pull(grey + white, brain, affine),
        field_ppm=_air_fields(brain, affine),
    )


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
    around[_ellipsoids(_EYES, brain.shape, affine) & (distance > 3)] = 3
    return around


def _iron(shape: tuple[int, int, int], affine: np.ndarray) -> np.ndarray:
    """Iron of the deep nuclei on the lattice, float32 in [0, 1], with soft edges."""
    iron = np.zeros(shape, np.float32)
    for amount, (x, y, z), half in _IRON:
        radius = np.sqrt(_squared_radius((((x, y, z), half), ((-x, y, z), half)), shape, affine))
        iron = np.maximum(iron, amount * np.clip((1.2 - radius) / 0.4, 0, 1))
    return iron


def _ellipsoids(shapes, shape: tuple[int, int, int], affine: np.ndarray) -> np.ndarray:
    """Union of ellipsoids, pairs of centre and half-axes in millimetres, on a lattice, bool."""
    return _squared_radius(shapes, shape, affine) < 1


def _squared_radius(shapes, shape: tuple[int, int, int], affine: np.ndarray) -> np.ndarray:
    """Squared distance from the nearest ellipsoid's centre, 1 on its surface, float32 lattice."""
    axes = [np.arange(n) * affine[i, i] + affine[i, 3] for i, n in enumerate(shape)]
    nearest = np.full(shape, np.inf, np.float32)
    for centre, half in shapes:
        x, y, z = [((a - c) / h) ** 2 for a, c, h in zip(axes, centre, half, strict=True)]
        nearest = np.minimum(nearest, (x[:, None, None] + y[:, None] + z).astype(np.float32))
    return nearest


def _fibres(inside: tuple[np.ndarray, ...], affine: np.ndarray) -> np.ndarray:
    """Unit vectors: left-right in the commissures, foot-head in the capsules, front-back further out."""
    x = np.abs(inside[0] * affine[0, 0] + affine[0, 3])
    across, up, along = np.exp(-((x / 14) ** 2)), np.exp(-(((x - 24) / 8) ** 2)), np.clip((x - 20) / 25, 0, 1)
    fibre = np.stack([across, along, up], -1).astype(np.float32) + np.float32(1e-3)
    return fibre / np.linalg.norm(fibre, axis=-1, keepdims=True)


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
    kx, ky, kz = np.meshgrid(*[np.fft.fftfreq(n) for n in shape], indexing="ij", sparse=True)
    square = kx**2 + ky**2 + kz**2
    square[0, 0, 0] = 1
    kernel = 1 / 3 - kz**2 / square
    kernel[0, 0, 0] = 0
    fields = []
    for cell in _AIR:
        air = _ellipsoids((cell,), mask.shape, coarse) & ~mask
        source = np.pad(ndimage.gaussian_filter(air.astype(np.float32), 0.7), padding)
        field = np.fft.ifftn(np.fft.fftn(-_AIR_PPM * source) * kernel).real
        fields.append(field[padding:-padding, padding:-padding, padding:-padding])
    return np.stack(fields).astype(np.float32)
