"""DICOM to BIDS: the same voxels, the right series, and nobody named anywhere."""

import gzip
import os
import re
import shutil
import subprocess
import traceback
import warnings
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from dwikit import cli
from dwikit.cohorts import phantom
from dwikit.cohorts.bids import find_cases
from dwikit.cohorts.dicom import pseudonym
from dwikit.common import files
from dwikit.common.errors import InputError
from dwikit.preprocess.trace import read_trace

pydicom = pytest.importorskip("pydicom", reason="pip install -e '.[acquire]'")
dcm2niix = pytest.importorskip("dcm2niix", reason="pip install -e '.[acquire]'")
from pydicom.dataset import Dataset  # noqa: E402
from pydicom.uid import RLELossless  # noqa: E402

from dwikit.cohorts.dicom import frames, import_dicom  # noqa: E402
from dwikit.cohorts.dicom.check import gaps  # noqa: E402
from dwikit.cohorts.dicom.diffusion import b_values  # noqa: E402
from dwikit.cohorts.dicom.report import write_private_list  # noqa: E402
from dwikit.cohorts.dicom.series import kind_of  # noqa: E402
from tests.dicom_writer import in_axes, patient_directions, write_enhanced, write_series  # noqa: E402

KEY = bytes(range(32))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """Two simulated cases, one of a GE and one of a Siemens protocol: image, b-values, directions by vendor."""
    shares = {1: 0.65, 2: 0.35}  # of a GE and a Siemens protocol
    protocols = tuple(replace(phantom.PROTOCOLS[n], share=share, matrix=64, reconstructed=64) for n, share in shares.items())
    path = tmp_path_factory.mktemp("simulated") / "bids"
    physics = phantom.Settings(protocols=protocols)
    bids = phantom.write_cohort(path, 2, seed=5, workers=1, physics=physics, progress=False)
    cases = {}
    for case in find_cases(bids):
        vendor = "Siemens" if '"Siemens"' in case.sidecar.read_text() else "GE"
        cases[vendor] = nib.load(case.image), np.loadtxt(case.bval), np.loadtxt(case.bvec)
    assert set(cases) == {"GE", "Siemens"}
    return cases


@pytest.fixture(scope="module")
def small():
    """A small series: image (24, 20, 8, 4), b-values, directions."""
    voxels = np.random.default_rng(0).integers(1, 900, (24, 20, 8, 4)).astype(np.int16)
    bvecs = np.hstack([np.zeros((3, 1)), np.eye(3)])
    return nib.Nifti1Image(voxels, np.diag([-3.0, 3, 5, 1])), np.array([0, 1000, 1000, 1000]), bvecs


def run(tmp_path, folder="dicom", out="bids"):
    return import_dicom(tmp_path / folder, tmp_path / out, tmp_path / "key", progress=False)


def test_simulated_cases_of_two_vendors_come_back_equal(simulated, tmp_path):
    for vendor, (image, bvals, bvecs) in simulated.items():
        write_series(
            tmp_path / "dicom" / vendor, image, bvals, bvecs, vendor, study=vendor, PatientID=vendor, PatientAge="044Y"
        )
    report = run(tmp_path)
    assert list(report["result"]) == ["converted"] * 2
    cases = {files.read_json(case.sidecar)["Manufacturer"]: case for case in find_cases(tmp_path / "bids")}
    for vendor, (image, bvals, bvecs) in simulated.items():
        case = cases[vendor]
        back = nib.load(case.image)
        before, after = in_axes(image, "RAS"), in_axes(back, "RAS")
        assert np.array_equal(np.asanyarray(before.dataobj), np.asanyarray(after.dataobj))
        assert back.get_data_dtype().kind in "iu" and np.allclose(before.affine, after.affine, atol=1e-4)
        assert np.array_equal(np.loadtxt(case.bval), bvals)
        found = patient_directions(back.affine, np.loadtxt(case.bvec))
        assert np.allclose(found, patient_directions(image.affine, bvecs), atol=1e-5)
        assert case.age == 44 and case.name.count("-") == 3
        assert read_trace(case).b_value == 1000 and read_trace(case).n_directions == 3


