"""How the simulated cohort meets the paper's Original row: the grid and the normalization that its statistics ask for.

The paper says 128 x 128 pixels and the 95th percentile, and leaves the field of view, the interpolator and the percentile's
scope open. With a field of view that fits the template, linear interpolation and the 95th percentile, slices of the
simulation are too diverse and too smooth, and so are real public scans. `CALIBRATED` and `dwikit.cohorts.phantom.Settings`
together give the row; `python benchmarks/calibration.py` measures it and `--explain` what each choice does. It is one set of
choices that fits, not proof of what the authors did.

What still tells the simulation from public real scans (`benchmarks/realism.py`, `figures/realism-cues.md`): more power at the
finest spatial frequencies, and so a higher Laplace variance, which the paper's row asks for and scans of 2 to 3 mm voxels do
not have; air that is dark, but not blanked to zero everywhere. By eye: every person has the template's pattern of sulci, and
the cisterns above the sella are darker than real ones.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from dwikit import paper
from dwikit.slices import grid

TOLERANCE = 0.15
"""Relative, for ISD, minimum ISD, Laplace mean and its standard deviation."""
DS_RANGE = 0.042, 0.052
"""An independent draw has DS = ISD but for sampling, so DS cannot reach the paper's 1.10 times ISD."""


class Calibration(NamedTuple):
    """What is chosen outside the simulation.

    Attributes:
        fov_mm: side of the target grid.
        interpolator: of the resampling to the target grid.
        percentile: at which intensities are clipped.
        scope: of the percentile, as in `dwikit.slices.build`.
    """

    fov_mm: float
    interpolator: str
    percentile: float
    scope: str


PLAIN = Calibration(grid.FOV_MM, "linear", 95.0, "cohort")
"""The paper's words, with a field of view that fits the template."""
CALIBRATED = Calibration(
    fov_mm=300.0,  # a smaller brain: diversity falls with its area, while each of its pixels shows more detail
    interpolator="nearest",  # neither averages noise nor softens edges: it doubles the Laplace variance and leaves ISD
    percentile=99.0,  # of the authors' sibling script; at the 95th a fifth of the brain is saturated
    scope="cohort",  # as in the released code
)
"""Meets the paper's Original row at 128 x 128 pixels."""


def verdicts(row: dict[str, float]) -> dict[str, bool]:
    """Which statistics of a row (of `dwikit.evaluation.measure`) meet the paper's Original row."""
    goal = paper.TABLE_1.loc["original"]
    near = {name: abs(row[name] / goal[name] - 1) <= TOLERANCE for name in ("isd", "min_isd", "laplace", "laplace_sd")}
    return {"ds": DS_RANGE[0] <= row["ds"] <= DS_RANGE[1]} | near


def normalized(images: np.ndarray, cap: float | np.ndarray) -> np.ndarray:
    """Slices (n, H, W) clipped at a value, or at one each, as uint8."""
    cap = np.asarray(cap, np.float64).reshape(-1, 1, 1)
    return np.round(np.clip(images / cap, 0, 1) * 255).astype(np.uint8)


def pooled(images: np.ndarray, percentile: float) -> np.ndarray:
    """Slices (n, H, W) normalized by the percentile of all of them, as uint8."""
    return normalized(images, np.percentile(images, percentile))


def uniform_levels(n_cases: int, per_case: int = 1, seed: int = 0) -> np.ndarray:
    """Levels (n_cases, per_case), every one of the 26 as likely; a case's own are distinct."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(grid.N_LEVELS)[:per_case] for _ in range(n_cases)])


def halves(images: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Even and odd images: a draw and an independent one to compare it with."""
    images = np.asarray(images)
    return images[::2], images[1::2]
