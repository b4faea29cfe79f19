"""The direct path: cases in template space without NIfTI and registration."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy import ndimage

from ... import grid
from ...errors import InputError
from .geometry import fit_affine
from .parallel import map_cases
from .person import CENTRE, Person, draw_person, require_whole, rotation
from .scanner import Scan, clean_image, make_scan, noisy_image, reconstructed_affine, sample
from .settings import DEFAULT, Settings
from .truth import brain_correspondence


def simulate_volumes(
    n_cases: int,
    seed: int = 0,
    first: int = 0,
    workers: int | None = None,
    distortion: bool = True,
    labels: bool = False,
    image_size: int = grid.IMAGE_SIZE,
    fov_mm: float = grid.FOV_MM,
    settings: Settings = DEFAULT,
) -> Iterator[grid.Volume]:
    """Simulates cases on the target grid, one at a time.

    The scan is the one that `write_cohort` writes for the same seed and number. Instead of a registration,
    the least-squares affine of the known map takes it to the template, with the small error that a
    registration makes (`Settings.jitter_*`); the person's warp stays, as it does after a real affine
    registration. The trace is the geometric mean of three noisy images, resampled linearly.

    Args:
        n_cases: how many.
        seed: of the cohort.
        first: number of the first case; case 0 is sub-0001.
        workers: processes; None chooses. The volumes do not depend on it.
        distortion: False leaves out EPI distortion.
        labels: also yields the tissues, distorted as the image is.
        image_size: pixels along each side of a slice.
        fov_mm: side of the target grid.
        settings: physics and protocols.

    Yields:
        `dwikit.grid.Volume` with origin "simulated".

    Raises:
        InputError: if a number is negative.
    """
    require_whole("seed", seed)
    numbers = case_numbers(n_cases, first)
    return map_cases(_volume, numbers, workers, seed, distortion, labels, image_size, fov_mm, settings)


def simulate_slices(
    n_cases: int,
    seed: int = 0,
    first: int = 0,
    levels: Sequence[int] | None = None,
    workers: int | None = None,
    **options,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Simulates cases and returns their slices at once.

    Args:
        n_cases: how many.
        seed: of the cohort.
        first: number of the first case.
        levels: kept levels to return, 0 (lowest) to 25; None returns all.
        workers: processes; None chooses.
        **options: of `simulate_volumes`.

    Returns:
        images (n_cases, n_levels, H, W) float32, not normalized, and a table with one row a case: case,
        subject, age, sex, origin.

    Raises:
        InputError: if a level or a number is out of range.
    """
    chosen = list(range(grid.N_LEVELS)) if levels is None else list(levels)
    if not chosen or not all(0 <= level < grid.N_LEVELS for level in chosen):
        raise InputError(f"levels {chosen}: choose some of 0 to {grid.N_LEVELS - 1}")
    size = options.get("image_size", grid.IMAGE_SIZE)
    images = np.zeros((len(case_numbers(n_cases, first)), len(chosen), size, size), np.float32)
    rows = []
    for image, volume in zip(images, simulate_volumes(n_cases, seed, first, workers, **options), strict=True):
        image[:] = volume.image[chosen]
        rows.append(volume[:5])
    return images, pd.DataFrame(rows, columns=grid.Volume._fields[:5])


def case_numbers(n_cases: int, first: int) -> list[int]:
    """Numbers of n_cases cases from `first` on; InputError if one of the two is negative or not whole."""
    require_whole("n_cases", n_cases)
    require_whole("first", first)
    return list(range(int(first), int(first) + int(n_cases)))


def _volume(
    number: int, seed: int, distortion: bool, labels: bool, image_size: int, fov_mm: float, settings: Settings
) -> grid.Volume:
    """One case of the direct path."""
    person = draw_person(number, seed, settings)
    scan = make_scan(person, settings, distortion)
    to_native = _target_to_native(person, settings) @ grid.affine(image_size, fov_mm)
    shape = (image_size, image_size, grid.N_SLICES)
    image = _resample(_trace(scan), np.linalg.inv(reconstructed_affine(person)) @ to_native, shape)
    tissues = _labels(scan, np.linalg.inv(person.voxel_to_world) @ to_native, shape) if labels else None
    return grid.Volume(person.label, person.label, person.age, person.sex, "simulated", image, tissues)


def _target_to_native(person: Person, settings: Settings) -> np.ndarray:
    """Affine (4, 4) from template to scanner millimetres as a registration would find it."""
    native, template = brain_correspondence(person, settings, step=8)
    rng = person.stream(3)
    error = np.eye(4)
    error[:3, :3] = rotation(rng.normal(0, settings.jitter_deg, 3)) @ np.diag(
        1 + rng.normal(0, settings.jitter_scale, 3)
    )
    error[:3, 3] = CENTRE - error[:3, :3] @ CENTRE + rng.normal(0, settings.jitter_mm, 3)
    return np.linalg.inv(error @ fit_affine(native, template))


def _trace(scan: Scan) -> np.ndarray:
    """Trace-weighted image: geometric mean of three noisy images, on the reconstructed matrix."""
    clean = clean_image(scan, scan.settings.b_value)
    product = noisy_image(scan, clean, 1)
    for stream in (2, 3):
        product *= noisy_image(scan, clean, stream)
    return np.cbrt(product)


def _resample(image: np.ndarray, matrix: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Linear resampling: `matrix` takes target voxels to the image's; returns the kept slices (26, H, W)."""
    kept = matrix.copy()
    kept[:3, 3] += matrix[:3, 2] * grid.KEPT.start
    target = (*shape[:2], grid.N_LEVELS)
    volume = ndimage.affine_transform(image, kept[:3, :3], kept[:3, 3], target, order=1, mode="constant")
    return np.ascontiguousarray(volume[::-1, ::-1].transpose(2, 1, 0))


def _labels(scan: Scan, matrix: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Tissue with the largest share of each target voxel, 0 where the head has less than half of it."""
    shares = []
    lattice = np.zeros(scan.atlas.shape, np.float32)
    for part in scan.anatomy:
        lattice.ravel()[scan.atlas.index] = part
        shares.append(_resample(sample(scan, lattice), matrix, shape))
    return np.where(np.sum(shares, 0) >= 0.5, np.argmax(shares, 0) + 1, 0).astype(np.uint8)
