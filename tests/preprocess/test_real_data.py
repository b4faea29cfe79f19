"""The real scans end as their README says. Needs DWIKIT_REAL_DATA."""

import pytest

from dwikit.preprocess import preprocess
from dwikit.slices import SliceSettings, read_derivatives

ACCEPTED = {"sub-canon_acq-APortho", "sub-canon_acq-PAtilted", "sub-phienh", "sub-strokecase0009", "sub-toshiba_acq-ortho"}
TIGHT = SliceSettings(fov_mm=233.0, interpolator="linear")
"""The grid on which the thresholds of the quality report were set."""
PARTIAL = {"sub-phidwi", "sub-uihA_acq-PArot", "sub-uihB_acq-AP"}


@pytest.fixture(scope="session")
def derived(real_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("real") / "derivatives"
    return out, preprocess(real_data, out, workers=2, settings=TIGHT, progress=False).set_index("case")


def test_every_series_has_a_row(derived):
    assert set(derived[1].index) == ACCEPTED | PARTIAL | {"sub-xa30_acq-AP"}


def test_a_whole_brain_of_b1000_has_no_flag(derived):
    row = derived[1].loc["sub-phienh"]
    assert (row["status"], row["flags"], row["b_value"], row["n_directions"]) == ("done", "", 1000, 16)
    assert row["coverage"] > 0.995 and row["overlap"] > 0.93 and row["similarity"] > 0.8


@pytest.mark.parametrize("name", ["sub-canon_acq-APortho", "sub-canon_acq-PAtilted", "sub-toshiba_acq-ortho"])
def test_low_resolution_and_a_tilted_box_are_registered(derived, name):
    row = derived[1].loc[name]
    assert row["status"] == "done" and row["used"] and row["flags"] == "b_value"  # b1500: said, not left out
    assert row["overlap"] > 0.93 and row["similarity"] > 0.7


def test_two_series_of_one_person_are_registered_alike(derived):
    import numpy as np

    images = {volume.case: volume.image for volume in read_derivatives(derived[0])}
    straight, tilted = images["sub-canon_acq-APortho"], images["sub-canon_acq-PAtilted"]
    both = (straight > 0) & (tilted > 0)
    assert np.corrcoef(straight[both], tilted[both])[0, 1] > 0.93


@pytest.mark.parametrize("name", sorted(PARTIAL))
def test_partial_coverage_is_flagged_and_left_out(derived, name):
    row = derived[1].loc[name]
    assert row["status"] == "done" and row["flags"] == "partial_coverage" and not row["used"]
    assert row["coverage"] < 0.85


def test_a_ready_trace_image_is_accepted(derived):
    row = derived[1].loc["sub-strokecase0009"]
    assert row["status"] == "done" and row["flags"] == "" and row["n_directions"] == 1


def test_b2500_is_refused_with_its_reason_and_accepted_on_demand(derived, real_data, tmp_path):
    row = derived[1].loc["sub-xa30_acq-AP"]
    assert (row["status"], row["flags"]) == ("failed", "b_value")
    assert "no volume within 600 of b = 1000" in row["message"] and "0, 2500" in row["message"]
    wide = preprocess(real_data, tmp_path, workers=1, settings=TIGHT, tolerance=1600, only=["sub-xa30"], progress=False).iloc[0]
    assert wide["status"] == "done" and wide["flags"] == "b_value" and wide["used"]


def test_accepted_cases_become_volumes_of_26_slices(derived):
    volumes = list(read_derivatives(derived[0]))
    assert {volume.case for volume in volumes} == ACCEPTED
    assert all(volume.image.shape == (26, 128, 128) and volume.origin == "registered" for volume in volumes)
