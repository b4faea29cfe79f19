"""Computes the geometry of folding from the MNI152 maps that nilearn ships, and writes it beside `hull.py`.

python -m dwikit.cohorts.phantom.build_hull
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from dwikit.cohorts.phantom import hull
from dwikit.cohorts.phantom.atlas import brain_mask, ellipsoids, tissue_maps


class _Template(NamedTuple):
    """Maps on the atlas's lattice: tissue share, fluid share (smoothed), white share, masks, and coordinates in mm."""

    tissue: np.ndarray
    fluid: np.ndarray
    white: np.ndarray
    brain: np.ndarray
    affine: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray


def compute() -> hull.Geometry:
    """The geometry, from the MNI152 maps that nilearn ships."""
    template = read_template()
    lower, stem = cerebellum(template), _stem(template)
    core = core_distance(template, lower)
    cerebrum = _cerebrum(template, lower) & ~stem
    sides = [_hemisphere(template, side, cerebrum, lower | stem, core) for side in (1, -1)]
    hulls = np.stack([depth > 0 for depth, _, _ in sides])
    sheet, strength = _sulci(template, hulls.any(0), np.maximum(sides[0][0], sides[1][0]))
    folded = np.stack([own & (hull.folded_share(core, depth) > 0) for own, (depth, _, _) in zip(hulls, sides)])
    every = np.s_[:: hull.STEP, :: hull.STEP, :: hull.STEP]
    fields, inside = [], []
    for own, (depth, shift, axis) in zip(folded, sides):
        near = ndimage.binary_dilation(ndimage.maximum_filter(own, 2 * hull.STEP - 1)[every])
        values = dict(depth=depth, x=shift[0], y=shift[1], z=shift[2], axis=axis, core=core, strength=strength)
        fields.append(np.stack([hull.encode(values[name][every][near], ends) for name, ends in hull.RANGES.items()]))
        inside.append(near)
    sheets = np.concatenate([hull.encode(sheet[own], hull.SHEET_RANGE, hull.SHEET_STEPS) for own in folded])
    return hull.Geometry(np.stack(inside), np.concatenate(fields, 1), folded, sheets)


def read_template() -> _Template:
    """The maps that everything is computed from."""
    (brain, affine), (grey, white) = brain_mask(), tissue_maps()
    x, y, z = (np.arange(n) * affine[i, i] + affine[i, 3] for i, n in enumerate(brain.shape))
    tissue = grey + white
    fluid = _blur(np.clip(np.where(brain, 1 - tissue, 1), 0, 1), 0.8)
    return _Template(tissue, fluid, white, brain, affine, x[:, None, None], y[:, None], z)


def core_distance(template: _Template, lower: np.ndarray) -> np.ndarray:
    """Distance to what is not folded, mm; `lower` is the cerebellum."""
    core = _core(template) | (_stem(template) & template.brain & ~lower)
    return _blur(ndimage.distance_transform_edt(~core), 1.5)


def _blur(values: np.ndarray, sigma: float) -> np.ndarray:
    return ndimage.gaussian_filter(values.astype(np.float32), sigma)


