"""TensorFlow's start is silent, and what it says of a failure is not lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dwikit.backend import quiet

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = """
import dwikit.models
print(dwikit.models.VAE.from_preset(image_size=32, channels=(8, 16)).sample(2).shape)
"""
STAND_IN = """
import os
os.write(2, b"a native line\\n")
class config:
    list_physical_devices = staticmethod(lambda kind: {devices})
{end}
"""


def run(code: str, *folders: Path, **environment: str) -> subprocess.CompletedProcess:
    kept = {name: value for name, value in os.environ.items() if name not in ("TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES")}
    environment = {**kept, "PYTHONPATH": os.pathsep.join(map(str, (*folders, ROOT))), **environment}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


def test_a_first_sample_says_nothing_else():
    done = run(SAMPLE, KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="")
    assert (done.stdout, done.stderr) == ("(2, 32, 32, 1)\n", "")


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_are_loaded_in_silence(backend):
    """Keras imports TensorFlow beside them."""
    pytest.importorskip(backend)
    done = run("import dwikit.models", KERAS_BACKEND=backend, CUDA_VISIBLE_DEVICES="")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def start(tmp_path):
    """Starts a TensorFlow that writes a line and then does as told."""

    def starts(end: str = "", devices=("GPU:0",), code: str = "", **environment: str):
        (tmp_path / "tensorflow.py").write_text(STAND_IN.format(end=end, devices=devices))
        code = f"import dwikit\n{code}\nimport tensorflow\ntensorflow.os.write(2, b'later\\n')"
        return run(code, tmp_path, **environment)

    return starts


def test_only_the_start_is_held_back(start):
    done = start()
    assert (done.returncode, done.stderr) == (0, "later\n")


def test_what_is_held_back_is_printed_if_the_start_fails(start):
    failed = start("raise ImportError('no such library')")
    assert failed.returncode == 1
    assert failed.stderr.startswith("a native line\nTraceback") and "no such library" in failed.stderr


def test_what_is_held_back_is_printed_if_the_process_is_aborted(start):
    aborted = start("os.abort()")
    assert aborted.returncode < 0 and aborted.stderr == "a native line\n"


def test_what_is_held_back_is_printed_if_a_gpu_cannot_be_used(start, tmp_path):
    (tmp_path / "version").write_text("")
    card = f"from dwikit.backend import quiet\nfrom pathlib import Path\nquiet.NVIDIA = Path({str(tmp_path / 'version')!r})"
    assert start(devices=(), code=card).stderr == f"a native line\n{quiet.UNUSED}later\n"
    assert start(devices=(), code=card, CUDA_VISIBLE_DEVICES="-1").stderr == start(code=card).stderr == "later\n"


def test_who_asks_for_the_lines_gets_them(start):
    assert start(TF_CPP_MIN_LOG_LEVEL="0").stderr == "a native line\nlater\n"


def test_standard_error_may_be_closed():
    code = "import os\nfrom dwikit.backend import quiet\nos.close(2)\nwith quiet.held_back():\n    print(1)"
    assert run(code).stdout == "1\n"
