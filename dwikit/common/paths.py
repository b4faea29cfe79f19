"""Paths: the project, its notebooks and data, and the folder that a run writes to."""

import os
from pathlib import Path

from dwikit.common.errors import InputError

PACKAGE = Path(__file__).resolve().parent.parent


def home(path: str | Path) -> Path:
    """A path as a user writes it: ``~`` at its beginning is the home folder, even where no shell has replaced it.

    Raises:
        InputError: the home folder of a user who is unknown here.
    """
    path = Path(path)
    try:
        return path.expanduser()
    except RuntimeError as error:
        if path.exists():
            return path
        raise InputError(f"{path} begins with the home folder of a user who is unknown here: write the folder out.") from error


def project() -> Path:
    """Folder that holds ``notebooks/`` and ``data/``: the source tree, or the current folder of an installed copy."""
    source = PACKAGE.parent
    return source if (source / "notebooks").is_dir() else Path.cwd()


def notebooks() -> Path:
    """Folder of the notebooks."""
    return project() / "notebooks"


def figures() -> Path:
    """Folder of the regenerated tables and figures: ``$DWIKIT_FIGURES``, ``$DWIKIT_RUNS/figures``, or ``figures/``."""
    apart = os.environ.get("DWIKIT_RUNS")
    return home(os.environ.get("DWIKIT_FIGURES") or (Path(apart) / "figures" if apart else project() / "figures"))


def runs(profile: str) -> Path:
    """Folder of everything computed with a profile: ``$DWIKIT_RUNS/<profile>``, by default ``runs/<profile>``."""
    return home(os.environ.get("DWIKIT_RUNS") or project() / "runs") / profile
