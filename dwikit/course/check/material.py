"""Simulated slices for the exercises, small enough to come with the kit.

``python -c "from dwikit.course.check import material; material.write()"`` makes them again in about half a minute.
"""

from pathlib import Path

import numpy as np

from dwikit.common import files
from dwikit.slices.settings import SliceSettings

PATH = Path(__file__).with_name("material.npz")
LEVELS = (6, 11, 16, 21)
N_PEOPLE, N_VOLUMES = 10, 2
EVERY_SECOND = tuple(range(0, 26, 2))
TIGHT = SliceSettings(fov_mm=233.0, interpolator="linear")
"""Settings of the volumes: the head fills the picture, and edges are smooth."""


def slices() -> np.ndarray:
    """Slices of ten simulated people at four levels each, normalized: (40, 64, 64) floating point in [0, 1]."""
    return _load("slices") / 255


def volumes() -> np.ndarray:
    """Every second kept level of two simulated people in the scanner's units: (2, 13, 64, 64) floating point."""
    return _load("volumes").astype(float)


def _load(name: str) -> np.ndarray:
    with np.load(PATH) as file:
        return file[name]


def simulate() -> dict[str, np.ndarray]:
    """Both arrays by the direct path: slices as at 64 x 64 pixels, volumes on a tighter grid and not normalized."""
    from dwikit import slices as stores
    from dwikit.cohorts import phantom

    settings = SliceSettings.for_size(64)
    raw, _ = phantom.simulate_slices(N_PEOPLE, levels=LEVELS, workers=1, settings=settings)
    cap = np.percentile(raw, settings.percentile)
    small = stores.shrink(raw.reshape(-1, *raw.shape[-2:]), settings.image_size)
    whole, _ = phantom.simulate_slices(N_VOLUMES, levels=EVERY_SECOND, workers=1, settings=TIGHT, grid_size=64)
    return {
        "slices": stores.to_uint8(stores.normalize(small, cap)),
        "volumes": np.round(whole).astype(np.uint16),
    }


def write() -> None:
    """Replace the file with what ``simulate`` makes."""
    arrays = simulate()
    files.write(PATH, lambda partial: np.savez_compressed(partial, **arrays))
    print(PATH, f"{PATH.stat().st_size / 1000:.0f} KB", {name: array.shape for name, array in arrays.items()})
