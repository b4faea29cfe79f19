"""Keras's settings, which other projects of the same user may have changed, as the kit needs them.

``~/.keras/keras.json`` and the environment say which backend Keras runs on, in which order the axes of an image are, and in
which precision it computes. Whatever they say, in a process that imports the kit

* the backend is the one they name, if it is installed here; one that only the file names is otherwise replaced;
* images are ``channels_last``, numbers ``float32``;
* nothing cuts a training short (``KERAS_MAX_EPOCHS``, ``KERAS_MAX_STEPS_PER_EPOCH``).

This module does not import Keras: it waits until somebody does (``install``).
"""

import importlib.abc
import json
import os
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

from dwikit.common.errors import InputError

BACKENDS = ("tensorflow", "jax", "torch")
"""Backends that train, and the packages they are made of."""
NEEDED = {"image_data_format": "channels_last", "floatx": "float32", "epsilon": 1e-7}
POSSIBLE = {
    "image_data_format": ("channels_last", "channels_first"),
    "floatx": ("float16", "float32", "float64"),
    "backend": (*BACKENDS, "numpy", "openvino"),
}
"""Values that Keras accepts."""
NEEDS = {"numpy": "jax"}
"""What Keras imports for a backend that no package of the same name brings."""
CUTS = ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH")
"""Environment variables that end a training early, for debugging."""


def file() -> Path:
    """The file of Keras's settings, which may not exist."""
    home = os.environ.get("KERAS_HOME")
    if home is None:
        home = Path("~" if os.access(os.path.expanduser("~"), os.W_OK) else "/tmp") / ".keras"
    return Path(os.path.expanduser(home)) / "keras.json"


def in_file() -> dict:
    """What the file says; empty if it is missing or damaged, as for Keras."""
    try:
        found = json.loads(file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def backend() -> str:
    """The backend that Keras runs on, or will: the environment's, else the file's, else TensorFlow."""
    keras = sys.modules.get("keras")
    if hasattr(keras, "backend"):  # it has been imported, not only begun to be
        return keras.backend.backend()
    return os.environ.get("KERAS_BACKEND") or in_file().get("backend") or BACKENDS[0]


def choose_backend() -> None:
    """Where the environment names no backend and the usual one is not installed, name one that is."""
    if not os.environ.get("KERAS_BACKEND") and not _installed(str(backend())):
        os.environ["KERAS_BACKEND"] = next(filter(_installed, BACKENDS), BACKENDS[0])


def _installed(backend: str) -> bool:
    """Whether what Keras imports for a backend is installed."""
    return find_spec(NEEDS.get(backend, backend)) is not None


def complaints() -> list[str]:
    """What keeps Keras from starting here or from training to the end, each in a sentence with its remedy."""
    found, name = in_file(), backend()
    where = "KERAS_BACKEND" if os.environ.get("KERAS_BACKEND") else f"{file()}"
    known = POSSIBLE["backend"]
    if name not in known:
        return [f"Keras has no backend {name!r}, which {where} names: change it to one of {', '.join(known)}."]
    told = [
        f"{file()} says {entry}: {found[entry]!r}, which Keras does not know: change it to {NEEDED[entry]!r}."
        for entry, values in POSSIBLE.items()
        if found.get(entry, values[0]) not in values and entry in NEEDED
    ]
    if not isinstance(found.get("epsilon", 1e-7), float):
        told.append(f"{file()} says epsilon: {found['epsilon']!r}, which must be a number such as 1e-07: correct it.")
    if not _installed(name):
        missing = f"which needs {NEEDS[name]}, which" if name in NEEDS else "which"
        here = next(filter(_installed, BACKENDS), None)
        told.append(f"{where} names the backend {name}, {missing} is not installed: install it, or set KERAS_BACKEND={here}.")
    told += [f"{cut}={os.environ[cut]} would end every training early: unset it." for cut in CUTS if os.environ.get(cut)]
    return told


def differences() -> dict:
    """What the file says otherwise than the kit needs it, and what is used instead in the kit's processes."""
    found = in_file()
    return {name: (found[name], value) for name, value in NEEDED.items() if found.get(name, value) != value}


def apply() -> None:
    """Give Keras, which has been imported, the settings that the kit needs; a warning says what was otherwise."""
    import keras

    config, changed = keras.config, []
    wanted = NEEDED | {"dtype_policy": "float32"}
    for name, value in wanted.items():
        found = getattr(config, name)()
        found = getattr(found, "name", found)
        if found != value:
            getattr(config, f"set_{name}")(value)
            changed.append(f"{name} {value}, not {found}")
    if changed:
        warnings.warn(f"In this process Keras is used with {'; '.join(changed)}: dwikit needs it so.", stacklevel=2)


def check() -> None:
    """Refuse to build a network with settings that were changed after Keras was imported.

    Raises:
        InputError: images are not channels_last, or numbers neither float32 nor, for ``mixed_precision``, bfloat16.
    """
    import keras

    policy = keras.config.dtype_policy().name
    found = {name: getattr(keras.config, name)() for name in NEEDED}
    if wrong := [f"{name} {found[name]}, not {value}" for name, value in NEEDED.items() if found[name] != value]:
        raise InputError(f"Keras was set to {'; '.join(wrong)}, after the kit had set it: undo it (keras.config.set_...).")
    if policy not in ("float32", "mixed_bfloat16"):
        raise InputError(
            f"Keras was set to compute in {policy}: call keras.config.set_dtype_policy('float32') first; to train in mixed "
            "precision, set mixed_precision: true in the profile."
        )


class Settings(importlib.abc.MetaPathFinder):
    """Finds Keras like the finders after it; loads it if it can start, then applies the settings."""

    def find_spec(self, name, path=None, target=None):
        """See ``importlib.abc.MetaPathFinder``."""
        if name != "keras":
            return None
        others = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((spec for spec in others if spec), None)
        if spec and spec.loader:
            load = spec.loader.exec_module

            def checked(module) -> None:
                if reasons := complaints():
                    raise InputError(" ".join(reasons))
                load(module)
                apply()

            spec.loader.exec_module = checked
        return spec


def install() -> None:
    """Choose the backend, and give Keras the kit's settings as soon as anyone in this process imports it."""
    if hasattr(sys.modules.get("keras"), "backend"):
        apply()
    elif not any(isinstance(finder, Settings) for finder in sys.meta_path):
        choose_backend()
        sys.meta_path.insert(0, Settings())
