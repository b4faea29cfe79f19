"""The known map of a case, for testing registration."""

import numpy as np
from scipy import ndimage

from dwikit.cohorts.phantom.atlas import load_atlas
from dwikit.cohorts.phantom.geometry import make_warp, template_lattice
from dwikit.cohorts.phantom.person import Person, draw_person
from dwikit.cohorts.phantom.scanner import epi_shift
from dwikit.cohorts.phantom.settings import DEFAULT, Settings


def truth(
    number: int, seed: int = 0, distortion: bool = False, step: int = 3, physics: Settings = DEFAULT
) -> tuple[np.ndarray, np.ndarray]:
    """Where brain voxels of a simulated scan belong in the template.

    With `distortion=False`, `write_cohort(..., distortion=False)` writes an image that follows this map
    exactly: at each native point it shows the tissue that the person has at the template point (the smooth maps sharpened for
    age, with the person's own cortex, averaged over the slice's thickness). The least-squares affine of the two sets of points
    (`fit_affine(native, template)`) is the best that any affine registration can find; its residual is the
    person's warp.

    Args:
        number: number of the case; 0 is sub-0001.
        seed: of the cohort.
        distortion: True includes the EPI distortion along the phase-encoding axis.
        step: takes every step-th acquired voxel in the plane (every slice is taken).
        physics: of the simulation.

    Returns:
        native (N, 3), world millimetres of the written NIfTI, and template (N, 3), MNI152 millimetres; both
        float64.
    """
    return brain_correspondence(draw_person(number, seed, physics), physics, step, distortion)


def brain_correspondence(
    person: Person, settings: Settings, step: int, distortion: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Native and template points (N, 3) of every step-th brain voxel in the plane and every slice."""
    atlas, protocol = load_atlas(), person.protocol
    warp = make_warp(person, atlas, settings)
    axes = [
        np.arange(0, protocol.matrix, step),
        np.arange(0, protocol.matrix, step),
        np.arange(protocol.n_slices),
    ]
    template = template_lattice(person, warp, axes).reshape(3, -1).T.astype(np.float64)
    voxels = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    if distortion:
        shift, _ = epi_shift(person, atlas, warp, settings, slice(0, protocol.n_slices))
        template -= shift[tuple(voxels.T)][:, None] * (person.world_to_template @ person.voxel_to_world)[:3, 1]
    where = (template - atlas.affine[:3, 3]).T
    inside = ndimage.map_coordinates(atlas.brain, where, order=0, mode="constant", cval=0) > 0
    native = voxels[inside] @ person.voxel_to_world[:3, :3].T + person.voxel_to_world[:3, 3]
    return native, template[inside]
