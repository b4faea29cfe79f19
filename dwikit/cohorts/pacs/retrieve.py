"""Fetches series from a picture archive (PACS): gently, and resuming where it stopped.

The protocol is DICOM's query and retrieve service (PS3.4, annex C: C-FIND, C-GET, C-MOVE). The wanted series are a table that
`find` writes and a person may shorten; what arrived is listed in a ledger beside the images. Fetched files are patients' files:
keep them inside the hospital, convert them with `dwikit.cohorts.dicom`, and delete them.
"""

import contextlib
import time
from pathlib import Path

import pandas as pd
from pydicom.dataset import Dataset
from pynetdicom import build_context, build_role, evt
from pynetdicom import sop_class as sop

from dwikit.cohorts.pacs.archive import IMAGES, SYNTAXES, Archive, Gone, Pace, connected, listening
from dwikit.cohorts.pacs.query import check_new, find, read_wanted, write_wanted
from dwikit.cohorts.pacs.store import Ledger, Store, check_own
from dwikit.common import paths
from dwikit.common.errors import InputError
from dwikit.common.progress import tqdm

__all__ = ["ARRIVED", "BEFORE", "Archive", "check_new", "fetch", "find", "read_wanted", "write_wanted"]

PATIENCE_S = (2, 10, 30)
"""Waits before an archive that went away is called again."""
ARRIVED, BEFORE = "arrived", "arrived before"
UNKNOWN_DESTINATION = 0xA801


def fetch(
    archive: Archive,
    wanted: pd.DataFrame,
    out: str | Path,
    method: str = "get",
    receive_at: int = 11113,
    per_minute: float = 30,
    progress: bool = True,
) -> pd.DataFrame:
    """Fetches the wanted series that are not here yet, one after another.

    Files are written whole as `out/dicom/<series UID>/<image UID>.dcm`; one that is here is never overwritten. `out/ledger.tsv`
    says for each series whether it "arrived", is "incomplete", or was "refused"; the next run asks again for the last two.

    Args:
        archive: archive that holds them.
        wanted: from `find` or `read_wanted`.
        out: folder, readable by its owner alone; an empty one, or one of an earlier fetch.
        method: "get" receives on our own connection (C-GET); "move" lets the archive send to `receive_at` (C-MOVE), which its
            administrator must have registered under our AE title.
        receive_at: port that we listen on for "move".
        per_minute: most series per minute.
        progress: shows a progress bar.

    Returns:
        The ledger's last line of each wanted series; the result is "arrived before" where it was not asked for again.

    Raises:
        InputError: the folder holds other things, the archive does not answer any more (what arrived stays), turns us away,
            or a file cannot be written.
    """
    if method not in ("get", "move"):
        raise InputError(f'method must be "get" or "move", not {method!r}.')
    out = paths.home(out)
    try:
        out.mkdir(parents=True, exist_ok=True, mode=0o700)
        check_own(out)
    except OSError as error:
        raise InputError(f"{out} cannot be used ({error.strerror}). Choose a folder that you may write to.") from error
    ledger, store, pace = Ledger(out), Store(out, set(wanted["series"])), Pace(per_minute)
    before = ledger.arrived()
    missing = [row for row in wanted.itertuples() if row.series not in before]
    bar = tqdm(missing, total=len(wanted), initial=len(wanted) - len(missing), unit="series", disable=not progress)
    with listening(archive, store, receive_at) if method == "move" else contextlib.nullcontext():
        for row in bar:
            pace.wait()
            try:
                result, reason = _patiently(archive, row, store, method)
            except BaseException:  # Ctrl-C too
                if store.images(row.series):
                    ledger.add(row.series, "incomplete", store.images(row.series), row.images, "broken off")
                raise
            ledger.add(row.series, result, store.images(row.series), row.images, reason)
    latest = ledger.latest()
    latest.loc[latest["series"].isin(before), "result"] = BEFORE
    return latest[latest["series"].isin(wanted["series"])].reset_index(drop=True)


def _patiently(archive: Archive, row, store: Store, method: str) -> tuple[str, str]:
    """Asks for one series, and again if the archive went away."""
    for wait in (*PATIENCE_S, None):
        try:
            return _retrieve(archive, row, store, method)
        except Gone as gone:
            if wait is None:
                raise InputError(f"{gone} What arrived is in the ledger: run the same again to resume.") from None
            time.sleep(wait)


def _retrieve(archive: Archive, row, store: Store, method: str) -> tuple[str, str]:
    """Asks for one series; result and reason for the ledger."""
    query = Dataset()
    query.QueryRetrieveLevel, query.StudyInstanceUID, query.SeriesInstanceUID = "SERIES", row.study, row.series
    if method == "get":
        model = sop.StudyRootQueryRetrieveInformationModelGet
        contexts = [build_context(model), *(build_context(name, [syntax]) for name in IMAGES for syntax in SYNTAXES)]
        roles = [build_role(name, scp_role=True) for name in IMAGES]
        options = {"ext_neg": roles, "evt_handlers": [(evt.EVT_C_STORE, store.keep)]}
    else:
        model, options = sop.StudyRootQueryRetrieveInformationModelMove, {}
        contexts = [build_context(model)]
    with connected(archive, contexts, **options) as association:
        send = (
            association.send_c_get(query, model)
            if method == "get"
            else association.send_c_move(query, archive.own_title, model)
        )
        for status, _ in send:
            if store.problem:
                raise store.problem
            if not status:
                raise Gone(f"{archive} broke off. If it does so at once, ask whether it knows us, {archive.own_title}.")
    return _verdict(archive, row, store, status, method)


def _verdict(archive: Archive, row, store: Store, status: Dataset, method: str) -> tuple[str, str]:
    """Outcome of a request, by its last status and the files that are here."""
    if status.Status == UNKNOWN_DESTINATION:
        raise InputError(
            f"{archive} does not know where {archive.own_title} is. Ask its administrator to register our title and port."
        )
    here, failed = store.images(row.series), int(status.get("NumberOfFailedSuboperations") or 0)
    expected = row.images or here
    differing, store.differing = store.differing, 0
    note = f"{differing} images came again with other contents; the first were kept" if differing else ""
    if status.Status == 0 and not failed and here and here >= expected:
        return ARRIVED, note
    unsent = method == "move" and not here
    hint = f"could it send to us? {archive.own_title} and our port must be registered there" if unsent else ""
    reasons = [f"status 0x{status.Status:04X}", f"{failed} images failed" if failed else "", note, hint]
    return ("incomplete" if here else "refused"), "; ".join(filter(None, reasons))
