"""From raw diffusion-weighted volumes to registered ones: trace image, affine map to MNI152, target grid, quality report.

    trace (read one case) -> register (ANTs), refine -> quality -> derivative (a case's files)
    run (many cases) -> pool, or cluster (Dask) -> worker: a process that does `derivative`

This package imports ants in worker processes only.
"""

from dwikit.preprocess.run import preprocess, read_derivatives

__all__ = ["preprocess", "read_derivatives"]
