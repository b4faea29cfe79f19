"""Every number of the simulated cohort in one place, each with its source or its reason."""

import hashlib
import io
import tokenize
from dataclasses import dataclass, field
from pathlib import Path

from dwikit.common.errors import InputError


@dataclass(frozen=True)
class Tissue:
    """One tissue at one field strength: relative proton density, T2 (ms), mean diffusivity (mm2/s)."""

    density: float
    t2_ms: float
    adc: float


@dataclass(frozen=True)
class Protocol:
    """One clinical 2-D spin-echo EPI protocol."""

    name: str
    manufacturer: str
    share: float  # of the cases
    tesla: float
    matrix: int  # acquired, square
    reconstructed: int  # after zero filling, square
    fov_mm: float
    thickness_mm: float
    spacing_mm: float  # thickness and gap
    n_slices: int
    echo_time_ms: float
    repetition_time_ms: float
    bandwidth_hz: float  # per acquired pixel along the phase-encoding axis


# Whole-brain trace DWI as hospitals acquire it: 4 to 5 mm slices, 128 to 192 acquired and mostly 256
# reconstructed pixels, coverage 150 to 160 mm. Bandwidths follow from 60 to 75 ms of effective readout. The
# shares are ours; the study only says that its scans were clinical.
PROTOCOLS = (
    Protocol("trace-a", "GE", 0.35, 1.5, 128, 256, 240.0, 5.0, 6.0, 26, 82.0, 8000.0, 14.0),
    Protocol("trace-b", "GE", 0.30, 3.0, 160, 256, 240.0, 5.0, 5.0, 31, 76.0, 7000.0, 17.0),
    Protocol("trace-c", "Siemens", 0.15, 3.0, 192, 192, 230.0, 4.0, 4.8, 32, 86.0, 6300.0, 16.0),
    Protocol("trace-d", "Siemens", 0.10, 1.5, 128, 256, 230.0, 5.0, 6.0, 26, 94.0, 6600.0, 13.0),
    Protocol("trace-e", "Philips", 0.10, 3.0, 128, 128, 230.0, 4.0, 5.0, 31, 78.0, 5200.0, 18.0),
)

# T2 and ADC of adults from the literature, rounded. White matter's T2 lies at the long end of the published 70 to 80 ms at
# 3 T, so that grey to white at b = 1000 comes out in the range of real scans (1.02 to 1.22) after partial volume.
TISSUES = {
    1.5: {
        "grey": Tissue(0.82, 98.0, 0.83e-3),
        "white": Tissue(0.71, 84.0, 0.73e-3),
        "fluid": Tissue(1.0, 1900.0, 3.0e-3),
    },
    3.0: {
        "grey": Tissue(0.82, 92.0, 0.83e-3),
        "white": Tissue(0.71, 78.0, 0.73e-3),
        "fluid": Tissue(1.0, 1600.0, 3.0e-3),
    },
}


