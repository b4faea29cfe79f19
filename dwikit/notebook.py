"""The first cell of every notebook."""

from types import ModuleType
from typing import Any

import matplotlib.pyplot as plt

from dwikit import paths, plots
from dwikit.errors import InputError
from dwikit.profiles import Profile, resolve

JUPYTER_NAMES = {"In", "Out", "exit", "quit", "get_ipython", "open"}


def begin(namespace: dict[str, Any], profile: str | None = None, **overrides: Any) -> Profile:
    """Resolve the profile, refuse parameters that the notebook does not have, and set the style of figures.

    papermill only warns of a mistyped parameter and then runs with the default, for two days if need be.

    Args:
        namespace: the notebook's ``globals()``, in which only parameters are defined so far.
        profile: name of the profile or None.
        **overrides: as in ``profiles.resolve``; their names, and those inside a section, are the parameters it has.

    Raises:
        InputError: an unknown parameter, or whatever ``profiles.resolve`` refuses.
    """
    known = {"profile"} | set(overrides)
    for value in overrides.values():
        known |= set(value) if isinstance(value, dict) else set()
    for name, value in namespace.items():
        ours = name.startswith("_") or name in JUPYTER_NAMES or isinstance(value, ModuleType) or callable(value)
        if not ours and name not in known:
            raise InputError(f"This notebook has no parameter {name!r}. It has: {', '.join(sorted(known))}.")
    config = resolve(profile, **overrides)
    plt.rcParams.update(plots.STYLE)
    print(f"Profile {config.name}: {config.image_size} x {config.image_size} pixels, results under {paths.runs(config.name).name}/.")
    return config
