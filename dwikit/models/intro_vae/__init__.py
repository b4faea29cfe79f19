"""The introspective variational autoencoder (sec. 2.4)."""
