"""Fetching from a picture archive, against a real Orthanc on this machine; it knows loopback callers alone."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from dwikit import cli
from dwikit.cohorts.bids import find_cases
from dwikit.common import files
from dwikit.common.errors import InputError

pynetdicom = pytest.importorskip("pynetdicom", reason="pip install -e '.[acquire]'")
pydicom = pytest.importorskip("pydicom", reason="pip install -e '.[acquire]'")
from pynetdicom import AE, build_context, evt  # noqa: E402
from pynetdicom import sop_class as sop  # noqa: E402

pytest.importorskip("dcm2niix", reason="pip install -e '.[acquire]'")
from dwikit.cohorts import pacs  # noqa: E402
from dwikit.cohorts.dicom import import_dicom  # noqa: E402
from dwikit.cohorts.pacs import retrieve, store  # noqa: E402
from dwikit.cohorts.pacs.archive import Pace, connected  # noqa: E402
from tests.dicom_writer import uid, write_series  # noqa: E402

FAST = {"per_minute": 1e6, "progress": False}
STUDIES = {  # name: date, description, report, images of the series
    "one": ("20120315", "MR Brain with DWI", "No acute infarct.", 8),
    "two": ("20130401", "MR Brain with DWI", "No acute infarct.", 24),
    "three": ("20140511", "MR Brain, DWI", "Acute infarct on the left.", 8),
    "four": ("20150601", "MR Knee", "Torn meniscus.", 8),
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Orthanc:
    """An Orthanc with its storage in a folder; `start` returns when it answers."""

    def __init__(self, folder):
        self.folder, self.port, self.ours, self.process = folder, free_port(), free_port(), None
        known = {"AET": "DWIKIT", "Host": "127.0.0.1", "Port": self.ours}
        config = {
            **{"StorageDirectory": str(folder / "storage"), "IndexDirectory": str(folder / "storage"), "Plugins": []},
            **{"HttpServerEnabled": False, "DicomAet": "ARCHIVE", "DicomPort": self.port, "DicomCheckCalledAet": True},
            **{"DicomModalities": {"dwikit": known}, "DicomCheckModalityHost": True, "DicomAlwaysAllowStore": False},
        }
        (folder / "orthanc.json").write_text(json.dumps(config))

    def start(self):
        log = open(self.folder / "log.txt", "ab")
        self.process = subprocess.Popen(["Orthanc", str(self.folder / "orthanc.json")], stdout=log, stderr=log)
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.1)
        raise AssertionError((self.folder / "log.txt").read_text()[-2000:])

    def stop(self):
        self.process.kill()
        self.process.wait()

    @property
    def archive(self):
        return pacs.Archive("127.0.0.1", self.port, "ARCHIVE", timeout_s=15)

    def send(self, paths):
        """Stores files in the archive, as a scanner would."""
        ae = AE(ae_title="DWIKIT")
        ae.add_requested_context(sop.MRImageStorage)
        association = ae.associate("127.0.0.1", self.port, ae_title="ARCHIVE")
        for path in paths:
            assert association.send_c_store(path).Status == 0
        association.release()

    def files_of(self, series):
        """The archive's own files of a series."""
        held = [path for path in (self.folder / "storage").rglob("*") if path.is_file() and "index" not in path.name]
        return [path for path in held if series.encode() in path.read_bytes()]


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    """Four studies in an Orthanc."""
    if not shutil.which("Orthanc"):
        pytest.skip("no Orthanc here; on Debian: apt-get install orthanc")
    folder = tmp_path_factory.mktemp("orthanc")
    server = Orthanc(folder).start()
    try:
        for name, (date, description, report, n_images) in STUDIES.items():
            voxels = np.random.default_rng(len(name)).integers(1, 900, (32, 24, n_images)).astype(np.int16)
            image = nib.Nifti1Image(voxels, np.diag([-3.0, 3, 5, 1]))
            person = {"PatientID": f"id-{name}", "PatientName": f"Name^{name}", "StudyDate": date}
            words = {"StudyDescription": description, "InterpretationText": report, "SeriesDescription": f"diff {name}"}
            paths = write_series(folder / name, image, [1000], np.eye(3)[:, :1], study=name, **person, **words)
            server.send(paths)
        yield server
    finally:
        server.stop()


