"""How big a run is: ``smoke``, ``quick``, ``long``, ``gpu`` and ``paper`` are YAML files of values beside this module.

Precedence: explicit override > profile. The profile itself: explicit name > environment variable ``DWIKIT_PROFILE`` >
``quick``. A value of None, in an override, means "from the profile", so that a notebook's parameters cell can say
``epochs = None``.

A profile's ``model`` values belong to its own preset. Where another is chosen (``-p preset=released``, or ``preset:`` in a
file that extends this one), what tells the two presets apart comes from the chosen one; what both say alike, and the sizes of
the networks (``SIZES``), stay as in the profile. So two runs that differ in the preset differ in nothing else.

Example:
    >>> config = resolve("quick", vae={"epochs": 3})
    >>> config.vae.epochs
    3
"""

import dataclasses
import difflib
import os
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from dwikit.common import files
from dwikit.common.errors import InputError

FOLDER = Path(__file__).parent
DEFAULT = "quick"


@dataclass(frozen=True)
class Cohort:
    """The simulated cohort: how many cases, and how many of them go through NIfTI files and ANTs."""

    cases: int = 60
    registered: int = 24
    """The first so many cases are written as BIDS and registered; the rest comes by the direct path."""
    seed: int = 0
    workers: int | None = None
    bids: str | None = None
    """Path of a BIDS dataset of one's own, instead of the simulation."""


@dataclass(frozen=True)
class Slices:
    """From registered volumes to normalized slices (paper, sec. 3.1); the paper leaves field of view and interpolator open.

    The values are those of ``dwikit.cohorts.phantom.calibration``, under which the simulated cohort meets the paper's Original row.
    """

    fov_mm: float = 300.0
    interpolator: str = "nearest"
    percentile: float = 99.0
    scope: str = "cohort"
    seed: int = 0


@dataclass(frozen=True)
class Training:
    """One network's training; ``model`` overrides values of its preset, each with its reason in the YAML file."""

    preset: str = "paper"
    """Another than the profile's own also replaces those of its ``model`` values in which the two differ, sizes excepted."""
    model: dict = field(default_factory=dict)
    batch_size: int | None = None
    """None: the preset's own."""
    epochs: int = 1
    steps_per_epoch: int | None = None
    """None: one pass over the training split."""
    seed: int = 0
    flip: bool = False
    """Mirror a random half of the training slices left to right."""
    jit_compile: bool = False
    """Compile the step with XLA: faster on GPUs, slower on CPUs, and not repeatable bit for bit."""
    mixed_precision: bool = False
    """Compute in bfloat16, keep weights in float32: faster on GPUs that have it, slower on most CPUs."""
    steps_per_execution: int = 1
    """Steps a call of the compiled function: the same arithmetic, less overhead."""
    health: bool = True
    """Stop with a reason when a health check fails."""
    tensorboard: bool = False


@dataclass(frozen=True)
class Usefulness:
    """Are samples good for augmentation? How many patients each network learns from, and how long."""

    patients: int = 1
    """To learn from, others with every seed."""
    held_out: int = 12
    """At most, to judge by."""
    seeds: int = 3
    steps: int = 2000
    """The same for every arm."""
    batch_size: int = 8
    width: int = 16
    """Channels of the U-Net's first level."""


@dataclass(frozen=True)
class Evaluation:
    """How many samples and real slices each row of Table 1 stands on, and how often the VAE is trained."""

    samples: int = 1000
    seeds: int = 1
    """Trainings of the VAE that differ in their seed only: how much one training means."""
    usefulness: Usefulness = field(default_factory=Usefulness)


@dataclass(frozen=True)
class ReaderStudy:
    """The blinded deck of 06 (paper: 50 real images and 50 of each network)."""

    per_group: int = 50
    practice: int = 4
    seed: int = 0
    """Makes the same deck every time; a study with readers of one's own draws a secret instead: ``dwikit deck``."""
    readings: str | None = None
    """CSV file, or folder of them, of one's own readers of this deck."""


@dataclass(frozen=True)
class Profile:
    """All values of one run."""

    name: str
    image_size: int = 128
    cohort: Cohort = field(default_factory=Cohort)
    slices: Slices = field(default_factory=Slices)
    vae: Training = field(default_factory=Training)
    dfc_vae: Training = field(default_factory=Training)
    intro_vae: Training = field(default_factory=Training)
    style_gan: Training = field(default_factory=Training)
    evaluation: Evaluation = field(default_factory=Evaluation)
    reader_study: ReaderStudy = field(default_factory=ReaderStudy)


SIZES = {"channels", "critic_channels", "latent_size", "mapping_width"}
"""Settings of a network that decide what a step costs: the profile's own, whatever preset is chosen."""


