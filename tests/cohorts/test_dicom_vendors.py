"""Series of GE, Philips and Siemens that need care: combined images, the scanner's own trace image, mosaics."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom", reason="pip install -e '.[acquire]'")
pytest.importorskip("dcm2niix", reason="pip install -e '.[acquire]'")

from dwikit.cohorts.bids import find_cases  # noqa: E402
from dwikit.preprocess.trace import read_trace  # noqa: E402
from tests.cohorts.dicom_series import N_SLICES, assert_same, run, scan, write  # noqa: E402
from tests.dicom_writer import patient_directions, write_enhanced, write_mosaics, write_series  # noqa: E402


@pytest.mark.parametrize("flagged", [False, True])
@pytest.mark.parametrize("fields", ["all", "no standard b-value", "no directions"])
def test_combined_images_of_ge_keep_their_b_value(fields, flagged, tmp_path):
    """b = 0 and one volume that GE combined from its directions, which dcm2niix calls b = 0."""

    def change(dataset, t, k, path):
        if fields != "all":
            del dataset.DiffusionBValue
        if fields == "no directions":
            for element in (0x10, 0x10BB, 0x10BC, 0x10BD):
                del dataset[0x0019, element]
        if flagged:
            dataset.private_block(0x0043, "GEMS_PARM_01")[0x39].value = [1_000_000_000 + 1000 * t, 8, 0, 0]

    image, bvals, _ = scan(2)
    write(tmp_path / "dicom", change, (image, bvals, np.zeros((3, 2))), vendor="GE")
    run(tmp_path)
    case = assert_same(tmp_path, image, bvals)
    assert case.bvec is None and read_trace(case).b_value == 1000 and read_trace(case).n_directions == 1


@pytest.mark.parametrize("standard", [True, False])
def test_ges_highest_b_value_in_every_header(standard, tmp_path):
    """Several shells by shorter directions: the private field has the highest b-value throughout."""
    true = np.array([0, 1000, 500, 1000])

    def change(dataset, t, k, path):
        dataset.private_block(0x0043, "GEMS_PARM_01")[0x39].value = [1000 if t or standard else 0, 8, 0, 0]
        if standard:
            dataset.DiffusionBValue = float(true[t])
        else:
            del dataset.DiffusionBValue

    image, _, bvecs = scan()
    write(tmp_path / "dicom", change, (image, true, bvecs * np.sqrt(true / 1000)), vendor="GE")
    assert list(run(tmp_path)["reason"]) == ["n/a"]
    [case] = find_cases(tmp_path / "bids")
    assert np.allclose(np.loadtxt(case.bval), true, rtol=0.01)


def test_a_standard_b_value_of_0_beside_ges_directions_is_refused(tmp_path):
    def change(dataset, t, k, path):
        dataset.DiffusionBValue = 0.0

    write(tmp_path / "dicom", change, scan(), vendor="GE")
    assert "b = 0 and 1000 in the standard's and the maker's field" in run(tmp_path)["reason"][0]


def test_a_null_direction_of_ge_without_any_b0_is_not_guessed(tmp_path):
    """b = 1000 without direction beside b = 1000 with directions: a b = 0 under the series' highest b-value, or a trace?"""

    def change(dataset, t, k, path):
        del dataset.DiffusionBValue
        dataset.private_block(0x0043, "GEMS_PARM_01")[0x39].value = [1000, 8, 0, 0]

    write(tmp_path / "dicom", change, scan(), vendor="GE")
    reason = "volumes of b = 1000 have no direction, and none has b = 0: trace images, or b = 0 after all?"
    assert list(run(tmp_path)["reason"]) == [reason]


def philips(order):
    """A change to Philips' classic DTI: b-values, and directions but for the volume that the scanner computed ("T")."""
    image, bvals, bvecs = scan(len(order))
    directions = patient_directions(image.affine, np.eye(3))

    def change(dataset, t, k, path):
        dataset.remove_private_tags()
        dataset.Manufacturer, dataset.ImageType = "Philips Medical Systems", ["ORIGINAL", "PRIMARY", "M_SE", "M", "SE"]
        dataset.DiffusionBValue = 0.0 if order[t] == "0" else 1000.0
        vector = directions[:, int(order[t]) - 1] if order[t] in "123" else np.zeros(3)
        dataset.DiffusionGradientOrientation = [float(value) for value in vector]

    return image, np.array([0 if volume == "0" else 1000 for volume in order]), bvecs, change


@pytest.mark.parametrize("order", ["0123T", "012T3", "T0123"])
def test_a_scanners_own_trace_image_is_left_out_and_named(order, tmp_path):
    image, bvals, bvecs, change = philips(order)
    write(tmp_path / "dicom", change, (image, bvals, bvecs))
    report = run(tmp_path)
    assert list(report["result"]) == ["converted"]
    assert list(report["reason"]) == ["left out: 1 volumes of b = 1000 that the scanner computed, such as its trace image"]
    kept = [t for t, volume in enumerate(order) if volume != "T"]
    case = assert_same(tmp_path, nib.Nifti1Image(image.get_fdata()[..., kept], image.affine), bvals[kept])
    assert read_trace(case).n_directions == 3 and np.loadtxt(case.bvec).shape == (3, 4)


