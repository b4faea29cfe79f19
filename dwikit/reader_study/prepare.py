"""One preparation of all images of a deck, real and generated: blind in the pixels.

What a head looks like is what readers judge, and stays. What lies around it, where the grey scale ends, how many steps it has
and the rhythm of upsampling are traces of how an image was made: no reader should judge by them, and a program could sort a
deck by any of them.
"""

import zlib

import numpy as np
from scipy import ndimage

from dwikit.metrics import periodic
from dwikit.slices import head_mask

DARKEST, BRIGHTEST = 0.05, 0.05
"""Shares of a head's pixels that get its darkest and its brightest grey, in the middle."""
WIDTH = 0.01
"""Of the range around them in which they lie: whole pixels of a head are never exactly a share, and the miss tells its size."""
LEVELS = 40
"""Steps from black, which is kept for the air, to white."""
FIRST = 4
DARK = 255 * FIRST / (LEVELS - 1)
"""A head's darkest grey, its step and its value: bright enough to be found as a head again."""
PASSES, RELAXATION = 16, 2.0
"""Of the filter against periodic patterns and of the cut and the scale, each of which undoes a little of the other."""
ROUNDINGS, RETURNED = 16, 0.7
"""Trials of rounding to steps, which weaves a pattern of its own into a blurred image; the share of it that is taken back."""
BLOCK = 256
"""Images treated at a time."""
SETTINGS = {"darkest": DARKEST, "brightest": BRIGHTEST, "width": WIDTH, "levels": LEVELS, "first": FIRST}
SETTINGS |= {"passes": PASSES, "relaxation": RELAXATION, "roundings": ROUNDINGS, "returned": RETURNED}
"""What decides the preparation: a deck keeps it, and another one is another deck."""


def prepare(images: np.ndarray, usual: np.ndarray | None = None) -> np.ndarray:
    """Images as a deck shows them: air black, the ends of the grey scale alike, the same steps of grey, nothing periodic.

    Each image is treated by itself and by one rule, whichever group it belongs to. What is not head becomes 0, and so do the
    outermost rows and columns. The power at the periods of upsampling is set to what is usual, as a multiple of that of the
    frequencies around them (``metrics.periodic_excess``), with the scatter of noise. The grey values of the head are scaled so
    that shares of about ``DARKEST`` and ``BRIGHTEST`` of its pixels lie at the ends of the scale, which are drawn for each
    image and exactly kept (equal values are ranked by their neighbourhood), and rounded to steps; of several roundings, the one
    in which the least is periodic stays.

    Args:
        images: (n, H, W) uint8, cropped to one frame.
        usual: ``usual`` of real images; None: 1 everywhere.

    Returns:
        (n, H, W) uint8. An image without a head is black.
    """
    prepared = np.empty_like(images)
    for start in range(0, len(images), BLOCK):
        block = images[start : start + BLOCK]
        heads = np.array([head_of(image) for image in block])
        values, aim = np.where(heads, block, 0.0), np.array([_aim(image, usual) for image in block])
        ends = [_ends(image, head) for image, head in zip(block, heads)]
        for _ in range(PASSES):
            values = _stretched(_unwoven(values, aim), heads, ends)
        prepared[start : start + BLOCK] = _rounded(values, heads, ends, aim)
    return prepared


def head_of(image: np.ndarray) -> np.ndarray:
    """The head in an image (H, W) uint8, holes filled, as a mask; never the image's border."""
    head = ndimage.binary_fill_holes(head_mask(image))
    head[[0, -1]] = head[:, [0, -1]] = False
    return head


def spectra(images: np.ndarray) -> np.ndarray:
    """Fourier transforms of images (n, H, W), black rows and columns added so that periods of upsampling divide the sides."""
    return np.fft.fft2(np.pad(images, [(0, 0), *((0, -side % 32) for side in images.shape[1:])]), norm="ortho")