def studies(wanted):
    """Names of the studies of a wanted list."""
    names = {str(uid(name)): name for name in STUDIES}
    return [names[study] for study in wanted["study"]]


def arrived(out):
    """Images here by the name of their study."""
    return {name: len(list((out / "dicom" / str(uid(name, "series"))).glob("*.dcm"))) for name in STUDIES}


@pytest.mark.parametrize(
    ("terms", "names"),
    [
        ({}, ["four", "one", "three", "two"]),
        ({"description": "*Brain*"}, ["one", "three", "two"]),
        ({"description": "*Brain*", "dates": "20120101-20131231"}, ["one", "two"]),
        ({"report": "No acute*"}, ["one", "two"]),
        ({"series": "diff t*"}, ["three", "two"]),
        ({"modality": "CT"}, []),
    ],
)
def test_find(orthanc, terms, names):
    wanted = pacs.find(orthanc.archive, **terms, per_minute=1e6)
    assert sorted(studies(wanted)) == names
    assert all(count == STUDIES[name][3] for name, count in zip(studies(wanted), wanted["images"]))
    assert list(wanted) == ["study", "series", "images"]  # nothing of the patient


@pytest.mark.parametrize("method", ["get", "move"])
def test_fetch_brings_the_files_as_they_are(orthanc, tmp_path, method):
    wanted = pacs.find(orthanc.archive, per_minute=1e6)
    wanted = wanted[[name in ("one", "three") for name in studies(wanted)]]
    ledger = pacs.fetch(orthanc.archive, wanted, tmp_path / "out", method, orthanc.ours, **FAST)
    assert list(ledger["result"]) == ["arrived"] * 2 and list(ledger["images"]) == ["8"] * 2
    assert arrived(tmp_path / "out") == {"one": 8, "two": 0, "three": 8, "four": 0}
    for sent in (orthanc.folder / "one").iterdir():
        sent = pydicom.dcmread(sent)
        came = pydicom.dcmread(tmp_path / "out" / "dicom" / sent.SeriesInstanceUID / f"{sent.SOPInstanceUID}.dcm")
        assert came.PixelData == sent.PixelData and came.PatientID == sent.PatientID and came[0x0019, 0x100C].value == 1000
    assert (tmp_path / "out").stat().st_mode & 0o077 == 0
    import_dicom(tmp_path / "out" / "dicom", tmp_path / "bids", tmp_path / "key", progress=False)
    assert len(find_cases(tmp_path / "bids")) == 2


def test_broken_off_refused_and_continued(orthanc, tmp_path, monkeypatch, capsys):
    """The server dies in the middle of a series; a study's files are gone from its disk; both come in the end."""
    monkeypatch.setattr(retrieve, "PATIENCE_S", (0.1,))
    out = tmp_path / "out"
    wanted = pacs.find(orthanc.archive, description="*Brain*", per_minute=1e6)
    wanted = wanted.iloc[np.argsort([list(STUDIES).index(name) for name in studies(wanted)])]
    keep, seen = store.Store.keep, []

    def dies_at_the_twelfth(store, event):
        seen.append(event)
        if len(seen) == 12:
            orthanc.stop()
        return keep(store, event)

    with monkeypatch.context() as patch:
        patch.setattr(store.Store, "keep", dies_at_the_twelfth)
        with pytest.raises(InputError, match="does not answer.*run the same again"):
            pacs.fetch(orthanc.archive, wanted, out, **FAST)
    broken = arrived(out)
    assert broken["one"] == 8 and 4 <= broken["two"] < 24 and broken["three"] == 0
    first = {path: path.stat().st_mtime_ns for path in out.rglob("*.dcm")}

    orthanc.start()
    lost = orthanc.files_of(str(uid("three", "series")))
    for path in lost:
        path.rename(path.with_name(path.name + ".away"))
    pacs.fetch(orthanc.archive, wanted, out, **FAST)
    assert arrived(out) == {"one": 8, "two": 24, "three": 0, "four": 0}
    assert list(store.Ledger(out).latest()["result"]) == ["arrived", "arrived", "refused"]

    for path in lost:
        path.with_name(path.name + ".away").rename(path)
    pacs.fetch(orthanc.archive, wanted, out, **FAST)
    assert arrived(out) == {"one": 8, "two": 24, "three": 8, "four": 0}
    assert first == {path: path.stat().st_mtime_ns for path in first}  # nothing was written twice
    text = (out / "ledger.tsv").read_text()
    rows = pd.read_csv(out / "ledger.tsv", sep="\t", dtype=str)
    assert list(rows["result"]) == ["arrived", "incomplete", "arrived", "refused", "arrived"]
    assert rows["images"][1] == str(broken["two"]) and len(set(rows["series"])) == 3
    assert not any(
        word in text for name in STUDIES for word in (f"id-{name}", f"Name^{name}", f"diff {name}", *STUDIES[name][:3])
    )
    with capsys.disabled():
        print(f"\nOrthanc died at image 12 with {broken} here; the ledger in the end:\n{text}", end="")
    before = text
    pacs.fetch(orthanc.archive, wanted, out, **FAST)
    assert (out / "ledger.tsv").read_text() == before  # all there: nothing is asked for


