"""Tables beside the paper's, and files that say where their numbers come from."""

from dwikit.report.provenance import fill_in, provenance, save_figure, save_table, versions, write_results
from dwikit.report.render import COLUMNS, LABELS, beside_paper, latex, markdown
from dwikit.report.tables import estimates, measure, per_image, reconstruction_table, table_1

__all__ = [
    "COLUMNS",
    "LABELS",
    "beside_paper",
    "estimates",
    "fill_in",
    "latex",
    "markdown",
    "measure",
    "per_image",
    "provenance",
    "reconstruction_table",
    "save_figure",
    "save_table",
    "table_1",
    "versions",
    "write_results",
]
