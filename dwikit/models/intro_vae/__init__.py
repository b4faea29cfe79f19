"""The introspective variational autoencoder (sec. 2.4)."""

from dwikit.models.intro_vae.model import IntroVAE

__all__ = ["IntroVAE"]
