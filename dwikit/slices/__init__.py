"""From registered volumes to normalized slices (sec. 3.1): the target grid, normalization, the store, and batches."""

from dwikit.slices.store import (
    COLUMNS,
    SPLITS,
    SliceStore,
    build,
    check_splits,
    normalize,
    shrink,
    split_by_patient,
)

__all__ = ["COLUMNS", "SPLITS", "SliceStore", "build", "check_splits", "normalize", "shrink", "split_by_patient"]