def names() -> list[str]:
    """Names of the profiles that come with the kit."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def resolve(profile: str | None = None, **overrides: Any) -> Profile:
    """Merge a profile with overrides, check every type and reject every unknown key.

    Args:
        profile: name of a profile, or path of a YAML file of one's own; None means ``DWIKIT_PROFILE`` or ``quick``. A line
            ``extends: quick`` in such a file takes every value that it does not name from there.
        **overrides: values by field of ``Profile``; a section takes a dict, e.g. ``vae={"epochs": 3}``. None (also
            inside a section) keeps the profile's value. A preset other than the profile's brings the values in which the
            two differ (see the module's text); values given here go before either.

    Raises:
        InputError: unknown profile, unknown key (with the nearest known one), or a value of the wrong type.
    """
    name = profile or os.environ.get("DWIKIT_PROFILE") or DEFAULT
    path = _path(name, Path.cwd())
    values = _over({**_read(path), "name": path.stem}, overrides)
    profile_values = _build(Profile, values, where=str(path.name))
    _check_ranges(profile_values, where=str(path.name))
    return profile_values


def _path(name: str, folder: Path) -> Path:
    """File of a profile: one that comes with the kit, or a path seen from a folder."""
    path = folder / name if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not os.path.isfile(path):  # Path.is_file fails at names that no system takes
        raise InputError(f"There is no profile {name!r}. Known: {', '.join(names())}, or the path of a .yaml file.")
    return path


def _read(path: Path, extended_by: tuple[Path, ...] = ()) -> dict:
    """Values of a file, over those of the profile that it extends."""
    if path in extended_by:
        raise InputError(f"{path} extends itself, through {', '.join(other.name for other in extended_by)}.")
    values = files.read_yaml(path, like=FOLDER / "quick.yaml")
    base = values.pop("extends", None)
    if not base:
        return values
    try:
        other = _path(str(base), path.parent)
    except InputError as error:
        raise InputError(f"{path}, extends: {error}") from None
    return _over(_read(other, (*extended_by, path)), values)


def _over(values: dict, overrides: dict) -> dict:
    """Overrides over a profile's values, network by network as their presets ask."""
    return _merge({key: _for_preset(key, value, overrides.get(key)) for key, value in values.items()}, overrides)


def _for_preset(key: str, section: Any, overrides: Any) -> Any:
    """A network's section, without the ``model`` values that another preset, chosen in the overrides, says otherwise."""
    if not isinstance(section, dict) or not isinstance(overrides, dict) or not isinstance(section.get("model"), dict):
        return section
    own, chosen = section.get("preset") or Training.preset, overrides.get("preset") or None
    if chosen in (None, own):
        return section
    from dwikit.models.presets import PRESETS, choose  # starts Keras

    one, other = (choose(PRESETS[key], name, f"preset of {key}") for name in (own, chosen))
    kept = {name: value for name, value in section["model"].items() if name in SIZES or one.get(name) == other.get(name)}
    return {**section, "model": kept}


def _merge(values: dict, overrides: dict) -> dict:
    merged = dict(values)
    for key, value in overrides.items():
        if isinstance(value, dict) and isinstance(merged.get(key, {}), dict):
            merged[key] = _merge(merged.get(key) or {}, value)
        elif value is not None:
            merged[key] = value
    return merged


def _build(cls: type, values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise InputError(f"{where} must hold 'key: value' pairs, not {values!r}.")
    hints = get_type_hints(cls)
    for key in values:
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise InputError(f"{where}: unknown key {key!r}.{hint} Known: {', '.join(hints)}.")
    return cls(**{key: _coerce(hints[key], value, f"{where}: {key}") for key, value in values.items()})


COUNTS = {"cases", "epochs", "batch_size", "steps_per_epoch", "steps_per_execution", "samples", "workers", "per_group"}
COUNTS |= {"patients", "held_out", "seeds", "steps", "width"}  # of evaluation.usefulness
"""Values that make no sense below 1 (None, where it is allowed, is no value)."""


def _check_ranges(section: Any, where: str) -> None:
    for entry in dataclasses.fields(section):
        value = getattr(section, entry.name)
        if dataclasses.is_dataclass(value):
            _check_ranges(value, f"{where}: {entry.name}")
        elif entry.name in COUNTS and value is not None and value < 1:
            raise InputError(f"{where}: {entry.name} must be at least 1, not {value}.")


def _coerce(kind: Any, value: Any, where: str) -> Any:
    """Value as the field's type; YAML reads 2e-9 as text and papermill passes 1e3 as a float, both are mended here."""
    if dataclasses.is_dataclass(kind):
        return _build(kind, value, where)
    if get_origin(kind) in (Union, types.UnionType):
        if value is None:
            return None
        kind = next(option for option in get_args(kind) if option is not type(None))
    if kind in (int, float) and isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            pass
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise InputError(f"{where} must be of type {kind.__name__}, not {value!r}.")
    return value


def as_dict(profile: Profile) -> dict:
    """A profile as nested plain values, for provenance files."""
    return dataclasses.asdict(profile)
