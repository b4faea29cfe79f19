"""Compares what dcm2niix made of a series with what its headers say: slice positions, volumes, b-values.

Each slice of the image is found again among the files by its pixels, so that nothing rests on the order of anything.
"""

import statistics
from collections import Counter
from typing import NamedTuple

import nibabel as nib
import numpy as np

from dwikit.cohorts.dicom.converter import Failed, Made
from dwikit.cohorts.dicom.diffusion import WEIGHTED
from dwikit.cohorts.dicom.frames import BLANK, Frame, digest

NEAR_MM = 0.05
"""Slices at this distance are at one position: scanners write the third digit as they please."""
SHIFT = 0.2
"""Largest difference between a slice's position in the image and in the header, in voxels."""
SAME_B = 0.01
"""Largest difference between two b-values that are one, relative to the larger; or 1 s/mm2."""
SAME_CONTRAST = 0.01
"""The same for echo times, repetition times and flip angles."""
ALONE = (
    "one slice alone is no volume; if the series were split, as by a de-identifier that gives each file a SeriesInstanceUID "
    "of its own, export them again with the UIDs kept"
)
"""Why a series of one slice is not converted."""
LPS = np.diag([-1.0, -1.0, 1.0])
Key = tuple[float | None, tuple[float, ...] | None]
"""b-value and direction: what the slices of a volume share."""


class Stack(NamedTuple):
    """The volumes of a series by its headers.

    Attributes:
        affine: (4, 4) column, row and slice to world, mm, RAS+.
        shape: columns, rows, slices.
        levels: for each slice position, digest -> frames there.
        volumes: how many volumes of a b-value and direction.
        companions: those of them that the scanner computed from the others: trace images and maps.
    """

    affine: np.ndarray
    shape: tuple[int, int, int]
    levels: list[dict[bytes, list[Frame]]]
    volumes: Counter[Key]
    companions: set[Key]


class Volume(NamedTuple):
    """A volume of an image that dcm2niix made.

    Attributes:
        made, t: the image and its place there.
        keys: what it can be, by its slices.
        number: of its first frame.
        prints: digests of its slices.
    """

    made: Made
    t: int
    keys: set[Key]
    number: float
    prints: tuple[bytes, ...]


def stack(frames: list[Frame]) -> Stack:
    """Puts the frames of a series in their places.

    Raises:
        Failed: they do not make whole volumes on one grid, or have different contrasts.
    """
    first = frames[0]
    if any(one.shape != first.shape for one in frames):
        raise Failed("its slices have different matrix sizes: several series in one")
    turned = any(not np.allclose(one.axes, first.axes, atol=1e-3) for one in frames)
    if turned or any(not np.allclose(one.spacing, first.spacing, rtol=1e-3) for one in frames):
        raise Failed("its slices have different orientations or pixel sizes: several series in one")
    levels = _levels(frames)
    counts = [Counter(map(_key, level)) for level in levels]
    if any(count != counts[0] for count in counts):
        raise Failed(gaps([len(level) for level in levels]) or "its b-values and directions do not fill whole volumes")
    sharp = Counter((k, _key(one), one.digest) for k, level in enumerate(levels) for one in level if one.digest != BLANK)
    if twins := sharp.total() - len(sharp):
        raise Failed(f"{twins} of {len(frames)} slices occur twice, as images of their own: a copy in the series")
    if len(levels) == 1:
        raise Failed(ALONE)
    affine = _affine(levels)
    found = [{one.digest: [] for one in level} for level in levels]
    for place, level in zip(found, levels):
        for one in level:
            place[one.digest].append(one)
    return Stack(affine, (*first.shape, len(levels)), found, counts[0], _companions(frames))


def gaps(counts: list[int]) -> str:
    """Which slices are missing or surplus; empty if every slice position has the same number of images."""
    volumes = statistics.mode(counts)
    missing = sum(max(volumes - count, 0) for count in counts)
    surplus = sum(max(count - volumes, 0) for count in counts)
    if not (missing or surplus):
        return ""
    return f"{sum(counts)} slices do not fill {volumes} volumes of {len(counts)}: {missing} missing, {surplus} too many"


def _key(frame: Frame) -> Key:
    return frame.b, frame.direction


def _levels(frames: list[Frame]) -> list[list[Frame]]:
    """Frames by slice position, in the direction of the slices' normal."""
    normal = np.cross(*frames[0].axes)
    heights = sorted((float(one.corner @ normal), number) for number, one in enumerate(frames))
    levels: list[list[Frame]] = []
    below = -np.inf
    for height, number in heights:
        if height - below > NEAR_MM:
            levels.append([])
        levels[-1].append(frames[number])
        below = height
    if any(np.ptp([one.corner for one in level], axis=0).max() > SHIFT * min(frames[0].spacing) for level in levels):
        raise Failed("slices of one height lie beside each other: several series in one")
    return levels


