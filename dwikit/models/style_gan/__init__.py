"""The modified StyleGAN (sec. 2.5)."""

from dwikit.models.style_gan.model import StyleGAN

__all__ = ["StyleGAN"]
