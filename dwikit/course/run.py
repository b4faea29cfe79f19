"""One notebook run headless. Nothing here loads Keras, which the notebook's own process does."""

import contextlib
import os
import sys
import tempfile
from pathlib import Path

import papermill
from ipykernel.kernelspec import write_kernel_spec

from dwikit import profiles
from dwikit.common import paths
from dwikit.common.errors import InputError
from dwikit.profiles import runs


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
    parameters = runs.from_here(parameters) | ({"profile": config.reference} if "profile" in known else {})
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
