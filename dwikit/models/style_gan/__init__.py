"""The modified StyleGAN (sec. 2.5)."""
