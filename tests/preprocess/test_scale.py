"""Preprocessing on a Dask cluster: the same bytes as on one machine, whatever is killed, and what is said when it cannot be."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from dwikit import cli
from dwikit.cohorts import phantom
from dwikit.common.errors import InputError
from dwikit.preprocess import preprocess
from dwikit.preprocess.workers import cluster

distributed = pytest.importorskip("distributed", reason="needs dwikit[scale]")

N_CASES = 5
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("scale")


@pytest.fixture(scope="module")
def raw(folder):
    """Five small cases, each somewhere else in the scanner and of its own brightness, and a broken one."""
    source = phantom.write_cohort(folder / "source", 1, seed=5, distortion=False, progress=False)
    image = nib.load(next(source.glob("sub-*/dwi/*_dwi.nii.gz")))
    step = max(1, image.shape[0] // 96)
    data = np.asarray(image.dataobj[..., 1:2], np.float32)[::step, ::step]
    for number in range(N_CASES + 1):
        affine = image.affine.copy()
        affine[:3, 3] += number
        affine[:3, :2] *= step
        path = folder / f"bids/sub-{number:02d}/dwi/sub-{number:02d}_trace.nii.gz"
        path.parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(data * (1 + number / 50 if number < N_CASES else 0), affine), path)
    return folder / "bids"


@pytest.fixture(scope="module")
def local(raw, folder):
    """What one machine makes of it: every file's bytes, and the report."""
    report = preprocess(raw, folder / "local", workers=2, progress=False)
    return contents(folder / "local"), report


@pytest.fixture(scope="module")
def workers():
    """A cluster of two processes of one thread each."""
    settings = dict(n_workers=2, processes=True, threads_per_worker=1, dashboard_address=None)
    with distributed.LocalCluster(**settings) as cluster:
        yield cluster


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def finished(out: Path) -> int:
    return len(list(out.glob("sub-*/dwi/*_dwi.json")))


def wait_for(condition, seconds=600):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def test_a_worker_killed_in_the_middle_changes_no_byte(raw, local, workers, folder, monkeypatch):
    """Dask's scheduler gives the lost case to another worker; the broken case is a row of the report as it is locally.

    Tasks return what a row is made of, no image, and the processes that register are gone when the run is over.
    """
    out, killed, answers = folder / "dask", [], {}
    original = cluster.run_jobs
    monkeypatch.setattr(cluster, "run_jobs", lambda *given: (answers.update([a]) or a for a in original(*given)))

    def kill():
        wait_for(lambda: finished(out) >= 2)
        with distributed.Client(workers, set_as_default=False) as client:
            busy = {worker for worker, keys in client.processing().items() if keys}
            pids = client.run(os.getpid)
        killed.append(next(pids[worker] for worker in sorted(busy)))
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    report = preprocess(raw, out, scheduler=workers.scheduler_address, progress=False)
    thread.join()
    with distributed.Client(workers, set_as_default=False) as client:
        assert killed[0] not in client.run(os.getpid).values()
        assert sum(client.run(processes_held).values()) == 0
    assert contents(out) == local[0] and len(local[0]) == 4 * N_CASES + 3
    assert report.equals(local[1])
    assert report["status"].tolist() == ["done"] * N_CASES + ["failed"] and "every voxel is zero" in report["message"].iloc[-1]
    assert sorted(answers) == list(range(N_CASES + 1)) and answers[N_CASES]["flag"] == "empty"
    assert all(set(answers[i]["sidecar"]) == set(cluster.REPORTED) and len(repr(answers[i])) < 1000 for i in range(N_CASES))


RUN = "import sys; from dwikit.preprocess import preprocess; preprocess(*sys.argv[1:3], progress=False, scheduler=sys.argv[3])"


def test_a_killed_client_continues_to_the_same_bytes(raw, local, workers, folder):
    out = folder / "resumed"
    client = subprocess.Popen([sys.executable, "-c", RUN, str(raw), str(out), workers.scheduler_address], env=ENVIRONMENT)
    wait_for(lambda: finished(out) >= 2)
    client.send_signal(signal.SIGKILL)
    client.wait()
    assert 2 <= finished(out) < N_CASES
    preprocess(raw, out, scheduler=workers.scheduler_address, progress=False)
    assert contents(out) == local[0]


