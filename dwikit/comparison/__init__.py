"""Several runs at once: trained over values and seeds (``sweep``), and beside one another in one table (``compare``)."""
