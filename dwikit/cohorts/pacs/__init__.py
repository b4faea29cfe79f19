"""A hospital's picture archive (PACS): find series, write down which are wanted, and fetch them."""

from dwikit.cohorts.pacs.archive import Archive
from dwikit.cohorts.pacs.query import check_new, find, read_wanted, write_wanted
from dwikit.cohorts.pacs.retrieve import ARRIVED, BEFORE, fetch

__all__ = ["ARRIVED", "BEFORE", "Archive", "check_new", "fetch", "find", "read_wanted", "write_wanted"]