def _affine(levels: list[list[Frame]]) -> np.ndarray:
    """Column, row and slice to world (RAS+) by the first and the last slice; those between must lie on the line."""
    first = levels[0][0]
    corners = np.array([level[0].corner for level in levels])
    step = (corners[-1] - corners[0]) / (len(levels) - 1)
    off = corners - corners[0] - np.arange(len(levels))[:, None] * step
    if np.linalg.norm(off, axis=1).max() > SHIFT * np.linalg.norm(step):
        distances = np.linalg.norm(np.diff(corners, axis=0), axis=1)
        raise Failed(f"its slices lie {distances.min():.3g} to {distances.max():.3g} mm apart: slices are missing, or uneven")
    leaning = step - (step @ np.cross(*first.axes)) * np.cross(*first.axes)
    if np.linalg.norm(leaning) * (len(levels) - 1) > 2 * SHIFT * min(first.spacing):
        angle = np.degrees(np.arcsin(np.linalg.norm(leaning) / np.linalg.norm(step)))
        raise Failed(f"its stack of slices leans by {angle:.1f} degrees (gantry tilt), which dcm2niix does not keep")
    affine = np.eye(4)
    affine[:3, :2] = LPS @ first.axes.T * first.spacing
    affine[:3, 2], affine[:3, 3] = LPS @ step, LPS @ corners[0]
    return affine


def _companions(frames: list[Frame]) -> set[Key]:
    """Volumes that the scanner computed from others of the series: so labelled, or without direction beside directions.

    GE's private b-value can be the series' highest, so that a volume without direction can be one of b = 0, too: it counts as
    computed only if the series has b = 0 by its headers.
    """
    directed = {one.b for one in frames if one.direction and not one.computed and one.b is not None}
    computed = {_key(one) for one in frames if one.computed} - {_key(one) for one in frames if not one.computed}
    plain = {_key(one) for one in frames if one.b is not None and one.b >= WEIGHTED and one.direction is None} - computed
    plain = {key for key in plain if any(_same_b(key[0], b) for b in directed)}
    if plain and not any(one.b is not None and one.b < WEIGHTED for one in frames):
        raise Failed(f"volumes of {_told(plain)} have no direction, and none has b = 0: trace images, or b = 0 after all?")
    return computed | plain if directed else set()


def _same_b(one: float, other: float) -> bool:
    return abs(one - other) <= max(1.0, SAME_B * max(one, other))


def assemble(frames: list[Frame], of: Stack, made: list[Made], said: str) -> tuple[Made, str]:
    """The image of a series, with the b-values of its headers, and what was left out of it.

    Images that dcm2niix split are joined in the order of the files; what the scanner computed from the others is left out.

    Args:
        frames: of the headers.
        of: their stack.
        made: images of dcm2niix, at least one.
        said: what dcm2niix did.

    Raises:
        Failed: volumes, positions or b-values differ from those of the headers, or the parts have different contrasts.
    """
    volumes: list[Volume] = []
    for one in sorted(made, key=lambda one: one.bvals is None):  # beside a series, dcm2niix can save all of it again as "ADC"
        before = {volume.prints for volume in volumes}
        volumes += [volume for volume in _volumes(one, of, said) if volume.prints not in before]
    keys = _assign(volumes, of)
    kept = [(volume, key) for volume, key in zip(volumes, keys) if key not in of.companions]
    lost = of.volumes - Counter(keys)
    if any(key not in of.companions for key in lost):
        raise Failed(f"volumes with {_told(set(lost) - of.companions)} are not in dcm2niix's image: {said}")
    sources = list(dict.fromkeys(id(volume.made) for volume, _ in kept))
    _check_contrast([one for one in frames if _key(one) not in of.companions], len(sources) > 1)
    if len(sources) > 1:
        kept.sort(key=lambda pair: pair[0].number)
    unknown = len(kept) == 1 and kept[0][1][0] is None  # a trace image whose b-value was removed
    bvals = None if unknown else np.array([_b_value(volume, key) for volume, key in kept])
    bvecs = np.stack([_bvec(volume) for volume, _ in kept], axis=1)
    whole = kept[0][0].made
    complete = len(sources) == 1 and len(kept) == (whole.image.shape[3] if whole.image.ndim == 4 else 1)
    image = whole.image if complete else _join([volume for volume, _ in kept])
    n_left = sum(of.volumes[key] for key in of.companions)
    note = f"left out: {n_left} volumes of {_told(of.companions)} that the scanner computed, such as its trace image"
    return Made(image, whole.sidecar, bvals, bvecs if bvecs.any() else None), note if n_left else ""


def _told(keys: set[Key]) -> str:
    return "b = " + ", ".join(f"{b:g}" for b in sorted({b or 0.0 for b, _ in keys}))


