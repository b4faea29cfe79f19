"""How big a run is: ``smoke``, ``quick``, ``hours``, ``gpu``, ``paper``, ... are YAML files of values beside this module.

Precedence: explicit override > profile. The profile itself: explicit name > environment variable ``DWIKIT_PROFILE`` >
``quick``. A value of None, in an override, means "from the profile", so that a notebook's parameters cell can say
``epochs = None``.

A profile's ``model`` values belong to its own preset. If another is chosen (``-p preset=released``, or ``preset:`` in a
file that extends this one), values in which the two presets differ come from the chosen one; all others, and the sizes of
the networks (``SIZES``), stay as in the profile. So runs with different presets differ in nothing else.

A section that is not a field of ``Profile`` is a network: the kit's, an installed package's, or, if it names a
``file``, your own (docs/own-network.md).

A run can have a name (``runs.named``). It is a profile that is kept with its results, ``runs/<name>/profile.yaml``, and its
name is as good as that of any other profile.

Example:
    >>> config = resolve("quick", vae={"epochs": 3})
    >>> config.networks["vae"].epochs
    3
"""

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

from dwikit.common import files, paths
from dwikit.common.errors import InputError
from dwikit.models import registry
from dwikit.models.presets import preset, settings
from dwikit.profiles.sections import (
    Brought,
    Cohort,
    Evaluation,
    Profile,
    ReaderStudy,
    Slices,
    Training,
    Usefulness,
    as_dict,
    build,
    check_ranges,
    require,
)

__all__ = [
    "SIZES",
    "Brought",
    "Cohort",
    "Evaluation",
    "Profile",
    "ReaderStudy",
    "Slices",
    "Training",
    "Usefulness",
    "as_dict",
    "claim",
    "data_of",
    "names",
    "of_values",
    "resolve",
    "with_paths",
]

FOLDER = Path(__file__).parent
PRETRAINED = "pretrained"
"""In place of a path: the kit's own weights."""
RANDOM = "random"
"""In place of weights: none, whatever the profile starts from."""
LIKE = FOLDER / "quick.yaml"
FILE = "profile.yaml"
"""The profile of a run with a name, in its folder."""
OF = "profile.txt"
"""In the folder of the results of a file of your own: its path."""
FOLDERS = ("data", "figures", "benchmarks", "comparisons", "recipes")
"""Folders of ``runs/`` and ``figures/`` that belong to no run or profile."""
RUN = r"[A-Za-z0-9][\w.=+-]*"
"""What the name of a run looks like."""
DEFAULT = "quick"
TAKEN = ("original", "held_out", "nearest", "samples", "agreement", "none", "classical", "unlabelled", "labelled")
TAKEN += ("data", "notebooks", "packed", "features", "usefulness", "reader_study", "pretrained", "figures")
"""Names of table rows, experiment arms and folders of a run, which no network or set of samples may have."""
SIZES = {"channels", "critic_channels", "latent_size", "mapping_width"}
"""Settings of a network that decide what a step costs: always the profile's, whatever preset is chosen."""


