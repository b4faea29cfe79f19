"""Nothing of a dataset drops out in silence: near misses of names, other types, tables without images, ids without people."""

import math
import os
import re
from pathlib import Path

import pytest

from dwikit.cohorts import participants
from dwikit.cohorts.bids import find_cases, left_out
from dwikit.common.errors import InputError
from tests.cohorts.test_bids import series, touch

ANNEX = ".git/annex/objects/zz/9J/MD5E-s120--0d.nii.gz/MD5E-s120--0d.nii.gz"


@pytest.fixture
def dataset(tmp_path):
    """One person whose scan is as BIDS asks."""
    series(tmp_path, "sub-01", "sub-01/dwi")
    return tmp_path


def of(root):
    """Scans, and what was left out by what it is."""
    cases = find_cases(root)
    return [case.name for case in cases], {one.what: one for one in left_out(root, cases)}


def test_a_dataset_in_order_leaves_nothing_out(dataset):
    series(dataset, "sub-02_ses-1_acq-x_run-2", "sub-02/ses-1/dwi")
    touch(dataset / "sub-03/anat/sub-03_T1w.nii.gz")
    touch(dataset / "sub-03/fmap/sub-03_acq-dwi_epi.nii.gz")
    touch(dataset / "derivatives/x/sub-01/dwi/sub-01_DWI.nii.gz")
    touch(dataset / "sourcedata/sub-01/dwi/IM0001")
    touch(dataset / ".git/annex/dwi/a_dwi.nii.gz")
    touch(dataset / "participants.tsv", "participant_id\tage\tsex\nsub-01\t38\tF\nsub-02\tn/a\tO\nsub-03\t\tn/a\n")
    found, left = of(dataset)
    assert found == ["sub-01", "sub-02_ses-1_acq-x_run-2"] and list(left) == ["sub-*"] and not left["sub-*"].lost
    assert left["sub-*"].reason == "sub-*: people without diffusion-weighted images (1): sub-03."


@pytest.mark.parametrize(
    ("name", "what", "reason"),
    [
        ("sub-02/IM0001", "sub-02", "it holds no volume. If it holds scans, convert DICOM"),
        ("sub-02/dicom/1.dcm", "sub-02", "it holds no volume"),
        ("sub-02/ses-1/scans/1/IM0001", "sub-02", "it holds no volume"),
        ("sub-02.tar.gz", "sub-02.tar.gz", "it is a file, not the folder of a subject. Unpack it"),
        ("sub-02.ZIP", "sub-02.ZIP", "it is a file"),
        ("sub-02.nii.gz", "sub-02.nii.gz", "move its scan to sub-LABEL/dwi"),
    ],
)
def test_a_subject_of_whom_nothing_is_used_is_named(dataset, name, what, reason):
    touch(dataset / name)
    touch(dataset / "participants.tsv", "participant_id\tage\tsex\nsub-01\t38\tF\nsub-02\t40\tM\n")
    _, left = of(dataset)
    assert left[what].lost and reason in left[what].reason


