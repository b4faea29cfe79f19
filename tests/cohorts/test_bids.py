"""The BIDS reader: layouts, inheritance, participants, and what it refuses."""

import errno
import math
import os
import shutil
from pathlib import Path

import pytest

from dwikit.cohorts.bids import find_cases, left_out
from dwikit.cohorts.participants import parse_age, parse_sex
from dwikit.common.errors import InputError


def touch(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def series(root, name, folder, own=(".bval", ".bvec", ".json")):
    for ending in (".nii.gz", *own):
        touch(root / folder / f"{name}_dwi{ending}")


def test_series_sessions_and_trace_images(tmp_path):
    series(tmp_path, "sub-a", "sub-a/dwi")
    series(tmp_path, "sub-b_ses-1_acq-x", "sub-b/ses-1/dwi")
    series(tmp_path, "sub-b_ses-2_run-1", "sub-b/ses-2/dwi")
    series(tmp_path, "sub-b_ses-2_run-2", "sub-b/ses-2/dwi")
    touch(tmp_path / "sub-c/dwi/sub-c_trace.nii")
    touch(tmp_path / "sub-a/dwi/sub-a_trace.nii.gz")  # of the series beside it
    touch(tmp_path / "sub-a/dwi/sub-a_part-phase_dwi.nii.gz")
    touch(tmp_path / "sub-a/dwi/sub-a_sbref.nii.gz")
    touch(tmp_path / "sub-a/anat/sub-a_T1w.nii.gz")
    touch(tmp_path / "derivatives/sub-z/dwi/sub-z_dwi.nii.gz")
    cases = find_cases(tmp_path)
    assert [case.name for case in cases] == [
        "sub-a",
        "sub-b_ses-1_acq-x",
        "sub-b_ses-2_run-1",
        "sub-b_ses-2_run-2",
        "sub-c",
    ]
    assert [case.session for case in cases] == [None, "ses-1", "ses-2", "ses-2", None]
    assert cases[0].bval.name == "sub-a_dwi.bval" and cases[0].bvec and cases[0].sidecar
    assert cases[4].bval is None and cases[4].image.name == "sub-c_trace.nii"


def test_sidecars_are_inherited_from_the_nearest_folder(tmp_path):
    series(tmp_path, "sub-a_acq-x", "sub-a/dwi", own=())
    series(tmp_path, "sub-b_acq-y", "sub-b/dwi", own=(".bvec",))
    series(tmp_path, "sub-c_ses-1", "sub-c/ses-1/dwi", own=())
    touch(tmp_path / "dwi.bval")
    touch(tmp_path / "acq-x_dwi.bval")
    touch(tmp_path / "dwi.bvec")
    touch(tmp_path / "T1w.json")
    touch(tmp_path / "sub-b/sub-b_dwi.json")
    touch(tmp_path / "sub-c/sub-c_dwi.bval")
    a, b, c = find_cases(tmp_path)
    assert a.bval == tmp_path / "acq-x_dwi.bval"  # more specific than dwi.bval
    assert b.bval == tmp_path / "dwi.bval"
    assert b.bvec == tmp_path / "sub-b/dwi/sub-b_acq-y_dwi.bvec"
    assert (a.sidecar, b.sidecar) == (None, tmp_path / "sub-b/sub-b_dwi.json")
    assert c.bval == tmp_path / "sub-c/sub-c_dwi.bval"


def test_real_sidecars_of_a_public_cohort(tmp_path, fixtures):
    shutil.copytree(fixtures / "aomic-piop2", tmp_path, dirs_exist_ok=True)
    for bval in list(tmp_path.glob("sub-*/dwi/*.bval")):
        touch(bval.with_suffix(".nii.gz"))
    cases = find_cases(tmp_path)
    assert len(cases) == 4
    assert all(case.bval and case.bvec and case.sidecar and math.isnan(case.age) for case in cases)


def test_participants_with_gaps(tmp_path):
    for label in "abcd":
        series(tmp_path, f"sub-{label}", f"sub-{label}/dwi")
    table = "\ufeffparticipant_id\tsite\tSex\tage\r\nsub-a\tx\tFemale\t38.5\nb\tx\tm\tn/a\nsub-c\tx\n\n"
    touch(tmp_path / "participants.tsv", table)
    a, b, c, d = find_cases(tmp_path)
    assert (a.age, a.sex) == (38.5, "F")
    assert math.isnan(b.age) and b.sex == "M"
    assert math.isnan(c.age) and c.sex is None and math.isnan(d.age)


def test_participants_without_columns(tmp_path):
    series(tmp_path, "sub-a", "sub-a/dwi")
    touch(tmp_path / "participants.tsv", "participant_id\nsub-a\n")
    assert find_cases(tmp_path)[0].sex is None
    touch(tmp_path / "participants.tsv", "")
    assert find_cases(tmp_path)[0].sex is None
    touch(tmp_path / "participants.tsv", "name\nsub-a\n")
    with pytest.raises(InputError, match=r"participants\.tsv has no column participant_id"):
        find_cases(tmp_path)


def test_ages_and_sexes():
    assert [parse_age(text) for text in ("38", "38.5", "89+", ">89")] == [38, 38.5, 89, 89]
    assert all(math.isnan(parse_age(text)) for text in ("", "n/a", "young", "-3", "038Y"))
    assert [parse_sex(text) for text in ("f", "Male", "n/a", "")] == ["F", "M", None, None]


def test_two_rows_of_one_id_are_refused(tmp_path):
    series(tmp_path, "sub-a", "sub-a/dwi")
    touch(tmp_path / "participants.tsv", "participant_id\tage\nsub-a\t1\nsub-b\t2\na\t3\n")
    with pytest.raises(InputError, match=r"participants\.tsv.*sub-a and sub-a have the same id"):
        find_cases(tmp_path)


def test_two_folders_of_one_id_are_refused(tmp_path):
    series(tmp_path, "sub-a", "sub-a/dwi")
    series(tmp_path, "sub-A", "sub-A/dwi")
    if len(list(tmp_path.glob("sub-*"))) < 2:
        pytest.skip("this file system does not tell upper from lower case")
    with pytest.raises(InputError, match="sub-A and sub-a have the same id"):
        find_cases(tmp_path)


def test_two_images_of_one_name_are_refused(tmp_path):
    series(tmp_path, "sub-a", "sub-a/dwi")
    touch(tmp_path / "sub-a/dwi/sub-a_dwi.nii")
    with pytest.raises(InputError, match="are one scan by their names"):
        find_cases(tmp_path)


def test_a_folder_without_cases_says_what_was_looked_for(tmp_path):
    touch(tmp_path / "sub-a/anat/sub-a_T1w.nii.gz")
    with pytest.raises(InputError, match=r"Looked for sub-\*/dwi/\*_dwi\.nii\.gz"):
        find_cases(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        find_cases(tmp_path / "nowhere")


def test_indexing_many_subjects_is_quick(tmp_path):
    import time

    for number in range(400):
        series(tmp_path, f"sub-{number:04d}", f"sub-{number:04d}/dwi")
    start = time.process_time()
    assert len(find_cases(tmp_path)) == 400
    assert time.process_time() - start < 2  # it takes 0.03 s: one listing a folder


def test_two_tables_that_apply_equally_are_refused(tmp_path):
    series(tmp_path, "sub-01_acq-a_run-1", "sub-01/dwi")
    own = tmp_path / "sub-01/dwi/sub-01_acq-a_run-1_dwi.bval"
    for name in ("sub-01_acq-a", "sub-01_run-1"):
        touch(tmp_path / f"sub-01/dwi/{name}_dwi.bval")
        touch(tmp_path / f"sub-01/dwi/{name}_dwi.json")
    assert find_cases(tmp_path)[0].bval == own
    own.unlink()
    with pytest.raises(InputError, match="sub-01_acq-a_dwi.bval and sub-01_run-1_dwi.bval apply equally"):
        find_cases(tmp_path)


@pytest.mark.parametrize("shut", ["sub-02", "sub-02/dwi"])
def test_a_folder_that_may_not_be_opened_is_left_out_by_name(tmp_path, monkeypatch, shut):
    for label in ("01", "02"):
        series(tmp_path, f"sub-{label}", f"sub-{label}/dwi")
    scan = os.scandir

    def scandir(folder="."):
        if Path(folder).is_relative_to(tmp_path / shut):
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    cases = find_cases(tmp_path)
    assert [case.name for case in cases] == ["sub-01"]
    assert [(one.what, one.lost) for one in left_out(tmp_path, cases)] == [(shut, True)]
