"""Periodic artefacts: the grid that upsampling weaves into images, which a Laplace variance counts as detail."""

import numpy as np

from dwikit.metrics.images import as_images, blocks

NEAR, RING = 1, (3, 4)
"""Distances, in bins of the spectrum, of what belongs to a frequency, and of its neighbours."""
ROUNDING = 1 / 12
"""Power of the rounding to whole grey levels: no weaker pattern can be seen."""


def periods(height: int, width: int) -> list[int]:
    """Those of the periods 2, 4, 8, ... pixels that fit both sides, and whose frequencies lie 8 bins apart at least.

    None where 4 does not fit: 2 alone would miss the commonest pattern without a word.
    """
    doubled = [2**i for i in range(1, 12)] if height % 4 == width % 4 == 0 else []
    return [p for p in doubled if height % p == width % p == 0 and min(height, width) >= 2 * RING[1] * p]


def periodic_excess(images: np.ndarray) -> float:
    """How many times as much power images have at a period of upsampling as at neighbouring frequencies.

    P(u, v) is the power spectrum averaged over the images (0-255 scale, plus the power of rounding, 1/12). For each period p,
    the frequencies of patterns along rows, columns and diagonals are compared with their neighbours, and the period that
    stands out most counts:

        max over p = 2, 4, 8, ... of the mean over (u, v) = (+-1/p, 0), (0, +-1/p), (+-1/p, +-1/p) of M(u, v) / G(u, v)

    M is the mean of P over the bin and its eight neighbours, since a pattern is confined to the head and may change its sign
    there; G is the geometric mean of P over the bins 3 and 4 away. For a power law of any steepness G equals P, because the
    logarithm of a distance is harmonic. Where in the images a pattern begins does not matter. The
    images should be dark at their borders, as slices are: to a spectrum, a step between opposite borders is a pattern, too.

    Source: this kit; such patterns are known from upsampling networks (Odena et al. 2016, Deconvolution and checkerboard
    artifacts).

    Args:
        images: (N, H, W) or (N, H, W, 1), uint8 0-255 or floating point in [0, 1].

    Returns:
        About 1 where no period stands out and spectra are power laws, as those of slices nearly are. Blur raises it, too, since
        its spectrum falls faster than any power law: read it only where the Laplace variance is near the original's. Of few
        images it is higher by chance, about 1.2 of ten and 2 of one: compare rows of equally many. NaN for images whose sides
        have no such period (no multiples of 4, or under 16 pixels).

    Raises:
        InputError: images that no metric takes.
    """
    images = as_images(images)
    height, width = images.shape[1:]
    power = np.zeros((height, width))
    for block in blocks(images):
        power += np.square(np.abs(np.fft.fft2(255 * block.reshape(-1, height, width)))).sum(axis=0)
    found = excess(power / (len(images) * height * width))
    return float(found) if found.size else float("nan")


def excess(power: np.ndarray) -> np.ndarray:
    """``periodic_excess`` of power spectra (..., H, W), one each; empty if no period fits their sides."""
    here, around, period, _ = peaks(power)
    ratios = [(here / around)[..., period == p].mean(axis=-1) for p in np.unique(period)]
    return np.max(ratios, axis=0) if ratios else np.empty(0)


def peaks(power: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Where patterns of upsampling show in power spectra (..., H, W).

    Returns:
        M and G of ``periodic_excess`` at each of the k frequencies (..., k), the period of each (k,), and the rows and columns
        (k, 9) of the bins that belong to it.
    """
    height, width = power.shape[-2:]
    places = [
        (p, row, column)
        for p in periods(height, width)
        for row in {0, height // p, height - height // p}
        for column in {0, width // p, width - width // p}
        if row or column
    ]
    period, row, column = np.array(places, int).reshape(-1, 3).T
    down, right = np.mgrid[-RING[1] : RING[1] + 1, -RING[1] : RING[1] + 1].reshape(2, -1)
    distance = np.maximum(abs(down), abs(right))
    near, ring = ((row[:, None] + down[at]) % height for at in (distance <= NEAR, distance >= RING[0]))
    beside, past = ((column[:, None] + right[at]) % width for at in (distance <= NEAR, distance >= RING[0]))
    here = power[..., near, beside].mean(axis=-1) + ROUNDING
    around = np.exp(np.log(power[..., ring, past] + ROUNDING).mean(axis=-1))
    return here, around, period, (near, beside)