def test_nothing_is_said_twice_of_a_subject(dataset):
    touch(dataset / "sub-02/DWI/sub-02_dwi.nii.gz")
    (dataset / "sub-03").mkdir()
    (dataset / "sub-04").symlink_to(ANNEX)
    touch(dataset / "sub-01_dwi.bval")
    _, left = of(dataset)
    assert sorted(left) == ["sub-02/DWI/sub-02_dwi.nii.gz", "sub-03", "sub-04"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("sub-02/dwi/sub-02_DWI.nii.gz", "ends in 'DWI', not in _dwi"),
        ("sub-02/dwi/sub-02_dti.nii.gz", "ends in 'dti'"),
        ("sub-02/dwi/sub-02_TRACEW.nii", "ends in 'TRACEW'"),
        ("sub-02/dwi/sub-02_acq-b1.5_dwi.nii.gz", "its name holds '.'; labels are letters and digits"),
        ("sub-02/dwi/sub-02_dwi (1).nii.gz", r"ends in 'dwi \(1\)'"),
        ("sub-02/dwi/sub-02_acq-a b_dwi.nii.gz", "its name holds ' '"),
        ("sub-02/dwi/sub-02_dwi__dup-01.nii.gz", "__dup marks a second conversion"),
        ("sub-02/dwi/sub-02__dup-01_dwi.nii.gz", "__dup marks a second conversion"),
        ("sub-02/dwi/sub-02__acq-x_dwi.nii.gz", "a label of its name is empty"),
        ("sub-02/dwi/sub-02_part-pha_dwi.nii.gz", "part-pha is none of mag, phase"),
        ("sub-02/dwi/sub-02_dwi.nii.GZ", ".nii.GZ is not read. Write the ending in lower case"),
        ("sub-02/dwi/sub-02_dwi.NII", "lower case"),
        ("sub-02/dwi/sub-02_dwi.nii.bz2", ".nii.bz2 is not read. Convert or unpack it"),
        ("sub-02/dwi/sub-02_dwi.mif.gz", "Convert or unpack it"),
        ("sub-02/dwi/sub-02_dwi.nrrd", "Convert or unpack it"),
        ("sub-02/DWI/sub-02_dwi.nii.gz", "folder is called 'DWI', not 'dwi'"),
        ("sub-02/dti/sub-02_dwi.nii.gz", "folder is called 'dti', not 'dwi'"),
        ("sub-02/ses1/dwi/sub-02_dwi.nii.gz", "folder is called 'ses1', not ses-LABEL"),
        ("sub-02/Ses-1/dwi/sub-02_Ses-1_dwi.nii.gz", "'Ses-1', not ses-LABEL"),
        ("sub-02/ses-1/dwi/sub-02_dwi.nii.gz", "does not begin with sub-02_ses-1_"),
        ("sub-02/ses-1/dwi/sub-02_ses-2_dwi.nii.gz", "does not begin with sub-02_ses-1_"),
        ("sub-02/dwi/sub-03_dwi.nii.gz", "does not begin with sub-02_, as its folders do"),
        ("sub-02/dwi/sub-021_dwi.nii.gz", "does not begin with sub-02_"),
        ("sub-02/dwi/dwi.nii.gz", "does not begin with sub-02_"),
        ("sub_02/dwi/sub_02_dwi.nii.gz", "'sub_02', not sub-LABEL"),
        ("Sub-02/dwi/Sub-02_dwi.nii.gz", "'Sub-02', not sub-LABEL"),
        ("02/dwi/02_dwi.nii.gz", "'02', not sub-LABEL"),
        ("sub-02/anat/sub-02_dwi.nii.gz", "lies in sub-02/anat, not in"),
        ("sub-02/sub-02_dwi.nii.gz", "lies in sub-02, not in"),
        ("sub-02_dwi.nii.gz", "lies in no folder"),
        ("rawdata/sub-02/dwi/sub-02_dwi.nii.gz", "sub-02 lies in rawdata, not at the top.*give rawdata as the data set"),
        ("sub-02/dwi/sub-02_dwi.bval", "b-values without its image"),
        ("sub-02/dwi/IM0001", "no volume. If they are scans, convert DICOM"),
    ],
)
def test_what_is_nearly_a_scan_is_named(dataset, name, reason):
    touch(dataset / name)
    names, found = of(dataset)
    assert names == ["sub-01"] and len(found) == 1
    [one] = found.values()
    assert one.lost and one.what in (name, str(Path(name).parent)) and one.what in one.reason
    assert re.search(reason, one.reason)


def test_files_left_out_by_their_type_are_counted_and_nothing_is_lost(dataset):
    for name in ("sbref", "ADC", "part-phase_dwi", "part-Phase_acq-x_dwi", "trace"):
        touch(dataset / f"sub-01/dwi/sub-01_{name}.nii.gz")
    series(dataset, "sub-02", "sub-02/dwi")
    touch(dataset / "sub-02/dwi/sub-02_sbref.nii.gz")
    names, found = of(dataset)
    assert names == ["sub-01", "sub-02"]
    assert not any(one.lost for one in found.values())
    assert set(found) == {"_ADC", "_sbref", "_trace", "part-phase"}
    assert (
        found["_sbref"].reason.startswith("_sbref: neither a series (_dwi) nor a trace image (_trace) (2): ")
        and "sub-02/dwi/sub-02_sbref.nii.gz" in found["_sbref"].reason
    )
    assert found["part-phase"].reason.startswith("part-phase: no magnitude image (2): ")


def test_people_whose_folder_was_not_fetched(dataset):
    (dataset / "sub-02").mkdir()
    (dataset / "sub-03/dwi").mkdir(parents=True)
    os.symlink(f"../{ANNEX}", dataset / "sub-04")
    (dataset / "sub-05/dwi/sub-05_dwi.nii.gz").mkdir(parents=True)
    names, found = of(dataset)
    assert names == ["sub-01"] and all(one.lost for one in found.values())
    assert set(found) == {"sub-02", "sub-03/dwi", "sub-04", "sub-05/dwi/sub-05_dwi.nii.gz"}
    assert "datalad get" in found["sub-02"].reason and "datalad get" in found["sub-04"].reason
    assert "is a folder, not a file" in found["sub-05/dwi/sub-05_dwi.nii.gz"].reason


def test_bytes_that_are_no_text_are_named_in_letters(dataset):
    folder = os.fsencode(dataset) + b"/sub-M\xfcller/dwi"
    os.makedirs(folder)
    open(folder + b"/sub-M\xfcller_dwi.nii.gz", "w").close()
    names, found = of(dataset)
    [one] = found.values()
    assert names == ["sub-01"] and one.lost and "no UTF-8" in one.reason
    assert (one.what + one.reason).encode("utf-8").count(rb"sub-M\udcfcller") == 4