def test_an_enhanced_multi_frame_file_comes_back_equal(small, tmp_path):
    """One file a series, as Philips scanners write it; another maker's, whose slices dcm2niix mixes up, is said to fail."""
    image, bvals, bvecs = small
    write_enhanced(tmp_path / "dicom" / "one", *small, PatientID="a", Manufacturer="Philips Medical Systems")
    write_enhanced(tmp_path / "other" / "one", *small, PatientID="b", Manufacturer="UIH")
    assert list(run(tmp_path)["b_values"]) == ["0 1000"]
    [case] = find_cases(tmp_path / "bids")
    before, after = in_axes(image, "RAS"), in_axes(nib.load(case.image), "RAS")
    assert np.array_equal(before.get_fdata(), after.get_fdata()) and np.allclose(before.affine, after.affine, atol=1e-4)
    found = patient_directions(nib.load(case.image).affine, np.loadtxt(case.bvec))
    assert np.array_equal(np.loadtxt(case.bval), bvals)
    assert np.allclose(found, patient_directions(image.affine, bvecs), atol=1e-5)
    [reason] = run(tmp_path, "other", "more")["reason"]
    assert reason.startswith(
        "slice 2 of volume 1 has pixels of no file at its position: dcm2niix made 1 images of it (status 0)"
    )


def test_series_are_told_apart(small, tmp_path):
    image, bvals, bvecs = small
    volume = image.slicer[..., 1]
    person = {"PatientID": "a", "PatientSex": "F"}
    for kind, what in {"dwi": image, "trace": volume, "adc": volume, "localizer": volume, "t1": volume}.items():
        table = (bvals, bvecs) if kind == "dwi" else ([1000], np.zeros((3, 1))) if kind in ("trace", "adc") else ((), ())
        write_series(tmp_path / "dicom" / kind, what, *table, kind=kind, study="one", series=kind, **person)
    write_series(tmp_path / "dicom" / "b0", volume, [0], np.zeros((3, 1)), study="one", series="b0", **person)
    shutil.copytree(tmp_path / "dicom" / "dwi", tmp_path / "dicom" / "again")  # the same files twice
    (tmp_path / "dicom" / "notes.txt").write_text("no DICOM")
    report = run(tmp_path).set_index("kind", drop=False)
    reasons = dict(zip(report["kind"] + " " + report["b_values"], report["reason"]))
    assert reasons == {
        "dwi 0 1000": "n/a",
        "dwi 0": "only b = 0",
        "trace 1000": "trace image of a study whose series is here",
        "adc 1000": "ADC map",
        "localizer n/a": "localizer",
        "other n/a": "no b-value: not diffusion-weighted",
        "not DICOM n/a": "no readable DICOM",
    }
    assert report[report["result"] == "converted"]["images"].tolist() == [32]
    assert [case.sex for case in find_cases(tmp_path / "bids")] == ["F"]


@pytest.mark.parametrize("bvals", [[1000], [0, 1000]])
def test_a_trace_image_alone_is_converted(small, tmp_path, bvals):
    image = small[0].slicer[..., : len(bvals)]
    write_series(tmp_path / "dicom", image, bvals, np.zeros((3, len(bvals))), kind="trace", PatientID="a")
    run(tmp_path)
    [case] = find_cases(tmp_path / "bids")
    assert case.image.name.endswith("_trace.nii.gz") and read_trace(case).b_value == 1000
    before = in_axes(image.slicer[..., -1], "RAS").get_fdata()
    assert np.allclose(read_trace(case).image, in_axes(nib.Nifti1Image(before, np.diag([3.0, 3, 5, 1])), "LAS").get_fdata())


def test_what_cannot_be_used_is_said_and_the_rest_goes_on(small, tmp_path):
    paths = write_series(tmp_path / "dicom" / "a", *small, study="a", PatientID="a")
    paths[7].unlink()
    write_series(tmp_path / "dicom" / "b", *small, study="b", PatientID="b")
    write_series(tmp_path / "dicom" / "c", *small, study="c", PatientID="")
    paths = write_series(tmp_path / "dicom" / "d", *small, study="d", PatientID="d", BurnedInAnnotation="YES")
    report = run(tmp_path)
    assert sorted(report["result"]) == ["converted", "failed", "failed", "left out"]
    reasons = " | ".join(sorted(report["reason"]))
    assert "31 slices do not fill 4 volumes of 8: 1 missing, 0 too many" in reasons
    assert "no PatientID" in reasons and "burned into its pixels" in reasons
    assert len(find_cases(tmp_path / "bids")) == 1
    assert not list((tmp_path / "bids").rglob("*.partial*"))


