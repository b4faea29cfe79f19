"""Workers for many scans: processes of this machine, or the workers of a Dask cluster."""