SLOWLY = """
import sys, time
from dwikit import cli
from dwikit.cohorts.pacs import store

keep = store.Store.keep

def slowly(store, event):
    time.sleep(0.2)
    print("image", flush=True)
    return keep(store, event)

store.Store.keep = slowly
sys.exit(cli.main(sys.argv[1:]))
"""


def interrupted(arguments, begun):
    """Exit status, seconds until the end and last words of a slow `dwikit` that gets Ctrl-C once it has `begun`."""
    command = [sys.executable, "-c", SLOWLY, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            begun(process)
            process.send_signal(signal.SIGINT)
            start = time.monotonic()
            return process.wait(120), time.monotonic() - start, process.stderr.read()
        finally:
            process.kill()


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("method", ["get", "move"])
def test_ctrl_c_in_the_middle_of_a_series(orthanc, tmp_path, method):
    pacs.write_wanted(pacs.find(orthanc.archive, dates="20130401", per_minute=1e6), tmp_path / "wanted.tsv")
    where = ["--host", "127.0.0.1", "--port", orthanc.port, "--title", "ARCHIVE", "--receive-at", orthanc.ours]
    arguments = ["cohort", "pacs", "fetch", tmp_path / "wanted.tsv", tmp_path / "out", *where, "--method", method]
    status, seconds, said = interrupted(arguments, lambda process: [process.stdout.readline() for _ in range(6)])
    assert status == 130 and "run the same command again" in said and seconds < 20  # the archive's own wait is 30 s and more
    row = store.Ledger(tmp_path / "out").latest().iloc[-1]
    assert row["result"] == "incomplete" and row["reason"] == "broken off" and 5 <= arrived(tmp_path / "out")["two"] < 24
    ledger = pacs.fetch(orthanc.archive, pacs.read_wanted(tmp_path / "wanted.tsv"), tmp_path / "out", **FAST)
    assert list(ledger["result"]) == ["arrived"] and arrived(tmp_path / "out")["two"] == 24


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_while_nobody_answers(tmp_path):
    calls = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = ["--host", "127.0.0.1", "--port", silent.getsockname()[1], "--title", "ARCHIVE"]
        arguments = ["cohort", "pacs", "find", tmp_path / "wanted.tsv", *where]
        status, seconds, said = interrupted(arguments, lambda process: calls.append(silent.accept()))
    assert status == 130 and "Traceback" not in said and seconds < 20


def test_duplicates_change_nothing(orthanc, tmp_path):
    wanted = pacs.find(orthanc.archive, description="*Knee*", per_minute=1e6)
    pacs.fetch(orthanc.archive, wanted, tmp_path, **FAST)
    paths = sorted(tmp_path.rglob("*.dcm"))
    contents = [path.read_bytes() for path in paths]
    paths[0].write_bytes(contents[0] + b"\0\0")  # as if the archive had changed it since
    (tmp_path / "ledger.tsv").unlink()
    orthanc.send((orthanc.folder / "four").iterdir())  # the scanner sends all again
    ledger = pacs.fetch(orthanc.archive, pd.concat([wanted, wanted]), tmp_path, **FAST)
    assert sorted(tmp_path.rglob("*.dcm")) == paths
    assert paths[0].read_bytes() == contents[0] + b"\0\0" and [path.read_bytes() for path in paths[1:]] == contents[1:]
    assert list(ledger["result"]) == ["arrived"] and "first were kept" in ledger["reason"][0]


def test_wrong_titles(orthanc, tmp_path):
    stranger = pacs.Archive("127.0.0.1", orthanc.port, "NOBODY", timeout_s=15)
    with pytest.raises(InputError, match="NOBODY at 127.0.0.1:.* turns us away .called ae title not recogni[sz]ed.*DWIKIT"):
        pacs.find(stranger)
    with pytest.raises(InputError, match="'A MUCH TOO LONG AE TITLE' is not an AE title"):
        pacs.find(pacs.Archive("127.0.0.1", orthanc.port, "A MUCH TOO LONG AE TITLE"))
    unknown = pacs.Archive("127.0.0.1", orthanc.port, "ARCHIVE", own_title="STRANGER", timeout_s=15)
    with pytest.raises(InputError, match="broke off while it searched.*whether it knows us, STRANGER"):
        pacs.find(unknown)


def test_a_refusal_that_arrives_before_we_look(orthanc):
    """On a busy machine the archive may have answered and hung up before the caller's thread runs again."""
    stranger = pacs.Archive("127.0.0.1", orthanc.port, "NOBODY", timeout_s=15)
    late = [(evt.EVT_REQUESTED, lambda event: time.sleep(1))]
    with pytest.raises(InputError, match="turns us away .called ae title"):
        with connected(stranger, [build_context(sop.Verification)], evt_handlers=late):
            pass


@pytest.mark.parametrize(
    ("dates", "names"),
    [("20130401", ["two"]), ("20140101-", ["four", "three"]), ("-20130401", ["one", "two"])],
)
def test_ranges_of_dates(orthanc, dates, names):
    assert sorted(studies(pacs.find(orthanc.archive, dates=dates, per_minute=1e6))) == names


@pytest.mark.parametrize(
    "dates",
    ["01.01.2010-31.12.2012", "2024", "2010-01-01", "20230229", "20120101-20101231", "2010010120121231", "-", " 20100101"],
)
def test_what_is_no_date_is_refused(dates):
    nobody = pacs.Archive("127.0.0.1", free_port(), "ARCHIVE")  # never asked
    with pytest.raises(InputError, match=f"20100101-20191231.*not '{re.escape(dates)}'"):
        pacs.find(nobody, dates=dates)


def test_no_such_host_or_port(tmp_path):
    with pytest.raises(InputError, match="finds no host 'pacs.invalid'. Check its name"):
        pacs.find(pacs.Archive("pacs.invalid", 104, "ARCHIVE"))
    with pytest.raises(InputError, match="finds no host"):
        pacs.find(pacs.Archive("pacs..hospital", 104, "ARCHIVE"))  # no name at all
    for port in (0, 99999):
        with pytest.raises(InputError, match=f"{port} is not a port: it must lie between 1 and 65535"):
            pacs.Archive("127.0.0.1", port, "ARCHIVE")
        wanted = pd.DataFrame({"study": ["1.2.3"], "series": ["1.2.3.4"], "images": [1]})
        with pytest.raises(InputError, match=f"{port} is not a port"):
            pacs.fetch(pacs.Archive("127.0.0.1", 104, "ARCHIVE"), wanted, tmp_path, "move", port, **FAST)


def test_what_the_archive_cannot_send(orthanc, tmp_path, capsys):
    """We listen where the archive does not send to: nothing comes, which is no success."""
    pacs.write_wanted(pacs.find(orthanc.archive, per_minute=1e6), tmp_path / "wanted.tsv")
    where = ["--host", "127.0.0.1", "--port", str(orthanc.port), "--title", "ARCHIVE", "--per-minute", "6000"]
    fetch = ["cohort", "pacs", "fetch", str(tmp_path / "wanted.tsv"), str(tmp_path / "out"), *where]
    assert cli.main([*fetch, "--method", "move", "--receive-at", str(free_port())]) == 1
    said = capsys.readouterr().out
    assert "4 missing: status 0x" in said and "could it send to us? DWIKIT and our port must be registered there" in said
    assert "4 of 4 series are missing" in said and "Run the same again" in said and "name patients" not in said
    assert cli.main([*fetch, "--method", "move", "--receive-at", str(orthanc.ours)]) == 0
    said = capsys.readouterr().out
    assert "arrived    4" in said and "name patients" in said and "missing" not in said
    assert cli.main(fetch) == 0
    assert "arrived before    4" in capsys.readouterr().out


def test_only_folders_of_its_own(orthanc, tmp_path):
    wanted = pacs.find(orthanc.archive, description="*Knee*", per_minute=1e6)
    for folder, name in (("checkout", ".git"), ("mixed", "dicom/scans"), ("other", "ledger.tsv")):
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True)
        path.write_text("date\tamount\n")
        with pytest.raises(InputError, match=f"{folder} holds other things, such as '{path.name}'. Choose an empty"):
            pacs.fetch(orthanc.archive, wanted, tmp_path / folder, **FAST)
        assert [other for other in (tmp_path / folder).rglob("*") if other.is_file()] == [path]
    out = tmp_path / "out"
    out.mkdir()
    assert list(pacs.fetch(orthanc.archive, wanted, out, **FAST)["result"]) == ["arrived"]
    (out / "notes.txt").write_text("mine")  # among a fetch's own
    again = pacs.fetch(orthanc.archive, wanted, out, **FAST)
    assert list(again["result"]) == ["arrived before"] and list(again["images"]) == ["8"]


