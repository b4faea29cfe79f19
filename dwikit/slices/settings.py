"""What slices look like: the only defaults of image size, field of view, interpolator, percentile and scope.

The paper says 128 x 128 pixels and the 95th percentile (sec. 3.1), and leaves the field of view, the interpolator and the
percentile's scope open. With a field of view that fits the template, linear interpolation and the 95th percentile, slices of
the simulated cohort are too diverse and too smooth, and so are those of real public scans. The defaults are those under
which the simulated cohort meets the paper's Original row at 128 x 128 pixels; ``python benchmarks/calibration.py`` measures
this, and with ``--explain`` the effect of each choice. They are one set that fits, not proof of what the authors did.
"""

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from dwikit.common.errors import InputError

INTERPOLATORS = {"nearest": 0, "linear": 1, "cubic": 3}
"""Order of the spline that resamples a scan to the target grid."""
SCOPES = ("cohort", "volume")
SMALL = 64
"""Pixels along one side, up to which the field of view fits the head."""
FITTED_MM = 220.0
"""The smallest field of view, in steps of 5 mm, that cuts no simulated head, faint scalp included, and no brain of real scans,
of which the edge of a scalp may lie outside."""
SHORTEST_MM = 185.0
"""The smallest field of view that holds the template's brain."""
SEED = 624
"""Seed of the split by person. With it, the first 6, 60 or 2,029 simulated people, as the profiles have them, split
close to 80:10:10."""


@dataclass(frozen=True)
class SliceSettings:
    """How scans become slices; registration, the direct path and the store of slices all take the same settings.

    Attributes:
        image_size: pixels along one side of a slice, 8 to 1024.
        fov_mm: side of the square field of view, mm, 185 to 500: less would cut the template's brain, which is 180 mm long, and
            so everybody's. This default is for 128 pixels; ``for_size`` has that of any image size. At 325 mm the brain is
            smaller than the template's 233 mm would make it: diversity falls with its area, while each of its pixels shows
            more detail.
        interpolator: of the resampling to the target grid: nearest, linear or cubic. ``"cubic"`` hardly softens edges;
            ``"linear"`` does, and halves the Laplace variance; ``"nearest"`` keeps the noise of every voxel.
        percentile: where intensities are clipped, above 50 and at most 100. The paper prints 95; a sibling script by its
            authors uses 99. Air counts, so what it does depends on the field of view: at 325 mm, 95 saturates over a third of
            the brain and 97 a fifth; at 220 mm, a sixth and a tenth.
        scope: ``"cohort"`` takes one percentile for all volumes (one scanner's data, as in the paper and its released code),
            ``"volume"`` one for each (several scanners, whose intensities have no common unit).

    Raises:
        InputError: a value is out of range.
    """

    image_size: int = 128
    fov_mm: float = 325.0
    interpolator: str = "cubic"
    percentile: float = 97.0
    scope: str = "cohort"

    def __post_init__(self):
        _require(isinstance(self.image_size, Integral) and 8 <= self.image_size <= 1024, self, "image_size", "8 to 1024, whole")
        allowed = f"{SHORTEST_MM:g} to 500 (the template's brain is 180 mm long)"
        _require(isinstance(self.fov_mm, Real) and SHORTEST_MM <= self.fov_mm <= 500, self, "fov_mm", allowed)
        _require(isinstance(self.percentile, Real) and 50 < self.percentile <= 100, self, "percentile", "above 50, up to 100")
        _require(self.interpolator in list(INTERPOLATORS), self, "interpolator", f"one of {', '.join(INTERPOLATORS)}")
        _require(self.scope in SCOPES, self, "scope", f"one of {', '.join(SCOPES)}")

        for name in ("image_size", "fov_mm", "percentile"):  # plain numbers, as settings.json keeps them
            object.__setattr__(self, name, type(getattr(SliceSettings, name))(getattr(self, name)))

    @classmethod
    def for_size(cls, image_size: int) -> "SliceSettings":
        """The kit's settings for slices of a given size, and the only place that knows the field of view.

        Up to 64 x 64 pixels the field of view fits the head, so that the few pixels show brain; above, it is the one calibrated
        at 128 x 128 pixels. Slices of two sizes therefore differ in more than resolution: only ratios to the own originals can
        be compared between them.
        """
        return cls(image_size=image_size, fov_mm=FITTED_MM) if image_size <= SMALL else cls(image_size=image_size)

    @property
    def spline_order(self) -> int:
        """Order of the interpolator's spline."""
        return INTERPOLATORS[self.interpolator]


def _require(sound: Any, settings: SliceSettings, name: str, allowed: str) -> None:
    if not sound:
        raise InputError(f"{name} must be {allowed}, not {getattr(settings, name)!r}.")


CALIBRATED = SliceSettings()
"""The defaults, under which the simulated cohort meets the paper's Original row."""
