"""From a BIDS dataset to registered volumes: many scans, worker processes, a report; resumes after an interruption."""

import contextlib
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dwikit import __version__
from dwikit.cohorts.bids import Case, find_cases, left_out
from dwikit.cohorts.names import printable
from dwikit.common import files, lock, parallel, paths
from dwikit.common.errors import InputError
from dwikit.common.progress import tqdm
from dwikit.preprocess import current, derivative, identity, losses, sheet
from dwikit.preprocess.derivative import Settings
from dwikit.preprocess.losses import LOST
from dwikit.preprocess.workers import cluster
from dwikit.preprocess.workers.pool import run_jobs
from dwikit.slices import grid
from dwikit.slices.registered import Quality, grid_of, is_used, require_known
from dwikit.slices.settings import CALIBRATED, SliceSettings
from dwikit.slices.split import twins

COLUMNS = [
    "case", "subject", "session", "status", "flags", "used", "b_value", "n_directions", "age", "sex",
    *Quality._fields, "message",
]  # fmt: skip
NOT_CHOSEN = {
    "status": "left out",
    "flag": "",
    "message": "Not registered as it is now: a run with `only` left it out.",
}
"""Answer for a scan that nobody asked for, and of which there is no volume."""


def preprocess(
    bids_dir: str | Path,
    out_dir: str | Path,
    workers: int | None = None,
    settings: SliceSettings = CALIBRATED,
    b_value: float = 1000.0,
    tolerance: float = 600.0,
    grid_size: int = grid.IMAGE_SIZE,
    only: Sequence[str] | None = None,
    progress: bool = True,
    scheduler: str | None = None,
    include: Sequence[str] = (),
    elsewhere: Sequence[Path] = (),
) -> pd.DataFrame:
    """Registers every scan of a BIDS dataset to MNI152 on the target grid (paper, sec. 3.1) and reports on their quality.

    Writes a BIDS derivatives dataset: for each scan the trace-weighted image (float32, 40 slices, not normalized), a
    sidecar, the transform and a histogram; `quality.tsv` and `quality.png` at the top. A scan finished with the same content
    and settings is not repeated, and one whose content has changed is. The dataset is the truth: what was made of a scan that
    is no longer in it is set aside, in a folder beside `out_dir`, and an age or sex that has changed arrives.

    A scan that cannot be used, or has the same voxels as another subject's, becomes a row with status "failed" and its
    reason; the others continue. What resembles a scan and is none, or fits nobody in participants.tsv, becomes a row with
    status "left out", and what is left out by its type one with status "skipped". A second run into the same folder at the
    same time is refused.

    Args:
        bids_dir: folder of the dataset.
        out_dir: folder of the derivatives.
        workers: processes; None uses one per processor. Results do not depend on it.
        settings: settings of the slices to make; registration uses their field of view and interpolator.
        b_value: wanted b-value, s/mm2; the nearest shell is used.
        tolerance: largest accepted distance from it, s/mm2.
        grid_size: pixels along one side of the target grid; slices of a smaller size are means of blocks of them.
        only: subjects ("sub-0001") or scans ("sub-0001_run-2") to preprocess; None means all.
        progress: shows a progress bar.
        scheduler: address of a Dask scheduler ("tcp://10.0.0.1:8786") whose workers do the work instead of processes on this
            machine, with the same result. All its workers must see both folders under the same path.
        include: scans ("sub-0001_run-2") that the column `used` counts in spite of their flags, as
            `dwikit.slices.read_derivatives` does if it is told the same.
        elsewhere: other folders of derivatives; scans of the same content that were registered there with the same settings
            are copied from there.

    Returns:
        One row per scan, sorted by name, then, without `only`, what was left out: `COLUMNS`. `flags` are separated by commas
        (`dwikit.slices.registered.FLAGS`); `used` says whether `dwikit.slices.read_derivatives` yields the scan by default.

    Raises:
        InputError: a setting is impossible, there is no scan, the cluster cannot do the work, or `out_dir` cannot be written
            or is being written by another process.
    """
    method = Settings(float(b_value), float(tolerance), settings.interpolator, int(grid_size), float(settings.fov_mm))
    raw, out = paths.home(bids_dir), paths.home(out_dir)
    if scheduler is not None:
        raw, out = raw.absolute(), out.absolute()
    _check(method, workers, scheduler, raw, out)
    cases = find_cases(raw)
    chosen = _choose(cases, only)
    require_known(include, [case.name for case in cases], raw)
    with lock.alone(out / ".lock", f"preprocesses into {out}"):
        _prepare(raw, out)
        contents = identity.contents(cases, progress)
        current.follow_names(cases, contents, out)
        current.take_over(chosen, contents, derivative.method_settings(method), elsewhere, out)
        kept = {case.name: derivative.finished(case, out, contents[case.name]) for case in cases}
        results = {case.name: _if_made_with(method, kept[case.name]) for case in chosen}
        todo = [case for case in chosen if results[case.name] is None]
        valid = {name for name, sidecar in kept.items() if sidecar}
        current.set_aside_others(out, valid, set(kept))
        current.update_people(cases, kept, out)
        workers = workers or parallel.cores()
        bar = tqdm(total=len(chosen), initial=len(chosen) - len(todo), desc="Registering", unit="case", disable=not progress)
        try:
            shared = {"out": str(out.absolute()), "settings": method._asdict()}
            jobs = [{"case": derivative.to_plain(case), "content": contents[case.name], **shared} for case in todo]
            answers = run_jobs(jobs, workers) if scheduler is None else cluster.run_jobs(jobs, scheduler, raw, out)
            with contextlib.closing(answers):  # left open, it would wait for its threads while Python exits, in 3.13 for ever
                for number, answer in answers:
                    if answer["status"] == "stop":
                        raise InputError(answer["message"])
                    results[todo[number].name] = answer.get("sidecar") or answer
                    bar.update()
        except OSError as error:
            raise InputError(f"{out} cannot be written ({error}). Choose another folder, or make this one writable.") from error
        finally:
            bar.close()
            _clean(out)
        failed = {name for name, result in results.items() if result.get("status") == "failed"}
        current.set_aside_others(out, (valid | set(results)) - failed, set(kept))
        results = {name: found for name, found in kept.items() if found and grid_of(found) == method[-2:]} | results
        done = {name: (result["Subject"], result["Voxels"]) for name, result in results.items() if name not in failed}
        for name, reason in twins(done).items():  # the files stay, and slices refuse them
            results[name] = {"status": "failed", "flag": "", "message": reason}
        rows = [_row(case, results.get(case.name, NOT_CHOSEN), include) for case in cases]
        report = pd.DataFrame(rows + losses.rows(left_out(raw, cases)), columns=COLUMNS)
        _write_report(report, cases, out, method, redraw=bool(todo))
        return report if only is None else report[report["case"].isin([case.name for case in chosen])].reset_index(drop=True)


