"""What dcm2niix makes of odd series is what their headers say, or is refused with the reason."""

import nibabel as nib
import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom", reason="pip install -e '.[acquire]'")
pytest.importorskip("dcm2niix", reason="pip install -e '.[acquire]'")
from pydicom import uid  # noqa: E402
from pydicom.encaps import encapsulate  # noqa: E402
from pydicom.filebase import DicomBytesIO  # noqa: E402
from pydicom.filewriter import write_dataset  # noqa: E402

from dwikit.cohorts.bids import find_cases  # noqa: E402
from dwikit.cohorts.dicom import converter  # noqa: E402
from tests.cohorts.dicom_series import N_SLICES, assert_same, run, scan, setting, write  # noqa: E402


def without_preamble(dataset, t, k, path):
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, True
    dataset.remove_private_tags()
    dataset.DiffusionBValue = 1000.0 * bool(t)
    write_dataset(buffer, dataset)
    path.write_bytes(buffer.getvalue())


def beheaded(dataset, t, k, path):
    dataset.save_as(path)
    path.write_bytes(path.read_bytes()[132:])  # group 2 first


def big_endian(dataset, t, k, path):
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRBigEndian
    dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    pydicom.dcmwrite(path, dataset, implicit_vr=False, little_endian=False, enforce_file_format=True)


def empty_standard(dataset, t, k, path):
    dataset.DiffusionBValue = None


CONVERTED = {
    "no preamble, no types": without_preamble,
    "no preamble, but meta information": beheaded,
    "big-endian": big_endian,
    "packed": lambda dataset, t, k, path: dataset.compress(uid.RLELossless),
    "one SOPInstanceUID": setting(SOPInstanceUID=lambda t, k: "1.2.3"),
    "no SOPInstanceUID": setting(SOPInstanceUID=lambda t, k: ""),
    "empty standard b-value": empty_standard,
    "protocol names": setting(ProtocolName=lambda t, k: f"diff_{t}"),
    "descriptions": setting(SeriesDescription=lambda t, k: f"diff_{t}"),
    "trigger times": setting(TriggerTime=lambda t, k: f"{1000 * t + k}"),
    "series times": setting(SeriesTime=lambda t, k: f"1200{t:02d}", AcquisitionTime=lambda t, k: f"1200{t:02d}"),
    "study times": setting(StudyDate=lambda t, k: "20200101", StudyTime=lambda t, k: f"12{t:02d}00"),
    "echo numbers": setting(EchoNumbers=lambda t, k: t + 1),
    "series numbers": setting(SeriesNumber=lambda t, k: t + 5),
    "coil names": setting(ReceiveCoilName=lambda t, k: f"C{t}"),
    "b = 0 last": setting(InstanceNumber=lambda t, k: (t or 9) * N_SLICES + k),
}


@pytest.mark.parametrize("change", CONVERTED.values(), ids=CONVERTED)
def test_odd_series_are_converted(change, tmp_path):
    write(tmp_path / "dicom", change, scan())
    (tmp_path / "dicom" / "notes").write_bytes(b"\x08\x00\x05\x00")  # begins as DICOM can
    report = run(tmp_path)
    assert list(report["result"]) == ["converted", "left out"] and list(report["images"]) == [4 * N_SLICES, 1]
    assert_same(tmp_path, *scan()[:2])


OBLIQUE = np.array([[-2.88, 0, 1.4, 10], [0, 3, 0, -20], [0.84, 0, 4.8, 5], [0, 0, 0, 1]])
SAGITTAL = np.array([[0, 0, 5.0, 0], [3, 0, 0, -20], [0, 3, 0, 5], [0, 0, 0, 1]])


@pytest.mark.parametrize("affine", [OBLIQUE, SAGITTAL], ids=["oblique", "sagittal"])
def test_slices_of_any_direction_come_back_equal(affine, tmp_path):
    image, bvals, bvecs = scan()
    image = nib.Nifti1Image(np.asanyarray(image.dataobj), affine)
    write(tmp_path / "dicom", setting(), (image, bvals, bvecs))
    assert list(run(tmp_path)["reason"]) == ["n/a"]
    assert_same(tmp_path, image, bvals)


