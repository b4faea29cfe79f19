"""The direct path: scans in template space without NIfTI and registration."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy import ndimage

from dwikit.cohorts.phantom.geometry import fit_affine
from dwikit.cohorts.phantom.parallel import map_cases
from dwikit.cohorts.phantom.person import CENTRE, Person, draw_person, require_whole, rotation
from dwikit.cohorts.phantom.scanner import Scan, clean_image, make_scan, noisy_image, reconstructed_affine, sample
from dwikit.cohorts.phantom.settings import DEFAULT, Settings
from dwikit.cohorts.phantom.truth import brain_correspondence
from dwikit.common.errors import InputError
from dwikit.slices import grid
from dwikit.slices.settings import CALIBRATED, SliceSettings


def simulate_volumes(
    n_cases: int,
    seed: int = 0,
    first: int = 0,
    workers: int | None = None,
    distortion: bool = True,
    labels: bool = False,
    settings: SliceSettings = CALIBRATED,
    grid_size: int = grid.IMAGE_SIZE,
    physics: Settings = DEFAULT,
) -> Iterator[grid.Volume]:
    """Simulates scans on the target grid, one at a time.

    The scan is the one that `write_cohort` writes for the same seed and number. Instead of a registration,
    the least-squares affine of the known map takes it to the template, with the small error that a
    registration makes (`Settings.jitter_*`); the person's warp stays, as it does after a real affine
    registration. The trace is the geometric mean of three noisy images.

    Args:
        n_cases: how many.
        seed: of the cohort.
        first: number of the first case; case 0 is sub-0001.
        workers: processes; None chooses. The volumes do not depend on it.
        distortion: False leaves out EPI distortion.
        labels: also yields the tissues, distorted as the image is.
        settings: of the slices to be made; the volumes take their field of view and interpolator.
        grid_size: pixels along one side of the target grid; slices of a smaller size are means of blocks of them.
        physics: of the simulation, and its protocols.

    Yields:
        `dwikit.slices.grid.Volume` with origin "simulated".

    Raises:
        InputError: if a number is negative.
    """
    require_whole("seed", seed)
    cases = [(number, None) for number in case_numbers(n_cases, first)]
    return map_cases(_volume, cases, workers, seed, distortion, labels, settings, grid_size, physics)


def simulate_slices(
    n_cases: int,
    seed: int = 0,
    first: int = 0,
    levels: Sequence[int] | np.ndarray | None = None,
    workers: int | None = None,
    distortion: bool = True,
    settings: SliceSettings = CALIBRATED,
    grid_size: int = grid.IMAGE_SIZE,
    physics: Settings = DEFAULT,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Simulates scans and returns their slices at once.

    Only the acquired slices that the levels need are computed, and they equal those of the whole volume.

    Args:
        n_cases: how many.
        seed: of the cohort.
        first: number of the first case.
        levels: kept levels to return, 0 (lowest) to 25: (n_levels,), or (n_cases, n_levels), its own for each scan; None
            returns all.
        workers: processes; None chooses.
        distortion, settings, grid_size, physics: as in `simulate_volumes`.

    Returns:
        images (n_cases, n_levels, grid_size, grid_size) float32, not normalized, and a table with one row per scan: case,
        subject, age, sex, origin.

    Raises:
        InputError: if a level or a number is out of range.
    """
    require_whole("seed", seed)
    numbers = case_numbers(n_cases, first)
    chosen = _chosen_levels(levels, numbers)
    images = np.zeros((*chosen.shape, grid_size, grid_size), np.float32)
    rows = []
    cases = list(zip(numbers, chosen, strict=True))
    volumes = map_cases(_volume, cases, workers, seed, distortion, False, settings, grid_size, physics)
    for image, volume in zip(images, volumes, strict=True):
        image[:] = volume.image
        rows.append(volume[:5])
    return images, pd.DataFrame(rows, columns=grid.Volume._fields[:5])


def _chosen_levels(levels: Sequence[int] | np.ndarray | None, numbers: list[int]) -> np.ndarray:
    """Levels of each case, (n_cases, n_levels) int; InputError if one is out of range."""
    chosen = np.arange(grid.N_LEVELS) if levels is None else np.asarray(levels)
    if not chosen.size or chosen.dtype.kind not in "iu" or chosen.min() < 0 or chosen.max() >= grid.N_LEVELS:
        raise InputError(f"levels {levels}: choose some of 0 to {grid.N_LEVELS - 1}")
    if chosen.ndim == 2 and len(chosen) != len(numbers) or chosen.ndim > 2:
        raise InputError(f"levels has the shape {chosen.shape}: choose (n_levels,) or ({len(numbers)}, n_levels)")
    return np.broadcast_to(chosen, (len(numbers), chosen.shape[-1]))


