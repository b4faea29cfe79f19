"""Draws of one case: the person, the head's pose, the protocol. Everything depends only on (seed, number)."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np

from dwikit.cohorts.phantom.settings import Protocol, Settings, Tissue
from dwikit.common.errors import InputError

CENTRE = np.array([0.0, -18.0, 12.0])
"""MNI152 millimetres of the point that lies near the centre of the field of view."""


@dataclass(frozen=True)
class Person:
    """One simulated case. `number` counts from 0; the BIDS label counts from 1."""

    number: int
    seed: int
    age: float
    sex: str
    protocol: Protocol
    tissues: dict[str, Tissue]
    gain: float
    sigma: float  # of each part of the complex noise, as a share of grey's signal at b = 1000
    ventricle_mm: float
    sulcus_level: float
    iron: float
    limbic: float  # how much brighter the limbic cortex is
    sinuses: np.ndarray  # (4,) factors of the fields of the air cells
    voxel_to_world: np.ndarray  # (4, 4) of the acquired matrix, voxel axes (x, y, z)
    world_to_template: np.ndarray  # (4, 4) affine part of the known map

    @property
    def label(self) -> str:
        """BIDS subject label, such as sub-0001."""
        return f"sub-{self.number + 1:04d}"

    def stream(self, purpose: int) -> np.random.Generator:
        """Random numbers for one purpose (a small integer), independent of every other purpose and case."""
        return np.random.default_rng([self.seed, self.number, purpose])


def draw_person(number: int, seed: int, settings: Settings) -> Person:
    """Draws case `number` (0 or more) of the cohort `seed` (0 or more).

    Raises:
        InputError: if one of the two is negative or not a whole number.
    """
    require_whole("seed", seed)
    require_whole("case number", number)
    rng = np.random.default_rng([seed, number, 0])
    age = _draw_age(rng, settings)
    sex = "F" if rng.random() < settings.female_share else "M"
    shares = np.array([protocol.share for protocol in settings.protocols])
    protocol = settings.protocols[rng.choice(len(shares), p=shares / shares.sum())]
    voxel_to_world, world_to_template = _draw_pose(rng, protocol, sex, settings)
    return Person(
        number=int(number),
        seed=int(seed),
        age=age,
        sex=sex,
        protocol=protocol,
        tissues=_draw_tissues(rng, protocol, settings),
        gain=settings.gain * float(np.exp(rng.normal(0, settings.gain_sd))),
        sigma=1 / (settings.snr * float(np.exp(rng.normal(0, settings.snr_sd)))),
        ventricle_mm=by_age(age, settings.ventricle_mm)
        + rng.normal(0, settings.ventricle_sd_mm)
        + settings.ventricle_male_mm * (sex == "M"),
        sulcus_level=by_age(age, settings.sulcus_level) + rng.normal(0, settings.sulcus_sd),
        iron=by_age(age, settings.iron),
        sinuses=np.exp(rng.normal(0, settings.field_sd, 4)),
        limbic=settings.limbic * float(np.exp(rng.normal(0, settings.limbic_sd))),
        voxel_to_world=voxel_to_world,
        world_to_template=world_to_template,
    )


def require_whole(name: str, value: int) -> None:
    """Raises InputError unless a value is a whole number of at most 32 bits: longer seeds would repeat other seeds' draws."""
    if not isinstance(value, Integral) or not 0 <= value < 2**32:
        raise InputError(f"{name} {value}: choose a whole number from 0 to {2**32 - 1}")


def _draw_age(rng: np.random.Generator, settings: Settings) -> float:
    """Years to one decimal, normal, redrawn until it lies in the range."""
    low, high = settings.age_range
    age = rng.normal(settings.age_mean, settings.age_sd)
    while not low <= age <= high:
        age = rng.normal(settings.age_mean, settings.age_sd)
    return round(float(age), 1)


def by_age(age: float, ends: tuple[float, float]) -> float:
    """Value between those at 20 and 90 years; the power makes atrophy slow at first and faster later."""
    share = np.clip((age - 20) / 70, 0, 1) ** 1.5
    return float(ends[0] + share * (ends[1] - ends[0]))


def _draw_tissues(rng: np.random.Generator, protocol: Protocol, settings: Settings) -> dict[str, Tissue]:
    """Tissues of one person: the literature's values, each a few per cent off."""
    return {
        name: Tissue(
            tissue.density,
            tissue.t2_ms * (1 + rng.normal(0, settings.t2_sd)),
            tissue.adc * (1 + rng.normal(0, settings.adc_sd)),
        )
        for name, tissue in settings.tissues[protocol.tesla].items()
    }


def _draw_pose(rng: np.random.Generator, protocol: Protocol, sex: str, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Where the slices lie in the scanner and where the head lies: two 4 x 4 affines in millimetres."""
    pixel = protocol.fov_mm / protocol.matrix
    tilt = np.array([rng.normal(*settings.tilt_deg), 0, 0])
    axes = rotation(tilt) @ np.diag([-pixel, pixel, protocol.spacing_mm])
    centre = rng.normal(0, settings.centre_mm, 3)
    half = (np.array([protocol.matrix, protocol.matrix, protocol.n_slices]) - 1) / 2
    size = 1 + rng.normal(0, settings.head_size_sd, 3)
    size *= settings.female_size ** (0.5 if sex == "F" else -0.5)
    head = rotation(rng.normal(0, settings.roll_deg, 3)) @ np.diag(size)
    at = centre + rng.normal(0, settings.offset_mm, 3) * (1, 1, 0.5)
    return _affine(axes, centre - axes @ half), np.linalg.inv(_affine(head, at - head @ CENTRE))


def rotation(degrees: np.ndarray) -> np.ndarray:
    """3 x 3 rotation about x, then y, then z."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        turn = np.eye(3)
        a, b = [i for i in range(3) if i != axis]
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


def _affine(linear: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """4 x 4 matrix of a linear part and a shift."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, shift
    return matrix
