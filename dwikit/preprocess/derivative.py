"""One scan from raw image to its files in the BIDS derivatives dataset; the work of a worker process."""

import gzip
import math
import re
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np

from dwikit.cohorts.bids import Case
from dwikit.common import files
from dwikit.common.nifti import unreadable
from dwikit.preprocess import identity, quality, refine, register
from dwikit.preprocess.template import load_template
from dwikit.preprocess.trace import read_trace
from dwikit.slices import grid
from dwikit.slices.histogram import histogram, to_text
from dwikit.slices.registered import SPACE, read_sidecar

VERSION = 3
"""Version of the method. Raise it when results change, so that older ones are recomputed."""


class Settings(NamedTuple):
    """What a user can choose; with `method_settings`, it decides whether a finished scan is still valid.

    Attributes:
        b_value, tolerance: wanted b-value and largest accepted distance from it, s/mm2.
        interpolator: key of `INTERPOLATORS`.
        image_size: pixels along one side of the target grid.
        fov_mm: its in-plane field of view.
    """

    b_value: float
    tolerance: float
    interpolator: str
    image_size: int
    fov_mm: float


class Outputs(NamedTuple):
    """Files of one scan. The sidecar is written last: a scan with a sidecar is complete."""

    image: Path
    transform: Path
    histogram: Path
    sidecar: Path


def outputs(case: Case, out: Path) -> Outputs:
    """Paths of a scan's files."""
    return outputs_in(out / case.subject / (case.session or "") / "dwi", case.name)


def outputs_in(folder: Path, name: str) -> Outputs:
    """Paths of a scan's files in their folder."""
    return Outputs(
        folder / f"{name}_space-{SPACE}_dwi.nii.gz",
        folder / f"{name}_from-native_to-{SPACE}_xfm.mat",
        folder / f"{name}_space-{SPACE}_desc-histogram.tsv",
        folder / f"{name}_space-{SPACE}_dwi.json",
    )


def method_settings(settings: Settings) -> dict[str, Any]:
    """Every setting that the result depends on, as plain values."""
    return {
        **settings._asdict(),
        "version": VERSION,
        "seed": register.SEED,
        "ants": {key: list(v) if isinstance(v, tuple) else v for key, v in register.ANTS_SETTINGS.items()},
        "ants_voxel_mm": register.ANTS_VOXEL_MM,
        "ants_mask_mm": register.ANTS_MASK_MM,
        "coarse_mm": [register.ANTS_COARSE_MM, register.REFINE_COARSE_MM],
        "refine_lattice_mm": refine.LATTICE_MM,
        "refine_cosines": list(refine.COSINES),
        "refine_penalty": refine.PENALTY,
        "refine_blur_mm": refine.BLUR_MM,
    }


def finished(case: Case, out: Path, content: str | None) -> dict[str, Any] | None:
    """Sidecar of a scan if it is complete and was made from this content; else None."""
    paths = outputs(case, out)
    sidecar = read_sidecar(paths.sidecar)
    if sidecar is None or content is None or not all(path.is_file() for path in paths):
        return None
    return sidecar if sidecar.get("Input") == content else None


def name_of(file: Path) -> str | None:
    """Name of the scan that a file of `outputs` belongs to; None for any other file."""
    spaced = r"dwi\.nii\.gz|dwi\.json|desc-histogram\.tsv"
    match = re.fullmatch(rf"(.+)_(?:space-{SPACE}_(?:{spaced})|from-native_to-{SPACE}_xfm\.mat)", file.name)
    return match[1] if match else None


def about(case: Case) -> dict[str, Any]:
    """What a sidecar says of the person and the file; it may change while the scan stays the same."""
    return {
        "Case": case.name,
        "Subject": case.subject,
        "Session": case.session,
        "Age": None if math.isnan(case.age) else case.age,
        "Sex": case.sex,
        "Simulated": case.sidecar is not None and files.read_object(case.sidecar).get("ManufacturersModelName") == "simulated",
        "Sources": [f"bids:raw:{'/'.join(case.image.parts[case.image.parts.index(case.subject) :])}"],
    }


def compute(case: Case, settings: Settings, content: str | None) -> tuple[register.Registered, dict[str, Any]]:
    """Registers and measures one scan; writes nothing.

    Args:
        case: the scan.
        settings: what a user chose.
        content: `identity.content` from before this call: should the file have changed since, the next run sees it.

    Returns:
        the registered scan, and its sidecar.

    Raises:
        InputError: the scan cannot be used.
    """
    trace = read_trace(case, settings.b_value, settings.tolerance)
    if content is None:
        raise unreadable(case.image, "its end is missing, or its checksum is wrong")
    grid_settings = settings.image_size, settings.fov_mm
    registered = register.register(trace, settings.interpolator, *grid_settings)
    measures = quality.measure(trace, registered, *grid_settings)
    return registered, {
        **about(case),
        "Flags": quality.flags(measures, trace.b_value, settings.b_value),
        "BValue": None if math.isnan(trace.b_value) else round(trace.b_value, 3),
        "NumberOfDirections": trace.n_directions,
        "BValuesInFile": list(trace.b_values),
        "Quality": {name: round(value, 4) for name, value in measures._asdict().items()},
        "Affine": registered.matrix.tolist(),
        "AffineDescription": "MNI152 to the scan's world, millimetres, RAS+",
        "SpatialReference": "MNI152 as nilearn ships it, on dwikit's target grid",
        "SkullStripped": False,
        "Settings": method_settings(settings),
        "Versions": versions(),
        "Input": content,
        "Voxels": identity.voxels(trace.image),
    }


def write(case: Case, out: Path, settings: Settings, registered: register.Registered, sidecar: dict[str, Any]) -> None:
    """Writes the files of a scan, all of them or none, the sidecar last.

    Raises:
        InputError: the folder cannot be written or is full.
    """
    paths = outputs(case, out)
    image = nib.Nifti1Image(registered.image.astype(np.float32), grid.affine(settings.image_size, settings.fov_mm))
    image.header.set_xyzt_units("mm")
    image.header["sform_code"] = image.header["qform_code"] = 4  # MNI152
    packed = gzip.compress(image.to_bytes(), compresslevel=4, mtime=0)
    files.write_together(
        {
            paths.image: lambda partial: partial.write_bytes(packed),
            paths.transform: lambda partial: register.write_transform(partial, registered.matrix),
            paths.histogram: files.as_text(to_text(histogram(registered.image[..., grid.KEPT]))),
            paths.sidecar: files.as_json(sidecar),
        }
    )


def versions() -> dict[str, str]:
    """Versions of the packages that the result depends on."""
    from dwikit import __version__

    names = ("antspyx", "nilearn", "nibabel", "numpy", "scipy")
    return {"dwikit": __version__, **{name: metadata.version(name) for name in names}}


def to_plain(case: Case) -> dict[str, Any]:
    """A scan as values that JSON can hold."""
    values = {name: str(value) if isinstance(value, Path) else value for name, value in vars(case).items()}
    return values | {"age": None if math.isnan(case.age) else case.age}


def from_plain(values: dict[str, Any]) -> Case:
    """Undoes `to_plain`."""
    case = Case(**values)
    paths = {name: Path(values[name]) for name in ("image", "bval", "bvec", "sidecar") if values[name]}
    return replace(case, age=math.nan if case.age is None else case.age, **paths)


def warm_up() -> None:
    """Loads what every scan needs, so that a missing library shows before the first scan."""
    import ants  # noqa: F401

    load_template()
