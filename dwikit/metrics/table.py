"""The table of metrics: everything that lists metrics (Table 1, its figures, Markdown and LaTeX) takes them from here.

Your own metric is a function and an entry:

    def brightness(samples, originals):
        return samples.mean(axis=(1, 2)) / 255

    METRICS["brightness"] = Metric("Brightness", 3, NEARER, "mean grey level", brightness)
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dwikit.metrics import intervals, similarity
from dwikit.metrics.neighbours import nearest_distances
from dwikit.metrics.periodic import periodic_excess
from dwikit.metrics.sharpness import laplace_variance

HIGHER, LOWER, NEARER = "higher", "lower", "nearer to that of real slices"
"""Which way is better."""

Function = Callable[[np.ndarray, similarity.Moments], float | np.ndarray]
"""From samples (n, H, W) and the moments of the originals to one number, or to (n,), one number per image."""


Summary = Callable[[np.ndarray], intervals.Statistic]
"""How values (n,), one per image, become one number."""


@dataclass(frozen=True)
class Metric:
    """One metric."""

    label: str
    """Heading of its column or row."""
    digits: int
    """Decimals that tables show."""
    better: str
    source: str
    """Section of the paper, or reference; empty if it is this kit's own."""
    function: Function | None = None
    """Computes it where samples and originals are enough; it is then a column of Table 1. If it gives one number per
    image, the metric is their ``statistic``, with a bootstrap interval and a box in the figure. None: it comes from pairs of
    images or from features, computed with others at once (``dwikit.evaluation``)."""
    statistic: Summary = intervals.mean
    title: str = ""
    """Title of its figure, which has more room than a column; empty means the label."""
    ratio: bool = True
    """Whether its ratio to the originals' is meaningful."""
    beyond: bool = False
    """Whether the paper lacks it: ``evaluation.beyond_paper`` measures it, and it is a row there, not a column."""
    scale: float = 1.0
    """Factor by which tables for readers multiply it."""
    pattern: str = ""
    """How they show it with others, such as ``"{kid:.1f} ± {kid_sd:.1f}"``; empty: its decimals alone."""

    def shown(self, key: str, values: Mapping[str, float]) -> str:
        """The metric as text; ``values`` holds it under its key, and whatever else its pattern names."""
        pattern = self.pattern or f"{{{key}:.{self.digits}f}}"
        return pattern.format_map({name: self.scale * value for name, value in values.items()})


def _of_samples(function: Callable[[np.ndarray], float | np.ndarray]) -> Function:
    """A function of the samples alone, as one of samples and originals."""
    return lambda samples, originals: function(samples)


_sharpness, _beyond = _of_samples(laplace_variance), functools.partial(Metric, beyond=True)

METRICS = {
    "ds": Metric("DS", 4, LOWER, "sec. 2.6", similarity.distances_to),
    "isd": Metric("ISD", 4, NEARER, "sec. 2.6", _of_samples(similarity.distances_to_others), intervals.pair_mean),
    "min_isd": Metric("min ISD", 4, NEARER, "sec. 2.6, eq. 13", _of_samples(lambda samples: nearest_distances(samples)[0])),
    "laplace": Metric("Laplace", 0, NEARER, "sec. 2.6", _sharpness, title="Laplace variance"),
    "laplace_sd": Metric("sd", 0, NEARER, "sec. 2.6, Table 1", _sharpness, statistic=intervals.sd, ratio=False),
    "periodic": Metric("periodic excess (this kit's)", 2, NEARER, "", _of_samples(periodic_excess)),
    "mse": Metric("MSE", 4, LOWER, "sec. 4.1", ratio=False),
    "mse_sd": Metric("sd over pixels", 3, LOWER, "sec. 4.1", ratio=False),
    "mse_sd_images": Metric("sd over images", 4, LOWER, "sec. 4.1", ratio=False),
    "precision": _beyond("precision", 2, HIGHER, "Kynkaanniemi et al. 2019"),
    "recall": _beyond("recall", 2, HIGHER, "Kynkaanniemi et al. 2019"),
    "density": _beyond("density", 2, NEARER, "Naeem et al. 2020"),
    "coverage": _beyond("coverage", 2, HIGHER, "Naeem et al. 2020"),
    "accuracy": _beyond("machine reader, accuracy", 2, NEARER, "Lopez-Paz and Oquab 2017"),
    "auc": _beyond(
        "machine reader, AUC", 2, NEARER, "Lopez-Paz and Oquab 2017", pattern="{auc:.2f} ({auc_low:.2f} to {auc_high:.2f})"
    ),
    "fid": _beyond("FID", 3, LOWER, "Heusel et al. 2017", pattern="{fid:.3g}"),
    "kid": _beyond(
        "KID x 1000, mean ± sd of blocks", 1, LOWER, "Binkowski et al. 2018", scale=1000, pattern="{kid:.1f} ± {kid_sd:.1f}"
    ),
    "ms_ssim": _beyond("MS-SSIM of pairs", 2, NEARER, "Odena et al. 2017"),
    "nearest": _beyond("distance to nearest training slice, as a ratio to held-out", 2, NEARER, ""),
    "authenticity": _beyond("authenticity", 2, NEARER, "Alaa et al. 2022"),
    "c_t": _beyond("C_T", 2, NEARER, "Meehan et al. 2020"),
}  # fmt: skip
"""Key -> metric. Tables have their columns in this order."""


def table_1_metrics() -> dict[str, Metric]:
    """Metrics for which samples and originals are enough: the columns of Table 1."""
    return {key: metric for key, metric in METRICS.items() if metric.function}


def column_metrics() -> dict[str, Metric]:
    """Metrics that are a column of some table: Table 1 or reconstructions."""
    return {key: metric for key, metric in METRICS.items() if not metric.beyond}