def test_damaged_files_are_counted_and_listed_in_private(small, tmp_path, capsys):
    """One file cut in its pixels and one within its header: the reasons, the exit status, and the list that leads to them."""
    paths = write_series(tmp_path / "dicom" / "Mueller", *small, study="a", PatientID="a")
    paths[7].write_bytes(paths[7].read_bytes()[:-100])
    paths = write_series(tmp_path / "dicom" / "Meier", *small, study="b", PatientID="b")
    paths[3].write_bytes(paths[3].read_bytes()[:300])
    arguments = ["cohort", "dicom", str(tmp_path / "dicom"), str(tmp_path / "bids"), "--key", str(tmp_path / "key")]
    listed = Path(f"{tmp_path / 'key'}.series.tsv")
    assert cli.main(arguments) == 1
    said = capsys.readouterr()
    assert "1 of 32 files cannot be read or end too early" in said.out and "31 slices do not fill 4 volumes of 8" in said.out
    lost = "2 series failed and 1 files could not be read"
    assert f"{lost}; the others are done. {listed}" in said.err and "Mueller" not in said.out + said.err
    assert listed.stat().st_mode & 0o777 == 0o600
    report = pd.read_csv(tmp_path / "bids" / "dicom-import.tsv", sep="\t", keep_default_na=False).set_index("reason")
    cut, who = next((row.series, row.participant_id) for row in report.itertuples() if "cut off, or damaged" in row.Index)
    rows = listed.read_text().splitlines()
    assert f"{cut}\t{who}\tdwi\t{tmp_path / 'dicom' / 'Mueller'}\t00008.dcm" in rows
    assert f"n/a\tn/a\tdamaged DICOM\t{tmp_path / 'dicom' / 'Meier'}\t00004.dcm" in rows
    shutil.rmtree(tmp_path / "dicom")
    write_series(tmp_path / "dicom", *small, study="a", PatientID="a")
    assert cli.main(arguments) == 0  # mended
    rows = listed.read_text().splitlines()
    assert f"{cut}\t{who}\tdwi\t{tmp_path / 'dicom'}\tn/a" in rows and "Mueller" not in listed.read_text()
    assert sum("Meier" in row for row in rows) == 1  # of an earlier run, and of another series
    assert cut in (tmp_path / "bids" / "dicom-import.tsv").read_text()


def test_packed_pixels_are_read_to_their_end(small, tmp_path):
    [path, *_] = write_series(tmp_path, *small)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = bytes(len(dataset.PixelData))  # packs well
    dataset.compress(RLELossless)
    dataset.save_as(path)
    assert len(frames.read(path, tmp_path)) == 1
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises((EOFError, KeyError)):
        frames.read(path, tmp_path)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([4] * 26, ""),
        ([4] * 25 + [3], "103 slices do not fill 4 volumes of 26: 1 missing, 0 too many"),
        ([1] * 24 + [2, 3], "29 slices do not fill 1 volumes of 26: 0 missing, 3 too many"),
    ],
)
def test_gaps(counts, said):
    assert gaps(counts) == said


def test_a_converter_that_fails_or_hangs_is_one_failed_series(small, tmp_path, monkeypatch):
    write_series(tmp_path / "dicom", *small, PatientID="a")
    broken = tmp_path / "converter"
    for script, reason in (("exit 3", "made 0 images of it .status 3."), ("exec sleep 60", "did not end within 0.2 s")):
        broken.write_text(f"#!/bin/sh\n{script}\n")
        broken.chmod(0o755)
        monkeypatch.setattr("dwikit.cohorts.dicom.converter.TIMEOUT_S", 0.2 if "sleep" in script else 60)
        monkeypatch.setattr(dcm2niix, "bin", str(broken))
        report = run(tmp_path)
        assert list(report["result"]) == ["failed"] and re.search(reason, report["reason"][0])
    assert not list((tmp_path / "bids").rglob("sub-*"))