def _volumes(made: Made, of: Stack, said: str) -> list[Volume]:
    """Volumes of an image, each slice found again among the frames of its position."""
    turn = nib.io_orientation(np.linalg.inv(of.affine) @ made.image.affine)
    if np.isnan(turn).any():
        raise Failed("dcm2niix could not tell how far its slices are apart: " + said)
    image = made.image.as_reoriented(turn)
    if image.shape[:3] != of.shape:
        sizes = ["x".join(map(str, shape)) for shape in (image.shape[:3], of.shape)]
        raise Failed(f"a volume of {sizes[0]} voxels, but {sizes[1]} by the headers: {said}")
    ends = np.array(np.meshgrid(*([0, size - 1] for size in of.shape), [1])).reshape(4, -1)
    if np.abs(np.linalg.inv(of.affine) @ image.affine @ ends - ends).max() > SHIFT:
        raise Failed("dcm2niix's image lies elsewhere than the headers say: " + said)
    voxels = np.asanyarray(image.dataobj).reshape(*of.shape, -1)
    found = []
    for t in range(voxels.shape[3]):
        prints = tuple(digest(voxels[:, :, k, t].T) for k in range(of.shape[2]))
        fits = [level.get(mark, []) for mark, level in zip(prints, of.levels)]
        if not all(fits):
            raise Failed(f"slice {fits.index([]) + 1} of volume {t + 1} has pixels of no file at its position: {said}")
        keys = set.intersection(*({_key(one) for one in some} for some in fits))
        if not keys:
            raise Failed(f"volume {t + 1} is mixed from files of different b-values or directions: {said}")
        numbers = [one.number for some in fits for one in some if one.digest != BLANK]
        found.append(Volume(made, t, keys, min(numbers, default=np.inf), prints))
    return found


def _assign(volumes: list[Volume], of: Stack) -> list[Key]:
    """Which volume is which; those that could be several, such as blank ones, are what is left."""
    left = Counter(of.volumes)
    keys: dict[int, Key] = {}
    for number in sorted(range(len(volumes)), key=lambda n: len(volumes[n].keys)):
        free = sorted((key for key in volumes[number].keys if left[key] > 0), key=repr)
        if not free:
            raise Failed(f"dcm2niix made more volumes with {_told(volumes[number].keys)} than the headers have")
        keys[number] = free[0]
        left[free[0]] -= 1
    return [keys[number] for number in range(len(volumes))]


def _check_contrast(frames: list[Frame], split: bool) -> None:
    """Refuses a series of different echo times, and one that was split if repetition time or flip angle differ."""
    names = ("echo times", "ms"), ("repetition times", "ms"), ("flip angles", "degrees")
    for number, (name, unit) in enumerate(names if split else names[:1]):
        values = [one.contrast[number] for one in frames if np.isfinite(one.contrast[number])]
        if values and max(values) - min(values) > SAME_CONTRAST * max(values):
            raise Failed(f"its {name} vary from {min(values):g} to {max(values):g} {unit}: several series in one")


def _b_value(volume: Volume, key: Key) -> float:
    """b-value of a volume by its header; a zero of dcm2niix for a volume without direction is no contradiction.

    GE's private b-value can be the series' highest, and the length of the direction then scales it, as dcm2niix does.
    """
    b, direction = key
    table = volume.made.bvals
    theirs = float(table[volume.t]) if table is not None and volume.t < len(table) else None
    if b is None:
        raise Failed(f"the header of volume {volume.t + 1} has no b-value" + (f", dcm2niix says {theirs:g}" if theirs else ""))
    if theirs is None or _same_b(theirs, b):
        return b
    if direction and _same_b(theirs, b * float(np.dot(direction, direction))):
        return theirs
    if theirs == 0 and direction is None:
        return b
    raise Failed(f"volume {volume.t + 1} has b = {b:g} in its header, but dcm2niix says {theirs:g}")


def _bvec(volume: Volume) -> np.ndarray:
    table = volume.made.bvecs
    return table[:, volume.t] if table is not None and volume.t < table.shape[1] else np.zeros(3)


def _join(volumes: list[Volume]) -> nib.Nifti1Image:
    """One image of volumes that lie on one grid."""
    first = volumes[0].made.image
    if not all(np.allclose(one.made.image.affine, first.affine, atol=1e-3) for one in volumes):
        raise Failed("dcm2niix turned the parts of the series differently")
    parts = [voxels.reshape(*voxels.shape[:3], -1)[..., one.t] for one in volumes for voxels in [stored(one.made.image)]]
    return nib.Nifti1Image(np.stack(parts, axis=-1), first.affine)


def stored(image: nib.Nifti1Image) -> np.ndarray:
    """Voxels with the type of the file where its header does not scale them, else as float32."""
    scaled = nib.is_proxy(image.dataobj) and (image.dataobj.slope != 1 or image.dataobj.inter != 0)
    return image.get_fdata(dtype=np.float32) if scaled else np.asanyarray(image.dataobj)
