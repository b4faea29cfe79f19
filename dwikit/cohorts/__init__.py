"""Sources of scans: the simulated cohort, BIDS folders, hospital archives and public data sets."""