def case_numbers(n_cases: int, first: int) -> list[int]:
    """Numbers of n_cases cases from `first` on; InputError if one of the two is negative or not whole."""
    require_whole("n_cases", n_cases)
    require_whole("first", first)
    return list(range(int(first), int(first) + int(n_cases)))


def _volume(
    case: tuple[int, np.ndarray | None],
    seed: int,
    distortion: bool,
    labels: bool,
    settings: SliceSettings,
    grid_size: int,
    physics: Settings,
) -> grid.Volume:
    """One case of the direct path: its number, and the levels wanted (None: all)."""
    number, levels = case
    person, order = draw_person(number, seed, physics), settings.spline_order
    to_native = _target_to_native(person, physics) @ grid.affine(grid_size, settings.fov_mm)
    chosen = np.arange(grid.N_LEVELS) if levels is None else levels
    to_voxel = np.linalg.inv(reconstructed_affine(person)) @ to_native
    needed = None if order > 1 else _needed(to_voxel, chosen, grid_size, person.protocol.n_slices)  # splines see every slice
    scan = make_scan(person, physics, distortion, needed)
    image = _resample(_trace(scan), to_voxel, grid_size, chosen, order)
    tissues = _labels(scan, np.linalg.inv(person.voxel_to_world) @ to_native, grid_size, chosen) if labels else None
    return grid.Volume(person.label, person.label, person.age, person.sex, "simulated", image, tissues)


def _needed(to_voxel: np.ndarray, levels: np.ndarray, grid_size: int, n_slices: int) -> slice:
    """Acquired slices between which the levels lie: an affine map has its extremes in the corners."""
    ends = [0, grid_size - 1], [0, grid_size - 1], [grid.KEPT.start + min(levels), grid.KEPT.start + max(levels)]
    corners = np.stack(np.meshgrid(*ends), -1).reshape(-1, 3)
    z = corners @ to_voxel[2, :3] + to_voxel[2, 3]
    start = int(np.clip(np.floor(z.min()) - 1, 0, n_slices - 1))
    return slice(start, int(np.clip(np.ceil(z.max()) + 2, start + 1, n_slices)))


def _target_to_native(person: Person, physics: Settings) -> np.ndarray:
    """Affine (4, 4) from template to scanner millimetres as a registration would find it."""
    native, template = brain_correspondence(person, physics, step=8)
    rng = person.stream(3)
    error = np.eye(4)
    error[:3, :3] = rotation(rng.normal(0, physics.jitter_deg, 3)) @ np.diag(1 + rng.normal(0, physics.jitter_scale, 3))
    error[:3, 3] = CENTRE - error[:3, :3] @ CENTRE + rng.normal(0, physics.jitter_mm, 3)
    return np.linalg.inv(error @ fit_affine(native, template))


def _trace(scan: Scan) -> np.ndarray:
    """Trace-weighted image: geometric mean of three noisy images, on the reconstructed matrix; 0 outside `scan.slices`."""
    clean = clean_image(scan, scan.settings.b_value)
    product = noisy_image(scan, clean, 1)
    for stream in (2, 3):
        product *= noisy_image(scan, clean, stream)
    return _whole(np.cbrt(product), scan)


def _whole(image: np.ndarray, scan: Scan) -> np.ndarray:
    """The slices of a scan at their places in the whole, so that resampling meets the same coordinates."""
    n_slices = scan.person.protocol.n_slices
    if image.shape[2] == n_slices:
        return image
    whole = np.zeros((*image.shape[:2], n_slices), image.dtype)
    whole[..., scan.slices] = image
    return whole


def _resample(image: np.ndarray, matrix: np.ndarray, grid_size: int, levels: np.ndarray, order: int = 1) -> np.ndarray:
    """Resampling: `matrix` takes target voxels to the image's; returns the kept levels (n_levels, H, W)."""
    image = ndimage.spline_filter(image, order, output=np.float32) if order > 1 else image
    slices = np.zeros((len(levels), grid_size, grid_size), np.float32)
    for out, level in zip(slices, levels, strict=True):
        start = matrix[:3, 3] + matrix[:3, 2] * (grid.KEPT.start + level)
        size = (grid_size, grid_size, 1)
        level_image = ndimage.affine_transform(
            image, matrix[:3, :3], start, size, order=order, mode="constant", prefilter=False
        )
        out[:] = level_image[::-1, ::-1, 0].T
    return slices


def _labels(scan: Scan, matrix: np.ndarray, grid_size: int, levels: np.ndarray) -> np.ndarray:
    """Tissue with the largest share of each target voxel, 0 where the head has less than half of it."""
    shares = []
    for part in (scan.anatomy.grey, scan.anatomy.white, scan.anatomy.fluid):
        lattice = scan.atlas.lattice(scan.slab, part)
        shares.append(_resample(_whole(sample(scan, lattice), scan), matrix, grid_size, levels))
    return np.where(np.sum(shares, 0) >= 0.5, np.argmax(shares, 0) + 1, 0).astype(np.uint8)
