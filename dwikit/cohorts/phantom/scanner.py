"""From a person to a scanner's magnitude images: signal, distortion, noise, zero filling."""

from typing import NamedTuple

import numpy as np
from scipy import fft, ndimage

from dwikit.cohorts.phantom.anatomy import Anatomy, make_anatomy
from dwikit.cohorts.phantom.atlas import COARSE_MM, Atlas, load_atlas
from dwikit.cohorts.phantom.geometry import Warp, make_warp, smooth_field, template_lattice
from dwikit.cohorts.phantom.person import CENTRE, Person
from dwikit.cohorts.phantom.settings import Settings, Tissue

DIRECTIONS = np.array([[2, 1, 2], [1, 2, -2], [-2, 2, 1]]) / 3
"""Three orthogonal gradient directions in voxel axes; each uses all three gradients, as trace scans do."""

_TO_TEMPLATE = np.array([-1, 1, 1])
"""From voxel to template axes: x is turned over; the head's small rotations are neglected."""
GYROMAGNETIC = 42.577  # MHz per tesla


class Scan(NamedTuple):
    """Where the acquired voxels' signal comes from.

    Attributes:
        person, atlas, settings, anatomy: what is imaged.
        slab: levels z of the atlas's lattice that the samples need; the anatomy is that of this slab.
        where: (3, M) float32 voxel coordinates in the slab of the samples that hit the head.
        hit: (x, y, z, subslices) bool: which samples those are.
        weight: (x, y, z) float32: coil sensitivity, texture, compression and dephasing; no unit.
        slices: which acquired slices z stands for.
    """

    person: Person
    atlas: Atlas
    settings: Settings
    anatomy: Anatomy
    slab: slice
    where: np.ndarray
    hit: np.ndarray
    weight: np.ndarray
    slices: slice


def make_scan(person: Person, settings: Settings, distortion: bool = True, slices: slice | None = None) -> Scan:
    """Puts the person into the scanner.

    Args:
        person: from `draw_person`.
        settings: of the cohort.
        distortion: False leaves out the sinuses' shifts and dephasing.
        slices: acquired slices to image, the same as in the whole scan; None images all.
    """
    atlas = load_atlas()
    warp = make_warp(person, atlas, settings)
    slices = slices or slice(0, person.protocol.n_slices)
    axes, subslices = _axes(person, settings)
    fine = slice(slices.start * settings.subslices, slices.stop * settings.subslices)
    places = template_lattice(person, warp, [axes[0], axes[1], subslices], fine)
    weight = _sensitivity(person, axes, settings, slices)
    if distortion:
        shift, brightness = epi_shift(person, atlas, warp, settings, slices)
        column = (person.world_to_template @ person.voxel_to_world)[:3, 1].astype(np.float32)
        places -= column[:, None, None, None] * shift.repeat(settings.subslices, axis=2)
        weight *= brightness
    places -= atlas.affine[:3, 3].astype(np.float32)[:, None, None, None]
    hit = _in_head(places, atlas)
    shape = (*weight.shape, settings.subslices)
    where = places[:, hit]
    slab = _slab(where[2], atlas.shape[2])
    where[2] -= slab.start
    anatomy = make_anatomy(person, atlas, settings, slab)
    return Scan(person, atlas, settings, anatomy, slab, where, hit.reshape(shape), weight, slices)


def _slab(z: np.ndarray, n_levels: int) -> slice:
    """Levels of the lattice between which samples are interpolated."""
    if not z.size:
        return slice(0, 1)
    return slice(max(int(np.floor(z.min())), 0), min(int(np.floor(z.max())) + 2, n_levels))


def _axes(person: Person, settings: Settings) -> tuple[list[np.ndarray], np.ndarray]:
    """Acquired voxel coordinates along x, y, z, and those of the samples across the slices' thickness."""
    protocol = person.protocol
    axes = [np.arange(protocol.matrix), np.arange(protocol.matrix), np.arange(protocol.n_slices)]
    share = (np.arange(settings.subslices) + 0.5) / settings.subslices - 0.5
    across = share * protocol.thickness_mm / protocol.spacing_mm
    return axes, (axes[2][:, None] + across).ravel()


