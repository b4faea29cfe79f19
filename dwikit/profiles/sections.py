"""The sections of a profile, with checks of their values."""

import dataclasses
import types
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from dwikit.common.errors import InputError, choose
from dwikit.slices import grid
from dwikit.slices.settings import SEED, SliceSettings


@dataclass(frozen=True)
class Cohort:
    """The simulated cohort: how many scans, and how many of them go through NIfTI files and ANTs."""

    cases: int = 60
    registered: int = 24
    """How many scans, from the first, are written as BIDS and registered; the rest take the direct path."""
    seed: int = 0
    workers: int | None = None
    bids: str | None = None
    """Path of your own BIDS dataset, instead of the simulation."""
    b_value: float = 1000.0
    """Wanted b-value of your own scans, s/mm2; the nearest shell is used."""
    tolerance: float = 600.0
    """Largest accepted distance of a shell from it, s/mm2."""
    include: list = field(default_factory=list)
    """Scans of yours that are used although the quality report leaves them out: look at them first."""

    @property
    def source(self) -> dict:
        """What decides its scans, as plain values."""
        if self.bids:
            chosen = {"b_value": self.b_value, "tolerance": self.tolerance, "include": list(self.include)}
            return {"bids": str(Path(self.bids).resolve()), "cases": 0, "registered": 0, **chosen}
        return {"cases": self.cases, "registered": self.registered, "seed": self.seed, "bids": None}


@dataclass(frozen=True)
class Slices:
    """From scans to normalized slices (paper, sec. 3.1). None: the value of ``SliceSettings.for_size`` for the image size."""

    fov_mm: float | None = None
    interpolator: str | None = None
    percentile: float | None = None
    scope: str | None = None
    seed: int = SEED
    """Seed of the split by person."""


@dataclass(frozen=True)
class Training:
    """One network's training; ``model`` overrides values of its preset.

    In a file, a value of ``model`` and ``batch_size`` may come with its reason: ``latent_size: {value: 32, why: "..."}``.
    """

    file: str | None = None
    """Python file of your own network; None: a network of the kit or of an installed package."""
    in_study: bool = True
    """Whether it is trained and shown with the other networks; if not, only where it is named."""
    preset: str = "paper"
    """A preset other than the profile's also replaces the ``model`` values in which the two differ, except sizes."""
    init: str | None = None
    """Weights to start from: ``pretrained``, the kit's own, or the path of a .keras file. None, or ``random`` where a profile
    says otherwise: random ones."""
    frozen: list = field(default_factory=list)
    """What does not learn: names of the network's parts, such as ``encoder``, or their first layers, such as ``critic[:4]``."""
    model: dict = field(default_factory=dict)
    reasons: dict = field(default_factory=dict)
    """Why a value departs from the preset's, by its name."""
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
    """Compute in bfloat16, keep weights in float32: faster where the GPU or the processor has it, slower elsewhere."""
    steps_per_execution: int = 1
    """Steps per call of the compiled function: the same arithmetic, less overhead."""
    health: bool = True
    """Stop with a reason when a health check fails."""
    snapshots: int = 0
    """Samples kept after every epoch, for learning curves; the log then compares them with validation people."""
    keep: str = "last"
    """The epoch whose model draws samples and stands in tables: ``last``, or ``best`` by the distance in the log."""
    tensorboard: bool = False

    @property
    def overrides(self) -> dict:
        """What replaces values of the preset: ``model``, and the batch size if there is one."""
        return self.model | ({} if self.batch_size is None else {"batch_size": self.batch_size})


@dataclass(frozen=True)
class Brought:
    """Samples without a network: a row in every table and figure, labelled as brought along."""

    samples: str
    """Folder or array that ``dwikit evaluate`` can read, of the profile's image size."""
    label: str | None = None
    """Name in tables and figures; None: the section's key."""


@dataclass(frozen=True)
class Usefulness:
    """Are samples good for augmentation? How many people each network learns from, and for how long."""

    patients: int = 1
    """People to learn from, different ones for every seed."""
    held_out: int = 12
    """People to judge by, at most."""
    seeds: int = 3
    steps: int = 2000
    """Steps of every arm."""
    batch_size: int = 8
    width: int = 16
    """Channels of the U-Net's first level."""


@dataclass(frozen=True)
class Evaluation:
    """How many samples and real slices each row of Table 1 uses, and how often each network is trained."""

    samples: int = 1000
    seeds: dict[str, int] = field(default_factory=dict)
    """By network: trainings that differ only in their seed, to show how much one training means; 1 if missing. A single number
    is that of every network."""
    usefulness: Usefulness = field(default_factory=Usefulness)


@dataclass(frozen=True)
class ReaderStudy:
    """The blinded deck of 06 (paper: 50 real images and 50 of each network)."""

    per_group: int = 50
    practice: int = 4
    seed: int = 0
    """Makes the same deck every time; for a study with your own readers, ``dwikit deck`` draws a secret instead."""
    readings: str | None = None
    """CSV file, or folder of CSV files, from your own readers of this deck."""


