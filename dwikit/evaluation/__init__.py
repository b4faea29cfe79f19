"""Feature networks and metrics brought together: tables beyond the paper's, and images from anyone's model (``evaluate``)."""

from dwikit.evaluation.beyond import FLOOR, LABELS, beyond_paper, readable
from dwikit.evaluation.copies import most_copied, nearest
from dwikit.evaluation.judge import evaluate, markdown
from dwikit.evaluation.networks import feature_network, feature_networks
from dwikit.evaluation.samples import read

__all__ = [
    "FLOOR",
    "LABELS",
    "beyond_paper",
    "evaluate",
    "feature_network",
    "feature_networks",
    "markdown",
    "most_copied",
    "nearest",
    "read",
    "readable",
]
