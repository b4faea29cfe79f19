"""Training steps give the same losses, gradients and weights on TensorFlow, PyTorch and JAX."""

import pytest

from tests.backend.parity_worker import BACKENDS, CASES, compare, missing, run

TOLERANCE = {"loss": 1e-4, "gradient": 3e-2, "change": 5e-2, "later": 1e-2}
"""Relative; what each kind is, and why gradients may differ by a percent, is said in parity_worker.py."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("parity")


@pytest.fixture(scope="module")
def reference(folder):
    return run("tensorflow", folder)


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_one_step_is_the_same_on_every_backend(backend, folder, reference):
    if missing(backend):
        pytest.skip(f"{backend} is not installed (pip install dwikit[backends])")
    results = run(backend, folder)
    for case in CASES:
        for kind, deviation in compare(results[case], reference[case]).items():
            assert deviation < TOLERANCE[kind], (case, kind, deviation)
