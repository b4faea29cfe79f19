"""Individual cortex: what the shipped geometry holds, where people differ, and what they share."""

from dataclasses import replace

import numpy as np
import pytest

from dwikit.cohorts.phantom import Settings, build_hull, hull
from dwikit.cohorts.phantom.anatomy import make_anatomy
from dwikit.cohorts.phantom.atlas import load_atlas
from dwikit.cohorts.phantom.folds import load_hemispheres
from dwikit.cohorts.phantom.geometry import make_warp, template_lattice, voxels_to_template
from dwikit.cohorts.phantom.person import draw_person

SETTINGS = Settings()
WHOLE = slice(0, 189)


@pytest.fixture(scope="module")
def people():
    """Two people of one age, whose template tissues are therefore the same, and an old one with the second's random numbers."""
    first = replace(draw_person(0, 0, SETTINGS), age=30.0)
    second = replace(first, number=1)
    return first, second, replace(second, age=85.0)


@pytest.fixture(scope="module")
def anatomies(people):
    return [make_anatomy(person, load_atlas(), SETTINGS, WHOLE) for person in people]


@pytest.fixture(scope="module")
def share():
    """Share of the individual cortex at the atlas's voxels."""
    share = np.zeros(len(load_atlas().level), bool)
    for side in load_hemispheres():
        share[side.atlas_rows] = True
    return share


def tissue(anatomy):
    """The largest share: 0 grey, 1 white, 2 fluid."""
    return np.argmax(anatomy[:3], axis=0)


def test_shipped_geometry_is_that_of_the_template():
    """The core is computed again; `test_whole_geometry_is_that_of_the_template` does the rest."""
    assert hull.FILE.stat().st_size < 1.5e6
    shipped, template = hull.read(), build_hull.read_template()
    core = build_hull.core_distance(template, build_hull.cerebellum(template))[:: hull.STEP, :: hull.STEP, :: hull.STEP]
    codes = shipped.fields[list(hull.RANGES).index("core")]
    again = np.concatenate([hull.encode(core[inside], hull.RANGES["core"]) for inside in shipped.inside])
    assert np.mean(codes != again) < 1e-3, "rounding may differ between machines"
    grey_or_white = template.tissue[shipped.folded.any(0)]
    assert np.mean(grey_or_white > 0.5) > 0.8, "the hull holds the cerebrum and its sulci"


@pytest.mark.hardship
def test_whole_geometry_is_that_of_the_template():
    shipped, again = hull.read(), build_hull.compute()
    for name in ("inside", "folded"):
        np.testing.assert_array_equal(getattr(again, name), getattr(shipped, name))
    for name in ("fields", "sheet"):
        assert np.mean(getattr(again, name) != getattr(shipped, name)) < 1e-3


def test_people_differ_in_the_cortex_and_share_the_core(anatomies, share):
    first, second = (tissue(anatomy) for anatomy in anatomies[:2])
    assert 0.15 < np.mean(first[share] != second[share]) < 0.6
    for one, other in zip(anatomies[0], anatomies[1], strict=True):
        np.testing.assert_array_equal(one[~share], other[~share])
    assert np.mean(share) < 0.75 and len(np.unique(first[~share])) == 3, "nuclei, ventricles and cerebellum are the template's"


def test_shares_are_tissue_and_brightness_is_apart(people, anatomies):
    plain = make_anatomy(people[0], load_atlas(), replace(SETTINGS, cortex_shade=0.0), WHOLE)
    for changed, unchanged in zip(plain[:3], anatomies[0][:3], strict=True):
        np.testing.assert_array_equal(changed, unchanged)
    assert np.std(anatomies[0].brightness - plain.brightness) > 0.01
    np.testing.assert_allclose(np.sum(anatomies[0][:3], axis=0), 1, atol=1e-5)
    assert np.min(anatomies[0][:3]) > -1e-5


def test_a_slab_equals_the_whole(people, anatomies):
    slab = slice(81, 112)
    part, rows = make_anatomy(people[1], load_atlas(), SETTINGS, slab), load_atlas().rows(slab)
    for own, whole in zip(part, anatomies[1], strict=True):
        np.testing.assert_array_equal(own, whole[rows])


def test_sulci_widen_with_age_and_keep_their_place(anatomies, share):
    young, old = (tissue(anatomy)[share] == 2 for anatomy in anatomies[1:])
    assert old.mean() > 1.3 * young.mean()
    assert np.mean(old[young]) > 0.95


def test_grey_lies_between_fluid_and_white(anatomies, share):
    """Hardly a voxel of white matter touches fluid in the cortex."""
    atlas = load_atlas()
    kind = atlas.lattice(WHOLE, np.where(share, tissue(anatomies[0]) + 1, 0))
    pairs = [(kind[1:], kind[:-1]), (kind[:, 1:], kind[:, :-1]), (kind[..., 1:], kind[..., :-1])]
    bare = sum(np.count_nonzero((a == 2) & (b == 3)) + np.count_nonzero((a == 3) & (b == 2)) for a, b in pairs)
    lined = sum(np.count_nonzero((a == 1) & (b == 3)) + np.count_nonzero((a == 3) & (b == 1)) for a, b in pairs)
    assert bare < 0.05 * lined


def test_warp_is_mostly_symmetric():
    """Shifts at mirrored places of the template, over people, are like each other, turned over along x."""
    right, left = [], []
    for number in range(6):
        person = draw_person(number, 0, SETTINGS)
        warp = make_warp(person, load_atlas(), replace(SETTINGS, ventricle_mm=(0.0, 0.0)))
        points = np.random.default_rng(0).uniform((20, -90, -20), (60, 50, 60), (40, 3))
        for side, out in ((1, right), (-1, left)):
            matrix = person.world_to_template @ person.voxel_to_world
            voxels = (points * (side, 1, 1) - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T
            shifts = [
                template_lattice(person, warp, [voxel[:1], voxel[1:2], voxel[2:]])[:, 0, 0, 0]
                - voxels_to_template(person, voxel[None])[0]
                for voxel in voxels
            ]
            out.append(np.array(shifts) * (side, 1, 1))
    assert 0.6 < np.corrcoef(np.ravel(right), np.ravel(left))[0, 1] < 0.95
