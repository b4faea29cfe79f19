"""One person's tissues on the atlas's voxels: the template's, sharpened for age, and over them the person's own cortex."""

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from dwikit.cohorts.phantom.atlas import Atlas
from dwikit.cohorts.phantom.folds import fold
from dwikit.cohorts.phantom.person import Person
from dwikit.cohorts.phantom.settings import Settings


class Anatomy(NamedTuple):
    """Tissues of one person at the atlas's voxels of a slab, (N,) float32 each.

    Attributes:
        grey, white, fluid: shares that add up to 1.
        brightness: of the grey matter, relative to its signal: regions and people differ. It is no share of tissue.
    """

    grey: np.ndarray
    white: np.ndarray
    fluid: np.ndarray
    brightness: np.ndarray


def make_anatomy(person: Person, atlas: Atlas, settings: Settings, slab: slice) -> Anatomy:
    """The person's tissues in some levels z of the atlas's lattice."""
    rows = atlas.rows(slab)
    fluid = expit((atlas.fluid[rows] - np.float32(person.sulcus_level)) / np.float32(settings.sulcus_width))
    white = (1 - fluid) * expit(atlas.white[rows] / np.float32(settings.white_width))
    brightness = 1 + np.float32(person.limbic) * atlas.limbic[rows]
    for cortex in fold(person, settings, slab):
        at = cortex.rows - rows.start
        own_fluid = expit(-cortex.pial / np.float32(settings.pial_width_mm))
        own_white = (1 - own_fluid) * expit(cortex.inner / np.float32(settings.inner_width_mm))
        fluid[at] += cortex.share * (own_fluid - fluid[at])
        white[at] += cortex.share * (own_white - white[at])
        brightness[at] += cortex.share * np.float32(settings.cortex_shade) * cortex.shade
    return Anatomy(1 - fluid - white, white, fluid, brightness)