def _in_head(places: np.ndarray, atlas: Atlas) -> np.ndarray:
    """Which atlas coordinates (3, ...) have signal, by the nearest voxel."""
    inside = np.ones(places.shape[1:], bool)
    flat = np.zeros(places.shape[1:], np.int32)
    for part, size in zip(places, atlas.shape, strict=True):
        nearest = np.rint(part).astype(np.int32)
        inside &= (nearest >= 0) & (nearest < size)
        flat = flat * size + nearest
    flat[~inside] = 0
    return inside & atlas.head.ravel()[flat]


def epi_shift(person: Person, atlas: Atlas, warp: Warp, settings: Settings, slices: slice) -> tuple[np.ndarray, np.ndarray]:
    """EPI distortion of some slices on the acquired matrix.

    Returns:
        (shift, brightness), both (x, y, z) float32: acquired minus true position along y in voxels, and what
        compression, stretching and dephasing multiply the signal by.
    """
    protocol = person.protocol
    wider = slice(max(slices.start - 1, 0), slices.stop + 1)  # gradients need neighbours
    fine = [np.arange(protocol.matrix), np.arange(protocol.matrix), np.arange(protocol.n_slices)]
    half = [axis[::2] for axis in fine[:2]]
    places = template_lattice(person, warp, [*half, fine[2]], wider)
    places = (places - atlas.affine[:3, 3].astype(np.float32)[:, None, None, None]) / COARSE_MM
    field = np.tensordot(person.sinuses.astype(np.float32), atlas.field_ppm, 1)
    hertz = ndimage.map_coordinates(field, places, order=1, mode="constant")
    hertz *= GYROMAGNETIC * protocol.tesla * settings.shim
    for axis in (0, 1):
        hertz = _double(hertz, axis)
    shift = -hertz / protocol.bandwidth_hz  # the blips run from front to back
    brightness = np.clip(1 - np.gradient(shift, axis=1), 0.15, settings.pile_up)
    across = np.gradient(hertz, axis=2) / protocol.spacing_mm
    brightness *= np.exp(-((across / settings.dephasing_hz_mm) ** 2))
    own = slice(slices.start - wider.start, slices.stop - wider.start)
    return shift[..., own].astype(np.float32), brightness[..., own].astype(np.float32)


def _double(values: np.ndarray, axis: int) -> np.ndarray:
    """Linear interpolation at every half voxel along one axis; the last one repeats."""
    following = np.concatenate([np.delete(values, 0, axis), np.take(values, [-1], axis)], axis)
    pairs = np.stack([values, (values + following) / 2], axis + 1)
    return pairs.reshape(*values.shape[:axis], -1, *values.shape[axis + 1 :])


def _sensitivity(person: Person, axes: list[np.ndarray], settings: Settings, slices: slice) -> np.ndarray:
    """Receive coil and tissue texture in some slices of the acquired matrix, float32 around 1."""
    rng = person.stream(2)
    voxel_mm = np.linalg.norm(person.voxel_to_world[:3, :3], axis=0)
    shape = (person.protocol.matrix, person.protocol.matrix, person.protocol.n_slices)
    logarithm = smooth_field(rng, axes, shape, voxel_mm, 70.0, settings.bias, slices)
    logarithm += smooth_field(rng, axes, shape, voxel_mm, settings.texture_mm, settings.texture, slices)
    inverse = np.linalg.inv(person.world_to_template @ person.voxel_to_world)
    centre = inverse[:3, :3] @ CENTRE + inverse[:3, 3]
    x, y, z = [
        (((axis - c) * size / 100) ** 2).astype(np.float32) for axis, c, size in zip(axes, centre, voxel_mm, strict=True)
    ]
    logarithm += np.float32(settings.bias_rim) * (x[:, None, None] + y[:, None] + z[slices] - np.float32(0.4))
    return np.exp(logarithm)


def decay(tissue: Tissue, echo_time_ms: float, b_value: float) -> float:
    """Spin-echo signal PD exp(-TE / T2) exp(-b ADC) of one tissue."""
    return tissue.density * np.exp(-echo_time_ms / tissue.t2_ms) * np.exp(-b_value * tissue.adc)


def clean_image(scan: Scan, b_value: float, direction: np.ndarray | None = None) -> np.ndarray:
    """Noise-free image on the acquired matrix.

    Args:
        scan: from `make_scan`.
        b_value: s/mm2.
        direction: unit vector of the gradient; None is the mean over three orthogonal ones.

    Returns:
        (x, y, z) float32 in the scanner's arbitrary units.
    """
    painted = _paint(scan, b_value, direction)
    return scan.person.gain * scan.weight * sample(scan, painted)


