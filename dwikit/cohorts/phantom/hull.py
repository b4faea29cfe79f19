"""What folding needs to know of the template, as it is shipped; `python -m dwikit.cohorts.phantom.build_hull` makes the file.

The hull closes the sulci of one hemisphere. Depth is the distance to it. A fold is a sheet that hangs from the hull, so a
random field that is read at a voxel's nearest point of the hull, moved a little towards the voxel, draws sulci. Deep nuclei,
ventricles, callosum, insula, hippocampus and brainstem form the core, which everyone shares with the template.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

FILE = Path(__file__).with_suffix(".npz")
STEP = 2
"""Fields of the geometry are kept on every second voxel of the atlas's lattice."""
TILT = 0.35
"""Share of the way from the hull to a voxel at which its field is read: sheets stand a little aslant."""
RANGES = {  # of the values that a byte holds, millimetres
    "depth": (-4.0, 32.0),
    "x": (-32.0, 32.0),  # from the voxel to its point on the hull
    "y": (-32.0, 32.0),
    "z": (-32.0, 32.0),
    "axis": (0.0, 6.0),  # distance to the medial axis, where points of two walls meet
    "core": (0.0, 8.0),  # distance to the core
    "strength": (0.0, 0.25),  # of the nearest of the template's sulci: curvature of its fluid share
}
SHEET_RANGE, SHEET_STEPS = (0.0, 10.0), 63
"""Distance to the template's sulci, mm, on the full lattice; fewer steps than a byte has make the file small."""
SHALLOW, DEEP = (2.0, 7.0), (26.0, 31.0)
"""Distances to the core, and depths, between which the individual cortex fades in and out."""


class Geometry(NamedTuple):
    """The geometry as it is shipped.

    Attributes:
        inside: (2, x, y, z) bool on every second voxel: where the fields of the right and the left hemisphere are known.
        fields: (7, N) uint8, one row for each of `RANGES`, at the voxels of `inside`, the right hemisphere first.
        folded: (2, X, Y, Z) bool on the full lattice: voxels with a share of individual cortex.
        sheet: (M,) uint8, distance to the template's sulci at the voxels of `folded`.
    """

    inside: np.ndarray
    fields: np.ndarray
    folded: np.ndarray
    sheet: np.ndarray


def smoothstep(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, a cubic between."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def folded_share(core: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Share of the individual cortex at distances (mm) from the core and depths (mm) below the hull."""
    return smoothstep(core, *SHALLOW) * (1 - smoothstep(depth, *DEEP))


def encode(values: np.ndarray, ends: tuple[float, float], steps: int = 255) -> np.ndarray:
    """Values in a range, as bytes."""
    return np.rint(np.clip((values - ends[0]) / (ends[1] - ends[0]), 0, 1) * steps).astype(np.uint8)


def decode(codes: np.ndarray, ends: tuple[float, float], steps: int = 255) -> np.ndarray:
    """Bytes back to values, float32."""
    return codes * np.float32((ends[1] - ends[0]) / steps) + np.float32(ends[0])


def write(geometry: Geometry, path: Path = FILE) -> None:
    """Writes the geometry, masks as bits."""
    bits = {name: np.packbits(getattr(geometry, name)) for name in ("inside", "folded")}
    shapes = {f"{name}_shape": getattr(geometry, name).shape for name in bits}
    np.savez_compressed(path, fields=geometry.fields, sheet=geometry.sheet, **bits, **shapes)


def read(path: Path = FILE) -> Geometry:
    """Reads the geometry."""
    with np.load(path) as file:
        inside, folded = (
            np.unpackbits(file[name], count=int(np.prod(file[f"{name}_shape"]))).reshape(file[f"{name}_shape"]).astype(bool)
            for name in ("inside", "folded")
        )
        return Geometry(inside, file["fields"], folded, file["sheet"])
