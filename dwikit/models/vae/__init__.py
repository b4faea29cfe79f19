"""The variational autoencoder (sec. 2.2)."""

from dwikit.models.vae.model import VAE

__all__ = ["VAE"]