def test_a_second_run_adds_and_overwrites_nothing(small, tmp_path):
    write_series(tmp_path / "dicom", *small, study="first", PatientID="a", PatientAge="091Y")
    first = run(tmp_path)
    [case] = find_cases(tmp_path / "bids")
    written = case.image.stat().st_mtime_ns
    write_series(tmp_path / "more", *small, vendor="GE", study="second", PatientID="a", PatientAge="092Y")
    write_series(tmp_path / "more" / "b", *small, study="third", PatientID="b")
    assert list(run(tmp_path)["result"]) == ["there already"]
    assert list(run(tmp_path, "more")["result"]) == ["converted"] * 2
    table = pd.read_csv(tmp_path / "bids" / "dicom-import.tsv", sep="\t", keep_default_na=False)
    assert list(table["result"]) == ["converted"] * 3 and set(first["series"]) < set(table["series"])
    assert list(table.columns) == list(first.columns)
    cases = find_cases(tmp_path / "bids")
    same = [case for case in cases if case.subject == first["participant_id"][0]]
    assert len(cases) == 3 and len(same) == 2 and len({case.session for case in same}) == 2  # one person, two visits
    assert case.image.stat().st_mtime_ns == written
    assert (tmp_path / "bids" / "participants.tsv").read_text().count("89+\tn/a") == 1
    packed = case.image.read_bytes()
    case.image.unlink()  # a run stopped in the middle
    assert list(run(tmp_path)["result"]) == ["converted"] and case.image.read_bytes() == packed


def test_refusals(small, tmp_path):
    write_series(tmp_path / "dicom", *small, PatientID="a")
    with pytest.raises(InputError, match="does not exist"):
        run(tmp_path, "nothing")
    with pytest.raises(InputError, match="lies in the data set's folder"):
        import_dicom(tmp_path / "dicom", tmp_path / "bids", tmp_path / "bids" / "key")
    assert not (tmp_path / "bids").exists()
    run(tmp_path)
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    with pytest.raises(InputError, match="other does not exist.*needs the key that it was made with"):
        import_dicom(tmp_path / "dicom", tmp_path / "bids", tmp_path / "other", progress=False)
    assert not (tmp_path / "other").exists()
    (tmp_path / "other").write_text("0" * 64)
    with pytest.raises(InputError, match="another key"):
        import_dicom(tmp_path / "dicom", tmp_path / "bids", tmp_path / "other", progress=False)
    for out in ("dicom", "dicom/bids", "."):
        with pytest.raises(InputError, match="are nested. Choose a folder"):
            run(tmp_path, out=out)
    with pytest.raises(InputError, match="lies in the folder of DICOM. Keep it elsewhere"):
        import_dicom(tmp_path / "dicom", tmp_path / "new", tmp_path / "dicom" / "key")
    for out in ("other", "other/bids"):
        with pytest.raises(InputError, match="other is a file, but the data set needs a folder"):
            run(tmp_path, out=out)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    with pytest.raises(InputError, match="holds other files"):
        import_dicom(tmp_path / "dicom", tmp_path / "full", tmp_path / "third")
    files.write_json(tmp_path / "full" / "dataset_description.json", {"Name": "other"})
    with pytest.raises(InputError, match="of another source"):
        import_dicom(tmp_path / "dicom", tmp_path / "full", tmp_path / "third")
    assert not (tmp_path / "new").exists() and not (tmp_path / "third").exists() and not (tmp_path / "dicom" / "key").exists()
    report = tmp_path / "bids" / "dicom-import.tsv"
    report.write_bytes(b"\xff\0")
    with pytest.raises(InputError, match="dicom-import.tsv is damaged.*Move it away"):
        run(tmp_path)
    report.unlink()
    assert list(run(tmp_path)["result"]) == ["there already"]
    (tmp_path / "key").write_text("secret")
    with pytest.raises(InputError, match="is not a key"):
        run(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "key").unlink()
    with pytest.raises(InputError, match="no DICOM image .0 files"):
        run(tmp_path, "empty", "new")