def usual(images: np.ndarray) -> np.ndarray:
    """How many times as much power images usually have at each frequency of upsampling as around it.

    Anatomy has its own rhythm there: to set these powers to 1 would draw stripes into real images.

    Args:
        images: real ones (n, H, W) uint8, cropped to one frame.

    Returns:
        (k,): medians over the images, one for each frequency of ``periodic.peaks``.
    """
    heads = np.array([np.where(head_of(image), image, 0) for image in images])
    ratios = [periodic.peaks(np.abs(spectra(block)) ** 2)[:2] for block in np.array_split(heads, -(-len(heads) // BLOCK))]
    return np.median(np.concatenate([here / around for here, around in ratios]), axis=0)


def _aim(image: np.ndarray, usual: np.ndarray | None) -> np.ndarray:
    """Multiples of the power around it that an image gets at each frequency: the usual ones, as an average over the frequencies
    of a period scatters by nature. The draw follows from the image alone."""
    *_, period, _ = periodic.peaks(np.abs(spectra(image[None].astype(float))) ** 2)
    periods, index, places = np.unique(period, return_inverse=True, return_counts=True)
    shape = places * (2 * periodic.NEAR + 1) ** 2 / 2  # independent bins: a spectrum holds each twice
    return (_draws(image).gamma(shape) / shape)[index] * (1 if usual is None else usual)


def _draws(image: np.ndarray) -> np.random.Generator:
    """Random numbers that follow from an image alone, so that it is always prepared in the same way."""
    return np.random.default_rng(zlib.crc32(image.tobytes()))


def _too_much(images: np.ndarray, aim: np.ndarray) -> np.ndarray:
    """By how much the power at the periods of upsampling misses its aim: the worst period of each image."""
    here, around, period, _ = periodic.peaks(np.abs(spectra(images)) ** 2)
    missed = [abs((here / around - aim)[:, period == p].mean(axis=1)) for p in np.unique(period)]
    return np.max(missed, axis=0) if missed else np.zeros(len(images))


def _unwoven(values: np.ndarray, aim: np.ndarray) -> np.ndarray:
    """Images whose power at the periods of upsampling is nearer to its aim."""
    spectrum = spectra(values)
    here, around, _, (rows, columns) = periodic.peaks(np.abs(spectrum) ** 2)
    factor = 1 + RELAXATION * (np.sqrt(aim * around / here) - 1)
    for k in range(len(rows)):
        spectrum[:, rows[k], columns[k]] *= factor[:, k, None]
    return np.fft.ifft2(spectrum, norm="ortho").real[:, : values.shape[1], : values.shape[2]]


def _ends(image: np.ndarray, head: np.ndarray) -> tuple[int, int]:
    """How many pixels of a head are to lie at the dark and at the bright end of the scale."""
    shares = np.array([DARKEST, BRIGHTEST]) + WIDTH * (_draws(image).random(2) - 0.5)
    dark, bright = np.maximum(1, np.round(shares * head.sum())).astype(int)
    return dark, bright


def _stretched(values: np.ndarray, heads: np.ndarray, ends: list[tuple[int, int]]) -> np.ndarray:
    """Images in which heads reach from ``DARK`` to 255 and are cut off there; 0 elsewhere."""
    stretched = np.zeros_like(values)
    for image, head, (dark, bright), result in zip(values, heads, ends, stretched):
        if not head.any():
            continue
        inside = image[head]
        low, high = np.partition(inside, [dark - 1, inside.size - bright])[[dark - 1, inside.size - bright]]
        result[head] = DARK + (255 - DARK) * ((inside - low) / max(high - low, 1)).clip(0, 1)
    return stretched


def _rounded(values: np.ndarray, heads: np.ndarray, ends: list[tuple[int, int]], aim: np.ndarray) -> np.ndarray:
    """Stretched images in steps: of ``ROUNDINGS``, each of which makes up for the pattern of the one before, the best."""
    best, missed = np.zeros(values.shape, np.uint8), np.full(len(values), np.inf)
    for _ in range(ROUNDINGS):
        steps = np.array([_steps(*each) for each in zip(values, heads, ends)])
        found = _too_much(steps, aim)
        better = found < missed
        best[better], missed[better] = steps[better], found[better]
        values = values + RETURNED * heads * (_unwoven(steps, aim) - steps)
    return best


def _steps(image: np.ndarray, head: np.ndarray, ends: tuple[int, int]) -> np.ndarray:
    """A stretched image in ``LEVELS`` steps, with exactly as many pixels at the ends of the scale as there should be."""
    inside, result = image[head], np.zeros(image.shape, np.uint8)
    dark, bright = ends
    between = LEVELS - 2 - FIRST  # steps that are neither a head's darkest nor white
    steps = FIRST + 1 + np.floor((inside - DARK) / (255 - DARK) * between).clip(0, between - 1)
    order = np.lexsort((ndimage.uniform_filter(image, 3)[head], inside))
    steps[order[:dark]], steps[order[max(0, inside.size - bright) :]] = FIRST, LEVELS - 1
    result[head] = np.round(steps * 255 / (LEVELS - 1))
    return result
