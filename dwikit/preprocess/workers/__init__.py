"""Who does the work of many cases: processes of this machine, or the workers of a Dask cluster."""