def _paint(scan: Scan, b_value: float, direction: np.ndarray | None) -> np.ndarray:
    """Signal of the slab's voxels for one person and one gradient, on its lattice, float32."""
    person, atlas, settings, anatomy = scan.person, scan.atlas, scan.settings, scan.anatomy
    echo = person.protocol.echo_time_ms
    grey, white, fluid = (np.float32(decay(person.tissues[name], echo, b_value)) for name in ("grey", "white", "fluid"))
    iron = np.exp(-echo / person.tissues["white"].t2_ms * person.iron / (1 - person.iron))
    rows = atlas.rows(scan.slab)
    solid = grey * anatomy.grey * anatomy.brightness
    if direction is None or b_value == 0:
        solid += white * anatomy.white
    else:
        along = (atlas.fibre[rows] @ (direction * _TO_TEMPLATE).astype(np.float32)) ** 2
        exponent = np.float32(-b_value * person.tissues["white"].adc * settings.anisotropy) * (along - 1 / 3)
        solid += white * anatomy.white * np.exp(exponent.astype(np.float32))
    solid *= 1 - np.float32(1 - iron) * atlas.iron[rows]
    reference = decay(person.tissues["grey"], echo, settings.b_value)
    kinds = np.array([0, settings.scalp * reference, settings.muscle * reference, fluid], np.float32)
    return atlas.lattice(scan.slab, solid + fluid * anatomy.fluid, kinds[atlas.around[..., scan.slab]])


def sample(scan: Scan, lattice: np.ndarray) -> np.ndarray:
    """Means of a slab's lattice over the samples of each acquired voxel: (x, y, z) float32."""
    values = np.zeros(scan.hit.shape, np.float32)
    values[scan.hit] = ndimage.map_coordinates(lattice, scan.where, order=1, mode="constant")
    return values.mean(-1)


def noisy_image(scan: Scan, clean: np.ndarray, stream: int) -> np.ndarray:
    """Magnitude image as the scanner stores it: complex noise, zero filling, magnitude; the noise is Rician.

    Args:
        scan: from `make_scan`.
        clean: (x, y, z) from `clean_image`.
        stream: number of the image within the case, 0 or more.

    Returns:
        (X, Y, z) float32 on the reconstructed matrix.
    """
    person, settings = scan.person, scan.settings
    protocol = person.protocol
    sigma = person.gain * person.sigma * decay(person.tissues["grey"], protocol.echo_time_ms, settings.b_value)
    rng = person.stream(10 + stream)
    shape = (2, *clean.shape[:2], protocol.n_slices)  # drawn for all slices, so that a part equals that of the whole
    noise = rng.standard_normal(shape, dtype=np.float32)[..., scan.slices] * np.float32(sigma)
    image = clean + noise[0] + 1j * noise[1]
    if settings.background_sigmas:
        image *= _foreground(np.abs(image), np.float32(sigma * settings.background_sigmas))
    return np.abs(zero_fill(image, protocol.reconstructed))


def _foreground(magnitude: np.ndarray, threshold: np.float32) -> np.ndarray:
    """What the scanner's filter leaves of each voxel: 0 in air, 1 in tissue, a ramp of one threshold between."""
    local = ndimage.uniform_filter(magnitude, (3, 3, 1), mode="nearest")
    return np.clip(local / threshold - np.float32(1), 0, 1)


def zero_fill(image: np.ndarray, size: int) -> np.ndarray:
    """Fourier interpolation of the first two axes to size x size; voxel 0 and the scale stay."""
    count = image.shape[0]
    if size == count:
        return image
    spectrum = fft.fft2(image, axes=(0, 1))
    padded = np.zeros((size, size, *image.shape[2:]), spectrum.dtype)
    low, high = slice(0, count // 2), slice(size - count // 2, size)
    for rows, target_rows in ((low, low), (slice(count // 2, count), high)):
        for columns, target_columns in ((low, low), (slice(count // 2, count), high)):
            padded[target_rows, target_columns] = spectrum[rows, columns]
    padded *= (size / count) ** 2
    return fft.ifft2(padded, axes=(0, 1), overwrite_x=True)


def reconstructed_affine(person: Person) -> np.ndarray:
    """Voxel-to-world affine (4, 4) of the reconstructed matrix."""
    matrix = person.voxel_to_world.copy()
    matrix[:3, :2] *= person.protocol.matrix / person.protocol.reconstructed
    return matrix
