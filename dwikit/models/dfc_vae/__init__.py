"""The deep-feature-consistent variational autoencoder (sec. 2.3)."""

from dwikit.models.dfc_vae.model import DFCVAE

__all__ = ["DFCVAE"]
