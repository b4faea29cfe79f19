"""Do the published numbers agree with one another? Arithmetic on printed numbers; nothing is measured.

``similarity_audit`` asks for each row of Table 1 whether its DS and ISD fit an independent draw, ``time_audit``
whether the printed training times are possible on the printed card.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from dwikit.paper import published

ROUNDING = 0.00005
"""Half a unit of the last printed digit of DS and ISD."""


def similarity_audit(table_1: pd.DataFrame = published.TABLE_1, n: int = published.N_SAMPLES) -> pd.DataFrame:
    """How far the mean image of each row's samples must be from the data's, given the row's DS and ISD (sec. 2.6).

    With v the variance of the data's pixels, DS - (1 - 1/n) ISD / 2 = v + |mean(s) - mean(o)|^2 / D (both metrics in closed
    form, ``dwikit.metrics.similarity``). No row can be below v, so v is at most the smallest of them, and a row's excess
    over that smallest is the least its mean image is off. An independent draw of n is expected to be off by v / n.

    Args:
        table_1: ds and isd, one row per model, including ``original``.
        n: images per row.

    Returns:
        Columns ds, isd, difference (DS - (1 - 1/n) ISD / 2), shift (the least squared distance of the mean images, allowing for
        rounding of the printed digits), shift_rms (its root, in intensities of [0, 1]), and times (shift over v / n).
    """
    table = table_1[["ds", "isd"]].copy()
    table["difference"] = table["ds"] - (1 - 1 / n) * table["isd"] / 2
    variance = table["difference"].min()
    spread = 2 * (ROUNDING + ROUNDING / 2)  # of two differences, each of DS and half of ISD
    table["shift"] = np.maximum(table["difference"] - variance - spread, 0)
    table["shift_rms"] = np.sqrt(table["shift"])
    table["times"] = table["shift"] / (variance / n)
    return table


def time_audit(costs: Mapping[tuple[str, str], float]) -> pd.DataFrame:
    """What the printed epochs in the printed hours demand of a graphics card (sec. 3.2).

    Only convolutions and dense layers are counted, at the card's peak, which no training reaches: a share near 1 is
    already too much.

    Args:
        costs: (model key, preset) -> floating-point operations per training image (``models.cost.of_training``).

    Returns:
        One row per network and preset: gflop (per training image), images (in millions), tflops (operations per second, in
        10^12), share (of the peak).
    """
    rows = {}
    for (key, preset), flop in costs.items():
        images = published.EPOCHS[key] * published.N_SLICES
        rate = flop * images / (published.TRAINING_HOURS * 3600)
        rows[f"{published.LABELS[key]}, {preset}"] = {
            "gflop": flop / 1e9,
            "images": images / 1e6,
            "tflops": rate / 1e12,
            "share": rate / published.PEAK_FLOPS,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("network, preset")
