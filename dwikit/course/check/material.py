"""Simulated slices that the exercises look at, small enough to come with the kit.

``python -c "from dwikit.course.check import material; material.write()"`` makes them anew, in about half a minute.
"""

from pathlib import Path

import numpy as np

from dwikit.common import files

PATH = Path(__file__).with_name("material.npz")
LEVELS = (6, 11, 16, 21)
N_PEOPLE, N_VOLUMES = 10, 2
EVERY_SECOND = tuple(range(0, 26, 2))


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
    """Both arrays by the direct path: slices as those of the quick profile, volumes on the default grid and not normalized."""
    from dwikit import slices as stores
    from dwikit.cohorts import phantom

    raw, _ = phantom.simulate_slices(N_PEOPLE, levels=LEVELS, workers=1, fov_mm=300.0, interpolator="nearest")
    cap = np.percentile(raw, 99)
    small = stores.shrink(raw.reshape(-1, *raw.shape[-2:]), 64)
    whole, _ = phantom.simulate_slices(N_VOLUMES, levels=EVERY_SECOND, image_size=64, workers=1)
    return {
        "slices": np.round(stores.normalize(small, cap) * 255).astype(np.uint8),
        "volumes": np.round(whole).astype(np.uint16),
    }


def write() -> None:
    """Put what ``simulate`` makes in the place of what is there."""
    arrays = simulate()
    files.write(PATH, lambda partial: np.savez_compressed(partial, **arrays))
    print(PATH, f"{PATH.stat().st_size / 1000:.0f} KB", {name: array.shape for name, array in arrays.items()})