def processes_held() -> int:
    from dwikit.preprocess.workers import cluster

    return sum(hand.worker is not None for _, hand in cluster._HANDS.values())


def test_a_case_that_every_worker_dies_of_is_a_row(workers):
    """Tasks that kill their worker: the scheduler gives up on them after some."""
    with distributed.Client(workers, set_as_default=False) as client:
        client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0))
        future = client.submit(lambda: os.kill(os.getpid(), signal.SIGKILL))
        answer = cluster._answer(future, {"case": {"image": "deadly.nii.gz"}}, "tcp://here")
    assert answer["status"] == "failed" and answer["message"].startswith("deadly.nii.gz: the workers registering it were lost")


# ==== What cannot work is one message ====


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://here", "127.0.0.1:8786x"])
def test_an_unreachable_scheduler(raw, tmp_path, monkeypatch, capsys, address):
    monkeypatch.setattr(cluster, "TIMEOUT_S", 1)
    assert cli.main(["preprocess", str(raw), str(tmp_path / "out"), "--scheduler", address]) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"No Dask scheduler answers at {address}" in message and "dask scheduler" in message


def test_without_dask(raw, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install -e '.\[scale\]'"):
        preprocess(raw, tmp_path / "out", scheduler="tcp://127.0.0.1:9", progress=False)


def test_workers_and_scheduler_exclude_each_other(raw, tmp_path):
    with pytest.raises(InputError, match="Give one of them"):
        preprocess(raw, tmp_path / "out", workers=2, scheduler="tcp://127.0.0.1:9", progress=False)


def test_a_worker_that_does_not_see_the_folders(raw, workers, tmp_path, monkeypatch):
    """The folder that this machine marks is not the one that the workers look into."""
    marked = tmp_path / "elsewhere"
    original = cluster._mark
    monkeypatch.setattr(cluster, "_mark", lambda out: original(marked))
    with pytest.raises(InputError, match="does not see the folder .*out of the calling machine.*file system"):
        preprocess(raw, tmp_path / "out", scheduler=workers.scheduler_address, progress=False)
    assert not list(marked.iterdir())


def test_a_worker_that_lost_the_dataset_ends_the_run_with_a_message(workers, tmp_path):
    """One that joins after the first look is asked with its first task."""
    place = cluster.Place(str(tmp_path / "gone"), str(tmp_path), "mark", ())
    with distributed.Client(workers, set_as_default=False) as client:
        with pytest.raises(InputError, match="does not see the folder .*gone"):
            client.submit(cluster.work, {}, place).result()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ImportError('not here')", "cannot load this version of dwikit .*not here.*Every machine needs the same"),
        (
            "__version__ = '0.0.0'",
            "(No module named 'dwikit.preprocess|has dwikit 0.0.0, not ).*Every machine needs",
        ),
    ],
)
def test_workers_with_another_dwikit_or_none(raw, tmp_path, code, message):
    (tmp_path / "dwikit").mkdir()
    (tmp_path / "dwikit/__init__.py").write_text(code)
    with distributed.LocalCluster(n_workers=0, dashboard_address=None) as empty:
        command = [sys.executable, "-m", "distributed.cli.dask_worker", empty.scheduler_address, "--no-nanny", "--no-dashboard"]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        worker = subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: empty.scheduler_info["workers"])
            with pytest.raises(InputError, match=message):
                preprocess(raw, tmp_path / "out", scheduler=empty.scheduler_address, progress=False)
        finally:
            worker.kill()
            worker.wait()


def test_other_versions_of_what_results_depend_on(tmp_path):
    versions = tuple({**cluster.derivative.versions(), "antspyx": "0.1"}.items())
    place = cluster.Place(str(tmp_path), str(tmp_path), "mark", versions)
    assert "antspyx 0.6" in cluster.complaint(place) and "not 0.1, on which results depend" in cluster.complaint(place)
