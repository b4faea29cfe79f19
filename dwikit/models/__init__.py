"""The four generative networks, as Keras models that train on any backend."""

from dwikit.models.base import GenerativeModel, load, save
from dwikit.models.dfc_vae import DFCVAE
from dwikit.models.intro_vae import IntroVAE
from dwikit.models.style_gan import StyleGAN
from dwikit.models.vae import VAE

BY_KEY: dict[str, type[GenerativeModel]] = {model.key: model for model in (VAE, DFCVAE, IntroVAE, StyleGAN)}

__all__ = ["BY_KEY", "DFCVAE", "VAE", "GenerativeModel", "IntroVAE", "StyleGAN", "load", "save"]
