"""Sparse histograms on a logarithmic scale: percentiles of a cohort without its voxels in memory.

Bins are 0.1 % wide, so a percentile read from the sum of 2,029 histograms is accurate to 0.05 %. A histogram is a
`collections.Counter` from bin number to voxel count; `+` adds two, `sum(histograms, Counter())` adds many.
"""

import math
from collections import Counter
from pathlib import Path

import numpy as np

from dwikit.common.errors import InputError

RATIO = 1.001
"""Ratio of a bin's upper to its lower edge: bin k holds RATIO**k <= value < RATIO**(k + 1)."""
NOT_POSITIVE = -(10**6)
"""Bin of all values that are zero or negative; below the bin of the smallest float."""


def histogram(image: np.ndarray) -> Counter[int]:
    """Counts voxels by the logarithm of their value.

    Args:
        image: any shape, finite.

    Returns:
        Voxels per bin; empty bins are absent, values <= 0 are in `NOT_POSITIVE`.
    """
    values = np.asarray(image, np.float64).ravel()
    positive = values[values > 0]
    bins, counts = np.unique(np.floor(np.log(positive) / math.log(RATIO)).astype(int), return_counts=True)
    result = Counter(dict(zip(bins.tolist(), counts.tolist(), strict=True)))
    if len(values) > len(positive):
        result[NOT_POSITIVE] = len(values) - len(positive)
    return result


def bin_value(number: int) -> float:
    """Value that stands for a bin: the geometric mean of its edges, 0 for `NOT_POSITIVE`."""
    return 0.0 if number == NOT_POSITIVE else RATIO ** (number + 0.5)


def percentile(counts: Counter[int], q: float) -> float:
    """Smallest value that at least q percent of the voxels do not exceed, accurate to half a bin.

    Args:
        counts: from `histogram`, or a sum of several.
        q: percent, 0 to 100.

    Raises:
        ValueError: q is out of range, or the histogram holds no voxel.
    """
    if not 0 <= q <= 100:
        raise ValueError(f"A percentile lies between 0 and 100, not at {q}.")
    bins = sorted(counts)
    if not bins:
        raise ValueError("The histogram holds no voxel, so it has no percentile.")
    below = np.cumsum([counts[number] for number in bins])
    return bin_value(bins[min(int(np.searchsorted(below, q / 100 * below[-1])), len(bins) - 1)])


def to_text(counts: Counter[int]) -> str:
    """The histogram as tab-separated text: one line per bin, `bin`, `value` (its middle) and `count`."""
    rows = (f"{number}\t{bin_value(number):.6g}\t{counts[number]}\n" for number in sorted(counts))
    return "bin\tvalue\tcount\n" + "".join(rows)


def read_histogram(path: str | Path) -> Counter[int]:
    """Reads what `to_text` wrote.

    Raises:
        InputError: it is damaged.
    """
    try:
        rows = [line.split("\t") for line in Path(path).read_text(encoding="utf-8").splitlines()[1:]]
        counts = Counter({int(number): int(count) for number, _, count in rows})
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a histogram ({error}). Run the preprocessing of its scan again.") from error
    if min(counts.values(), default=0) < 0:
        raise InputError(f"{path} is not a histogram: it holds a negative count. Run the preprocessing of its scan again.")
    return counts
