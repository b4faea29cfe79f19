"""The MNI152 template for registration and quality report: nilearn's maps, cut to the brain, on 2 mm voxels."""

from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from dwikit.slices import grid

VOXEL_MM = 2
MARGIN_MM = 16
"""Margin around the brain: without scalp and air, registration is faster and no less accurate."""


class Template(NamedTuple):
    """Maps of one shape, float32 from 0 to 1, averaged from nilearn's 1 mm maps.

    Attributes:
        t1: T1-weighted intensity, zero outside the brain.
        tissues: (3, X, Y, Z) shares of grey matter, white matter and fluid; fluid is the rest of the brain mask.
        brain: share of the brain.
        affine: (4, 4) voxel to MNI152 millimetres.
    """

    t1: np.ndarray
    tissues: np.ndarray
    brain: np.ndarray
    affine: np.ndarray


@cache
def load_template() -> Template:
    """The template; it comes with nilearn, nothing is downloaded."""
    from nilearn import datasets

    mask = datasets.load_mni152_brain_mask(resolution=1)
    brain = np.asarray(mask.dataobj, np.float32)
    t1, grey, white = (
        np.asarray(load(resolution=1).dataobj, np.float32) * brain
        for load in (datasets.load_mni152_template, datasets.load_mni152_gm_template, datasets.load_mni152_wm_template)
    )
    fluid = np.clip(brain - grey - white, 0, 1)
    lows, highs = [], []
    for axis in range(3):
        inside = np.flatnonzero(brain.any(tuple(other for other in range(3) if other != axis)))
        lows.append(inside[0] - MARGIN_MM)
        highs.append(lows[-1] + (inside[-1] + MARGIN_MM - lows[-1]) // (2 * VOXEL_MM) * 2 * VOXEL_MM)
    maps = [block_mean(_cut(volume, lows, highs), (VOXEL_MM,) * 3) for volume in (t1, grey, white, fluid, brain)]
    affine = mask.affine.astype(float)
    affine[:3, 3] += affine[:3, :3] @ lows
    return Template(maps[0], np.stack(maps[1:4]), maps[4], block_affine(affine, (VOXEL_MM,) * 3))


def _cut(volume: np.ndarray, lows: list[int], highs: list[int]) -> np.ndarray:
    """Box of a volume; zero where the box reaches beyond it."""
    padded = np.pad(volume, MARGIN_MM)
    return padded[tuple(slice(low + MARGIN_MM, high + MARGIN_MM) for low, high in zip(lows, highs, strict=True))]


def block_mean(volume: np.ndarray, factors: tuple[int, int, int]) -> np.ndarray:
    """Means over blocks of voxels, float32; an incomplete last block is left out."""
    sizes = [size // factor for size, factor in zip(volume.shape, factors, strict=True)]
    whole = volume[tuple(slice(size * factor) for size, factor in zip(sizes, factors, strict=True))]
    split = [part for pair in zip(sizes, factors, strict=True) for part in pair]
    return whole.reshape(split).mean((1, 3, 5), dtype=np.float32)


def block_affine(affine: np.ndarray, factors: tuple[int, int, int]) -> np.ndarray:
    """Voxel-to-world affine (4, 4) that belongs to `block_mean`."""
    blocks = np.diag([*factors, 1.0])
    blocks[:3, 3] = (np.array(factors) - 1) / 2
    return affine @ blocks


def on_grid(volume: np.ndarray, image_size: int, fov_mm: float) -> np.ndarray:
    """A template map on the target grid, (image_size, image_size, 40) float32, linear."""
    matrix = np.linalg.inv(load_template().affine) @ grid.affine(image_size, fov_mm)
    shape = (image_size, image_size, grid.N_SLICES)
    return ndimage.affine_transform(volume, matrix, output_shape=shape, order=1)