def test_an_archive_that_can_do_less(tmp_path):
    """Many answer a query by report text as if it had not been asked."""

    def answer(event):
        study = pydicom.Dataset()
        study.QueryRetrieveLevel, study.StudyInstanceUID = "STUDY", "1.2.3"
        yield 0xFF01, study

    def send_nowhere(event):
        yield None, None  # the title that the images shall go to is not known here

    ae = AE(ae_title="PLAIN")
    ae.add_supported_context(sop.StudyRootQueryRetrieveInformationModelMove)
    ae.add_supported_context(sop.StudyRootQueryRetrieveInformationModelFind)
    port = free_port()
    server = ae.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_FIND, answer), (evt.EVT_C_MOVE, send_nowhere)]
    )
    try:
        with pytest.raises(InputError, match="does not search by InterpretationText"):
            pacs.find(pacs.Archive("127.0.0.1", port, "PLAIN", timeout_s=15), report="*infarct*")
        plain = pacs.Archive("127.0.0.1", port, "PLAIN", timeout_s=15)
        wanted = pd.DataFrame({"study": ["1.2.3"], "series": ["1.2.3.4"], "images": [1]})
        with pytest.raises(InputError, match="does not offer .*GET.*other method"):
            pacs.fetch(plain, wanted, tmp_path, **FAST)
        with pytest.raises(InputError, match="does not know where DWIKIT is"):
            pacs.fetch(plain, wanted, tmp_path, "move", free_port(), **FAST)
    finally:
        server.shutdown()


