"""Derivatives kept in step with their dataset: what is renamed, gone or corrected there is so here, too."""

import contextlib
import functools
import math
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from dwikit.cohorts.bids import Case, find_cases
from dwikit.common import files
from dwikit.common.errors import InputError
from dwikit.common.progress import tqdm
from dwikit.preprocess import derivative
from dwikit.slices.registered import read_sidecar, read_sidecars
from dwikit.slices.store import SliceStore


def follow_names(cases: list[Case], contents: dict[str, str | None], out: Path) -> None:
    """Renames what was made of scans that have another name now, and says so."""
    names = {case.name for case in cases}
    files_of = {file: derivative.name_of(file) for file in out.glob("sub-*/**/dwi/*.json")}
    renamed = {file: sidecar for file, name in files_of.items() if name not in names and (sidecar := read_sidecar(file))}
    by_content = {sidecar.get("Input"): file for file, sidecar in renamed.items()}
    for case in cases:
        content = contents[case.name]
        if content is None or content not in by_content or derivative.outputs(case, out).sidecar.exists():
            continue
        old = by_content.pop(content)
        sources, targets = derivative.outputs_in(old.parent, files_of[old]), derivative.outputs(case, out)
        if not all(source.is_file() for source in sources):
            continue
        targets.sidecar.parent.mkdir(parents=True, exist_ok=True)
        for source, target in zip(sources, targets, strict=True):  # the sidecar last: it marks the scan as complete
            os.replace(source, target)
        tqdm.write(f"{files_of[old]} is {case.name} now.")


def take_over(
    cases: list[Case], contents: dict[str, str | None], settings: dict[str, Any], elsewhere: Iterable[Path], out: Path
) -> None:
    """Takes what other folders of derivatives hold of the same scans, registered with the same settings, and says so.

    Args:
        cases: scans of the dataset.
        contents: their content, by name.
        settings: `derivative.method_settings` of the registration.
        elsewhere: folders of derivatives.
        out: folder of these derivatives.
    """
    missing = {contents[case.name]: case for case in cases if not derivative.outputs(case, out).sidecar.exists()}
    for folder in elsewhere:
        taken = 0
        for file in sorted(folder.glob("sub-*/**/dwi/*.json")) if missing.keys() - {None} else ():
            sidecar = read_sidecar(file)
            if sidecar is None or sidecar.get("Input") not in missing or sidecar["Settings"] != settings:
                continue
            sources = derivative.outputs_in(file.parent, sidecar["Case"])
            if not all(source.is_file() for source in sources):
                continue
            targets = derivative.outputs(missing.pop(sidecar["Input"]), out)
            pairs = zip(sources, targets, strict=True)
            files.write_together({target: functools.partial(shutil.copyfile, source) for source, target in pairs})
            taken += 1
        if taken:
            tqdm.write(f"{taken} scan{'s' * (taken > 1)} registered before: taken from {folder}.")


def set_aside_others(out: Path, current: set[str], there: set[str]) -> None:
    """Moves what was made of other scans than the current ones to a folder beside `out`, and says so.

    Args:
        out: folder of the derivatives.
        current: names of scans whose files stay.
        there: names of the dataset's scans.
    """
    leaving = [file for file in out.glob("sub-*/**/dwi/*") if (name := derivative.name_of(file)) and name not in current]
    leaving.sort(key=lambda file: file.suffix != ".json")  # first the sidecars, which mark scans as complete
    names = sorted({derivative.name_of(file) for file in leaving if file.suffix == ".json"})
    beside = files.aside(out)
    for file in leaving:
        if derivative.name_of(file) in names:
            target = beside / file.relative_to(out)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file, target)
        else:  # a killed run left it
            file.unlink()
        for folder in list(file.relative_to(out).parents)[:-1]:
            with contextlib.suppress(OSError):  # other files are in it
                (out / folder).rmdir()
    if not names:
        return
    gone = ", ".join(name for name in names if name not in there)
    changed = ", ".join(name for name in names if name in there)
    reasons = {gone: "not in the data set any more", changed: "changed since, or not usable"}
    told = "; ".join(f"{some}: {reason}" for some, reason in reasons.items() if some)
    tqdm.write(f"Set aside in {beside}: {told}.")