@dataclass(frozen=True)
class Settings:
    """Assumptions of the simulation; `dataclasses.replace` makes variants, which public functions accept."""

    # --- people
    age_mean: float = 38.0  # years; paper, sec. 3.1
    age_sd: float = 24.0
    age_range: tuple[float, float] = (0.0, 95.0)
    female_share: float = 1088 / 2027  # paper, sec. 3.1: 1,088 f and 939 m

    # --- anatomy
    head_size_sd: float = 0.035  # per axis; adult head length and breadth vary by 3 to 4 %
    female_size: float = 0.96  # linear ratio; intracranial volume differs by about 12 %
    # With the ripple 4 mm root mean square: what an affine leaves between two brains. Less looks more like real scans, which a
    # smaller warp and thinner sulci would match best; the diversity of the paper's slices asks for this much.
    warp_mm: float = 2.2  # sd of the smooth warp, each axis
    warp_scale_mm: float = 13.0  # sd of the Gaussian that smooths it
    ripple_mm: float = 1.0  # sd of the fine warp
    ripple_scale_mm: float = 8.0
    warp_symmetry: float = 0.8  # correlation of the warp between the sides
    control_mm: float = 8.0  # spacing of the cubic B-spline's control points
    # Pairs are values at 20 and at 90 years.
    ventricle_mm: tuple[float, float] = (-0.5, 5.0)  # outward shift of the wall; folds inside from 7 mm on
    ventricle_sd_mm: float = 0.7
    ventricle_male_mm: float = 0.4  # men's ventricles are larger for their age
    sulcus_level: tuple[float, float] = (0.26, 0.15)  # fluid share from which a voxel counts as fluid
    sulcus_sd: float = 0.03
    sulcus_width: float = 0.05  # sharpness of the fluid's edge in the tissue maps
    white_width: float = 0.11  # sharpness of the grey-white edge; wide enough to leave the thalamus between
    # --- individual cortex (folds.py)
    fold_mm: float = 25.0  # wavelength of the folding field: about two gyri in 25 mm of the hull
    fold_band: float = 0.16  # relative sd of its band
    fold_symmetry: float = 0.6  # correlation of the hemispheres' folding fields
    # Scales of the slow fields that vary a sulcus's depth, whether it keeps off the template's, its opening, and shade.
    fold_slow_mm: tuple[float, float, float, float] = (38.0, 60.0, 30.0, 22.0)
    sulcus_depth_mm: float = 18.0  # below the hull
    sulcus_depth_sd_mm: float = 6.0
    sulcus_deepest_mm: float = 27.0
    keep_off: float = 1.8  # how strongly individual sulci avoid, or branch off, the template's, in sd of the folding field
    # The template's sulci that a person has, by the curvature of the fluid share.
    shared_strength: float = 0.085
    shared_strength_sd: float = 0.025
    shared_fade_mm: float = 120.0  # an unit of missing curvature closes a sulcus like so many mm of distance
    sulcus_half_mm: tuple[float, float] = (0.70, 1.35)  # half width of the fluid in a sulcus
    sulcus_half_sd: float = 0.08  # of the logarithm, between people
    sulcus_half_spread: float = 0.3  # of the logarithm, between places
    gyrus_retreat_mm: tuple[float, float] = (0.2, 1.2)  # of the gyri from the hull
    crown_mm: float = 3.0  # rounding of the gyri
    ribbon_mm: tuple[float, float] = (2.3, 2.1)  # thickness of the cortex
    ribbon_sd: float = 0.10  # relative, between places
    pial_width_mm: float = 0.3  # softness of the fluid's edge
    inner_width_mm: float = 0.3  # softness of the grey-white edge
    cortex_shade: float = 0.04  # relative sd of the cortex's brightness between regions
    limbic: float = 0.16  # the limbic cortex is brighter
    limbic_sd: float = 0.3  # of the logarithm, between people
    iron: tuple[float, float] = (0.24, 0.42)  # share of T2 that the pallidum loses to iron

    # --- signal
    t2_sd: float = 0.03  # relative, per case and tissue
    adc_sd: float = 0.03
    anisotropy: float = 0.35  # relative ADC swing between directions in white matter
    texture: float = 0.045  # relative, within tissue: cytoarchitecture and what the atlas averages away
    texture_mm: float = 9.0
    scalp: float = 0.16  # of the grey signal at b = 1000: fat suppression leaves a faint ring
    muscle: float = 0.07  # muscle's short T2

    # --- scanner
    gain: float = 2400.0  # arbitrary units: median grey matter near 350 at b = 1000
    # Of the logarithm: scanners and days differ in gain and reconstruction scale. A cohort's common percentile leaves it in
    # the slices: at 0.4 the Laplace variance spreads by more than half of its mean, in the paper by 0.44.
    gain_sd: float = 0.15
    bias: float = 0.10  # sd of the logarithm of the smooth part
    bias_rim: float = 0.22  # logarithm from the head's centre to 100 mm off it: brighter near the array
    snr: float = 16.0  # grey matter at b = 1000, one direction, before zero filling
    snr_sd: float = 0.25  # of the logarithm
    # Scanners blank the air: real scans have 0.000 to 0.003 of the 95th percentile there. The filter starts at this many
    # standard deviations of the noise and is open at twice as many; pure noise has a mean of 1.25, the scalp about 3. 0: none.
    background_sigmas: float = 1.5
    b_value: float = 1000.0
    shim: float = 1.0  # share of the sinuses' field that is left; linear shims hardly reach fields this local
    field_sd: float = 0.25  # of the logarithm, per sinus: sizes of air cells
    pile_up: float = 3.5  # largest brightening by compression
    dephasing_hz_mm: float = 45.0  # field gradient at which signal falls to 1/e
    subslices: int = 3  # samples across a slice's thickness: partial volume

    # --- how the person lies
    tilt_deg: tuple[float, float] = (-5.0, 6.0)  # slices about the left-right axis: mean, sd
    roll_deg: float = 3.0  # sd of the head's rotations
    offset_mm: float = 5.0  # sd of the head in the field of view
    centre_mm: float = 18.0  # sd of the field of view in the scanner

    # --- what an affine registration leaves (direct path only; the warp stays too)
    jitter_mm: float = 0.5  # sd of a shift
    jitter_deg: float = 0.4
    jitter_scale: float = 0.004

    protocols: tuple[Protocol, ...] = PROTOCOLS
    tissues: dict[float, dict[str, Tissue]] = field(default_factory=lambda: TISSUES)

    def __post_init__(self):
        low, high = self.age_range
        likely = 0 <= low <= high - 1 and low < self.age_mean + 3 * self.age_sd and high > self.age_mean - 3 * self.age_sd
        _require(likely, "age_range must rise from 0 or more by a year or more, and lie near age_mean", self.age_range)
        for name in ("warp_symmetry", "fold_symmetry"):
            _require(-1 <= getattr(self, name) <= 1, f"{name} is a correlation, -1 to 1", getattr(self, name))
        for name in ("snr", "gain", "age_sd", "warp_scale_mm", "ripple_scale_mm", "fold_mm"):
            _require(getattr(self, name) > 0, f"{name} must be above 0", getattr(self, name))
        _require(self.subslices >= 1, "subslices must be 1 or more", self.subslices)
        _require(len(self.protocols) > 0, "protocols must not be empty", self.protocols)


def _require(sound: bool, rule: str, value: object) -> None:
    if not sound:
        raise InputError(f"{rule}, not {value}.")


DEFAULT = Settings()
"""The calibrated settings."""


def code() -> str:
    """Eight hexadecimal digits that change with any number and any statement of the simulation, which decide its images."""
    folder = Path(__file__).parent
    statements = [_without_words(path) for path in sorted(folder.glob("*.py"))]
    return hashlib.sha256("".join(statements).encode() + (folder / "hull.npz").read_bytes()).hexdigest()[:8]


BREAKS = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}


def _without_words(path: Path) -> str:
    """Code without comments, docstrings and blank lines, which decide nothing: the same text on every version of Python."""
    source, last = path.read_text(encoding="utf-8"), tokenize.NEWLINE
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        (first, column), (end, _) = token.start, token.end
        if token.type == tokenize.COMMENT:
            lines[first - 1] = lines[first - 1][:column]
        elif token.type == tokenize.STRING and last in BREAKS:  # a docstring
            lines[first - 1 : end] = [""] * (end - first + 1)
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            last = token.type
    return "\n".join(line.rstrip() for line in lines if line.strip())
