"""The generative networks, as Keras models that train on any backend.

Every folder here is a network: ``model.py`` has its losses and its training step, ``networks.py`` its layers,
``presets.py`` its settings. The classes are attributes of this package (``dwikit.models.VAE``); Keras is imported on
first use.
"""

import importlib
from typing import Any

from dwikit.models import registry

_PLACES = {"GenerativeModel": "base", "Autoencoder": "autoencoder", "load": "saved", "save": "saved"}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(f"dwikit.models.{_PLACES[name]}"), name)
    if name[:1].isupper():  # classes; modules must not be looked for here
        for cls in registry.networks().values():
            if cls.__name__ == name:
                return cls
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES, *(cls.__name__ for cls in registry.networks().values())])