def test_a_new_key_is_announced_once(tmp_path, capsys):
    first = pseudonym.read_key(tmp_path / "key", tmp_path / "bids")
    assert f"New key written to {tmp_path / 'key'}; keep it, and keep it secret." in capsys.readouterr().out
    assert pseudonym.read_key(tmp_path / "key", tmp_path / "bids") == first and not capsys.readouterr().out


def test_file_names_of_any_bytes_are_listed(tmp_path):
    path = Path(os.fsdecode(b"/scans/M\xfcller\t2"))
    for label in ("a", "b"):
        row = {"series": label, "participant_id": "sub-a", "kind": "dwi", "folder": path, "damaged": "n/a"}
        write_private_list(tmp_path / "key", [row])
    listed = pd.read_csv(f"{tmp_path / 'key'}.series.tsv", sep="\t", encoding_errors="surrogateescape")
    assert list(listed["series"]) == ["a", "b"] and {os.fsencode(name) for name in listed["folder"]} == {os.fsencode(path)}


def test_labels_need_the_key():
    label = pseudonym.label(KEY, "patient", "", "4711")
    assert label == pseudonym.label(KEY, "patient", "", " 4711 ") and re.fullmatch("[a-z2-7]{12}", label)
    others = [
        pseudonym.label(KEY, "patient", "", "ab12"),
        pseudonym.label(KEY, "patient", "", "AB12"),
        pseudonym.label(bytes(32), "patient", "", "4711"),
        pseudonym.label(KEY, "patient", "", "4712"),
        pseudonym.label(KEY, "patient", "ward", "4711"),
        pseudonym.label(KEY, "study", "", "4711"),
    ]
    assert len({label, *others}) == 7


@pytest.mark.parametrize(
    ("age", "birth", "studied", "text"),
    [
        ("045Y", "", "", "45"),
        ("018M", "", "", "1"),
        ("003W", "", "", "0"),
        ("", "19540312", "20200311", "65"),
        ("", "19540312", "20200312", "66"),
        ("089Y", "", "", "89+"),
        ("", "19000101", "20200101", "89+"),
        ("", "19540312", "", "n/a"),
        ("old", "1954", "2020", "n/a"),
        ("", "20210101", "20200101", "n/a"),
    ],
)
def test_ages(age, birth, studied, text):
    assert pseudonym.age_text(pseudonym.age_in_years(age, birth, studied)) == text


def header(words="ORIGINAL\\PRIMARY\\M", b=1000.0, **tags):
    dataset = Dataset()
    dataset.SOPClassUID, dataset.Modality, dataset.ImageType = "1.2.840.10008.5.1.4.1.1.4", "MR", words.split("\\")
    if b is not None:
        dataset.DiffusionBValue = b
    for name, value in tags.items():
        setattr(dataset, name, value)
    return dataset


@pytest.mark.parametrize(
    ("dataset", "kind"),
    [
        (header(SeriesDescription="ep2d_diff_3scan_trace_ADC"), "dwi"),  # named after what the scanner computes from it
        (header("DERIVED\\PRIMARY\\OTHER", SeriesDescription="DWI_b1000_ADC"), "adc"),
        (header("DERIVED\\PRIMARY\\DIFFUSION\\FA"), "map"),
        (header("DERIVED\\SECONDARY", SeriesDescription="isotropic b1000"), "trace"),
        (header(DiffusionDirectionality="ISOTROPIC"), "trace"),
        (header("ORIGINAL\\PRIMARY\\P\\ND"), "part"),
        (header(ComplexImageComponent="PHASE"), "part"),
        (header(Modality="CT"), "not MR"),
        (header(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), "not MR"),  # secondary capture
        (header(b=None), "other"),
    ],
)
def test_kinds(dataset, kind):
    assert kind_of(dataset) == kind


def private(group, creator, element, vr, value):
    dataset = header(b=None)
    dataset.private_block(group, creator, create=True).add_new(element, vr, value)
    return dataset


