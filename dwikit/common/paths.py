"""Paths: the project, its notebooks and data, and the folder that a run writes to."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


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
    return Path(os.environ.get("DWIKIT_FIGURES") or (Path(apart) / "figures" if apart else project() / "figures"))


def runs(profile: str) -> Path:
    """Folder of everything computed with a profile: ``$DWIKIT_RUNS/<profile>``, by default ``runs/<profile>``."""
    return Path(os.environ.get("DWIKIT_RUNS") or project() / "runs") / profile
