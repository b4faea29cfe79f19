"""Models in files: ``save`` and ``load`` keep the full state, and no code from a file is run."""

import re
import zipfile
from pathlib import Path

import keras

from dwikit.common import files, paths
from dwikit.common.errors import InputError
from dwikit.models import registry
from dwikit.models.base import GenerativeModel


def save(model: GenerativeModel, path: str | Path) -> None:
    """Write a model with the state of its optimizers and random generators to ``path`` (.keras), whole or not at all."""
    files.write(paths.home(path), model.save)


def load(path: str | Path, key: str | None = None, **expected) -> GenerativeModel:
    """Read a model written by ``save``. Runs no code from the file (Keras safe mode).

    Args:
        path: a .keras file.
        key: what the model must be, e.g. ``"vae"``; None takes any.
        **expected: values that its config must have, e.g. ``image_size=64, preset="paper"``.

    Raises:
        InputError: no such file, a damaged one, or one that does not hold what was expected.
    """
    path = paths.home(path)
    if not path.is_file():
        raise InputError(f"There is no model at {path}. Train one first, or give the path of a .keras file.")
    if path.suffix != ".keras":
        raise InputError(f"{path} is no model: models are .keras files, such as runs/quick/vae/model.keras.")
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path} cannot be read as a model: it is damaged or incomplete (not a zip archive). Use a copy.")
    registry.networks()  # the classes that Keras's files name must have been imported
    try:
        model = keras.saving.load_model(path, safe_mode=True)
    except InputError as error:
        raise InputError(f"{path} cannot be read as a model: {error}") from error
    except Exception as error:  # whatever Keras raises for a file of another make
        if missing := re.search(r"Could not locate class '(\w+)'", str(error)):
            raise InputError(
                f"{path} holds a network of the class {missing[1]}, which is not loaded. Give the profile that names its file "
                "(--profile FILE), or in Python call dwikit.models.registry.network(key, file) first."
            ) from error
        reason = " ".join(str(error).split())[:400]
        raise InputError(
            f"{path} cannot be read as a model ({type(error).__name__}: {reason}). If this does not name the cause: it may be "
            "damaged, or from other versions of Keras or dwikit."
        ) from error
    if not isinstance(model, GenerativeModel):
        raise InputError(f"{path} holds a {type(model).__name__}, not one of the kit's models.")
    found = {"key": model.key, **model.config}
    for name, value in ({} if key is None else {"key": key}).items() | expected.items():
        if found.get(name) != (tuple(value) if isinstance(value, list) else value):
            raise InputError(
                f"{path} holds a model with {name} {found.get(name)!r}, not {value!r}. Give the path of the other model, or "
                "train it."
            )
    return model
