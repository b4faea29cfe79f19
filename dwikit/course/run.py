"""Notebooks run headless, one (``notebook``) or the whole study in order (``reproduce``)."""

import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import pandas as pd
import papermill
from ipykernel.kernelspec import write_kernel_spec

from dwikit import profiles, report, study
from dwikit.common import doctor, keras_settings, parallel, paths
from dwikit.common.errors import InputError
from dwikit.course.notebook import from_here
from dwikit.models import registry
from dwikit.profiles import runs

MAKES_DATA = "01_preprocess"
"""All notebooks after this one need its slices."""
NOTEBOOK_GB = 2.0
"""Memory that a notebook at ``quick`` may need."""
JUDGES = "05_evaluate"
"""Before this notebook, every network of the profile without its own notebook is trained."""


def notebooks() -> list[str]:
    """Names of the study's notebooks, in order."""
    return sorted(path.stem for path in paths.notebooks().glob("[0-9]*.ipynb"))


def notebook(name: str, parameters: dict, output: Path | None = None) -> Path:
    """Run one notebook through papermill and return the path of the executed copy.

    Raises:
        InputError: no such notebook, an unknown parameter, or a cell that failed.
    """
    source = paths.home(name) if name.endswith(".ipynb") else paths.notebooks() / f"{name}.ipynb"
    if not source.is_file():
        known = ", ".join(sorted(path.stem for path in paths.notebooks().glob("*.ipynb")))
        raise InputError(f"There is no notebook {name!r}. Known: {known}.")
    known = papermill.inspect_notebook(str(source))
    if unknown := sorted(set(parameters) - set(known)):
        raise InputError(f"{source.name} has no parameter {', '.join(map(repr, unknown))}. It has: {', '.join(known)}.")
    for variable, folder in (("DWIKIT_RUNS", paths.runs("")), ("DWIKIT_FIGURES", paths.figures())):
        if variable in os.environ or not paths.from_source():  # the notebook runs in its own folder
            os.environ[variable] = str(folder.resolve())
    profile, run = parameters.get("profile"), parameters.get("run_name")
    config = runs.named(run, profile) if run else profiles.resolve(profile)
    parameters = from_here(parameters) | ({"profile": config.reference} if "profile" in known else {})
    output = output or paths.runs(config.name) / "notebooks" / source.name
    output.parent.mkdir(parents=True, exist_ok=True)
    print(f"{source.stem} at profile {config.name} -> {output}", flush=True)
    try:
        with _errors_of_children(output.with_suffix(".log")), _own_kernel():
            papermill.execute_notebook(
                str(source),
                str(output),
                parameters,
                progress_bar={"desc": source.stem, "unit": "cell"},
                kernel_name="python3",
                cwd=str(source.parent),
            )
    except papermill.PapermillExecutionError as error:
        raise InputError(
            f"{source.name} failed in cell {error.exec_count}: {error.ename}: {error.evalue}\nThe notebook up to there, with "
            f"the whole traceback, is {output}."
        ) from None
    print(f"Executed notebook: {output}", flush=True)
    return output


@contextlib.contextmanager
def _own_kernel():
    """Inside, the kernel ``python3`` is this interpreter, whatever kernel of that name the user has installed.

    It is shown the solutions of the lessons, which a reader sees after an attempt (``course.lesson``).
    """
    before = os.environ.get("JUPYTER_PATH")
    with tempfile.TemporaryDirectory() as folder:
        write_kernel_spec(str(Path(folder, "kernels", "python3")), {"env": {"DWIKIT_FILL_IN": "1"}})
        os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, (folder, before)))
        try:
            yield
        finally:
            del os.environ["JUPYTER_PATH"]
            os.environ |= {"JUPYTER_PATH": before} if before else {}


@contextlib.contextmanager
def _errors_of_children(path: Path):
    """Inside, child processes (kernels and libraries are talkative) write standard error to a file."""
    terminal = os.dup(2)
    python_stderr = sys.stderr
    with open(path, "w") as log, os.fdopen(os.dup(terminal), "w", buffering=1) as sys.stderr:
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            sys.stderr = python_stderr