def update_people(cases: list[Case], kept: dict[str, dict[str, Any] | None], out: Path) -> None:
    """Brings what the dataset says of the people behind finished scans into their sidecars, and says what changed."""
    for case in cases:
        if (sidecar := kept[case.name]) is None:
            continue
        about = derivative.about(case)
        changed = [name for name, value in about.items() if sidecar.get(name) != value]
        if told := [f"{name.lower()} {about[name]}, not {sidecar[name]}" for name in ("Age", "Sex") if name in changed]:
            tqdm.write(f"{case.name}: {' and '.join(told)} any more.")
        if changed:
            sidecar |= about
            files.write_json(derivative.outputs(case, out).sidecar, sidecar)


def raw_dataset(derivatives: str | Path) -> Path | None:
    """Folder of the dataset that a folder of derivatives was made of; None if it does not say."""
    links = files.read_object(Path(derivatives) / "dataset_description.json").get("DatasetLinks")
    link = links.get("raw") if isinstance(links, dict) else None
    return (Path(derivatives) / link).resolve() if isinstance(link, str) else None


def require_current(derivatives: str | Path) -> None:
    """Refuses registered volumes of scans that have left their dataset, or of people whose age or sex was corrected.

    Names, ages and sexes are compared, which takes a moment; voxels are compared by `preprocess`. New scans are told, and so is
    a dataset that is not there.

    Raises:
        InputError: naming what has changed.
    """
    if (raw := raw_dataset(derivatives)) is None:
        return
    sidecars = read_sidecars(Path(derivatives)).values()
    there = _require_unchanged(raw, {one["Case"]: (one["Age"], one["Sex"]) for one in sidecars}, derivatives)
    if new := sorted(there - _reported(Path(derivatives))):
        shown = ", ".join(new[:5]) + (", ..." if len(new) > 5 else "")
        print(f"{raw} has scans that were never preprocessed: {shown}. Run the preprocessing again to take them in.")


def open_current(path: str | Path, wanted: str | None = None) -> SliceStore:
    """Opens a store of slices, and compares it with the dataset that it names as `require_current` compares volumes.

    The volumes may be newer than the slices, after a run that ended early, or gone.

    Args:
        path: folder of the store.
        wanted: path of the dataset that it must be made of; None: any.

    Raises:
        InputError: there is no usable store, it was made of another dataset, or it holds people who have left their dataset, or
            whose age or sex was corrected.
    """
    store = SliceStore.open(path)
    raw = store.settings.get("cohort", store.settings).get("bids")
    if wanted not in (None, raw):
        made_of = raw or "the simulated cohort"
        raise InputError(
            f"{path} was made of {made_of}, and {wanted} is wanted. Run 01_preprocess: it builds the slices again."
        )
    if raw is not None:
        cases = store.table.drop_duplicates("case")
        facts = cases[["age", "sex"]].astype(object).where(cases[["age", "sex"]].notna(), None)
        _require_unchanged(Path(raw), dict(zip(cases["case"], facts.itertuples(index=False, name=None), strict=True)), path)
    return store


def _require_unchanged(raw: Path, made: dict[str, tuple[float | None, str | None]], what: str | Path) -> set[str]:
    """Refuses what was made of scans, with this age and sex each, that are gone or corrected; returns the dataset's scans."""
    if not raw.is_dir():
        print(f"{raw} is not there, so it cannot be seen whether the data set has changed since {what} was made of it.")
        return set()
    there = {case.name: (None if math.isnan(case.age) else case.age, case.sex) for case in find_cases(raw)}
    changes = [f"{name} is gone" for name in made if name not in there]
    for name in made.keys() & there.keys():
        for fact, old, now in zip(("age", "sex"), made[name], there[name], strict=True):
            if old != now:
                changes.append(f"the {fact} of {name} is {now}, not {old}")
    if changes:
        more = f" and {len(changes) - 5} more" if len(changes) > 5 else ""
        raise InputError(
            f"The data set {raw} has changed since {what} was made of it: {', '.join(sorted(changes)[:5])}{more}. Run "
            "the preprocessing again (01_preprocess, or `dwikit preprocess` and `dwikit slices`); it repeats only what has "
            "changed."
        )
    return set(there)


def _reported(derivatives: Path) -> set[str]:
    """Scans in the quality report that were tried, those that failed included."""
    try:
        report = pd.read_csv(derivatives / "quality.tsv", sep="\t", dtype=str)
        return set(report.loc[report["status"] != "left out", "case"])
    except (OSError, ValueError, LookupError):
        return set()
