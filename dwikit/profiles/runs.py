"""Runs with a name: profiles that are kept with their results, and never displace one another.

A setting is written with dots, such as ``model.margin=20`` for the networks at hand or ``slices.percentile=95`` for the data.
"""

import dataclasses
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from dwikit.common import files, paths
from dwikit.common.errors import InputError
from dwikit.profiles import FILE, FOLDERS, LIKE, RUN, TAKEN, Profile, Training, from_folder, merge, names, of_values, resolve

FREE = {"in_study", "steps_per_execution", "health", "tensorboard", "keep", "reasons"}
"""Settings of a network that may change after its training has begun: they do not decide its weights."""
GIVEN_PATHS = ("bids", "readings")
"""Parameters of notebooks that are paths."""
LONGEST = 100
"""Characters of a name that is made of settings; longer ones end in a hash of all of them."""


def named(run: str, profile: str | None = None, check: Callable[[Profile], Any] | None = None, /, **overrides: Any) -> Profile:
    """The profile of a run with a name, made now if there is none, in ``runs/<run>/profile.yaml``.

    Settings are kept with the run. They can be added one by one (first the data, then each network) as long as nothing has been
    trained with others. A training can be made longer.

    Args:
        run: its name.
        profile: name or path of the profile that it extends; None: that of the run, or for a new one as in ``resolve``.
        check: called with the profile before it is kept; what it raises leaves the run as it was.
        **overrides: as in ``resolve``.

    Raises:
        InputError: an impossible name; a run of that name that extends another profile, or has trained a network with other
            settings; or whatever ``resolve`` refuses.
    """
    if not re.fullmatch(RUN, str(run)) or run in (*TAKEN, *names(), *FOLDERS) or run.endswith((".yaml", ".yml")):
        raise InputError(
            f"{run!r} cannot be the name of a run. Use letters, digits, '.', '-' and '_', and neither a profile's name nor any "
            f"of {', '.join(dict.fromkeys((*TAKEN, *FOLDERS)))}."
        )
    path = paths.runs(run) / FILE
    there = path.is_file()
    if not there and path.parent.exists():
        raise InputError(f"{path.parent} holds the results of a profile of that name. Give the run another name.")
    values = files.read_yaml(path, like=LIKE) if there else {}
    base = None if there and profile in (None, run) else resolve(profile).reference
    if there and base not in (None, values.get("extends")):
        raise InputError(
            f"The run {run} extends {values.get('extends')}, not {base}. Give another name, or leave out the profile."
        )
    wanted = merge(values | ({"extends": base} if base else {}), from_folder(overrides, Path.cwd()))
    made = of_values(wanted, path)
    if check:
        check(made)
    if wanted != values:
        if there:
            _require_unmade(resolve(run), made)
        files.write_text(path, yaml.safe_dump(wanted, sort_keys=False))
    return resolve(run)


def _require_unmade(there: Profile, wanted: Profile) -> None:
    """Refuse to change what networks of a run were trained with.

    Raises:
        InputError: a network that has been trained would differ, or its data.
    """
    for key, section in there.networks.items():
        if not any((folder / "settings.json").is_file() for folder in training_folders(there.name, key)):
            continue
        old, new = _settings(section), _settings(wanted.networks[key])
        changed = [name for name in old | new if old.get(name) != new.get(name) and name not in FREE]
        if new["epochs"] > old["epochs"]:
            changed.remove("epochs")
        if there.data_settings != wanted.data_settings:
            changed.append("data")
        if changed:
            raise InputError(
                f"The run {there.name} has trained {key} with other settings ({', '.join(changed)}), and nothing is "
                "overwritten: give another name."
            )


def _settings(section: Training) -> dict[str, Any]:
    """All settings of a network by name, those of its model with a dot."""
    values = dataclasses.asdict(section)
    model = values.pop("model")
    return values | {f"model.{name}": value for name, value in model.items()}


def training_folders(name: str, key: str) -> list[Path]:
    """Folders of a network's trainings in a run or profile, that of the profile's seed first; none that was set aside."""
    folders, before = paths.runs(name), f"{key}-seed-"
    seeds = {int(seed): folder for folder in folders.glob(f"{before}*") if (seed := folder.name.removeprefix(before)).isdigit()}
    return [folder for folder in (folders / key, *(seeds[seed] for seed in sorted(seeds))) if folder.is_dir()]


def from_here(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a notebook, with paths as absolute."""

    def absolute(value: Any) -> Any:
        return str(paths.home(value).resolve()) if isinstance(value, str) else value

    return {name: absolute(value) if name in GIVEN_PATHS else value for name, value in parameters.items()}


def nested(settings: Mapping[str, Any]) -> dict:
    """Values by names with dots as sections: ``{"model.margin": 20}`` as ``{"model": {"margin": 20}}``.

    Raises:
        InputError: one is the section of another.
    """
    found: dict = {}
    for name, value in settings.items():
        *sections, last = name.split(".")
        place = found
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                break
        if not isinstance(place, dict) or last in place:
            raise InputError(f"{name} is set twice: once on its own, once as a part of another setting.")
        place[last] = value
    return found


def sections(settings: Mapping[str, Any], config: Profile, keys: Iterable[str]) -> dict:
    """Overrides for ``resolve``; settings of a network that name none belong to all of the given ones.

    Args:
        settings: values by names with dots, e.g. ``model.margin``, ``epochs``, ``vae.epochs`` or ``slices.percentile``.
        config: profile that they are for.
        keys: of networks.
    """
    found, of_network = {}, get_type_hints(Training)
    for name, value in nested(settings).items():
        if name in of_network and name not in config.networks:
            found = merge(found, {key: {name: value} for key in keys})
        else:
            found = merge(found, {name: value})
    return found


def name_for(base: str, settings: Mapping[str, Any]) -> str:
    """A name, not longer than ``LONGEST``, for a run that changes these settings of a profile: ``quick-margin-20``."""
    words = [base]
    for name, value in settings.items():
        shown = "-".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        words.append(f"{name.replace('model.', '').replace('.', '-')}-{Path(shown).name}")
    name = re.sub(r"[^\w.=+-]+", "-", "-".join(words))
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