def test_nobody_there(tmp_path, monkeypatch):
    monkeypatch.setattr(retrieve, "PATIENCE_S", (0.01, 0.01))
    nobody = pacs.Archive("127.0.0.1", free_port(), "ARCHIVE", timeout_s=5)
    with pytest.raises(InputError, match="does not answer. Check host, port and network"):
        pacs.find(nobody)
    wanted = pd.DataFrame({"study": ["1.2.3"], "series": ["1.2.3.4"], "images": [1]})
    with pytest.raises(InputError, match="run the same again"):
        pacs.fetch(nobody, wanted, tmp_path / "out", **FAST)
    assert not (tmp_path / "out" / "ledger.tsv").exists()


def test_a_full_disk_stops_the_fetch(orthanc, tmp_path, monkeypatch):
    wanted = pacs.find(orthanc.archive, description="*Knee*", per_minute=1e6)
    write, count = files.write, []

    def full(path, writer):
        count.append(path)
        if len(count) == 4:
            raise InputError(f"{path} could not be written (No space left on device)")
        write(path, writer)

    with monkeypatch.context() as patch:
        patch.setattr("dwikit.cohorts.pacs.store.files.write", full)
        with pytest.raises(InputError, match="No space left"):
            pacs.fetch(orthanc.archive, wanted, tmp_path, **FAST)
    assert arrived(tmp_path)["four"] == 3 and list(store.Ledger(tmp_path).latest()["result"]) == ["incomplete"]
    assert list(pacs.fetch(orthanc.archive, wanted, tmp_path, **FAST)["result"]) == ["arrived"]


