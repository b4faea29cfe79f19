"""Tables and figures in print form, beside the paper's, in files that say where their numbers come from."""

from dwikit.report.provenance import command, fill_in, provenance, save_figure, save_table, write_results
from dwikit.report.render import LABELS, beside_paper, latex, markdown

__all__ = [
    "LABELS",
    "beside_paper",
    "command",
    "fill_in",
    "latex",
    "markdown",
    "provenance",
    "save_figure",
    "save_table",
    "write_results",
]
