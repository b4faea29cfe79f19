"""From raw diffusion-weighted volumes to registered ones: trace image, affine map to MNI152, target grid, quality report.

    trace (read one scan) -> register (ANTs), refine -> quality -> derivative (a scan's files)
    run (many scans) -> pool, or cluster (Dask) -> worker: a process that does `derivative`
    identity (what a scan is, by its content), current (in step with the dataset)

Only worker processes import ants.
"""

from dwikit.preprocess.current import open_current, raw_dataset, require_current
from dwikit.preprocess.run import preprocess

__all__ = ["open_current", "preprocess", "raw_dataset", "require_current"]
