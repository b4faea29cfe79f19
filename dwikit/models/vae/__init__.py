"""The variational autoencoder (sec. 2.2)."""
