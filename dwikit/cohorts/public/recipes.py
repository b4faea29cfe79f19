"""Open cohorts: where they are, their licences, and a download of the files that their DWI needs.

A recipe is a YAML file; the kit's own are in `data/cohorts`. The cohorts stand in for the study's private data
at its scale: healthy adults, free to use.
"""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from dwikit.common import files, paths
from dwikit.common.errors import InputError

KINDS = "openneuro", "ixi"


@dataclass(frozen=True)
class Recipe:
    """How to get a cohort.

    Attributes:
        title: name of the cohort.
        kind: "openneuro" or "ixi", which code fetches it.
        url: of the storage.
        license, cite: terms, and the reference that its authors ask for.
        dataset, doi: accession number and snapshot on OpenNeuro.
        subjects: people in it, as its authors count; None if not stated.
        files: for "ixi", MD5 by file name.
    """

    title: str
    kind: str
    url: str
    license: str
    cite: str
    dataset: str = ""
    doi: str = ""
    subjects: int | None = None
    files: dict[str, str | None] = field(default_factory=dict)


def names() -> list[str]:
    """Names of the recipes that come with the kit."""
    return sorted(path.stem for path in (paths.kit() / "data" / "cohorts").glob("*.yaml"))


def load(name: str | Path) -> Recipe:
    """Reads a recipe by its name, or from a file of your own.

    Raises:
        InputError: no such recipe, or one that lacks a field or has an unknown one.
    """
    path = Path(name) if str(name).endswith(".yaml") else paths.kit() / "data" / "cohorts" / f"{name}.yaml"
    if not path.is_file():
        raise InputError(f"There is no recipe {str(name)!r}. Known: {', '.join(names())}; or give your own .yaml file.")
    values = files.read_yaml(path, like="those in data/cohorts")
    try:
        recipe = Recipe(**values)
    except TypeError as error:
        raise InputError(f"{path} is not a recipe ({error}). data/cohorts shows examples.") from error
    if recipe.kind not in KINDS:
        raise InputError(f"{path}: kind must be one of {', '.join(KINDS)}, not {recipe.kind!r}.")
    texts = {name: getattr(recipe, name) for name in ("title", "url", "license", "cite", "dataset", "doi")}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise InputError(f"{path}: {name} must be text, not {value!r}.")
    if not (recipe.subjects is None or isinstance(recipe.subjects, int)):
        raise InputError(f"{path}: subjects must be a whole number, not {recipe.subjects!r}.")
    named = recipe.files.items() if isinstance(recipe.files, dict) else [(None, None)]
    if not all(isinstance(name, str) and name == Path(name).name and isinstance(md5, str | None) for name, md5 in named):
        raise InputError(f"{path}: files must hold a line 'name: MD5' for each file, not {recipe.files!r}.")
    return recipe


def table() -> pd.DataFrame:
    """The recipes that come with the kit: name, subjects, license, title."""
    recipes = {name: load(name) for name in names()}
    rows = [(name, recipe.subjects or "n/a", recipe.license, recipe.title) for name, recipe in recipes.items()]
    return pd.DataFrame(rows, columns=["name", "subjects", "license", "title"])


def fetch(recipe: str | Path | Recipe, out: str | Path, progress: bool = True) -> pd.DataFrame:
    """Fetches a cohort as a BIDS data set; run again, it resumes where it stopped.

    Args:
        recipe: name, file, or a recipe read before.
        out: folder of the data set.
        progress: shows progress bars.

    Returns:
        One row per file: name, bytes, result, note; also in out/sourcedata/fetched.tsv.

    Raises:
        InputError: unknown recipe, or a file that cannot be fetched or fails its check; the rest is kept.
    """
    recipe, out = recipe if isinstance(recipe, Recipe) else load(recipe), paths.home(out)
    if recipe.kind == "openneuro":
        from dwikit.cohorts.public import openneuro

        report = openneuro.fetch(recipe.url, recipe.dataset, recipe.doi, out, progress)
    else:
        from dwikit.cohorts.public import ixi

        report = ixi.fetch(recipe.url, recipe.files, out, progress)
    files.write(out / "sourcedata" / "fetched.tsv", lambda path: report.to_csv(path, sep="\t", index=False))
    return report
