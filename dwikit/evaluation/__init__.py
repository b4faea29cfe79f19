"""Tables and verdicts of a study: Table 1, reconstructions, later metrics, and images from anyone's model."""

from dwikit.evaluation.beyond import LABELS, beyond_paper, readable
from dwikit.evaluation.copies import copied, diversity_within_levels, most_copied, nearest
from dwikit.evaluation.judge import evaluate, markdown
from dwikit.evaluation.networks import feature_networks
from dwikit.evaluation.samples import read
from dwikit.evaluation.tables import (
    FLOOR,
    estimates,
    few_people,
    measure,
    paired_ratios,
    per_image,
    real_slices,
    reconstruction_table,
    table_1,
)

__all__ = [
    "FLOOR",
    "LABELS",
    "beyond_paper",
    "copied",
    "diversity_within_levels",
    "estimates",
    "evaluate",
    "feature_networks",
    "few_people",
    "markdown",
    "measure",
    "most_copied",
    "nearest",
    "paired_ratios",
    "per_image",
    "read",
    "readable",
    "real_slices",
    "reconstruction_table",
    "table_1",
]