def _if_made_with(settings: Settings, sidecar: dict[str, Any] | None) -> dict[str, Any] | None:
    """A sidecar, if its scan was registered with these settings."""
    return sidecar if sidecar and sidecar.get("Settings") == derivative.method_settings(settings) else None


def _check(settings: Settings, workers: int | None, scheduler: str | None, raw: Path, out: Path) -> None:
    """Refuses impossible settings."""
    if not (settings.b_value > 0 and settings.tolerance >= 0):
        raise InputError(
            f"b_value must be above 0 and tolerance at least 0, not {settings.b_value:g} and {settings.tolerance:g}."
        )
    if not 8 <= settings.image_size <= 1024:
        raise InputError(f"grid_size must lie between 8 and 1024, not {settings.image_size}.")
    if workers is not None and workers < 1:
        raise InputError(f"workers must be at least 1, not {workers}.")
    if workers is not None and scheduler is not None:
        raise InputError("workers counts processes on this machine; with a scheduler, the cluster decides. Give one of them.")
    if raw.resolve() == out.resolve():
        raise InputError(f"{out} is the raw dataset itself. Choose another folder for the derivatives.")


def _choose(cases: list[Case], only: Sequence[str] | None) -> list[Case]:
    """Scans named in `only`."""
    if only is None:
        return cases
    wanted = {only} if isinstance(only, str) else set(only)
    unknown = wanted - {name for case in cases for name in (case.subject, case.name)}
    if unknown or not wanted:
        names = ", ".join(sorted(unknown)) or "nothing"
        raise InputError(f"only names {names}, which is not a subject or scan of the dataset. quality.tsv lists them.")
    return [case for case in cases if {case.subject, case.name} & wanted]


def _prepare(raw: Path, out: Path) -> None:
    """Creates the derivatives dataset, refuses a folder of something else, and removes what a killed run left.

    Raises:
        InputError: the folder cannot be written, or holds another dataset.
    """
    path = out / "dataset_description.json"
    described = files.read_json(path)
    if isinstance(described, dict) and described.get("DatasetType") != "derivative":
        raise InputError(f"{out} holds another dataset. Choose another folder for the derivatives.")
    try:
        link = os.path.relpath(raw.resolve(), out.resolve())
    except ValueError:  # another drive
        link = str(raw.resolve())
    description = {
        "Name": "Diffusion-weighted images registered to MNI152",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "dwikit", "Version": __version__, "Description": "dwikit.preprocess.preprocess"}],
        "SourceDatasets": [{"URL": Path(link).as_posix()}],
        "DatasetLinks": {"raw": Path(link).as_posix()},
    }
    files.write_json(path, description)
    _clean(out)


def _clean(out: Path) -> None:
    """Removes half-written files."""
    for leftover in out.rglob(".*.partial*"):
        leftover.unlink(missing_ok=True)


def _row(case: Case, result: dict[str, Any], include: Sequence[str]) -> dict[str, Any]:
    """Row of the report from a sidecar, or from the answer of a worker that failed."""
    row = {"case": case.name, "subject": case.subject, "session": case.session, "age": case.age, "sex": case.sex}
    if result.get("status") in LOST:
        return row | {
            "status": result["status"],
            "flags": result["flag"],
            "used": False,
            "message": printable(result["message"]),
        }
    return row | {
        "status": "done",
        "flags": ",".join(result["Flags"]),
        "used": is_used(case.name, result["Flags"], include),
        "b_value": math.nan if result["BValue"] is None else result["BValue"],
        "n_directions": result["NumberOfDirections"],
        **result["Quality"],
        "message": "",
    }


def _write_report(report: pd.DataFrame, cases: list[Case], out: Path, settings: Settings, redraw: bool) -> None:
    """Writes quality.tsv and, if anything changed, quality.png."""
    text = report.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n")
    changed = redraw or not (out / "quality.tsv").is_file() or (out / "quality.tsv").read_text(encoding="utf-8") != text
    if not changed and (out / "quality.png").is_file():
        return
    files.write_text(out / "quality.tsv", text)
    done = set(report.loc[report["status"] == "done", "case"])
    images = {case.name: derivative.outputs(case, out).image for case in cases if case.name in done}
    scans = report[report["case"].isin([case.name for case in cases])]
    sheet.draw_sheet(scans, images, out / "quality.png", settings.image_size, settings.fov_mm)
