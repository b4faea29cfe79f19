"""The four generative networks, as Keras models that train on any backend."""

from dwikit.models.base import GenerativeModel, load, save
from dwikit.models.vae import VAE

BY_KEY: dict[str, type[GenerativeModel]] = {model.key: model for model in (VAE,)}

__all__ = ["BY_KEY", "VAE", "GenerativeModel", "load", "save"]
