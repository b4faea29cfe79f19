"""A folder of registered volumes: where a scan's files are, what its sidecar says, and how they are read."""

import math
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dwikit.common import files, paths
from dwikit.common.errors import InputError
from dwikit.common.nifti import Refused, open_image, volumes
from dwikit.slices import grid
from dwikit.slices.settings import SliceSettings
from dwikit.slices.split import refuse_twins

SPACE = "MNI152"
FLAGS = ("partial_coverage", "implausible_affine", "low_overlap", "unusual_contrast", "empty", "b_value")
ALIKE = ("image_size", "fov_mm", "interpolator", "b_value", "tolerance")
"""Settings that all scans of one set of slices share."""
EXCLUDING = frozenset({"partial_coverage", "implausible_affine", "low_overlap", "unusual_contrast", "empty"})
"""Flags that leave a scan out unless it is included by name. `b_value` does not: whoever widened the tolerance wants the
scan."""


class Quality(NamedTuple):
    """Measures of one registered scan.

    Attributes:
        coverage: share of the template's brain, in the kept slices, that lies inside the scan's field of view.
        overlap: Dice overlap, within the field of view, of the scan's bright foreground with the template's brain.
        similarity: correlation with the template's tissues at DWI contrast, -1 to 1.
        scale_min, scale_max: size of the scanned brain over that of the template, smallest and largest along an axis.
        shear: largest shear between two axes.
        rotation_deg: rotation between the scanner's axes and the template's, degrees.
    """

    coverage: float
    overlap: float
    similarity: float
    scale_min: float
    scale_max: float
    shear: float
    rotation_deg: float


def read_sidecar(path: Path) -> dict[str, Any] | None:
    """The sidecar of a registered scan; None if it is missing, damaged or from another program."""
    sidecar = files.read_object(path)
    try:
        chosen, flags, measures = sidecar["Settings"], sidecar["Flags"], sidecar["Quality"]
        sound = (
            all(isinstance(sidecar[name], str) for name in ("Case", "Subject"))
            and _numeric(sidecar["Age"])
            and sidecar["Sex"] in ("F", "M", None)
            and isinstance(sidecar["Simulated"], bool)
            and isinstance(sidecar["Voxels"], str)
            and _numeric(sidecar["BValue"])
            and isinstance(sidecar["NumberOfDirections"], int)
            and isinstance(chosen["image_size"], int)
            and isinstance(chosen["fov_mm"], float)
            and isinstance(chosen["interpolator"], str)
            and isinstance(flags, list)
            and set(flags) <= set(FLAGS)
            and set(measures) == set(Quality._fields)
            and all(isinstance(value, float) for value in measures.values())
        )
    except (KeyError, TypeError, AttributeError):
        return None
    return sidecar if sound else None


def _numeric(value: Any) -> bool:
    """Whether a value is a finite number or None."""
    return value is None or (isinstance(value, int | float) and math.isfinite(value))


def read_image(path: Path, grid_size: int) -> np.ndarray:
    """A registered image (grid_size, grid_size, 40) float32, finite.

    Raises:
        InputError: it is damaged, or of another size.
    """
    shape = (grid_size, grid_size, grid.N_SLICES)
    try:
        image = open_image(path)
        if image.shape != shape:
            raise Refused(f"its shape is {image.shape}, not {shape}")
        return next(volumes(image, path))
    except Refused as error:
        reason = error.__cause__ or error
        raise InputError(f"{path} is damaged ({reason}). Delete it, then run the preprocessing again.") from error


def grid_of(sidecar: dict[str, Any]) -> tuple[int, float]:
    """Pixels along one side and field of view, mm, of a registered scan."""
    return sidecar["Settings"]["image_size"], sidecar["Settings"]["fov_mm"]


def is_used(name: str, flags: Collection[str], include: Collection[str] = ()) -> bool:
    """Whether slices are made of a scan with these flags: none of them excludes it, or it is included by name."""
    return name in include or not EXCLUDING & set(flags)


def read_derivatives(
    path: str | Path, include_flagged: bool = False, settings: SliceSettings | None = None, include: Collection[str] = ()
) -> Iterator[grid.Volume]:
    """Reads what `dwikit.preprocess.preprocess` wrote, scan by scan, sorted by name.

    Args:
        path: folder of the derivatives.
        include_flagged: also yields scans with a flag that excludes them (`EXCLUDING`); they are black outside the scan's field
            of view.
        settings: refuses scans of another field of view or interpolator; None takes any.
        include: names of scans to yield in spite of such a flag.

    Yields:
        `dwikit.slices.grid.Volume` with origin "registered", or "simulated, registered" for scans of nobody.

    Raises:
        InputError: the folder holds no finished scan, scans of different or other settings, two subjects with the same voxels,
            or a damaged file.
    """
    root = paths.home(path)
    sidecars = read_sidecars(root)
    if not sidecars:
        raise InputError(f"{root} holds no registered scan. Make some with dwikit.preprocess.preprocess first.")
    require_known(include, [one["Case"] for one in sidecars.values()], root)
    refuse_twins({one["Case"]: (one["Subject"], one["Voxels"]) for one in sidecars.values()}, root)
    made = {tuple(sidecar["Settings"].get(name) for name in ALIKE) for sidecar in sidecars.values()}
    if differing := [name for name, *values in zip(ALIKE, *made) if len(set(values)) > 1]:
        raise InputError(
            f"{root} holds scans that were registered with different {' and '.join(differing)}. Run the preprocessing again "
            "for all of them."
        )
    for file, sidecar in sidecars.items():
        if not (include_flagged or is_used(sidecar["Case"], sidecar["Flags"], include)):
            continue
        if settings is not None:
            _require_same(sidecar["Settings"], settings, file)
        image = read_image(file.with_suffix(".nii.gz"), sidecar["Settings"]["image_size"])
        yield grid.Volume(
            *(sidecar[name] for name in ("Case", "Subject", "Age", "Sex")),
            "simulated, registered" if sidecar["Simulated"] else "registered",
            grid.to_slices(image),
        )


def require_known(include: Collection[str], names: Collection[str], where: Path) -> None:
    """Refuse to include a scan that is not there.

    Raises:
        InputError: there is none of that name.
    """
    if unknown := sorted(set(include) - set(names)):
        raise InputError(f"There is no scan {unknown[0]!r} in {where} to include. Scans have the names in quality.tsv.")


def read_sidecars(root: Path) -> dict[Path, dict[str, Any]]:
    """The sidecars of all registered scans by their path, sorted by name.

    Raises:
        InputError: one is damaged, or of another program or an older version.
    """
    found = {}
    for file in sorted(root.glob(f"sub-*/**/dwi/*_space-{SPACE}_dwi.json"), key=lambda file: file.name):
        if (sidecar := read_sidecar(file)) is None:
            raise InputError(f"{file} is not a sidecar written by this version of dwikit. Run the preprocessing again.")
        found[file] = sidecar
    return found


def _require_same(made: dict[str, Any], settings: SliceSettings, file: Path) -> None:
    for name in ("fov_mm", "interpolator"):
        if made[name] != (wanted := getattr(settings, name)):
            raise InputError(
                f"{file} was registered with {name} {made[name]}, but slices with {name} {wanted} are wanted. Run the "
                f"preprocessing again with {wanted}, or build the slices with {made[name]}."
            )
