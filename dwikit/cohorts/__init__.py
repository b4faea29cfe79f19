"""Where cases come from: the simulated cohort, BIDS folders, hospital archives and public data sets."""
