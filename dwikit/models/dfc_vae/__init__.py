"""The deep-feature-consistent variational autoencoder (sec. 2.3)."""