@dataclass(frozen=True)
class Profile:
    """All values of one run."""

    name: str
    image_size: int = SliceSettings.image_size
    cohort: Cohort = field(default_factory=Cohort)
    slices: Slices = field(default_factory=Slices)
    networks: dict[str, Training] = field(default_factory=dict)
    """By key, in the order of their sections; in the file each has its own section."""
    brought: dict[str, Brought] = field(default_factory=dict)
    evaluation: Evaluation = field(default_factory=Evaluation)
    reader_study: ReaderStudy = field(default_factory=ReaderStudy)
    path: str | None = field(default=None, compare=False, repr=False)
    """Its file, if it is not one of the kit's."""
    data: str | None = field(default=None, compare=False, repr=False)
    """Folder of its cohort and slices under ``runs/``, if it shares that of other runs."""
    parameters: dict = field(default_factory=dict, compare=False, repr=False)
    """Parameters of the notebook that runs with it, by name, where they were given; their values are in the sections."""

    @property
    def reference(self) -> str:
        """What ``resolve`` finds it by: its name, or the path of its file."""
        return self.path or self.name

    @property
    def slice_settings(self) -> SliceSettings:
        """How scans become slices: the kit's settings for this image size, overridden by the section ``slices``.

        Raises:
            InputError: a value is out of range, or the target grid does not divide into slices of this size.
        """
        chosen = {name: value for name, value in dataclasses.asdict(self.slices).items() if value is not None}
        chosen.pop("seed")
        settings = dataclasses.replace(SliceSettings.for_size(self.image_size), **chosen)
        if grid.IMAGE_SIZE % settings.image_size:
            sizes = [str(size) for size in range(8, grid.IMAGE_SIZE + 1) if grid.IMAGE_SIZE % size == 0]
            raise InputError(f"image_size must be {', '.join(sizes[:-1])} or {sizes[-1]}, not {settings.image_size}.")
        return settings

    @property
    def data_settings(self) -> dict:
        """What decides its slices, as plain values: runs that agree in it share their data."""
        return {"cohort": self.cohort.source, "slices": dataclasses.asdict(self.slice_settings), "seed": self.slices.seed}


def as_dict(profile: Profile) -> dict:
    """A profile as nested plain values, as its file would hold them; values that depend on the image size are filled in."""
    values = dataclasses.asdict(profile)
    networks = values.pop("networks")
    del values["path"], values["data"], values["parameters"]  # where it comes from, not what it says
    settings = dataclasses.asdict(profile.slice_settings)
    slices = {name: settings.get(name, value) for name, value in values["slices"].items()}
    return values | {"slices": slices} | networks


# ==== Types ====


def require(known: Iterable[str], key: Any, what: str, where: str, more: str = "") -> None:
    """Refuse an unknown key, and say where it is."""
    try:
        choose(dict.fromkeys(known), key, what)
    except InputError as error:
        raise InputError(f"{where}: {error}{more}") from None


def build(cls: type, values: Any, where: str) -> Any:
    """A section of plain values as its dataclass.

    Raises:
        InputError: not names and values, an unknown key, or a value of another type.
    """
    if not isinstance(values, dict):
        raise InputError(f"{where} must hold 'key: value' pairs, not {values!r}.")
    hints = get_type_hints(cls)
    for key in values:
        require(hints, key, "key", where)
    return cls(**{key: _coerce(hints[key], value, f"{where}: {key}") for key, value in values.items()})


KEPT = ("last", "best")
COUNTS = {"cases", "epochs", "batch_size", "steps_per_epoch", "steps_per_execution", "samples", "workers", "per_group"}
COUNTS |= {"patients", "held_out", "seeds", "steps", "width"}  # in evaluation.usefulness
"""Values that make no sense below 1 (None, where allowed, is not checked)."""


def check_ranges(section: Any, where: str) -> None:
    """Refuse counts below 1 and seeds below 0, in the section and its subsections.

    Raises:
        InputError: there is one.
    """
    for entry in dataclasses.fields(section):
        value = getattr(section, entry.name)
        if dataclasses.is_dataclass(value):
            check_ranges(value, f"{where}: {entry.name}")
        elif isinstance(value, dict) and entry.name == "networks":
            for key, network in value.items():
                check_ranges(network, f"{where}: {key}")
        elif isinstance(value, dict) and entry.name == "seeds":
            for key, count in value.items():
                if count < 1:
                    raise InputError(f"{where}: seeds: {key} must be at least 1, not {count}.")
        elif entry.name in COUNTS and value is not None and value < 1:
            raise InputError(f"{where}: {entry.name} must be at least 1, not {value}.")
        elif entry.name in ("seed", "snapshots") and value < 0:
            raise InputError(f"{where}: {entry.name} must be 0 or more, not {value}.")
        elif entry.name == "keep" and value not in KEPT:
            raise InputError(f"{where}: keep must be {' or '.join(KEPT)}, not {value!r}.")


def _coerce(kind: Any, value: Any, where: str) -> Any:
    """Value as the field's type; a number may come as text ("2e-9") and a whole one as a float (1e3, from papermill)."""
    if dataclasses.is_dataclass(kind):
        return build(kind, value, where)
    if get_origin(kind) is dict:
        if not isinstance(value, dict):
            raise InputError(f"{where} must hold 'key: value' pairs, not {value!r}.")
        return {key: _coerce(get_args(kind)[1], one, f"{where}: {key}") for key, one in value.items()}
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
