"""Samples without a network: brought along by a user, and shown in the same tables and figures as the others."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dwikit.common.errors import InputError
from dwikit.evaluation import samples
from dwikit.metrics import as_images
from dwikit.paper import LABELS
from dwikit.profiles import Brought as Section
from dwikit.slices import to_uint8


def require_own_labels(networks: Mapping[str, str], brought: Mapping[str, Section]) -> None:
    """Refuse a label that two rows share: a table with a column for each label would lose one.

    Args:
        networks: key -> label.
        brought: sections of the profile, by key.

    Raises:
        InputError: two rows have one label.
    """
    rows = {"original": LABELS["original"]} | dict(networks) | {key: one.label or key for key, one in brought.items()}
    labels: dict[str, str] = {}
    for key, label in rows.items():
        if label in labels:
            raise InputError(f"{labels[label]} and {key} both have the label {label!r}. Give {key} another.")
        labels[label] = key


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
