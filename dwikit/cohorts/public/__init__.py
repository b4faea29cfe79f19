"""Open cohorts: where they are, under which licence, and a fetch of the files that their DWI needs."""

from dwikit.cohorts.public.recipes import KINDS, Recipe, fetch, load, names, table

__all__ = ["KINDS", "Recipe", "fetch", "load", "names", "table"]
