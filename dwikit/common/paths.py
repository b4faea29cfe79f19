"""Paths: the project, its notebooks and data, and the folder that a run writes to."""

import os
import sysconfig
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


def from_source() -> bool:
    """Whether this is the source tree, or an installation that points to it; else it is an installed copy."""
    return (PACKAGE.parent / "notebooks").is_dir()


def project() -> Path:
    """Folder that holds ``runs/`` and ``figures/``: the source tree, or for an installed copy the current folder."""
    return PACKAGE.parent if from_source() else Path.cwd()


def kit() -> Path:
    """Folder of what comes with the kit beside its code, ``notebooks/`` and ``data/``; nothing is written there."""
    return PACKAGE.parent if from_source() else Path(sysconfig.get_path("data"), "share", "dwikit")


def notebooks() -> Path:
    """Folder of the notebooks."""
    return kit() / "notebooks"


def figures() -> Path:
    """Folder of the regenerated tables and figures: ``$DWIKIT_FIGURES``, ``$DWIKIT_RUNS/figures``, or ``figures/``."""
    apart = os.environ.get("DWIKIT_RUNS")
    return home(os.environ.get("DWIKIT_FIGURES") or (Path(apart) / "figures" if apart else project() / "figures"))


def runs(profile: str) -> Path:
    """Folder of everything computed with a profile: ``$DWIKIT_RUNS/<profile>``, by default ``runs/<profile>``."""
    return home(os.environ.get("DWIKIT_RUNS") or project() / "runs") / profile