def test_the_ledger_survives_a_torn_line(tmp_path):
    ledger = store.Ledger(tmp_path)
    ledger.add("1.2", "incomplete", 3, 8, "why")
    ledger.add("1.3", "arrived", 8, 8)
    with open(tmp_path / "ledger.tsv", "a") as file:
        file.write("2026-01-01T00:00:00Z\t1.4\tarri")  # the power went
    again = store.Ledger(tmp_path)
    assert again.arrived() == {"1.3"}
    again.add("1.2", "arrived", 8, 8)
    last = store.Ledger(tmp_path).latest().set_index("series")
    assert dict(last["result"]) == {"1.3": "arrived", "1.2": "arrived"} and len(last) == 2


def test_the_pace_is_kept(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("dwikit.cohorts.pacs.archive.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("dwikit.cohorts.pacs.archive.time.sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    pace = Pace(30)
    for _ in range(4):
        pace.wait()
    assert clock[0] == pytest.approx(106)  # three gaps of two seconds
    with pytest.raises(InputError, match="above 0"):
        Pace(0)


def test_wanted_lists(tmp_path):
    wanted = pd.DataFrame({"study": ["1.2"], "series": ["1.2.3"], "images": [4]})
    pacs.write_wanted(wanted, tmp_path / "wanted.tsv")
    assert pacs.read_wanted(tmp_path / "wanted.tsv").equals(wanted)
    with pytest.raises(InputError, match="wanted.tsv already exists.*Delete it, or choose another name"):
        pacs.write_wanted(wanted[:0], tmp_path / "wanted.tsv")
    assert pacs.read_wanted(tmp_path / "wanted.tsv").equals(wanted)
    (tmp_path / "bad.tsv").write_text("study\tseries\timages\n1.2\t../../etc\t1\n")
    with pytest.raises(InputError, match="'../../etc', which is not a UID"):
        pacs.read_wanted(tmp_path / "bad.tsv")
    (tmp_path / "bad.tsv").write_text("study\tname\n1.2\tx\n")
    with pytest.raises(InputError, match="no column series, images"):
        pacs.read_wanted(tmp_path / "bad.tsv")
    with pytest.raises(InputError, match="cannot be read"):
        pacs.read_wanted(tmp_path / "nothing.tsv")
    (tmp_path / "bad.tsv").write_text("study\tseries\timages\n")
    with pytest.raises(InputError, match="names no series"):
        pacs.read_wanted(tmp_path / "bad.tsv")


def test_from_the_command_line(orthanc, tmp_path, capsys):
    where = ["--host", "127.0.0.1", "--port", str(orthanc.port), "--title", "ARCHIVE"]
    wanted, out = str(tmp_path / "wanted.tsv"), str(tmp_path / "out")
    assert cli.main(["cohort", "pacs", "find", wanted, *where, "--description", "*Knee*", "--per-minute", "600"]) == 0
    assert "1 series of 1 studies, 8 images" in capsys.readouterr().out
    assert cli.main(["cohort", "pacs", "fetch", wanted, out, *where, "--per-minute", "600"]) == 0
    assert "arrived    1" in capsys.readouterr().out and arrived(tmp_path / "out")["four"] == 8
    assert cli.main(["cohort", "pacs", "find", wanted, *where[:-1], "NOBODY"]) == 2  # says so before it asks
    assert f"{wanted} already exists" in capsys.readouterr().err
    other = str(tmp_path / "other.tsv")
    assert cli.main(["cohort", "pacs", "find", other, *where, "--dates", "18951108", "--per-minute", "6000"]) == 0
    assert "No series matches" in capsys.readouterr().out and not Path(other).exists()
    assert cli.main(["cohort", "pacs", "find", other, *where[:-1], "NOBODY"]) == 2
    assert "turns us away" in capsys.readouterr().err
    assert cli.main(["cohort", "pacs", "find", other, *where, "--dates", "-20120401", "--per-minute", "6000"]) == 0
    assert "1 series of 1 studies, 8 images" in capsys.readouterr().out
