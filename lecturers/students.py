"""``python lecturers/students.py FOLDER``: a copy of the kit for students, with slices to begin with and without solutions.

Only what is listed here is copied: a new file is kept back until somebody adds it.
"""

import argparse
import re
import shutil
from functools import partial
from pathlib import Path

import yaml

from dwikit import evaluation, profiles, study
from dwikit.common import files
from dwikit.common.errors import InputError

KIT = Path(__file__).resolve().parent.parent
COPIED = (
    *("Makefile", "install.py", "pyproject.toml", "constraints.txt", "environment.yml", "LICENSE", "NOTICE", "CITATION.cff"),
    *("dwikit/**/*", "docs/*.md", "figures/*", *(f"figures/{name}/*" for name in profiles.names())),
    *("data/README.md", "data/cohorts/*.yaml", "data/paper/*.csv", "data/pretrained/*"),
    *("notebooks/[0-9][0-9]_*.ipynb", "notebooks/exercises/README.md", "notebooks/exercises/release/*/*.ipynb"),
)
KEPT_BACK = {"docs/lecturers.md"}
README = "lecturers/students.md"
"""Becomes the copy's README.md."""
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")


def copy_kit(target: Path) -> None:
    """Copies what students get; links of its pages to what they do not get become plain words.

    Args:
        target: folder that does not exist or is empty.

    Raises:
        InputError: there is something in it, or the exercises have no student versions.
    """
    if target.is_dir() and any(target.iterdir()):
        raise InputError(f"{target} is not empty: delete it, or name another folder.")
    names = {path.relative_to(KIT) for pattern in COPIED for path in KIT.glob(pattern) if path.is_file()}
    names = {name for name in names if "__pycache__" not in name.parts and str(name) not in KEPT_BACK}
    if not any("release" in name.parts for name in names):
        raise InputError("The exercises have no student versions yet: run make course.")
    for name in sorted(names):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(KIT / name, target / name)
    (target / "README.md").write_text((KIT / README).read_text(encoding="utf-8").replace("](../", "]("), encoding="utf-8")
    for page in target.rglob("*.md"):
        page.write_text(LINK.sub(partial(_kept, page), page.read_text(encoding="utf-8")), encoding="utf-8")


def _kept(page: Path, link: re.Match) -> str:
    """The link as it stands, or its words alone if there is no such file in the copy."""
    goal = link[2].partition("#")[0]
    there = not goal or "://" in goal or (page.parent / goal).exists()
    return link[0] if there else link[1]


def copy_results(config: profiles.Profile, target: Path) -> None:
    """Copies the slices and the network that judges samples, which are made now if need be, to ``runs/`` of the copy.

    With these, every notebook runs: networks that a student has not trained are the kit's own. A profile that is not the
    kit's becomes a run of the copy, with every value written out, whatever it extends here, and the files that it names beside
    it. A data set of your own is not copied.
    """
    store = study.slices(config)
    evaluation.feature_networks(store, study.features_folder(config))
    runs = target / "runs"
    data = runs / config.name / "data"
    if config.name not in profiles.names():
        values = {name: value for name, value in profiles.as_dict(config).items() if name != "name"}
        beside = runs / config.name / "files"
        values = profiles.with_paths(values, lambda path: path if path == config.cohort.bids else _carried(path, beside))
        files.write_text(runs / config.name / profiles.FILE, yaml.safe_dump(values, sort_keys=False))
        data = runs / profiles.data_of(config)
    shutil.copytree(study.data_folder(config) / "slices", data / "slices")
    shutil.copytree(study.features_folder(config), data / "features")


def _carried(path: str, folder: Path) -> str:
    """Copies a file or folder into another one, in a folder of its own, and returns its path relative to that one's parent."""
    target = folder / str(len(list(folder.glob("*")))) / Path(path).name
    target.parent.mkdir(parents=True)
    copy = shutil.copytree if Path(path).is_dir() else shutil.copyfile
    copy(path, target)
    return str(target.relative_to(folder.parent))


def open_to_all(target: Path) -> None:
    """Lets everybody read the copy, whatever the lecturer's own files allow, and nobody else change it."""
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def main() -> None:
    """Parse the command line and make the copy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--profile", help="whose slices to begin with; default $DWIKIT_PROFILE or quick")
    options = parser.parse_args()
    try:
        copy_kit(options.folder)
        copy_results(profiles.resolve(options.profile), options.folder)
    except InputError as error:
        parser.exit(InputError.status, f"{error}\n")
    open_to_all(options.folder)
    size = sum(path.stat().st_size for path in options.folder.rglob("*") if path.is_file())
    results = sum(path.stat().st_size for path in (options.folder / "runs").rglob("*") if path.is_file())
    print(f"{options.folder}: {size / 1e6:.0f} MB, of which {results / 1e6:.0f} MB are results to begin with")


if __name__ == "__main__":
    main()