def names() -> list[str]:
    """Names of the profiles that come with the kit."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def resolve(profile: str | None = None, **overrides: Any) -> Profile:
    """Merge a profile with overrides, check every type and reject every unknown key.

    Args:
        profile: name of a profile, or path of your own YAML file; None means ``DWIKIT_PROFILE`` or ``quick``. A line
            ``extends: quick`` in such a file takes every value it does not name from there.
        **overrides: values by field of ``Profile``; a section takes a dict, e.g. ``vae={"epochs": 3}``. None (also
            inside a section) keeps the profile's value. A preset other than the profile's sets the values in which the
            two differ (see the module's text); values given here override both.

    Raises:
        InputError: unknown profile, a file with the name of another one that has results, unknown key (with the nearest known
            one), or a value of the wrong type.
    """
    path = _path(profile or os.environ.get("DWIKIT_PROFILE") or DEFAULT, Path.cwd())
    return of_values(files.read_yaml(path, like=LIKE), path, from_folder(overrides, Path.cwd()))


def of_values(values: dict, path: Path, overrides: dict | None = None) -> Profile:
    """The profile that a file of these values is, or would be.

    Args:
        values: of the file, ``extends`` among them.
        path: of the file, which decides its name and where relative paths begin.
        overrides: as in ``resolve``.

    Raises:
        InputError: as in ``resolve``.
    """
    place = path.resolve()
    run = place == (paths.runs(place.parent.name) / FILE).resolve()
    name, own = (place.parent.name, None) if run else (path.stem, None if path.parent == FOLDER else str(place))
    if own:
        _require_own_name(place)
    where = f"run {name}" if run else path.name
    known = _gathered({**_over(_complete(values, path), overrides or {}), "name": name}, where)
    resolved = build(Profile, {**known, "path": own}, where)
    check_ranges(resolved, where)
    try:
        _ = resolved.slice_settings
        for key, section in resolved.networks.items():
            if not section.file and (network := registry.described(key)):
                preset(network, section.preset, overrides=section.model)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return dataclasses.replace(resolved, data=_shared_data(resolved, values.get("extends"))) if run else resolved


def _path(name: str, folder: Path) -> Path:
    """File of a profile: one that comes with the kit, that of a run with a name, or a path relative to a folder."""
    if name.endswith((".yaml", ".yml")):
        path = folder / paths.home(name)
    else:
        path = FOLDER / f"{name}.yaml" if name in names() or not re.fullmatch(RUN, name) else paths.runs(name) / FILE
    if not os.path.isfile(path):  # Path.is_file fails on names that no system accepts
        known = [*names(), *sorted(file.parent.name for file in paths.runs("").glob(f"*/{FILE}"))]
        raise InputError(f"There is no profile or run {name!r}. Known: {', '.join(known)}, or the path of a .yaml file.")
    return path


def _require_own_name(file: Path) -> None:
    """Refuse a profile of your own whose results would lie among those of another profile of its name.

    Raises:
        InputError: the kit has one of that name, or ``runs/`` has results of a run, or of another file that is still there; or
            results of that name would lie among those of no profile.
    """
    if file.stem in FOLDERS:
        raise InputError(f"{file}: profiles cannot be called {', '.join(FOLDERS)}, as folders of results are. Rename the file.")
    there = paths.runs(file.stem)
    other = FOLDER / f"{file.stem}.yaml" if file.stem in names() else there / FILE
    if not other.is_file() and (there / OF).is_file():
        other = Path((there / OF).read_text(encoding="utf-8").strip())
    if other.is_file() and other.resolve() != file:
        raise InputError(f"{file} has the name of {other}, whose results are in {there}. Rename one of the two files.")


def claim(profile: Profile) -> None:
    """Note in the folder of its results which file of your own they are of, for other files of that name to be refused."""
    note = paths.runs(profile.name) / OF
    if profile.path and not (note.is_file() and note.read_text(encoding="utf-8").strip() == profile.path):
        files.write_text(note, f"{profile.path}\n")


def _complete(values: dict, path: Path, extended_by: tuple[Path, ...] = ()) -> dict:
    """Values of a file, over those of the profile that it extends."""
    if path in extended_by:
        raise InputError(f"{path} extends itself, through {', '.join(other.name for other in extended_by)}.")
    values = from_folder(_open(values), path.parent)
    base = values.pop("extends", None)
    if not base:
        return values
    try:
        other = _path(str(base), path.parent)
    except InputError as error:
        raise InputError(f"{path}, extends: {error}") from None
    return _over(_complete(files.read_yaml(other, like=LIKE), other, (*extended_by, path)), values)


def _shared_data(run: Profile, base: str | None) -> str:
    """Folder of a run's data under ``runs/``: that of the profile it extends if they agree, else one of their settings."""
    other = resolve(base) if base else None
    if other and other.data_settings == run.data_settings:
        return other.data or f"{other.name}/data"
    return data_of(run)


def data_of(run: Profile) -> str:
    """Folder under ``runs/`` of data that no other profile has: runs that agree in their settings find them there."""
    settings = json.dumps(run.data_settings, sort_keys=True)
    return f"data/{hashlib.sha256(settings.encode()).hexdigest()[:8]}"


PATHS = (
    ("cohort", "bids"),
    ("reader_study", "readings"),
    ("brought", "*", "samples"),
    ("*", "file"),
    ("*", "init"),
)
"""Where a profile holds paths."""


def from_folder(values: dict, folder: Path) -> dict:
    """The same, with every path in it made absolute, relative to a folder; ``~`` is the home folder."""
    return with_paths(values, lambda path: str((folder / paths.home(path)).resolve()))


def with_paths(values: dict, change: Callable[[str], str]) -> dict:
    """The same, with every path in it changed."""

    def changed(value: Any, place: tuple[str, ...]) -> Any:
        if not place and isinstance(value, str) and value not in (PRETRAINED, RANDOM):
            return change(value)
        if not isinstance(value, dict):
            return value
        inside = value if place[:1] == ("*",) else {*place[:1]} or {"value"}  # a value may come with its reason
        return {name: changed(one, place[1:]) if name in inside else one for name, one in value.items()}

    for place in PATHS:
        values = changed(values, place)
    return values


def _open(values: dict) -> dict:
    """A file's values, where a section whose colon nothing follows is an empty one, not one to take from elsewhere."""
    brought = values.get("brought")
    if isinstance(brought, dict):
        values = {**values, "brought": {key: {} if section is None else section for key, section in brought.items()}}
    return {key: {} if section is None and key not in ("extends", "image_size") else section for key, section in values.items()}


def _gathered(values: dict, where: str) -> dict:
    """The same, with the sections of networks collected under ``networks``.

    Raises:
        InputError: a key that is neither section nor network, or one that would be ambiguous in a table.
    """
    known = [name for name in get_type_hints(Profile) if name not in ("name", "networks", "path", "parameters")]
    if values.get("networks") is not None:
        raise InputError(f"{where}: each network is a section of its own: write vae: at the left margin, without networks:.")
    values, networks, at_hand = {**values, "brought": _brought(values.get("brought"), where)}, {}, registry.keys()
    for key in [key for key in values if key not in (*known, "name", "networks")]:
        section = values.pop(key)
        if key not in at_hand and not (isinstance(section, dict) and section.get("file")):
            require([*known, *at_hand], key, "section", where, " Your own network needs a line file: PATH.")
        networks[key] = _with_reasons(_mapping(section, f"{where}: {key}"), f"{where}: {key}")
    for key in (*networks, *values["brought"]):
        if not re.fullmatch("[a-z][a-z0-9_]*", str(key)) or key in TAKEN:
            raise InputError(
                f"{where}: {key!r} cannot name a row. Use lower-case letters, digits and _, and none of {', '.join(TAKEN)}."
            )
    if both := sorted(set(networks) & set(values["brought"])):
        raise InputError(f"{where}: {both[0]!r} is both a network and under brought. Give the samples another key.")
    return {**values, "evaluation": _seeds(values.get("evaluation") or {}, networks, where), "networks": networks}


def _seeds(evaluation: Any, networks: dict, where: str) -> Any:
    """The section ``evaluation``, its seeds by network; a single number is that of every network."""
    seeds = evaluation.get("seeds") if isinstance(evaluation, dict) else None
    if isinstance(seeds, dict):
        for key in seeds:
            require(networks, key, "network", f"{where}: evaluation: seeds")
    return {**evaluation, "seeds": dict.fromkeys(networks, seeds)} if isinstance(seeds, int | float) else evaluation


def _mapping(value: Any, where: str) -> dict:
    """A section's names and values; none where nothing follows its colon."""
    if value is not None and not (isinstance(value, dict) and all(isinstance(name, str) for name in value)):
        raise InputError(f"{where} must hold 'key: value' pairs, not {value!r}.")
    return value or {}


def _brought(value: Any, where: str) -> dict:
    """The section ``brought``, every entry with its samples."""
    sections = {key: _mapping(one, f"{where}: brought: {key}") for key, one in _mapping(value, f"{where}: brought").items()}
    for key, section in sections.items():
        if not section.get("samples"):
            raise InputError(f"{where}: brought: {key} needs a line samples: with a folder or an array of images.")
    return sections


def _with_reasons(section: dict, where: str) -> dict:
    """A network's section with plain values, and their reasons under ``reasons``."""
    reasons = dict(_mapping(section.get("reasons"), f"{where}: reasons"))
    values = {**_mapping(section.get("model"), f"{where}: model"), "batch_size": section.get("batch_size")}
    if elsewhere := sorted({"image_size", "preset", "seed"} & set(values)):
        raise InputError(f"{where}: {elsewhere[0]} does not belong under model: write it one level further out.")
    for name, value in values.items():
        if isinstance(value, dict):
            if set(value) != {"value", "why"} or not isinstance(value["why"], str):
                raise InputError(f"{where}: {name} must be a value, or {{value: ..., why: a reason}}, not {value!r}.")
            values[name], reasons[name] = value["value"], value["why"]
    batch_size = values.pop("batch_size")
    if section.get("init") == RANDOM:
        section = {**section, "init": None}
    return {**section, "model": values, "batch_size": batch_size, "reasons": reasons}


def _over(values: dict, overrides: dict) -> dict:
    """A profile's values with overrides, network by network as their presets require."""
    return merge({key: _for_preset(key, value, overrides.get(key)) for key, value in values.items()}, overrides)


def _for_preset(key: str, section: Any, overrides: Any) -> Any:
    """A network's section, without ``model`` values that differ in another preset chosen in the overrides."""
    if not isinstance(section, dict) or not isinstance(overrides, dict) or not isinstance(section.get("model"), dict):
        return section
    own, chosen = section.get("preset") or Training.preset, overrides.get("preset") or None
    if chosen in (None, own):
        return section
    network = registry.network(key, section.get("file"))  # starts Keras
    one, other = ({entry: s.value for entry, s in settings(network, name).items()} for name in (own, chosen))
    kept = {name: value for name, value in section["model"].items() if name in SIZES or one.get(name) == other.get(name)}
    return {**section, "model": kept}


def merge(values: dict, overrides: dict) -> dict:
    """Nested values with overrides; None overrides nothing."""
    merged = dict(values)
    for key, value in overrides.items():
        whole = isinstance(value, dict) and value and set(value) <= {"value", "why"}  # a value with its reason is one thing
        if isinstance(value, dict) and not whole and isinstance(merged.get(key, {}), dict):
            merged[key] = merge(merged.get(key) or {}, value)
        elif value is not None:
            merged[key] = value
    return merged
