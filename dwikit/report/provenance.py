"""Files of tables and figures, with the provenance of their numbers."""

import functools
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

import dwikit
from dwikit.common import doctor, files, keras_settings, paths
from dwikit.profiles import Profile, as_dict
from dwikit.report.render import latex, markdown

CODE = ("dwikit", "benchmarks")
"""Folders whose code makes the numbers; a notebook names itself in the command."""


def command(*words: str) -> str:
    """A command line as text that a shell takes, with the folder of the runs where ``DWIKIT_RUNS`` sets it."""
    runs = os.environ.get("DWIKIT_RUNS")
    return (f"DWIKIT_RUNS={shlex.quote(str(paths.home(runs).resolve()))} " if runs else "") + shlex.join(words)


def provenance(config: Profile, command: str, **facts) -> dict:
    """Where a table or figure comes from.

    Args:
        config: profile, with the values that were used (``study.used``).
        command: that makes it again.
        **facts: anything else to keep.

    Returns:
        These, and the versions of code and libraries.
    """
    return {
        "command": command,
        "profile": as_dict(config),
        "dwikit": dwikit.__version__,
        **_code(),
        "python": sys.version.split()[0],
        "backend": sys.modules["keras"].config.backend() if "keras" in sys.modules else keras_settings.backend(),
        "versions": doctor.versions(),
        **facts,
    }


def _code() -> dict:
    """The kit's last commit and, if there are any, its files of code that differ from it; None outside its repository."""
    try:
        top, commit = _git("rev-parse", "--show-toplevel", "--short", "HEAD").splitlines()
        changed = _git("status", "--porcelain", "--untracked-files=all", "--", *CODE).splitlines()
    except (OSError, ValueError, subprocess.SubprocessError):
        return {"commit": None}
    if Path(top).resolve() != paths.project().resolve():
        return {"commit": None}  # a copy of the kit within another project
    return {"commit": commit} | ({"changed since": [line[3:] for line in changed]} if changed else {})


def _git(*words: str) -> str:
    """What git says of the kit's folder."""
    command = ["git", "-c", "core.quotepath=off", *words]
    return subprocess.run(command, cwd=paths.project(), capture_output=True, text=True, timeout=10, check=True).stdout


def save_table(table: pd.DataFrame, name: str, source: dict, folder: Path | None = None) -> Path:
    """Write ``<name>.csv``, ``.md``, ``.tex`` and ``.json`` (the provenance); returns the path of the Markdown.

    Args:
        table: with one heading or two per column.
        name: of the files; it may hold folders: those of a study are in ``<profile>/``.
        source: of ``provenance``.
        folder: by default ``figures/``.
    """
    path = (folder or paths.figures()) / f"{name}.md"
    profile, command = source["profile"]["name"], source["command"]
    note = f"\nProfile {profile}; made by `{command}`; provenance in {path.stem}.json.\n"
    files.write_together(
        {
            path.with_name(f"{path.stem}.csv"): files.as_text(table.to_csv()),
            path: files.as_text(markdown(table) + note),
            path.with_name(f"{path.stem}.tex"): files.as_text(f"% Profile {profile}; made by: {command}\n" + latex(table)),
            path.with_name(f"{path.stem}.json"): files.as_json(source),
        }
    )
    return path


def save_figure(figure: Figure, name: str, source: dict, suffix: str = "svg", folder: Path | None = None) -> Path:
    """Write ``<name>.<suffix>`` and ``<name>.json`` (the provenance) to ``folder``, by default ``figures/``.

    In a vector file images keep their own pixels; without dates and random names, the same figure gives the same file. Its
    description in words (``plots.finished``) is in the file, too.
    """
    path = (folder or paths.figures()) / f"{name}.{suffix}"
    metadata = {"Description": figure.get_label() or name} | ({"Date": None} if suffix == "svg" else {})
    for image in [image for axis in figure.axes for image in axis.images if suffix == "svg"]:
        image.set_interpolation("none")
    with plt.rc_context({"svg.hashsalt": "dwikit"}):
        writer = functools.partial(figure.savefig, metadata=metadata)
        files.write_together({path: writer, path.with_suffix(".json"): files.as_json(source)})
    return path


def write_results(folder: Path, table: pd.DataFrame, key: str) -> None:
    """Write one model's row beside the model, as ``results.json``."""
    files.write_json(folder / "results.json", json.loads(table.loc[key].to_json()))


def fill_in(page: Path, folder: Path) -> None:
    """Put every ``folder/<name>.md`` between the lines ``<!-- begin <name> -->`` and ``<!-- end <name> -->`` of a page.

    A name may hold folders, such as ``quick/table-1``.
    """
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"<!-- begin ([\w/-]+) -->", text):
        content = (folder / f"{name}.md").read_text(encoding="utf-8").strip()
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        before, rest = text.split(begin, 1)
        text = before + f"{begin}\n{content}\n{end}" + rest.split(end, 1)[1]
    files.write_text(page, text)
