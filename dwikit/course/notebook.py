"""The first cell of every notebook, and the code that a notebook shows.

``python -m dwikit.course.notebook FROM TO`` copies executed notebooks to where they are committed, without what differs from run
to run (progress bars, warnings of libraries, timings of papermill), and puts the new tables into the README.
"""

import base64
import inspect
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import matplotlib.pyplot as plt
import nbformat
from IPython.display import Code
from PIL import Image

from dwikit import report
from dwikit.common import paths
from dwikit.common.errors import InputError
from dwikit.profiles import Profile, resolve
from dwikit.report import plots

JUPYTER_NAMES = {"In", "Out", "exit", "quit", "get_ipython", "open"}


def begin(namespace: dict[str, Any], profile: str | None = None, networks: Sequence[str] = (), **overrides: Any) -> Profile:
    """Resolve the profile, refuse parameters that the notebook does not have, and set the style of figures.

    papermill only warns of a mistyped parameter and then runs with the default, for two days if need be.

    Args:
        namespace: the notebook's ``globals()``, in which only parameters are defined so far.
        profile: name of the profile or None.
        networks: sections of the profile that the overrides belong to; none: they are sections themselves.
        **overrides: as in ``profiles.resolve``; their names, and those inside a section, are the parameters it has.

    Raises:
        InputError: an unknown parameter, or whatever ``profiles.resolve`` refuses.
    """
    known = {"profile"}
    for name, value in overrides.items():
        known |= set(value) if isinstance(value, dict) else {name}
    for name, value in namespace.items():
        ours = name.startswith("_") or name in JUPYTER_NAMES or isinstance(value, ModuleType) or callable(value)
        if not ours and name not in known:
            raise InputError(f"This notebook has no parameter {name!r}. It has: {', '.join(sorted(known))}.")
    config = resolve(profile, **({network: overrides for network in networks} if networks else overrides))
    plt.rcParams.update(plots.STYLE)
    if networks:
        keras.ops.zeros(1)  # starts the backend here, with all that it has to say about this machine
    size, folder = config.image_size, _short(paths.runs(config.name))
    print(f"Profile {config.name}: {size} x {size} pixels, results in {folder}/.")
    return config


def _short(path: Path) -> str:
    """A path as seen from the project's folder, where it lies in there."""
    return str(path.relative_to(paths.project())) if path.is_relative_to(paths.project()) else str(path)


def show_code(*functions) -> Code:
    """The source of functions of the package, as it runs, to be read in the notebook."""
    return Code("\n\n".join(inspect.getsource(function).rstrip() for function in functions), language="python")


def _incidental(output) -> bool:
    """Whether an output is a message on standard error, the remains of a progress bar, or marked as too large to keep."""
    widget = "application/vnd.jupyter.widget-view+json" in output.get("data", {})
    return output.get("name") == "stderr" or widget or output.get("metadata", {}).get("transient", False)


def _smaller(png: str) -> str:
    """A PNG (base64) with at most 16 colours and 800 pixels of width: enough for grey images on a screen."""
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    image.thumbnail((800, 10_000))
    packed = io.BytesIO()
    image.quantize(16).save(packed, "PNG", optimize=True)
    return base64.b64encode(packed.getvalue()).decode()


def publish(executed: Path, committed: Path) -> None:
    """Copy every executed notebook of a folder over its committed namesake, with outputs but without what is incidental."""
    for path in sorted(executed.glob("*.ipynb")):
        target = committed / path.name
        if not target.is_file():
            continue
        notebook, original = nbformat.read(path, 4), nbformat.read(target, 4)
        notebook.metadata = original.metadata
        notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
        if [cell.source for cell in notebook.cells] != [cell.source for cell in original.cells]:
            raise InputError(f"{target} has changed since {path} was run: run it again before publishing it.")
        for cell, model in zip(notebook.cells, original.cells):
            cell.metadata, cell.id = model.metadata, model.id
            if cell.cell_type == "code":
                cell.outputs = [output for output in cell.outputs if not _incidental(output)]
                for output in cell.outputs:
                    if png := output.get("data", {}).get("image/png"):
                        output.data["image/png"] = _smaller(png)
        nbformat.write(notebook, target)
        print(f"{target} {target.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    publish(Path(sys.argv[1]), Path(sys.argv[2]))
    report.fill_in(paths.project() / "README.md", paths.figures())
