"""One case from raw image to its files in the BIDS derivatives dataset; what a worker process does."""

import gzip
import hashlib
import math
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np

from dwikit.cohorts.bids import Case
from dwikit.common import files
from dwikit.common.errors import InputError
from dwikit.common.nifti import Refused, open_image, volumes
from dwikit.preprocess import quality, refine, register
from dwikit.preprocess.template import load_template
from dwikit.preprocess.trace import read_trace
from dwikit.slices import grid
from dwikit.slices.histogram import histogram, to_text

VERSION = 1
"""Of the method. Raise it when results change, so that older ones are made again."""
SPACE = "MNI152"


class Settings(NamedTuple):
    """What a user can choose; with `method_settings`, what decides whether a finished case is still valid."""

    b_value: float = 1000.0
    tolerance: float = 600.0
    interpolator: str = "linear"
    image_size: int = grid.IMAGE_SIZE
    fov_mm: float = grid.FOV_MM


class Outputs(NamedTuple):
    """Files of one case. The sidecar is written last: a case with a sidecar is complete."""

    image: Path
    transform: Path
    histogram: Path
    sidecar: Path


def outputs(case: Case, out: Path) -> Outputs:
    """Where the files of a case belong."""
    folder = out / case.subject / (case.session or "") / "dwi"
    return Outputs(
        folder / f"{case.name}_space-{SPACE}_dwi.nii.gz",
        folder / f"{case.name}_from-native_to-{SPACE}_xfm.mat",
        folder / f"{case.name}_space-{SPACE}_desc-histogram.tsv",
        folder / f"{case.name}_space-{SPACE}_dwi.json",
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
        "refine_lattice_mm": refine.LATTICE_MM,
        "refine_cosines": list(refine.COSINES),
        "refine_penalty": refine.PENALTY,
        "refine_blur_mm": refine.BLUR_MM,
    }


def fingerprint(case: Case) -> str:
    """Identifies the input: size, first and last 64 kB of the image, b-values, age and sex."""
    digest = hashlib.sha256(f"{case.age} {case.sex} ".encode())
    with open(case.image, "rb") as file:
        size = file.seek(0, 2)
        for start in (0, max(0, size - 65536)):
            file.seek(start)
            digest.update(file.read(65536))
    digest.update(f" {size} ".encode())
    if case.bval:
        digest.update(case.bval.read_bytes())
    return digest.hexdigest()[:32]


def read_sidecar(path: Path) -> dict[str, Any] | None:
    """A sidecar that `write` wrote; None where there is none, a damaged one, or one of another program."""
    sidecar = files.read_object(path)
    try:
        chosen, flags, measures = sidecar["Settings"], sidecar["Flags"], sidecar["Quality"]
        sound = (
            all(isinstance(sidecar[name], str) for name in ("Case", "Subject"))
            and _numeric(sidecar["Age"])
            and sidecar["Sex"] in ("F", "M", None)
            and _numeric(sidecar["BValue"])
            and isinstance(sidecar["NumberOfDirections"], int)
            and isinstance(chosen["image_size"], int)
            and isinstance(chosen["fov_mm"], float)
            and isinstance(flags, list)
            and set(flags) <= set(quality.FLAGS)
            and set(measures) == set(quality.Quality._fields)
            and all(isinstance(value, float) for value in measures.values())
        )
    except (KeyError, TypeError, AttributeError):
        return None
    return sidecar if sound else None


def _numeric(value: Any) -> bool:
    """Whether a value is a finite number or None."""
    return value is None or (isinstance(value, int | float) and math.isfinite(value))


def read_image(path: Path, image_size: int) -> np.ndarray:
    """A registered image (image_size, image_size, 40) float32, finite.

    Raises:
        InputError: it is damaged, or of another size.
    """
    shape = (image_size, image_size, grid.N_SLICES)
    try:
        image = open_image(path)
        if image.shape != shape:
            raise Refused(f"its shape is {image.shape}, not {shape}")
        return next(volumes(image, path))
    except Refused as error:
        reason = error.__cause__ or error
        raise InputError(f"{path} is damaged ({reason}). Delete it, then run the preprocessing again.") from error


def finished(case: Case, out: Path, settings: Settings) -> dict[str, Any] | None:
    """Sidecar of a case that is complete and was made from this input with these settings; else None."""
    paths = outputs(case, out)
    sidecar = read_sidecar(paths.sidecar)
    if sidecar is None or not all(path.is_file() for path in paths):
        return None
    try:
        same = sidecar.get("Settings") == method_settings(settings) and sidecar.get("Input") == fingerprint(case)
    except OSError:
        return None  # the input cannot be read: the worker will say so
    return sidecar if same else None


def remove(case: Case, out: Path) -> None:
    """Removes the files of a case, the sidecar first, so that no older result passes for a new one."""
    for path in reversed(outputs(case, out)):
        path.unlink(missing_ok=True)


def compute(case: Case, settings: Settings) -> tuple[register.Registered, dict[str, Any]]:
    """Registers and measures one case; writes nothing.

    Returns:
        the registered case, and its sidecar.

    Raises:
        InputError: the case cannot be used.
    """
    trace = read_trace(case, settings.b_value, settings.tolerance)
    grid_settings = settings.image_size, settings.fov_mm
    registered = register.register(trace, settings.interpolator, *grid_settings)
    measures = quality.measure(trace, registered, *grid_settings)
    return registered, {
        "Case": case.name,
        "Subject": case.subject,
        "Session": case.session,
        "Age": None if math.isnan(case.age) else case.age,
        "Sex": case.sex,
        "Flags": quality.flags(measures, trace.b_value, settings.b_value),
        "BValue": None if math.isnan(trace.b_value) else round(trace.b_value, 3),
        "NumberOfDirections": trace.n_directions,
        "BValuesInFile": list(trace.b_values),
        "Quality": {name: round(value, 4) for name, value in measures._asdict().items()},
        "Affine": registered.matrix.tolist(),
        "AffineDescription": "MNI152 to the scan's world, millimetres, RAS+",
        "SpatialReference": "MNI152 as nilearn ships it, on dwikit's target grid",
        "SkullStripped": False,
        "Sources": [f"bids:raw:{'/'.join(case.image.parts[case.image.parts.index(case.subject) :])}"],
        "Settings": method_settings(settings),
        "Versions": versions(),
        "Input": fingerprint(case),
    }


def write(case: Case, out: Path, settings: Settings, registered: register.Registered, sidecar: dict[str, Any]) -> None:
    """Writes the files of a case, all of them or none, the sidecar last.

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
    """Versions of what the result depends on."""
    from dwikit import __version__

    names = ("antspyx", "nilearn", "nibabel", "numpy", "scipy")
    return {"dwikit": __version__, **{name: metadata.version(name) for name in names}}


def to_plain(case: Case) -> dict[str, Any]:
    """A case as values that JSON can hold."""
    values = {name: str(value) if isinstance(value, Path) else value for name, value in vars(case).items()}
    return values | {"age": None if math.isnan(case.age) else case.age}


def from_plain(values: dict[str, Any]) -> Case:
    """Undoes `to_plain`."""
    case = Case(**values)
    paths = {name: Path(values[name]) for name in ("image", "bval", "bvec", "sidecar") if values[name]}
    return replace(case, age=math.nan if case.age is None else case.age, **paths)


def warm_up() -> None:
    """Loads what every case needs, so that a missing library shows before the first case."""
    import ants  # noqa: F401

    load_template()
