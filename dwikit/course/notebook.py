"""The first cell of every notebook, and the source code shown in notebooks."""

import ast
import contextlib
import dataclasses
import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import yaml
from IPython.display import Code

from dwikit import report, study
from dwikit.common import paths
from dwikit.common.errors import InputError
from dwikit.models import registry
from dwikit.models.presets import as_text, preset
from dwikit.profiles import Profile, resolve, runs
from dwikit.report import plots
from dwikit.training import departures

BEGUN = "_dwikit_begun"
"""In the namespace of a notebook whose parameters have been checked once."""
JUPYTER_NAMES = {"In", "Out", "exit", "quit", "get_ipython", "open"}


def begin(
    namespace: dict[str, Any],
    profile: str | None = None,
    run: str | None = None,
    networks: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    own: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> Profile:
    """Resolve the profile, refuse parameters that the notebook does not have, and set the style of figures.

    papermill only warns of a mistyped parameter and then runs with the default, even for two days. The first two cells can be
    run again with other parameters: then only what the parameters cell sets is checked.

    Args:
        namespace: the notebook's ``globals()``, in which only parameters are defined when this is called first.
        profile: name of the profile or None.
        run: name of the run, which keeps its settings (``profiles.runs.named``); None: the profile's own run.
        networks: sections of the profile that the overrides belong to; none: they are sections themselves. An override
            with the name of one belongs to this one alone.
        settings: of the networks' models that are parameters of their own, such as the margin.
        own: parameters of the notebook that no profile has.
        **overrides: as in ``profiles.resolve``; their names, and those inside a section, are the parameters it has.

    Raises:
        InputError: an unknown parameter, a network that the profile lacks, or one that cannot be built or start as it says, or
            whatever ``profiles.resolve`` refuses.
    """
    parameters = {**(settings or {}), **(own or {})}
    for name, value in overrides.items():
        nested = isinstance(value, dict) and (not networks or name in networks)
        parameters |= _leaves(value) if nested else {name: value}
    known = {"profile", "run_name", *parameters}
    names = _set_by_parameters_cell(namespace) if BEGUN in namespace else namespace
    for name, value in ((name, namespace[name]) for name in names if name in namespace):
        ours = name.startswith("_") or name in JUPYTER_NAMES or isinstance(value, ModuleType) or callable(value)
        if not ours and name not in known:
            raise InputError(f"This notebook has no parameter {name!r}. It has: {', '.join(sorted(known))}.")

    def check(made: Profile) -> None:
        if networks:
            study.checked(made, networks)

    if networks:
        there = runs.named(run, profile) if run else resolve(profile)
        if missing := [network for network in networks if network not in there.networks]:
            raise InputError(
                f"Profile {there.name} has no network {missing[0]!r}, which this notebook trains. Begin its file with extends: "
                f"quick, or add a section {missing[0]}:."
            )
        shared = {name: value for name, value in overrides.items() if name not in networks}
        shared["model"] = {**(shared.get("model") or {}), **(settings or {})}
        alone = {network: overrides.get(network, {}) for network in networks}
        overrides = {
            network: {**shared, **one, "model": {**shared["model"], **one.get("model", {})}} for network, one in alone.items()
        }
    config = runs.named(run, profile, check, **overrides) if run else resolve(profile, **overrides)
    check(config)
    given = runs.from_here({name: value for name, value in parameters.items() if value is not None})
    config = dataclasses.replace(config, parameters=given)
    namespace[BEGUN] = True
    plt.rcParams.update(plots.STYLE)
    size, folder = config.image_size, _short(paths.runs(config.name))
    print(f"{'Run' if run else 'Profile'} {config.name}: {size} x {size} pixels, results in {folder}/.")
    return config


def _leaves(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Names and values at the ends of nested dicts."""
    parts = [_leaves(value) if isinstance(value, dict) else {name: value} for name, value in overrides.items()]
    return {name: value for part in parts for name, value in part.items()}


def numbers(key: str, config: Profile, symbols: Mapping[str, str]) -> pd.DataFrame:
    """Every number of a training that stands in an equation or differs from the paper: the one place to look them up.

    Args:
        key: of the network.
        config: from ``begin``.
        symbols: symbol in the equations -> its name in the code, a setting of the network.

    Returns:
        One row per setting, those with a symbol first: the paper's value, this run's, and the reason for a difference.
    """
    network, section = registry.network(key, config.networks[key].file), config.networks[key]
    model = study.untrained(key, config)
    paper = preset(network, "paper", config.image_size)
    differ = departures(network, section, model.config)
    names = {name: symbol for symbol, name in symbols.items()}
    rows = []
    for name in [*names, *(name for name in differ.index if name not in names)]:
        reason = differ.loc[name, "reason"] if name in differ.index else "as in the paper"
        rows.append([name, names.get(name, ""), as_text(paper.get(name)), as_text(model.config[name]), reason])
    return pd.DataFrame(rows, columns=["in the code", "symbol", "paper", "here", "reason"]).set_index("in the code")


def _set_by_parameters_cell(namespace: dict[str, Any]) -> list[str]:
    """Names that the parameters cell sets, as it was last run: the last cell that sets ``profile``."""
    for source in reversed(namespace.get("In", [])):
        with contextlib.suppress(SyntaxError):  # a cell with a magic command
            nodes = ast.walk(ast.parse(source))
            names = [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
            if "profile" in names:
                return names
    return []


def command(name: str, config: Profile) -> str:
    """The command line that runs a notebook again as it ran here, with its profile and parameters.

    Args:
        name: of the notebook, such as ``"05_evaluate"``.
        config: from ``begin``.
    """
    words = ["dwikit", "run", name]
    for parameter, value in {"profile": config.reference, **config.parameters}.items():
        text = value if isinstance(value, str) and yaml.safe_load(value) == value else json.dumps(value)
        words += ["-p", f"{parameter}={text}"]
    return report.command(*words)


def _short(path: Path) -> str:
    """A path relative to the project's folder, if it is inside it."""
    return str(path.relative_to(paths.project())) if path.is_relative_to(paths.project()) else str(path)


def show_code(*functions) -> Code:
    """The source of functions of the package, to read in the notebook."""
    return Code("\n\n".join(inspect.getsource(function).rstrip() for function in functions), language="python")
