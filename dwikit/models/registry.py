"""The available networks and their classes: the kit's own, those of installed packages, and those in files.

A network of the kit is a folder beside this file with a ``model.py``; there is no other list. An installed package offers
one by an entry point in the group ``dwikit.models``, whose name is the key. Any other is a Python file with a subclass of
``GenerativeModel``. This module does not import Keras until a class is asked for.
"""

import hashlib
import importlib
import importlib.abc
import importlib.util
import re
import sys
import traceback
import warnings
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from dwikit.common.errors import InputError, choose

if TYPE_CHECKING:
    from dwikit.models.base import GenerativeModel

HERE = Path(__file__).parent
GROUP = "dwikit.models"
"""Entry points of this group are networks."""
OWN = "dwikit_own_"
"""Names of modules made from files begin with this."""


def keys() -> list[str]:
    """Keys of the available networks, in alphabetical order: the kit's own, then those of installed packages."""
    built_in = _built_in()
    return [*built_in, *sorted(set(_installed()) - set(built_in))]


def network(key: str, file: str | Path | None = None) -> "type[GenerativeModel]":
    """The class of a network.

    Args:
        key: the ``key`` of its class, e.g. ``"vae"``.
        file: a Python file with the class, for your own network. It is run once, and again when its text has changed.

    Raises:
        InputError: no such network or file; or the file cannot be imported, does not have exactly one class with this key, or
            its class lacks a part.
    """
    if file is not None:
        return _from_file(key, Path(file).expanduser().resolve())
    if key in _built_in():
        return _class(importlib.import_module(f"dwikit.models.{key}.model"), key)
    return _from_package(choose(dict.fromkeys(keys()) | _installed(), key, "network"))


def described(key: str) -> SimpleNamespace | None:
    """``key`` and ``presets`` of a network of the kit, without starting Keras; None for any other."""
    if key not in _built_in():
        return None
    return SimpleNamespace(key=key, presets=importlib.import_module(f"dwikit.models.{key}.presets").PRESETS)


def networks() -> "dict[str, type[GenerativeModel]]":
    """The classes of all available networks, in the order of their sections in the paper; those without one are last."""
    found = {key: network(key) for key in _built_in()}
    for key in (key for key in keys() if key not in found):
        try:
            found[key] = network(key)
        except InputError as error:
            warnings.warn(str(error), stacklevel=2)
    return dict(sorted(found.items(), key=lambda item: _place(item[1])))


def _place(cls: "type[GenerativeModel]") -> tuple:
    numbers = [int(number) for number in re.findall(r"\d+", cls.section)]
    return not numbers, numbers, cls.key


def _built_in() -> list[str]:
    return sorted(path.parent.name for path in HERE.glob("*/model.py"))


def _class(module: ModuleType, key: str) -> "type[GenerativeModel]":
    """The class of a module that has the key.

    Raises:
        InputError: no class has it, or several do.
    """
    from dwikit.models.base import GenerativeModel

    classes = {value for value in vars(module).values() if isinstance(value, type) and issubclass(value, GenerativeModel)}
    known = {cls for cls in classes if cls.__module__ == module.__name__}
    found = sorted(cls.__name__ for cls in known if getattr(cls, "key", None) == key)
    if len(found) == 1:
        return _complete(getattr(module, found[0]), module.__file__)
    if found:
        raise InputError(f"{module.__file__} has {len(found)} networks {key!r}: {', '.join(found)}. Give each its own key.")
    others = sorted(repr(cls.key) for cls in known if hasattr(cls, "key"))
    has = (
        f"its networks are {', '.join(others)}" if others else "it has no subclass of dwikit.models.GenerativeModel with a key"
    )
    raise InputError(f"There is no network {key!r} in {module.__file__}: {has}. The class must set key = {key!r}.")


def _complete(cls: "type[GenerativeModel]", where: str) -> "type[GenerativeModel]":
    """The class, if it has what a training needs from its first step to its last.

    Raises:
        InputError: something is missing.
    """
    from dwikit.models.base import GenerativeModel

    lacks = [name for name in ("build_optimizers", "training_step") if getattr(cls, name) is getattr(GenerativeModel, name)]
    lacks += [] if isinstance(getattr(cls, "label", None), str) else ["label"]
    if lacks:
        raise InputError(
            f"The class {cls.__name__} in {where} lacks {' and '.join(lacks)}: docs/own-network.md shows a whole one."
        )
    return cls


# ==== Files ====


def _from_file(key: str, path: Path) -> "type[GenerativeModel]":
    if key in _built_in():
        raise InputError(f"{key!r} is a network of the kit: give the one in {path} another key.")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", key) or key == "original":
        raise InputError(f"{key!r} cannot be the key of a network: use lower-case letters, digits and _, and not 'original'.")
    if not path.is_file():
        raise InputError(f"There is no file {path}, which should define the network {key!r}. Correct its path.")
    return _class(_module(path), key)


class _File(importlib.abc.SourceLoader):
    """Loads a module from the text that a file had when it was read; nothing is cached beside the file."""

    def __init__(self, path: Path):
        self.path, self.content = path, path.read_bytes()

    def get_filename(self, fullname):
        """See ``importlib.abc.SourceLoader``."""
        return str(self.path)

    def get_data(self, path):
        """See ``importlib.abc.SourceLoader``."""
        return self.content


def _module(path: Path) -> ModuleType:
    """A file as a module that pickle and Keras can find by name."""
    loader, name = _File(path), f"{OWN}{hashlib.sha256(str(path).encode()).hexdigest()[:8]}_{path.stem}"
    if name in sys.modules and sys.modules[name].__loader__.content == loader.content:
        return sys.modules[name]
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name)
        raise InputError(f"{path} cannot be imported: {_told(error, path)}. Correct it and run the same again.") from error
    _register(module)
    return module


def _told(error: BaseException, path: Path) -> str:
    """An error with the line of the file it comes from."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"{type(error).__name__} in line {error.lineno}: {error.msg}"
    text = " ".join(str(error).split()) if not isinstance(error, SystemExit) else "it ends Python by sys.exit"
    return f"{type(error).__name__} in line {lines[-1] if lines else '?'}: {text}"


def _register(module: ModuleType) -> None:
    """Register the module's models and layers with Keras, as ``register_keras_serializable`` does."""
    import keras

    for name, value in list(vars(module).items()):
        ours = isinstance(value, type) and value.__module__ == module.__name__ and issubclass(value, keras.layers.Layer)
        if ours and keras.saving.get_registered_name(value) == value.__name__:
            keras.saving.register_keras_serializable(getattr(value, "key", module.__name__), name)(value)


# ==== Installed packages ====


def _installed() -> dict[str, Any]:
    return {point.name: point for point in metadata.entry_points(group=GROUP)}


def _from_package(point: metadata.EntryPoint) -> "type[GenerativeModel]":
    from dwikit.models.base import GenerativeModel

    where = f"The installed package {point.dist.name if point.dist else point.module}"
    try:
        cls = point.load()
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{where} offers the network {point.name!r}; it cannot be imported ({type(error).__name__}: {error}). Repair the "
            "package or uninstall it."
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, GenerativeModel) and getattr(cls, "key", None) == point.name):
        raise InputError(f"{where} offers {point.value} as {point.name!r}; that is not a GenerativeModel with this key.")
    return _complete(cls, point.module)