def reproduce(profile: str | None = None) -> None:
    """Run the study's notebooks, and train the study's other networks before the evaluation.

    Notebooks that do not need each other run side by side and share the cores, unless there is a GPU or little memory. A
    notebook that only trains networks which are not in the study is left out. The minutes of each step go into
    ``figures/<profile>/minutes.*``.

    Raises:
        InputError: a step failed; what is done is not done again.
    """
    config = profiles.resolve(profile)
    if left_out := kept_out(config):
        print(f"Left out, since their networks are not in the study: {', '.join(left_out)}.")
    named, start, rows, share = [] if profile is None else [profile], time.perf_counter(), {}, {}
    workers = 1 if doctor.graphics_cards(keras_settings.backend()) else parallel.room(NOTEBOOK_GB)
    for group in (stage[i : i + workers] for stage in stages(config) for i in range(0, len(stage), workers)):
        words = {name: ["run", name, *(f"-pprofile={json.dumps(one)}" for one in named)] for name in group}
        words |= {name: [*name.split(), *(f"--profile={one}" for one in named)] for name in group if name.startswith("train ")}
        for name, minutes in side_by_side(words):
            rows[name], share[name] = {"minutes": minutes}, parallel.cores() // len(group)
            print(f"{name}: {minutes:.1f} minutes", flush=True)
    rows = {name: rows[name] for stage in stages(config) for name in stage}
    rows["all"] = {"minutes": (time.perf_counter() - start) / 60}
    minutes = pd.DataFrame.from_dict(rows, orient="index").rename_axis("notebook")
    facts = {"cores": parallel.cores(), "cores_of_each": share, "machine": platform.machine()}
    command = report.command("dwikit", "reproduce", "--profile", config.reference)
    report.save_table(minutes, f"{config.name}/minutes", report.provenance(config, command, **facts))
    print(f"Done in {minutes.loc['all', 'minutes']:.1f} minutes. Tables and figures: {paths.figures() / config.name}")


def stages(config: profiles.Profile) -> list[list[str]]:
    """The steps of the study: names of notebooks, and ``train KEY``. Those of one stage do not need each other."""
    names = [name for name in notebooks() if name not in kept_out(config)]
    first = names.index(MAKES_DATA) + 1
    judges = names.index(JUDGES)
    trained = [*names[first:judges], *(f"train {key}" for key in without_notebook(config))]
    return [*([name] for name in names[:first]), trained, [JUDGES], names[judges + 1 :]]


def side_by_side(commands: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, float]]:
    """Run ``dwikit`` with these arguments, all at the same time; yields name and minutes of each as it ends.

    Each has its share of the cores, and its progress a line of its own.

    Raises:
        InputError: one failed. The others are finished first.
    """
    share = parallel.environment(parallel.cores() // len(commands)) if len(commands) > 1 else {}

    def run(place: int, words: Sequence[str]) -> tuple[int, float]:
        start, environment = time.perf_counter(), os.environ | share | {"TQDM_POSITION": str(place)}
        ended = subprocess.run([sys.executable, "-m", "dwikit", *words], env=environment, stdout=subprocess.PIPE, text=True)
        print(ended.stdout, end="", flush=True)
        return ended.returncode, (time.perf_counter() - start) / 60

    with ThreadPoolExecutor(len(commands)) as pool:
        waiting = {pool.submit(run, place, words): name for place, (name, words) in enumerate(commands.items())}
        for done in as_completed(waiting):
            code, minutes = done.result()
            if code:
                raise InputError(f"{waiting[done]} failed: see its message above. The same command continues from there.")
            yield waiting[done], minutes


def without_notebook(config: profiles.Profile) -> list[str]:
    """Networks of the study that no notebook before the evaluation trains."""
    before = [name for name in notebooks() if name < JUDGES]
    return [key for key, network in study.in_study(config).items() if network.notebook not in before]


def kept_out(config: profiles.Profile) -> list[str]:
    """Notebooks that train networks, but none of the study."""
    trains = {network.notebook for network in registry.networks().values()}
    trains -= {network.notebook for network in study.in_study(config).values()}
    return [name for name in notebooks() if name in trains]