@pytest.mark.parametrize(
    ("dataset", "b"),
    [
        (header(b=800.0), {800}),
        (private(0x0019, "SIEMENS MR HEADER", 0x0C, "IS", 1000), {1000}),
        (private(0x0019, "SIEMENS MR HEADER", 0x0C, "UN", b"1000"), {1000}),  # from a file without types
        (private(0x0043, "GEMS_PARM_01", 0x39, "IS", [1000001000, 8, 0, 0]), {1000}),
        (private(0x2001, "Philips Imaging DD 001", 0x03, "FL", 600.0), {600}),
        (private(0x0019, "SOMEBODY ELSE", 0x0C, "IS", 1000), set()),
        (private(0x0019, "SIEMENS MR HEADER", 0x0C, "LO", "Mueller"), set()),
    ],
)
def test_b_values_of_the_vendors(dataset, b):
    assert b_values(dataset) == b


TEXTS = (
    *("PatientName", "PatientID", "OtherPatientNames", "PatientAddress", "PatientTelephoneNumbers", "PatientComments"),
    *("IssuerOfPatientID", "EthnicGroup", "Occupation", "AdditionalPatientHistory", "MedicalAlerts", "PatientBirthName"),
    *("AccessionNumber", "StudyID", "StudyDescription", "SeriesDescription", "ProtocolName", "SequenceName", "ImageComments"),
    *("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName", "DeviceSerialNumber"),
    *("ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "NameOfPhysiciansReadingStudy"),
    *("ManufacturerModelName", "SoftwareVersions", "ReceiveCoilName", "PerformedProcedureStepDescription", "BodyPartExamined"),
)
DATES = {
    **{"PatientBirthDate": "19540312", "StudyDate": "20031127", "SeriesDate": "20031128", "AcquisitionDate": "20031129"},
    **{"ContentDate": "20031130", "StudyTime": "131719", "AcquisitionTime": "142323.37", "PatientBirthTime": "031459"},
}


def markers() -> dict[str, str]:
    """Place -> what is planted there: a word of its own (a date, a time or a number where only that fits)."""
    words = {name: f"ZQ{number:02d}{name[:9]}".upper() for number, name in enumerate(TEXTS)}
    places = ("private element", "file meta", "preamble", "nested sequence", "image type", "folder", "file", "unreadable file")
    words |= {place: f"ZQ{number}{place[:7].replace(' ', '')}".upper() for number, place in enumerate(places, 70)}
    return words | DATES | {"invalid date": "12.03.1955", "study UID": "771330991", "series UID": "771330992"}


def plant(folder: Path, small, vendor="Siemens", **more) -> dict[str, str]:
    """A series in which each place holds its marker; a field that warns when it is read is among them."""
    planted = markers()
    folder = folder / planted["folder"]
    paths = write_series(folder, *small, vendor=vendor, **({name: planted[name] for name in TEXTS} | DATES | more))
    for number, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "LO", planted["private element"])
        dataset.file_meta.SourceApplicationEntityTitle = planted["file meta"]
        dataset.preamble = planted["preamble"].encode().ljust(128, b"\0")
        dataset.RequestAttributesSequence = [Dataset()]
        dataset.RequestAttributesSequence[0].ScheduledProcedureStepDescription = planted["nested sequence"]
        dataset.ImageType = [*dataset.ImageType, planted["image type"]]
        dataset.StudyInstanceUID = f"1.2.{planted['study UID']}.1"
        dataset.SeriesInstanceUID = f"1.2.{planted['series UID']}.{vendor == 'GE':d}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset.InstanceCreationDate = planted["invalid date"]
            if vendor == "GE":  # read, for the age, and complained of
                dataset.PatientBirthDate = planted["invalid date"]
        dataset.save_as(path.with_name(f"{planted['file']}-{vendor}-{number:04d}"), enforce_file_format=True)
        path.unlink()
    whole = path.with_name(f"{planted['file']}-{vendor}-0000").read_bytes()
    (folder / f"{planted['unreadable file']}.dcm").write_bytes(whole[:700])
    return planted


def found_in(planted: dict[str, str], texts: list[bytes]) -> set[str]:
    """Places whose marker occurs in some text, in any case, in one or two bytes a letter."""
    forms = {place: (marker.lower().encode(), marker.lower().encode("utf-16-le")) for place, marker in planted.items()}
    return {place for text in texts for place, some in forms.items() if any(form in text.lower() for form in some)}


