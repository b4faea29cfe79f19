"""Tables and figures as they are printed, beside the paper's, in files that say where their numbers come from."""

from dwikit.report.provenance import fill_in, provenance, save_figure, save_table, write_results
from dwikit.report.render import COLUMNS, LABELS, beside_paper, latex, markdown

__all__ = [
    "COLUMNS",
    "LABELS",
    "beside_paper",
    "fill_in",
    "latex",
    "markdown",
    "provenance",
    "save_figure",
    "save_table",
    "write_results",
]
