"""What several tests share: a small simulated cohort as slices, and the folders of the real data."""

import os
import signal
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ["MPLBACKEND"] = "Agg"

import pytest

from dwikit import slices
from dwikit.cohorts import phantom

SMALL = slices.SliceSettings(image_size=32, fov_mm=233.0, interpolator="linear", percentile=95.0)
"""A head that fills the few pixels, and the paper's percentile."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Each worker gets whole files, and the notebooks as one: each of them goes on from what those before it made."""
    from xdist.scheduler import LoadFileScheduling

    class WholeFiles(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "notebooks" if file.endswith(".ipynb") else file

    return WholeFiles(config, log)


def pytest_itemcollected(item):
    """A name that differs between two processes (the address of a function, say) stops a run on several workers."""
    if " at 0x" in item.nodeid:
        raise pytest.UsageError(f"{item.nodeid}: the name of a test must be the same in every process; give it other ids")


@pytest.fixture(autouse=True)
def figures_beside_runs(monkeypatch):
    """A test that sets ``DWIKIT_RUNS`` has its figures there too, instead of in a folder that all tests share."""
    monkeypatch.delenv("DWIKIT_FIGURES", raising=False)


@pytest.fixture
def interruptible():
    """What a test starts can be stopped by Ctrl-C, even where the tests themselves cannot (nohup, a background job)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def volumes():
    """Twelve simulated people on the target grid."""
    return list(phantom.simulate_volumes(12, seed=3, settings=SMALL))


@pytest.fixture(scope="session")
def store(volumes, tmp_path_factory):
    """The same as slices of 32 x 32 pixels."""
    return slices.build(volumes, tmp_path_factory.mktemp("store") / "slices", SMALL)


def _folder(variable: str, what: str) -> Path:
    path = os.environ.get(variable)
    if not path or not Path(path).is_dir():
        pytest.skip(f"{variable} does not name the folder of {what}")
    return Path(path)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real scans as BIDS."""
    return _folder("DWIKIT_REAL_DATA", "real scans")


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """Reference values from elsewhere."""
    return _folder("DWIKIT_FIXTURES", "reference values")
