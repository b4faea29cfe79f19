"""Scans whose numbers ask for a look: what is told of them, and how one is used in spite of its flag."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from dwikit import cli, profiles, slices, study
from dwikit.common.errors import InputError
from dwikit.preprocess import losses, preprocess, quality
from dwikit.slices import grid, read_derivatives
from dwikit.slices.registered import Quality
from tests.preprocess.test_changes import SETTINGS, raw, registered  # noqa: F401 - fixtures

GOOD = Quality(coverage=1.0, overlap=0.95, similarity=0.8, scale_min=0.9, scale_max=1.0, shear=0.05, rotation_deg=5.0)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"similarity": 0.47}, ["unusual_contrast"]),  # a large infarct
        ({"similarity": -0.3}, ["unusual_contrast"]),  # bright fluid
        ({"overlap": 0.85, "similarity": 0.47}, ["low_overlap"]),  # a shift of 16 mm
        ({"overlap": 0.85}, ["low_overlap"]),
        ({"similarity": 0.47, "scale_max": 1.9}, ["implausible_affine"]),
        ({"overlap": 0.0, "similarity": 0.0}, ["low_overlap", "empty"]),
    ],
)
def test_bright_lesions_are_told_from_a_bad_registration(changes, expected):
    assert quality.flags(GOOD._replace(**changes), math.nan, 1000.0) == expected


def test_a_lesion_lowers_the_similarity_and_leaves_the_outline():
    brain, near, contrast = quality._expected(128, 320.0)
    sick = contrast.copy()
    place = np.argwhere(brain).mean(axis=0) + (25, 0, 0)
    distance = np.linalg.norm(
        (np.indices(brain.shape).T - place).T * np.diag(grid.affine(128, 320.0))[:3, None, None, None], axis=0
    )
    sick[(distance < 45) & brain] *= 3
    whole = np.ones_like(brain)
    healthy, lesion = (
        (quality.overlap(image, brain, whole), quality.similarity(image, contrast, near)) for image in (contrast, sick)
    )
    assert lesion[0] > quality.OVERLAP and healthy[1] > 0.99 and lesion[1] < healthy[1] - 0.2
    shifted = np.roll(contrast, 10, axis=1)
    assert quality.overlap(shifted, brain, whole) < quality.OVERLAP


def test_what_asks_for_a_look_is_told_with_the_reason():
    rows = [("a", "", 0.8, True), ("b", "unusual_contrast", 0.47, False), ("c", "unusual_contrast", 0.0, False)]
    rows += [("d", "partial_coverage,b_value", 0.7, False), ("e", "unusual_contrast", 0.5, True)]
    report = pd.DataFrame(rows, columns=["case", "flags", "similarity", "used"]).assign(status="done", overlap=0.95)
    report.loc[len(report)] = {"case": "f", "flags": "", "similarity": math.nan, "used": False, "status": "failed"}
    look = losses.to_look_at(report).set_index("case")["look"]
    assert list(look.index) == ["b", "c", "d"] and look["b"].endswith("bright lesions?") and "b = 0" in look["c"]
    assert look["d"] == "a part of the brain was not scanned"


def flagged(folder, name, flag):
    """The sidecar of a registered scan, with a flag."""
    [path] = folder.glob(f"sub-*/dwi/{name}_space-MNI152_dwi.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"Flags": [flag] if flag else []}))


@pytest.fixture
def doubtful(raw, registered, tmp_path):  # noqa: F811
    """Four people, of whom one has lesions."""
    out = tmp_path / "out"
    preprocess(raw, out, settings=SETTINGS, progress=False)
    for name in ("sub-a", "sub-b", "sub-c", "sub-d", "sub-d_run-2"):
        flagged(out, name, "unusual_contrast" if name == "sub-b" else "")
    return raw, out


def test_a_scan_is_included_by_its_name(doubtful, capsys):
    raw, out = doubtful  # noqa: F811
    assert [volume.case for volume in read_derivatives(out)] == ["sub-a", "sub-c", "sub-d_run-2", "sub-d"]
    assert "sub-b" in [volume.case for volume in read_derivatives(out, include=["sub-b"])]
    for include, expected in (([], False), (["sub-b"], True)):
        report = preprocess(raw, out, settings=SETTINGS, progress=False, include=include).set_index("case")
        assert report.loc["sub-b", "used"] == expected
    with pytest.raises(InputError, match="There is no scan 'sub-bb' in .* to include"):
        next(read_derivatives(out, include=["sub-bb"]))
    with pytest.raises(InputError, match="'sub-x'"):
        preprocess(raw, out, settings=SETTINGS, progress=False, include=["sub-x"])

    size = ["--image-size", "32", "--fov-mm", f"{SETTINGS.fov_mm:g}"]
    words = ["preprocess", str(raw), str(out), *size]
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert "Left out until somebody has looked at them" in said and "--include CASE" in said
    assert cli.main([*words, "--include", "sub-b"]) == 0 and "Left out until" not in capsys.readouterr().out
    store = out.parent / "slices"
    assert cli.main(["slices", str(out), str(store), *size, "--include", "sub-b"]) == 0
    assert "sub-b" in set(slices.SliceStore.open(store).table["case"])


def test_a_study_passes_on_what_its_profile_says_of_own_scans(raw, registered, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path / "runs"))
    seen = {}
    monkeypatch.setattr(study, "preprocess", lambda *_, **given: seen.update(given))
    own = {"bids": str(raw), "tolerance": 1500.0, "b_value": 800.0, "include": ["sub-b"]}
    study.register(profiles.resolve("smoke", cohort=own))
    assert (seen["b_value"], seen["tolerance"], seen["include"]) == (800.0, 1500.0, ["sub-b"])
    other = profiles.resolve("smoke", cohort=own | {"include": []})
    assert other.data_settings != profiles.resolve("smoke", cohort=own).data_settings
