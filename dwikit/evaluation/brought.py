"""Samples without a network: brought along by a user, and shown in the same tables and figures as the others."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dwikit.common.errors import InputError
from dwikit.evaluation import samples
from dwikit.metrics import as_images
from dwikit.profiles import Brought as Section
from dwikit.slices import to_uint8


@dataclass
class Brought:
    """Images from elsewhere, in place of a ``training.Run``; only the images are known."""

    key: str
    label: str
    samples: np.ndarray
    """(n, H, W) uint8."""
    source: Path
    folder: Path
    """Folder of its row of Table 1."""

    reconstructs = False

    @classmethod
    def read(cls, key: str, section: Section, image_size: int, folder: Path) -> "Brought":
        """Read the images that a profile names.

        Raises:
            InputError: they cannot be read, or have another size.
        """
        source = Path(section.samples)
        images = as_images(samples.read(source), str(source), at_least=2)
        if images.shape[1:] != (image_size, image_size):
            height, width = images.shape[1:]
            raise InputError(
                f"brought: {key}: {source} holds images of {height} x {width} pixels, but the slices have {image_size} x "
                f"{image_size}. Bring samples of that size, or change image_size in the profile."
            )
        if images.dtype != np.uint8:
            images = to_uint8(images)
        return cls(key, section.label or key, images, source, folder)

    @property
    def title(self) -> str:
        """The label, marked as not trained here."""
        return f"{self.label} (brought along)"

    @property
    def origin(self) -> str:
        """Origin of its samples, in a few words."""
        return "brought along"

    def facts(self) -> dict:
        """These samples in a provenance file."""
        return {"brought": True, **samples.facts(self.source, self.samples)}