def test_b0_and_trace_alone_are_both_kept(tmp_path):
    image, bvals, bvecs, change = philips("0T")
    write(tmp_path / "dicom", change, (image, bvals, bvecs))
    assert list(run(tmp_path)["reason"]) == ["n/a"]
    assert_same(tmp_path, image, bvals)


def test_a_trace_image_within_an_enhanced_file_is_left_out(tmp_path):
    image, bvals, bvecs = scan(5)
    write_enhanced(tmp_path / "dicom" / "one", image, bvals, bvecs, PatientID="a", Manufacturer="Philips Medical Systems")
    dataset = pydicom.dcmread(tmp_path / "dicom" / "one")
    for frame in dataset.PerFrameFunctionalGroupsSequence[-N_SLICES:]:
        frame.MRDiffusionSequence[0].DiffusionDirectionality = "ISOTROPIC"
        del frame.MRDiffusionSequence[0].DiffusionGradientDirectionSequence
    dataset.save_as(tmp_path / "dicom" / "one")
    report = run(tmp_path)
    assert report["reason"][0] == "left out: 1 volumes of b = 1000 that the scanner computed, such as its trace image"
    assert_same(tmp_path, image.slicer[..., :4], bvals[:4])


@pytest.mark.parametrize("n", [1, 2])
def test_a_trace_image_without_b_value_is_taken_alone(n, tmp_path):
    """Its b-value was removed; of two volumes, nobody can tell which is which."""
    image = scan(n)[0]
    write_series(tmp_path / "dicom", image, kind="trace", PatientID="a")
    report = run(tmp_path)
    assert list(report["kind"]) == ["trace"]
    if n == 2:
        assert list(report["reason"]) == ["the header of volume 1 has no b-value"]
    else:
        [case] = find_cases(tmp_path / "bids")
        assert case.bval is None and nib.load(case.image).shape == (12, 10, N_SLICES)


@pytest.mark.parametrize("up", [1, -1])
def test_mosaics_come_back_equal(up, tmp_path):
    image, bvals, bvecs = scan()
    write_mosaics(tmp_path / "dicom", image, bvals, bvecs, up, PatientID="a")
    assert list(run(tmp_path)["reason"]) == ["n/a"]
    assert_same(tmp_path, image, bvals)


def test_real_mosaics_come_back_equal(tmp_path):
    """Two volumes of a phantom from a Siemens scanner, which nibabel brings along for its own tests."""
    data = Path(nib.__file__).parent / "nicom" / "tests" / "data"
    (tmp_path / "dicom").mkdir()
    for b in (0, 1000):
        (tmp_path / "dicom" / f"{b}").write_bytes(gzip.decompress((data / f"siemens_dwi_{b}.dcm.gz").read_bytes()))
    assert list(run(tmp_path, person_from="study")["result"]) == ["converted"]
    [case] = find_cases(tmp_path / "bids")
    dataset = pydicom.dcmread(tmp_path / "dicom" / "1000")
    assert nib.load(case.image).shape == (128, 128, 48, 2) and np.loadtxt(case.bval).tolist() == [0, 1000]
    direction = np.array(dataset[0x0019, 0x100E].value)
    assert np.allclose(patient_directions(nib.load(case.image).affine, np.loadtxt(case.bvec))[:, 1], direction, atol=1e-3)
    assert np.asanyarray(nib.load(case.image).dataobj)[..., 1].sum() == dataset.pixel_array.sum()


def test_a_mosaic_without_its_private_header_is_refused(tmp_path):
    write_mosaics(tmp_path / "dicom", *scan(), PatientID="a")
    for path in (tmp_path / "dicom").iterdir():
        dataset = pydicom.dcmread(path)
        del dataset[0x0029, 0x1010]
        dataset.save_as(path)
    assert run(tmp_path)["reason"][0].startswith("a mosaic without Siemens' private header (0029,1010)")


def test_removed_b_values_are_not_called_another_kind(tmp_path):
    write(tmp_path / "dicom", lambda dataset, t, k, path: dataset.remove_private_tags(), scan())
    report = run(tmp_path)
    assert list(report["result"]) == ["failed"] and "but its b-values are missing" in report["reason"][0]


def test_a_file_cut_off_before_its_pixels_is_lost_data(tmp_path):
    """A mosaic is a whole volume: without this check the others would be converted as if it had never been."""
    write_mosaics(tmp_path / "dicom", *scan(), PatientID="a")
    path = tmp_path / "dicom" / "00003.dcm"
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\xe0\x7f\x10\x00")])
    (tmp_path / "dicom" / "00005.dcm").symlink_to("not-fetched")
    report = run(tmp_path)
    assert list(report["kind"]) == ["dwi", "damaged DICOM"]
    assert list(report["images"]) == [3, 2] and report["result"][1] == "failed"
