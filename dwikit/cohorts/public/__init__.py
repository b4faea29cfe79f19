"""Open cohorts: where they are, their licences, and a download of the files that their DWI needs."""

from dwikit.cohorts.public.recipes import KINDS, Recipe, fetch, load, names, table

__all__ = ["KINDS", "Recipe", "fetch", "load", "names", "table"]
