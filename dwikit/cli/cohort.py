"""``dwikit cohort``: simulate a cohort, fetch an open one, or take one out of a hospital's archive."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

from dwikit.common import paths
from dwikit.common.errors import InputError

INSTALL = ".venv/bin/python -m pip install -e '.[acquire]' -c constraints.txt"


def add(commands) -> None:
    """Adds ``cohort`` and its commands to the subparsers of ``dwikit``."""
    cohort = commands.add_parser("cohort", help="simulate, fetch or import a cohort as a BIDS dataset")
    kinds = cohort.add_subparsers(required=True, metavar="COMMAND")

    command = kinds.add_parser("simulate", help="write a simulated cohort")
    command.add_argument("out", type=Path, help="folder of the data set (BIDS): new, empty, or of an earlier run")
    command.add_argument("-n", "--cases", type=int, default=20, help="people; default %(default)s")
    command.add_argument("--seed", type=int, default=0, help="of the people: the same seed gives the same; default %(default)s")
    command.add_argument("--workers", type=int, help="processes; default: as many as there are cores and memory for")
    command.set_defaults(action=_simulate)

    command = kinds.add_parser("list", help="open cohorts that can be fetched")
    command.set_defaults(action=_list)

    command = kinds.add_parser("fetch", help="download an open cohort; run again to resume")
    command.add_argument("name", help="from `dwikit cohort list`, or your own recipe (.yaml)")
    command.add_argument("out", type=Path)
    command.set_defaults(action=_fetch)

    command = kinds.add_parser("dicom", help="convert a folder of DICOM, pseudonymized")
    command.add_argument("folder", type=Path, help="folder with DICOM files of any name and depth; only read")
    command.add_argument("out", type=Path, help="folder of the data set (BIDS): new, empty, or of an earlier run with this key")
    command.add_argument(
        "--key",
        type=Path,
        required=True,
        help="file of the secret key, made for a new data set; keep it apart from both folders",
    )
    command.add_argument(
        "--person-from",
        choices=["patient", "study", "folder"],
        default="patient",
        help="what tells persons apart: PatientID, or for anonymized data the study or the first folder; default %(default)s",
    )
    command.set_defaults(action=_dicom)

    _add_pacs(kinds.add_parser("pacs", help="find and fetch series of a picture archive"))


def _add_pacs(pacs) -> None:
    kinds = pacs.add_subparsers(required=True, metavar="COMMAND")
    for name, action, about in (
        ("find", _find, "write a list of matching series"),
        ("fetch", _pull, "fetch the series on the list"),
    ):
        command = kinds.add_parser(name, help=about)
        command.add_argument("wanted", type=Path, help="the list (TSV)")
        command.add_argument("--host", required=True)
        command.add_argument("--port", type=int, required=True)
        command.add_argument("--title", required=True, help="AE title of the archive")
        command.add_argument("--own-title", default="DWIKIT", help="our AE title, as the archive knows it; default %(default)s")
        command.set_defaults(action=action)
        if name == "find":
            command.add_argument("--modality", default="MR")
            command.add_argument("--description", default="", help="description of the study, such as '*brain*'")
            command.add_argument("--series", default="", help="description of the series, such as '*diff*'")
            command.add_argument("--dates", default="", help="dates such as 20100101-20191231, 20100101-, or one day")
            command.add_argument("--report", default="", help="words of the report, if the archive searches them")
            command.add_argument("--report-field", default="InterpretationText", help="DICOM keyword; default %(default)s")
            command.add_argument("--per-minute", type=float, default=120, help="most requests per minute; default %(default)s")
        else:
            command.add_argument("out", type=Path)
            command.add_argument(
                "--method", choices=["get", "move"], default="get", help="C-GET or C-MOVE; default %(default)s"
            )
            command.add_argument("--receive-at", type=int, default=11113, help="our port for move; default %(default)s")
            command.add_argument("--per-minute", type=float, default=30, help="most series per minute; default %(default)s")


def _module(name: str) -> ModuleType:
    """A module of this room that needs the extra `acquire`."""
    try:
        return importlib.import_module(f"dwikit.cohorts.{name}")
    except ModuleNotFoundError as error:
        raise InputError(f"{error.name} is missing here. Install it with {INSTALL}.") from error


def _simulate(options) -> None:
    from dwikit.cohorts import phantom

    print(phantom.write_cohort(options.out, options.cases, seed=options.seed, workers=options.workers))


def _list(options) -> None:
    from dwikit.cohorts import public

    print(public.table().to_string(index=False))


def _fetch(options) -> None:
    public = _module("public")
    recipe = public.load(str(paths.home(options.name)))
    print(f"{recipe.title}\nLicence {recipe.license}; cite: {recipe.cite}", flush=True)
    _module(f"public.{recipe.kind}")
    report = public.fetch(recipe, options.out)
    print(report["result"].value_counts().to_string())
    for row in report[report["result"] == "left out"].itertuples():
        print(f"{row.name}: {row.note}")
    print(f"{options.out / 'sourcedata' / 'fetched.tsv'} lists every file.")


def _dicom(options) -> int:
    report = _module("dicom").import_dicom(options.folder, options.out, options.key, person_from=options.person_from)
    print(report.drop(columns="file").to_string(index=False))
    failed = report[report["result"] == "failed"]
    if failed.empty:
        return 0
    tables = _module("dicom.report")
    loose = int(failed.loc[failed["kind"] == tables.DAMAGED, "images"].sum())
    n_series = int((failed["kind"] != tables.DAMAGED).sum())
    lost = [f"{n_series} series failed"] * bool(n_series) + [f"{loose} files could not be read"] * bool(loose)
    listed = tables.private_list(options.key)
    print(
        f"dwikit: {' and '.join(lost)}; the others are done. {listed}, as secret as the key, lists their files.",
        file=sys.stderr,
    )
    return 1


def _archive(options):
    return _module("pacs").Archive(options.host, options.port, options.title, options.own_title)


def _find(options) -> None:
    pacs = _module("pacs")
    pacs.check_new(options.wanted)
    terms = ("description", "dates", "modality", "series", "report", "report_field", "per_minute")
    wanted = pacs.find(_archive(options), **{name: getattr(options, name) for name in terms})
    if wanted.empty:
        print("No series matches: no list was written.")
        return
    pacs.write_wanted(wanted, options.wanted)
    print(f"{len(wanted)} series of {wanted['study'].nunique()} studies, {wanted['images'].sum()} images: {options.wanted}")


def _pull(options) -> int:
    pacs = _module("pacs")
    wanted = pacs.read_wanted(options.wanted)
    ledger = pacs.fetch(
        _archive(options),
        wanted,
        options.out,
        method=options.method,
        receive_at=options.receive_at,
        per_minute=options.per_minute,
    )
    print(ledger["result"].value_counts().to_string())
    if any((options.out / "dicom").rglob("*.dcm")):
        print(f"The files in {options.out / 'dicom'} name patients: convert them with `dwikit cohort dicom`.")
    missing = ledger[~ledger["result"].isin([pacs.ARRIVED, pacs.BEFORE])]
    for reason, count in missing["reason"].value_counts().items():
        print(f"{count} missing: {reason}.")
    if len(missing):
        print(f"{len(missing)} of {len(ledger)} series are missing, see {options.out / 'ledger.tsv'}. Run the same again.")
    return min(len(missing), 1)