def test_intensities_scaled_by_slice_are_kept(tmp_path):
    image, bvals, bvecs = scan()
    slopes = 1 + np.arange(4) / 4
    write(tmp_path / "dicom", setting(RescaleSlope=lambda t, k: f"{slopes[t]}", RescaleIntercept=lambda t, k: "0"), scan())
    run(tmp_path)
    assert_same(tmp_path, nib.Nifti1Image(image.get_fdata() * slopes, image.affine), bvals)


def moved(by):
    """A change that adds by(volume, slice) to the position, in mm."""

    def change(dataset, t, k, path):
        place = np.array(dataset.ImagePositionPatient, float) + by(t, k)
        dataset.ImagePositionPatient = [f"{value:g}" for value in place]

    return change


def other_direction(dataset, t, k, path):
    if (t, k) == (2, 3):
        dataset.private_block(0x0019, "SIEMENS MR HEADER")[0x0E].value = [1.0, 0.0, 0.0]


REFUSED = {
    "echo times": (
        setting(EchoTime=lambda t, k: 80 + 5 * (t > 1)),
        "its echo times vary from 80 to 85 ms: several series in one",
    ),
    "repetition times": (
        setting(RepetitionTime=lambda t, k: 7000 + 500 * t),
        "its repetition times vary from 7000 to 8500 ms: several series in one",
    ),
    "flip angles": (
        setting(FlipAngle=lambda t, k: 90 - 5 * t),
        "its flip angles vary from 75 to 90 degrees: several series in one",
    ),
    "tilted": (
        moved(lambda t, k: (0, 2 * k, 0)),
        "its stack of slices leans by 21.8 degrees (gantry tilt), which dcm2niix does not keep",
    ),
    "uneven": (
        moved(lambda t, k: (0, 0, 3 * (k > 3))),
        "its slices lie 5 to 8 mm apart: slices are missing, or uneven",
    ),
    "a slice missing everywhere": (
        lambda dataset, t, k, path: k != 3,
        "its slices lie 5 to 10 mm apart: slices are missing, or uneven",
    ),
    "a slice missing once": (
        lambda dataset, t, k, path: (t, k) != (2, 3),
        "31 slices do not fill 4 volumes of 8: 1 missing, 0 too many",
    ),
    "another volume's direction": (other_direction, "its b-values and directions do not fill whole volumes"),
    "orientation": (
        setting(ImageOrientationPatient=lambda t, k: [1, 0, 0, 0, 0.8, 0.6] if t == 2 else [1, 0, 0, 0, 1, 0]),
        "its slices have different orientations or pixel sizes: several series in one",
    ),
    "pixel size": (
        setting(PixelSpacing=lambda t, k: [3 + t, 3 + t]),
        "its slices have different orientations or pixel sizes: several series in one",
    ),
    "standard b-value set to 0": (
        setting(DiffusionBValue=lambda t, k: 0.0),
        "its header contradicts itself: b = 0 and 1000 in the standard's and the maker's field",
    ),
    "another standard b-value": (
        setting(DiffusionBValue=lambda t, k: 800.0 * bool(t)),
        "its header contradicts itself: b = 800 and 1000 in the standard's and the maker's field",
    ),
    "colours": (
        setting(SamplesPerPixel=lambda t, k: 3, PhotometricInterpretation=lambda t, k: "RGB"),
        "its pixels are coloured: pictures, not measured intensities",
    ),
    "no positions": (
        setting(ImagePositionPatient=lambda t, k: None),
        "the position, orientation or pixel spacing of its slices is missing in the header",
    ),
    "protocol names within a volume": (
        setting(ProtocolName=lambda t, k: f"diff_{k % 2}"),
        "a volume of 12x10x4 voxels, but 12x10x8 by the headers: dcm2niix made 2 images of it (status 0); protocol names or "
        "descriptions vary",
    ),
    "image numbers in the order of acquisition": (
        setting(InstanceNumber=lambda t, k: t * N_SLICES + [0, 4, 1, 5, 2, 6, 3, 7][k]),
        "dcm2niix's image lies elsewhere than the headers say: dcm2niix made 1 images of it (status 0)",
    ),
    "no order": (
        setting(InstanceNumber=lambda t, k: 1),
        "dcm2niix could not tell how far its slices are apart: dcm2niix made 1 images of it (status 0); slices could not be "
        "ordered",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_series_that_would_come_out_wrong_are_refused(name, tmp_path):
    change, reason = REFUSED[name]
    write(tmp_path / "dicom", change, scan())
    report = run(tmp_path)
    assert list(zip(report["result"], report["reason"])) == [("failed", reason)]
    assert not list((tmp_path / "bids").glob("sub-*"))


@pytest.mark.parametrize(
    ("syntax", "reason"),
    [
        (
            uid.DeflatedExplicitVRLittleEndian,
            "it does not read the transfer syntax; its transfer syntax is Deflated Explicit VR",
        ),
        (
            uid.JPEGLSLossless,
            "its transfer syntax is JPEG-LS Lossless Image Compression: export it as Explicit VR Little Endian",
        ),
        (uid.MPEG2MPML, "its transfer syntax is MPEG2 Main Profile / Main Level: export it as Explicit VR Little Endian"),
        (uid.UID("1.2.771330991.1"), "its transfer syntax is a private one: export it as Explicit VR Little Endian"),
        (None, "its transfer syntax is Explicit VR Big Endian: export it as Explicit VR Little Endian"),
    ],
)
def test_a_transfer_syntax_that_is_not_read_is_named(syntax, reason, tmp_path):
    def change(dataset, t, k, path):
        if syntax is None:  # without preamble, dcm2niix takes any bytes for little-endian ones
            buffer = DicomBytesIO()
            buffer.is_little_endian, buffer.is_implicit_VR = False, False
            write_dataset(buffer, dataset)
            path.write_bytes(buffer.getvalue())
            return
        if syntax != uid.DeflatedExplicitVRLittleEndian:
            dataset.PixelData = encapsulate([bytes(200)])
            dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = syntax
        plain = {} if syntax in uid.AllTransferSyntaxes else {"implicit_vr": False, "little_endian": True}
        dataset.save_as(path, **plain)

    write(tmp_path / "dicom", change, scan())
    report = run(tmp_path)
    assert list(report["result"]) == ["failed"] and reason in report["reason"][0]
    assert "771330991" not in report["reason"][0]


def test_mixed_volumes_are_refused(tmp_path):
    """Image numbers by which dcm2niix puts slices of different volumes into one."""
    write(tmp_path / "dicom", setting(InstanceNumber=lambda t, k: (3 - t if k == 2 else t) * N_SLICES + k + 1), scan())
    [reason] = run(tmp_path)["reason"]
    assert "mixed from files of different b-values or directions" in reason


def test_copies_under_other_uids_are_refused(tmp_path):
    write(tmp_path / "dicom" / "a", setting(), scan())
    write(tmp_path / "dicom" / "b", setting(SOPInstanceUID=lambda t, k: f"1.2.{t}.{k}"), scan())
    assert list(run(tmp_path)["reason"]) == ["32 of 64 slices occur twice, as images of their own: a copy in the series"]


def test_one_series_uid_a_file_is_refused(tmp_path):
    write(tmp_path / "dicom", setting(SeriesInstanceUID=lambda t, k: f"1.2.{t + 1}.{k + 1}"), scan())
    report = run(tmp_path)
    assert list(report["result"]) == ["failed"] * 32 and report["reason"].str.startswith("one slice alone is no volume").all()


def test_blank_slices_are_no_copies(tmp_path):
    image, bvals, bvecs = scan()
    image.dataobj[:, :, :2] = 0
    image.dataobj[..., 3] = 0  # a lost volume
    write(tmp_path / "dicom", setting(), (image, bvals, bvecs))
    assert list(run(tmp_path)["result"]) == ["converted"]
    [case] = find_cases(tmp_path / "bids")
    assert np.array_equal(np.loadtxt(case.bval), bvals)


@pytest.mark.parametrize("theirs", [[0, 0, 1000, 1000], [0, 1000, 900, 1000]])
def test_a_b_value_that_dcm2niix_reads_otherwise_is_refused(theirs, tmp_path, monkeypatch):
    write(tmp_path / "dicom", setting(), scan())
    ran = converter.run

    def other(*arguments):
        made, said = ran(*arguments)
        return [one._replace(bvals=np.array(theirs)) for one in made], said

    monkeypatch.setattr(converter, "run", other)
    bad = next(t for t, b in enumerate(theirs) if b != scan()[1][t])
    reason = f"volume {bad + 1} has b = 1000 in its header, but dcm2niix says {theirs[bad]}"
    assert list(run(tmp_path)["reason"]) == [reason]
