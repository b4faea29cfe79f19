"""Executed notebooks as they are committed, and the tables in the pages: ``python -m dwikit.course.publish FROM TO``.

Notebooks are copied without what differs from run to run (progress bars, library warnings, papermill timings).
"""

import base64
import io
import re
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
from PIL import Image

from dwikit import report
from dwikit.common import files, paths
from dwikit.common.errors import InputError
from dwikit.course import start
from dwikit.profiles import DEFAULT

BUDGETS = {"hours": "hours", "GPU": "gpu", "minutes": "quick"}
"""Trainings whose verdicts stand side by side: how long they took, and their folder in ``figures/``."""


def _incidental(output) -> bool:
    """Whether an output is on standard error, the remains of a progress bar, or marked as too large to keep."""
    widget = "application/vnd.jupyter.widget-view+json" in output.get("data", {})
    return output.get("name") == "stderr" or widget or output.get("metadata", {}).get("transient", False)


LARGE = 50_000
"""Bytes of a picture from which on it gets fewer greys: noise cannot be packed."""


def _smaller(png: str) -> str:
    """A PNG (base64) in 16 evenly spaced greys, or 6 if it is ``LARGE``, and at most 720 pixels of width."""
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("L")
    image.thumbnail((720, 10_000))
    for step in (17, 51):
        levels = Image.fromarray(np.rint(np.asarray(image) / step).astype(np.uint8)).convert("P")
        levels.putpalette([step * level for level in range(255 // step + 1) for _ in "RGB"])
        packed = io.BytesIO()
        levels.save(packed, "PNG", optimize=True, bits=4)
        if packed.tell() < LARGE:
            break
    return base64.b64encode(packed.getvalue()).decode()


def _with_minutes(head: str, name: str, alone: float | None) -> str:
    """A notebook's first cell, with its minutes in the table there.

    Args:
        head: the cell.
        name: of the notebook.
        alone: minutes of the executed notebook, which count where ``dwikit reproduce`` has not measured it; None: unknown.
    """
    minutes, source = start.measured_minutes()
    if not source or minutes.get(name, alone) is None:
        return head
    cores = source.get("cores_of_each", {}).get(name, source["cores"])
    row = f"| Minutes | {minutes.get(name, alone):.1f} at `{source['profile']['name']}` on {cores} core{'s' * (cores > 1)} |"
    return re.sub(r"^\| Minutes \|.*\|$", row, head, flags=re.MULTILINE)


def publish(executed: Path, committed: Path) -> None:
    """Copy every executed notebook of a folder over the committed one, with outputs but without incidental ones."""
    for path in sorted(executed.glob("*.ipynb")):
        target = committed / path.name
        if not target.is_file():
            continue
        notebook, original = nbformat.read(path, 4), nbformat.read(target, 4)
        seconds = notebook.metadata.get("papermill", {}).get("duration")
        notebook.metadata = original.metadata
        notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
        for one in (notebook, original):
            one.cells[0].source = _with_minutes(one.cells[0].source, path.stem, seconds and seconds / 60)
        if [cell.source for cell in notebook.cells] != [cell.source for cell in original.cells]:
            raise InputError(f"{target} has changed since {path} was run: run it again before publishing.")
        for cell, model in zip(notebook.cells, original.cells):
            cell.metadata, cell.id = model.metadata, model.id
            if cell.cell_type == "code":
                cell.outputs = [output for output in cell.outputs if not _incidental(output)]
                for output in cell.outputs:
                    output.get("data", {}).pop("text/latex", None)  # of code that is shown; browsers take the HTML
                    if png := output.get("data", {}).get("image/png"):
                        if not output.metadata.get("image/png", {}).get("alt"):
                            raise InputError(f"{path}, cell {cell.id}: describe its figure in words (plots.finished).")
                        output.data["image/png"] = _smaller(png)
        nbformat.write(notebook, target)
        print(f"{target} {target.stat().st_size / 1000:.0f} KB")


def write_short_tables(folder: Path) -> None:
    """The README's versions of two of a profile's tables: ``claims-short.md``, verdicts by budget, and ``minutes-short.md``."""
    found = {budget: folder.parent / where for budget, where in BUDGETS.items()}
    found = {budget: where for budget, where in found.items() if (where / "claims.csv").is_file()}
    claims = {budget: pd.read_csv(where / "claims.csv", index_col="no.") for budget, where in found.items()}
    table = next(iter(claims.values()))[["claim"]].assign(**{budget: one["verdict"] for budget, one in claims.items()})
    notes = [(where / "claims.md").read_text(encoding="utf-8").splitlines()[-1] for where in found.values()]
    files.write_text(folder / "claims-short.md", "\n".join([report.markdown(table), *notes]) + "\n")
    made, minutes = files.read_json(folder / "minutes.json"), pd.read_csv(folder / "minutes.csv", index_col="notebook")
    took = f"{minutes['minutes']['all']:.1f} minutes on {made['cores']} CPU cores ({made['machine']})"
    files.write_text(folder / "minutes-short.md", f"`{made['command']}` took {took}, installation not included.\n")


def fill_in(project: Path, folder: Path) -> None:
    """Put the tables of a folder of figures into the README and the pages of ``docs/``."""
    write_short_tables(folder / DEFAULT)
    for page in (project / "README.md", *sorted((project / "docs").glob("*.md"))):
        report.fill_in(page, folder)


if __name__ == "__main__":
    publish(Path(sys.argv[1]), Path(sys.argv[2]))
    fill_in(paths.project(), paths.figures())
