"""Whose a series is: patients with and without ID or issuer, anonymized studies and folders."""

import nibabel as nib
import numpy as np
import pytest

from dwikit import cli
from dwikit.cohorts.bids import find_cases
from dwikit.common.errors import InputError

pytest.importorskip("pydicom", reason="pip install -e '.[acquire]'")
pytest.importorskip("dcm2niix", reason="pip install -e '.[acquire]'")
from tests.cohorts.dicom_series import run
from tests.dicom_writer import write_series


def write(folder, study, **tags):
    voxels = np.random.default_rng(0).integers(1, 900, (8, 8, 8, 2)).astype(np.uint16)
    bvecs = np.array([[0, 1.0], [0, 0], [0, 0]])
    write_series(folder, nib.Nifti1Image(voxels, np.diag([-3.0, 3, 5, 1])), [0, 1000], bvecs, study=study, **tags)


def test_anonymized_scans_need_a_word_on_who_is_who(tmp_path, capsys):
    for person in "ab":
        for visit in "12":
            write(tmp_path / "dicom" / person / visit, person + visit, PatientID="")
    arguments = ["cohort", "dicom", str(tmp_path / "dicom"), str(tmp_path / "bids"), "--key", str(tmp_path / "key")]
    assert cli.main(arguments) == 1  # data are lost
    assert "unless --person-from study or --person-from folder says it" in capsys.readouterr().out
    assert cli.main([*arguments, "--person-from", "folder"]) == 0
    cases = find_cases(tmp_path / "bids")
    assert len(cases) == 4 and len({case.subject for case in cases}) == 2
    assert cli.main([*arguments[:3], str(tmp_path / "other"), "--key", str(tmp_path / "key"), "--person-from", "study"]) == 0
    assert len({case.subject for case in find_cases(tmp_path / "other")}) == 4
    assert "failed" not in (tmp_path / "bids" / "dicom-import.tsv").read_text()  # nobody's series are somebody's now
    with pytest.raises(InputError, match="person_from is 'name', but persons are told apart by patient, study, folder"):
        run(tmp_path, person_from="name")


def test_one_data_set_tells_persons_apart_in_one_way(tmp_path):
    """Else one scan would stand there as two persons', and could be in two splits."""
    write(tmp_path / "dicom" / "a", "a", PatientID="4711")
    run(tmp_path)
    with pytest.raises(InputError, match="told apart by patient; by study they would get second labels. Use --person-from pat"):
        run(tmp_path, person_from="study")
    assert list(run(tmp_path)["result"]) == ["there already"]


def test_a_constant_patient_id_is_one_person_only_by_patient(tmp_path):
    for person in "abc":
        write(tmp_path / "dicom" / person, person, PatientID="ANONYMOUS")
    assert len(set(run(tmp_path, person_from="folder")["participant_id"])) == 3


def test_a_folder_is_one_person(tmp_path):
    write(tmp_path / "dicom" / "a" / "1", "a1", PatientID="x")
    write(tmp_path / "dicom" / "a" / "2", "a2", PatientID="y")
    write(tmp_path / "dicom", "b", PatientID="")
    report = run(tmp_path, person_from="folder")
    assert list(report["result"]) == ["failed"] * 3
    assert list(report["reason"].str.contains("holds several PatientIDs")).count(True) == 2
    assert list(report["reason"].str.contains("lies in no folder below")).count(True) == 1


@pytest.mark.parametrize("first", ["with", "without", "both"])
def test_a_patient_with_and_without_issuer_is_one_person(first, tmp_path):
    write(tmp_path / ("dicom" if first != "without" else "more"), "1", PatientID="4711", IssuerOfPatientID="HOSP")
    write(tmp_path / ("dicom" if first != "with" else "more") / "b", "2", PatientID="4711")
    write(tmp_path / "dicom" / "c", "3", PatientID="4712")
    reports = [run(tmp_path)] + ([run(tmp_path, "more")] if first != "both" else [])
    people = [label for report in reports for label in report["participant_id"]]
    assert len(people) == 3 and len(set(people)) == 2
    assert {case.subject for case in find_cases(tmp_path / "bids")} == set(people)
    again = run(tmp_path)
    assert list(again["result"].unique()) == ["there already"] and set(again["participant_id"]) <= set(people)


def test_an_id_of_two_issuers_is_two_persons_and_without_issuer_nobody(tmp_path):
    for issuer in ("A", "B", ""):
        write(tmp_path / "dicom" / f"of{issuer}", f"of{issuer}", PatientID="4711", IssuerOfPatientID=issuer)
    report = run(tmp_path)
    assert sorted(report["result"]) == ["converted", "converted", "failed"] and report["participant_id"].nunique() == 3
    assert "occurs with several issuers and without one" in " ".join(report["reason"])
