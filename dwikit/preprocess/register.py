"""Affine registration of a trace-weighted image to MNI152, and its resampling to the target grid.

ANTs finds the affine map, `refine` makes it the least-squares fit over the whole brain. For results that repeat bit for
bit, ITK must run on one thread from the start: call this in a process started with `ONE_THREAD` in its
environment, as `dwikit.preprocess.run` does.
"""

import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import io, ndimage

from dwikit.common.errors import InputError
from dwikit.preprocess.refine import refine
from dwikit.preprocess.template import block_affine, block_mean, load_template
from dwikit.preprocess.trace import Trace
from dwikit.slices import grid
from dwikit.slices.settings import INTERPOLATORS

ONE_THREAD = {
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""Environment that a registering process must start with."""
SEED = 1

# Measured on 6 to 8 simulated scans, mean of the scans' median error and processor time per scan:
# default `type_of_transform="Affine"`, with the 2 mm template, 3.6 s; the same with template and metric cut to the
# brain and half the samples 0.9 s, error no larger (a mask drops the air's samples); 4 mm voxels 0.5 s, error 0.1 mm larger,
# which `refine` makes up for; blocks of 3.2 mm of the scan and half of these samples, as here, two fifths of that again.
# Matching a template of DWI contrast by correlation or squared differences was slower and no better than mutual information
# with T1.
ANTS_VOXEL_MM = 4
ANTS_MASK_MM = 8.0
"""The metric counts voxels up to this far from the brain."""
ANTS_SETTINGS = {
    "aff_metric": "mattes",
    "aff_sampling": 32,
    "aff_random_sampling_rate": 0.1,
    "aff_shrink_factors": (3, 2, 1),
    "aff_smoothing_sigmas": (2, 1, 0),
    "aff_iterations": (500, 300, 100),
}
ANTS_COARSE_MM, REFINE_COARSE_MM = 3.2, 1.6
"""Finer voxels are averaged in blocks of about this size for ANTs and for `refine`; the final image comes from the full
matrix."""

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # ITK's world axes seen from NIfTI's, and back


class Registered(NamedTuple):
    """A registered scan.

    Attributes:
        image: (image_size, image_size, 40) float32 on `dwikit.slices.grid`, arbitrary units, 0 outside the scan.
        matrix: (4, 4) from MNI152 to the scan's world, millimetres, RAS+.
    """

    image: np.ndarray
    matrix: np.ndarray


def register(trace: Trace, interpolator: str, image_size: int, fov_mm: float) -> Registered:
    """Registers a trace-weighted image to MNI152 and resamples it to the target grid.

    Args:
        trace: from `read_trace`.
        interpolator: key of `INTERPOLATORS`.
        image_size: pixels along one side of the target grid.
        fov_mm: its in-plane field of view.

    Raises:
        InputError: ANTs could not register the image.
    """
    start = ants_affine(*_coarse(trace, ANTS_COARSE_MM))
    matrix = np.round(refine(*_coarse(trace, REFINE_COARSE_MM), start), 6)
    return Registered(resample(trace, matrix, interpolator, image_size, fov_mm), matrix)


def _coarse(trace: Trace, size_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """The image in blocks of about this size, and their affine."""
    factors = tuple(max(1, round(size_mm / size)) for size in np.linalg.norm(trace.affine[:3, :3], axis=0))
    return block_mean(trace.image, factors), block_affine(trace.affine, factors)


def ants_affine(image: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """ANTs affine map (4, 4) from MNI152 to a scan's world, millimetres, RAS+.

    Args:
        image: (X, Y, Z) float32.
        affine: (4, 4) voxel to world.

    Raises:
        InputError: ANTs gave up, as it does if scan and template hardly overlap.
    """
    import ants
    from ants.config import set_ants_deterministic

    set_ants_deterministic(True, SEED)
    fixed, mask = _ants_template()
    with tempfile.TemporaryDirectory(prefix="dwikit-") as folder:
        try:
            result = ants.registration(
                fixed=fixed,
                moving=to_ants(image, affine),
                type_of_transform="Affine",
                mask=mask,
                mask_all_stages=True,
                outprefix=f"{folder}/",
                **ANTS_SETTINGS,
            )
            return read_transform(result["fwdtransforms"][0])
        except (RuntimeError, IndexError, OSError) as error:
            raise InputError(
                f"ANTs could not register the image ({error}). Look at it: the field of view must show most of a head,"
                " and its orientation must be right."
            ) from error


@cache
def _ants_template() -> tuple:
    """T1-weighted template (fixed image) and metric mask as ANTs images."""
    template = load_template()
    factors = (ANTS_VOXEL_MM // 2,) * 3
    affine = block_affine(template.affine, factors)
    near = ndimage.distance_transform_edt(block_mean(template.brain, factors) < 0.5) * ANTS_VOXEL_MM <= ANTS_MASK_MM
    return to_ants(block_mean(template.t1, factors), affine), to_ants(near, affine)


def to_ants(image: np.ndarray, affine: np.ndarray):
    """An array with its voxel-to-world affine (RAS+, right-angled) as an ANTs image."""
    import ants

    matrix = _LPS @ affine
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    left, _, right = np.linalg.svd(matrix[:3, :3] / spacing)
    return ants.from_numpy(
        np.ascontiguousarray(image, np.float32),
        origin=matrix[:3, 3].tolist(),
        spacing=spacing.tolist(),
        direction=left @ right,  # the nearest right-angled axes; ITK refuses rounding errors
    )


def read_transform(path: str | Path) -> np.ndarray:
    """Reads an ITK affine transform file (.mat) as a (4, 4) matrix in NIfTI's world, millimetres, RAS+."""
    content = io.loadmat(path)
    (values,) = [value.ravel().astype(float) for name, value in content.items() if name.startswith("AffineTransform")]
    centre = content["fixed"].ravel().astype(float)
    matrix = np.eye(4)
    matrix[:3, :3] = values[:9].reshape(3, 3)
    matrix[:3, 3] = values[9:] + centre - matrix[:3, :3] @ centre
    return _LPS @ matrix @ _LPS


def write_transform(path: str | Path, matrix: np.ndarray) -> None:
    """Writes a (4, 4) map from MNI152 to world as the ITK file that `antsApplyTransforms` takes to resample to MNI152."""
    itk = _LPS @ matrix @ _LPS
    values = np.concatenate([itk[:3, :3].ravel(), itk[:3, 3]])
    with open(path, "wb") as file:
        content = {"AffineTransform_double_3_3": values[:, None], "fixed": np.zeros((3, 1))}
        io.savemat(file, content, format="4")


def resample(trace: Trace, matrix: np.ndarray, interpolator: str, image_size: int, fov_mm: float) -> np.ndarray:
    """Image on the target grid, (image_size, image_size, 40) float32, >= 0; 0 outside the scan.

    Args:
        trace: the native image.
        matrix: (4, 4) from MNI152 to its world.
        interpolator: key of `INTERPOLATORS`.
        image_size: pixels along one side.
        fov_mm: in-plane field of view.
    """
    to_voxel = np.linalg.inv(trace.affine) @ matrix @ grid.affine(image_size, fov_mm)
    shape = (image_size, image_size, grid.N_SLICES)
    order = INTERPOLATORS[interpolator]
    values = ndimage.affine_transform(trace.image, to_voxel, output_shape=shape, order=order, mode="constant")
    return np.maximum(values, 0)