def _blur_within(values: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian mean over the voxels of a mask only."""
    return _blur(np.where(mask, values, 0), sigma) / (_blur(mask, sigma) + 1e-6)


def _pair(template: _Template, *shapes) -> np.ndarray:
    """Union of ellipsoids (centre and half-axes, mm), each with its mirror image, bool lattice."""
    both = [((sign * x, y, z), half) for (x, y, z), half in shapes for sign in (1, -1)]
    return ellipsoids(both, template.brain.shape, template.affine)


def _box(template: _Template, x: tuple, y: tuple, z: tuple) -> np.ndarray:
    """Where |x|, y and z lie between two ends each, mm."""
    parts = ((np.abs(template.x), x), (template.y, y), (template.z, z))
    masks = [(place > low) & (place < high) for place, (low, high) in parts]
    return masks[0] & masks[1] & masks[2]


def cerebellum(template: _Template) -> np.ndarray:
    """Cerebellum with the brainstem: a watershed along the dark tentorium from seeds on both sides of it."""
    low = _pair(template, ((22, -62, -38), (22, 24, 13)), ((0, -60, -22), (18, 14, 12)), ((0, -28, -38), (10, 9, 20)))
    high = (template.z > 6) | (template.y > -8)
    high = high | _pair(
        template,
        ((52, -30, -20), (10, 22, 7)),  # inferior temporal gyri
        ((45, -60, -10), (10, 14, 6)),
        ((30, -90, -2), (14, 10, 9)),  # occipital pole and calcarine cortex
        ((14, -75, 2), (8, 14, 5)),
        ((30, -35, -13), (6, 16, 4)),  # parahippocampal gyrus
    )
    seeds = np.where(low, 2, np.where(high, 1, 0)).astype(np.int16)
    seeds[~template.brain] = -1
    dark = np.uint8(np.clip(255 * (1 - _blur(template.tissue, 0.8)), 0, 255))
    found = (ndimage.watershed_ift(dark, seeds) == 2) & template.brain
    return ndimage.binary_opening(found, iterations=2)


def _stem(template: _Template) -> np.ndarray:
    """Brainstem and midbrain below the thalamus."""
    column = _box(template, (-1, 17), (-46, -9), (-80, -3)) | _pair(template, ((0, -24, -24), (20, 18, 18)))
    return column & (template.z < -12)


def _core(template: _Template) -> np.ndarray:
    """What stays the template's, without the brainstem."""
    deep = _pair(
        template,
        ((14, -8, 6), (26, 34, 18)),  # nuclei, capsules, third ventricle
        ((16, -20, 12), (20, 40, 16)),  # bodies of the lateral ventricles
        ((0, 2, -14), (22, 16, 10)),  # hypothalamus, anterior perforated substance
        ((0, -24, -24), (20, 18, 18)),  # midbrain
    )
    insula = _box(template, (26, 43), (-24, 26), (-16, 17)) & _pair(template, ((34, 0, 0), (11, 28, 21)))
    hippocampus = _pair(template, ((23, -20, -15), (12, 26, 10)))  # with amygdala and uncus
    far_inside = ndimage.distance_transform_edt(template.brain) > 18
    ventricles = (template.fluid > 0.45) & far_inside & _box(template, (-1, 36), (-60, 40), (-22, 34))
    callosum = (_blur(template.white, 1) > 0.55) & _box(template, (-1, 7), (-48, 36), (-6, 32))
    return (deep | insula | hippocampus | ventricles | callosum) & template.brain


def _cerebrum(template: _Template, lower: np.ndarray) -> np.ndarray:
    """Tissue above the tentorium; the opening takes off the thin shell that surrounds the cerebellum."""
    cerebrum = template.brain & (_blur(template.tissue, 0.7) > 0.5) & ~ndimage.binary_dilation(lower)
    eroded = ndimage.distance_transform_edt(cerebrum) > 3.5
    return cerebrum & (ndimage.distance_transform_edt(~eroded) < 4.5)


def _hemisphere(
    template: _Template, side: int, cerebrum: np.ndarray, barred: np.ndarray, core: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signed depth below the hull of one hemisphere, shift (3, ...) to its nearest point, distance to its medial axis, mm.

    The hull closes by 9 mm and is cut at the midline, but where callosum and diencephalon cross it.
    """
    half = template.x * side > 0
    solid = cerebrum & half
    outside = ndimage.distance_transform_edt(~np.pad(solid, 12))
    closed = ndimage.distance_transform_edt(outside < 9)[12:-12, 12:-12, 12:-12] > 9
    del outside
    passage = (np.abs(template.x) < 2) & (core < 3) & (template.z < 33) & (template.z > -25) & template.brain
    own = ((closed | solid) & half & ~barred) | (passage & (template.x * side >= 0))
    across = ndimage.binary_dilation(passage, np.ones((5, 1, 1)))  # the other side goes on there
    depth, nearest = ndimage.distance_transform_edt(own | across, return_indices=True)
    depth = depth.astype(np.float32)
    fade = hull.smoothstep(depth, 0, 4)
    depth = np.where(own, _blur_within(depth, own, 1.2) * fade + depth * (1 - fade) - 0.5, 0)
    lattice = np.indices(own.shape, np.int16, sparse=True)
    shift = np.stack([_blur_within(end, own, 1.8) - start for end, start in zip(nearest, lattice)]) * own
    del nearest
    smooth = _blur(np.where(own, depth, -1), 0.8)
    steep = np.sqrt(sum(part**2 for part in np.gradient(smooth)))
    medial = _without_specks(own & (depth > 3.5) & (steep < 0.72), 30)
    axis = _blur(ndimage.distance_transform_edt(~medial), 1)
    outer = 0.5 - ndimage.distance_transform_edt(~own).astype(np.float32)
    return np.where(own, depth, outer), shift, axis


def _without_specks(mask: np.ndarray, smallest: int) -> np.ndarray:
    """A mask without its connected parts of fewer voxels."""
    labels, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    keep = np.bincount(labels.ravel()) >= smallest
    keep[0] = False
    return keep[labels]


def _sulci(template: _Template, cerebrum: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sulci that the average brain still shows: distance to the nearest, mm, and its strength.

    They are ridges of the fluid share: the most negative eigenvalue of its Hessian, where the slope along that direction
    vanishes within 0.6 voxels.
    """
    fluid = template.fluid
    slopes = np.gradient(fluid)
    rows = np.flatnonzero(cerebrum & (depth > 1))
    hessian = np.empty((len(rows), 3, 3), np.float32)
    for i, slope in enumerate(slopes):
        for j, bend in enumerate(np.gradient(slope)):
            hessian[:, i, j] = bend.ravel()[rows]
    values, vectors = np.linalg.eigh(hessian)
    curvature = np.maximum(-values[:, 0], 0)
    slope = np.abs(sum(part.ravel()[rows] * vectors[:, i, 0] for i, part in enumerate(slopes)))
    ridge = np.zeros(fluid.shape, np.float32)
    ridge.ravel()[rows] = np.where(slope < 0.6 * curvature, curvature, 0)
    wide = cerebrum & (fluid > 0.62)
    sheets = _without_specks((ridge > 0.04) | wide, 60)
    strength = _blur_within(np.maximum(ridge, 0.25 * wide), sheets, 2.5)
    distance, nearest = ndimage.distance_transform_edt(~sheets, return_indices=True)
    return np.maximum(_blur(distance, 0.7) - 0.35, 0), strength[tuple(nearest)]


if __name__ == "__main__":
    hull.write(compute())
    print(f"{hull.FILE}: {hull.FILE.stat().st_size / 1e6:.2f} MB")
