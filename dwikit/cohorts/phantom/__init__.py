"""The simulated cohort: diffusion-weighted brain scans from MNI152 tissue maps and the physics of EPI.

Everyone shares the template's deep anatomy, cerebellum and strongest sulci, such as the central one, and has secondary cortical
folds of their own (`folds`). `write_cohort` writes a BIDS
dataset, the embedded default source of cases. `simulate_volumes` and `simulate_slices` take the direct path to template
space. Both image the same people: everything depends only on (seed, case number). `truth` gives each voxel's place in the
template. `Settings` holds every number.
"""

from dwikit.cohorts.phantom.cohort import trim_cohort, write_cohort
from dwikit.cohorts.phantom.direct import simulate_slices, simulate_volumes
from dwikit.cohorts.phantom.geometry import fit_affine
from dwikit.cohorts.phantom.settings import PROTOCOLS, TISSUES, Protocol, Settings, Tissue, code
from dwikit.cohorts.phantom.truth import truth

__all__ = [
    "PROTOCOLS",
    "TISSUES",
    "Protocol",
    "Settings",
    "Tissue",
    "code",
    "fit_affine",
    "simulate_slices",
    "simulate_volumes",
    "trim_cohort",
    "truth",
    "write_cohort",
]