def test_a_dataset_of_near_misses_says_which(tmp_path):
    touch(tmp_path / "sub-01/DWI/sub-01_dwi.nii.gz")
    with pytest.raises(InputError, match="no diffusion-weighted image.*folder is called 'DWI', not 'dwi'"):
        find_cases(tmp_path)


# ==== participants.tsv ====


def doubts(root, table, encoding="utf-8"):
    (root / "participants.tsv").write_bytes(table.encode(encoding))
    return [(one.reason, one.lost) for one in left_out(root, find_cases(root))]


@pytest.mark.parametrize(
    ("table", "reason", "lost"),
    [
        ("participant_id\tage\n1\t38\n", r"ids without a folder here \(1\): sub-1 \(is it sub-01\?\)", True),
        ("participant_id\tage\nsub_01\t38\n", r"sub-sub_01 \(is it sub-01\?\)", True),
        ("participant_id\tage\nsub-01\t38\nsub-99\t40\n", r"ids without a folder here \(1\): sub-99. Write", False),
        ("participant_id\tage\nsub-01\tyoung\n", r"values of age that cannot be read \(1\): sub-01 'young'. Write years", True),
        ("participant_id\tage\nsub-01\t1970\n", "sub-01 '1970'", True),
        ("participant_id\tage\nsub-01\t038Y\n", "sub-01 '038Y'", True),
        ("participant_id\tsex\nsub-01\t2\n", r"values of sex that cannot be read \(1\): sub-01 '2'. Write F, M", True),
        ("participant_id\tAge (years)\nsub-01\t38\n", r"no column is called age, but there is 'age \(years\)'", True),
        ("participant_id\tage_at_scan\nsub-01\t38\n", "there is 'age_at_scan'", True),
        ("participant_id\tsite\tage\nsub-01\tx\ty\t38\n", "more cells than columns.*not used: sub-01", True),
    ],
)
def test_what_fits_nobody_is_named(dataset, table, reason, lost):
    found = doubts(dataset, table)
    assert re.search(reason, found[0][0])
    assert found[0][1] == lost
    if "not used" in reason:
        assert math.isnan(find_cases(dataset)[0].age)


def test_people_without_a_row_are_lost_only_if_rows_fit_nobody(dataset):
    series(dataset, "sub-02", "sub-02/dwi")
    assert doubts(dataset, "participant_id\tage\nsub-01\t38\n") == [
        ("participants.tsv: people without a row, so without age and sex (1): sub-02.", False)
    ]
    assert [lost for _, lost in doubts(dataset, "participant_id\tage\nsub-01\t38\n2\t40\n")] == [True, True]


@pytest.mark.parametrize("title", ["dosage", "language", "stage", "sexual_health"])
def test_columns_that_only_hold_the_letters_are_no_ages(dataset, title):
    assert doubts(dataset, f"participant_id\t{title}\nsub-01\t38\n") == []


@pytest.mark.parametrize("text", ["n/a", "", "NA", "unknown", "."])
def test_unknown_values_are_no_loss(dataset, text):
    assert doubts(dataset, f"participant_id\tage\tsex\nsub-01\t{text}\t{text}\n") == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_as_spreadsheets_write_them(dataset, encoding):
    assert doubts(dataset, '"participant_id"\t"age"\t"sex"\r\n"sub-01"\t"38,5"\t"female"\r\n', encoding) == []
    [case] = find_cases(dataset)
    assert (case.age, case.sex) == (38.5, "F")


@pytest.mark.parametrize("name", ["participants.csv", "Participants.tsv", "participants.xlsx"])
def test_a_table_under_another_name_is_named(dataset, name):
    touch(dataset / name, "participant_id,age\nsub-01,38\n")
    [one] = left_out(dataset, find_cases(dataset))
    assert one.what == name and one.lost and "Save it as participants.tsv" in one.reason


def test_tables_that_cannot_be_read_say_why(dataset):
    path = touch(dataset / "participants.tsv", "participant_id,age\nsub-01,38\n")
    with pytest.raises(InputError, match="separated by commas or semicolons: use tabs"):
        find_cases(dataset)
    path.write_text("participant_id\tage\tage\nsub-01\t38\t39\n")
    with pytest.raises(InputError, match="has 2 columns called age. Keep one"):
        find_cases(dataset)
    path.write_text("/annex/objects/MD5E-s120--0d.tsv\n")
    with pytest.raises(InputError, match="participants.tsv is not fetched.*datalad get"):
        find_cases(dataset)
    path.unlink()
    os.symlink(ANNEX, path)
    with pytest.raises(InputError, match="participants.tsv is not fetched.*git annex get"):
        participants.read(path)