def everything(folder: Path) -> list[bytes]:
    """Names and contents of all files and folders, packed ones unpacked too."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    contents = [path.read_bytes() for path in paths]
    names = [str(path.relative_to(folder)).encode() for path in folder.rglob("*")]
    return names + contents + [gzip.decompress(content) for content in contents if content[:2] == b"\x1f\x8b"]


def test_hunt_for_identifiers(small, tmp_path, capfd, caplog):
    caplog.set_level("DEBUG")
    archive, out = tmp_path / "dicom", tmp_path / "bids"
    planted = plant(archive, small)
    plant(archive / "ge", small, "GE", study="ge", PatientAge="")
    write_series(archive / "broken", *small, study="broken", PatientID=planted["PatientID"])[3].unlink()
    assert found_in(planted, everything(archive)) == set(planted), "the hunt must be able to find each marker"

    caplog.clear()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        report = import_dicom(archive, out, tmp_path / "key")
        assert sorted(report["result"]) == ["converted", "converted", "failed", "failed"]
        said = [report.to_csv(), repr(find_cases(out)), *(str(warning.message) for warning in warned)]
        within = archive / planted["folder"]
        for other, key in ((out, tmp_path / "other"), (archive, tmp_path / "key"), (tmp_path / "new", within / "key")):
            try:  # messages with their whole tracebacks
                import_dicom(within, other, key)
            except InputError as error:
                said.append("".join(traceback.format_exception(error)).replace(str(archive), ""))
    said += [*capfd.readouterr(), caplog.text]
    written = everything(out)
    texts = written + [text.encode() for text in said]
    leaks = found_in(planted, texts)
    assert planted["folder"] in (tmp_path / "key.series.tsv").read_text(), "only the private list leads back"

    raw = tmp_path / "raw"
    raw.mkdir()
    subprocess.run([dcm2niix.bin, "-ba", "n", "-o", raw, archive], capture_output=True)
    alone = found_in(planted, everything(raw))
    anonymized = tmp_path / "anonymized"
    anonymized.mkdir()
    subprocess.run([dcm2niix.bin, "-ba", "y", "-f", "%s", "-o", anonymized, archive], capture_output=True)
    still = found_in(planted, everything(anonymized))
    with capfd.disabled():
        print(
            f"\nidentifier hunt: {len(planted)} places planted; searched {sum(p.is_file() for p in out.rglob('*'))} files "
            f"({sum(map(len, written))} bytes with names and unpacked contents) and {len(said)} reports, logs and tracebacks: "
            f"{len(leaks)} found. dcm2niix alone leaves {len(alone)} in its output, {len(still)} when told to anonymize."
        )
    assert not leaks
    assert len(planted) >= 40 and len(alone) > len(still) > 0


def test_the_image_header_holds_geometry_alone(small, tmp_path):
    plant(tmp_path / "dicom", small)
    run(tmp_path)
    [case] = find_cases(tmp_path / "bids")
    image = nib.load(case.image)
    for name in ("descrip", "aux_file", "intent_name", "db_name", "data_type"):
        assert not image.header[name].item().strip(b"\0")
    assert not image.header.extensions and not case.image.read_bytes()[3] & 0b11110  # gzip: no name, no comment
    assert image.header["pixdim"][4] == 7 and int(image.header["sform_code"]) == 1


def test_from_the_command_line(small, tmp_path, capsys):
    planted = plant(tmp_path / "dicom", small)
    arguments = ["cohort", "dicom", str(tmp_path / "dicom"), str(tmp_path / "bids"), "--key", str(tmp_path / "key")]
    assert cli.main(arguments) == 1
    said = capsys.readouterr()
    assert "dwikit: 1 files could not be read; the others are done." in said.err
    assert "converted" in said.out and not found_in(planted, [said.out.encode(), said.err.encode()])
    with pytest.raises(SystemExit):
        cli.main(["cohort", "dicom", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "DICOM files of any name" in said and "new, empty, or of an earlier run with this key" in said
    assert cli.main([*arguments[:-1], str(tmp_path / "bids" / "key")]) == 2
    assert "Keep it elsewhere" in capsys.readouterr().err
