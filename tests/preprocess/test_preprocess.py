"""Preprocessing: trace images, bad input, registration against the known map, runs that are disturbed."""

import gzip
import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from dwikit.cohorts import phantom
from dwikit.cohorts.bids import Case
from dwikit.common.errors import InputError
from dwikit.preprocess import preprocess
from dwikit.preprocess.losses import told
from dwikit.preprocess.quality import decompose
from dwikit.preprocess.register import read_transform, write_transform
from dwikit.preprocess.template import load_template
from dwikit.preprocess.trace import geometric_mean, read_trace, select_shell
from dwikit.preprocess.workers import pool
from dwikit.slices import CALIBRATED, SliceSettings, build, grid, read_derivatives
from dwikit.slices.histogram import NOT_POSITIVE, histogram, percentile, read_histogram, to_text

SEED = 5


# ==== Histograms ====


def test_percentiles_from_histograms():
    rng = np.random.default_rng(0)
    images = [np.where(rng.random(20000) < 0.3, 0, rng.lognormal(5, 1, 20000)).astype(np.float32) for _ in range(3)]
    total = sum((histogram(image) for image in images), Counter())
    joined = np.concatenate(images)
    assert total.total() == joined.size and total[NOT_POSITIVE] == np.count_nonzero(joined <= 0)
    for q in (50, 95, 99.9, 100):
        assert percentile(total, q) == pytest.approx(np.percentile(joined, q, method="inverted_cdf"), rel=6e-4)
    assert percentile(total, 10) == 0
    with pytest.raises(ValueError, match="no voxel"):
        percentile(Counter(), 50)
    with pytest.raises(ValueError, match="between 0 and 100"):
        percentile(total, 101)


def test_histograms_survive_a_file(tmp_path):
    counts = histogram(np.array([[-1.0, 0.0], [0.25, 4000.0]]))
    (tmp_path / "h.tsv").write_text(to_text(counts), encoding="utf-8")
    assert read_histogram(tmp_path / "h.tsv") == counts


# ==== Trace image ====


@pytest.fixture
def write(tmp_path):
    """Writes a case and returns it."""

    def write(data, bvals=None, affine=None, header=None, suffix="dwi"):
        image = tmp_path / f"sub-a_{suffix}.nii.gz"
        affine = np.diag([3.0, 3.0, 3.0, 1.0]) if affine is None else affine
        nib.save(nib.Nifti1Image(data, affine, header), image)
        bval = None
        if bvals is not None:
            bval = tmp_path / "sub-a_dwi.bval"
            bval.write_text(" ".join(map(str, bvals)), encoding="utf-8")
        return Case("sub-a", None, "sub-a", image, bval)

    return write


def volumes(*values, shape=(10, 11, 12)):
    ramp = np.linspace(1, 2, math.prod(shape), dtype=np.float32).reshape(shape)
    return np.stack([value * ramp for value in values], -1) if len(values) > 1 else values[0] * ramp


def test_trace_is_the_geometric_mean_of_the_nearest_shell(write):
    trace = read_trace(write(volumes(9, 1, 4, 16, 100), bvals=[0, 990, 1000, 1005, 2000]))
    np.testing.assert_allclose(trace.image, volumes(4), rtol=1e-5)
    assert trace.b_value == pytest.approx(998.3, abs=0.1) and trace.n_directions == 3
    assert trace.b_values == (0, 990, 1000, 1005, 2000) and trace.image.dtype == np.float32


def test_zeros_count_as_half_the_smallest_value():
    first, second = np.array([[[0.0, 4, 0]]], np.float32), np.array([[[8.0, 4, 0]]], np.float32)
    mean = geometric_mean(iter([first, second]), np.array([True, True]))
    np.testing.assert_allclose(mean.ravel(), [4, 4, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("bvals", "wanted"), [([0, 800, 1200], 800), ([5, 1500], 1500), ([0, 700, 1100], 1100), ([0, 400, 1600], 400)]
)
def test_nearest_shell(bvals, wanted, tmp_path):
    bvals = np.array(bvals, float)
    assert bvals[select_shell(bvals, 1000, 600, tmp_path)].tolist() == [wanted]


def test_three_axes_without_table_are_a_trace_image(write):
    trace = read_trace(write(volumes(5), suffix="trace"))
    np.testing.assert_allclose(trace.image, volumes(5), rtol=1e-6)
    assert math.isnan(trace.b_value) and trace.n_directions == 1
    single = read_trace(write(volumes(5)[..., None], suffix="trace"))
    assert single.image.shape == (10, 11, 12)


def test_a_missing_bvec_is_fine(write):
    case = write(volumes(1, 2), bvals=[0, 1000])
    assert case.bvec is None and read_trace(case).b_value == 1000


def test_a_corrupt_qform_with_a_valid_sform_is_read(write):
    affine = np.array([[-3.0, 0, 0, 90], [0, 3, 0, -90], [0, 0, 3, -60], [0, 0, 0, 1]])
    case = write(volumes(5), affine=affine, suffix="trace")
    raw = bytearray(gzip.decompress(case.image.read_bytes()))
    raw[252:254] = (1).to_bytes(2, "little")  # qform_code
    raw[256:268] = np.array([0.9, 0.9, 0.9], "<f4").tobytes()  # quaternion: longer than 1
    for sform_code in (1, 0):
        raw[254:256] = sform_code.to_bytes(2, "little")
        case.image.write_bytes(gzip.compress(bytes(raw)))
        np.testing.assert_allclose(read_trace(case).affine, affine)


def test_tables_with_commas_and_new_lines(write):
    case = write(volumes(1, 2, 3), bvals=[0])
    case.bval.write_text("0,1000,\n1000\n", encoding="utf-8")
    assert read_trace(case).n_directions == 2


# ==== Bad input: one message, naming the file and the remedy ====


def broken_gzip(case):
    case.image.write_bytes(case.image.read_bytes()[:-2000])


def no_nifti(case):
    case.image.write_bytes(b"this is no image" * 100)


def no_orientation(case):
    raw = bytearray(gzip.decompress(case.image.read_bytes()))
    raw[252:256] = bytes(4)
    case.image.write_bytes(gzip.compress(bytes(raw)))


def zero_determinant(case):
    raw = bytearray(gzip.decompress(case.image.read_bytes()))
    raw[280:328] = np.array([3, 0, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0], "<f4").tobytes()
    raw[252:254] = bytes(2)
    case.image.write_bytes(gzip.compress(bytes(raw)))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (broken_gzip, "sub-a_dwi.nii.gz cannot be read as NIfTI.*Copy it again"),
        (no_nifti, "sub-a_dwi.nii.gz cannot be read as NIfTI.*convert it again"),
        (zero_determinant, "sub-a_dwi.nii.gz has no usable orientation.*determinant 0.*Convert it again"),
        (no_orientation, "sub-a_dwi.nii.gz has no usable orientation.*neither sform nor qform.*Convert it"),
    ],
)
def test_damaged_files(write, damage, message):
    case = write(np.random.default_rng(0).random((20, 20, 20, 2)).astype(np.float32), bvals=[0, 1000])
    damage(case)
    with pytest.raises(InputError, match=message):
        read_trace(case)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_or_infinity_in_any_volume(write, value):
    data = volumes(1, 2)
    data[3, 3, 3, 0] = value
    with pytest.raises(InputError, match=r"sub-a_dwi.nii.gz holds 1 voxels that are NaN or infinite in volume 0.*set those"):
        read_trace(write(data, bvals=[0, 1000]))


def test_an_image_of_zeros(write):
    with pytest.raises(InputError, match=r"sub-a_trace.nii.gz is empty: every voxel is zero. Export") as caught:
        read_trace(write(volumes(0.0), suffix="trace"))
    assert caught.value.flag == "empty"


@pytest.mark.parametrize("shape", [(40, 40), (40, 40, 1)])
def test_a_2d_image(write, shape):
    with pytest.raises(InputError, match=r"sub-a_dwi.nii.gz is a 2-D image.*whole volume"):
        read_trace(write(np.ones(shape, np.float32)))


def test_counts_that_differ(write):
    with pytest.raises(InputError, match=r"sub-a_dwi.bval lists 3 b-values, but .*sub-a_dwi.nii.gz holds 2.*again"):
        read_trace(write(volumes(1, 2), bvals=[0, 1000, 1000]))


def test_no_volume_near_1000(write):
    case = write(volumes(1, 2, 3), bvals=[0, 2500, 2500])
    with pytest.raises(InputError, match=r"b-values are 0, 2500.*tolerance") as caught:
        read_trace(case)
    assert caught.value.flag == "b_value"
    assert read_trace(case, tolerance=1500).b_value == 2500
    with pytest.raises(InputError, match="b-values are 0"):
        read_trace(write(volumes(1, 2), bvals=[0, 0]), tolerance=2000)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (dict(data=volumes(1, 2)), "holds 2 volumes but has no b-values.*bval"),
        (dict(data=volumes(1, 2), bvals=["0", "b1000"]), "is not a list of numbers.*one b-value per volume"),
        (dict(data=volumes(1, 2), bvals=[-5, 1000]), "one b-value >= 0"),
        (dict(data=volumes(1) * (1 + 1j)), "complex64, not real numbers.*magnitude"),
        (dict(data=volumes(1, 2).reshape(10, 11, 12, 1, 2)), "has 5 axes"),
        (dict(data=np.ones((20, 20, 4), np.float32)), "fewer than 8 voxels"),
        (dict(data=volumes(1), affine=np.diag([0.003, 0.003, 0.003, 1])), "no brain scan has.*millimetres"),
        (dict(data=volumes(1), affine=np.eye(4) + np.eye(4, k=1) * 0.2), "not at right angles"),
    ],
)
def test_other_unusable_files(write, case, message):
    with pytest.raises(InputError, match=message):
        read_trace(write(**case))


# ==== Geometry ====


def test_transform_files_are_read_by_ants(tmp_path):
    ants = pytest.importorskip("ants")
    rng = np.random.default_rng(0)
    matrix = np.eye(4)
    matrix[:3] += rng.normal(0, [0.1, 0.1, 0.1, 5], (3, 4))
    write_transform(tmp_path / "x.mat", matrix)
    np.testing.assert_allclose(read_transform(tmp_path / "x.mat"), matrix, atol=1e-12)
    point = np.array([10.0, -20.0, 30.0])
    moved = ants.read_transform(str(tmp_path / "x.mat")).apply_to_point((point * [-1, -1, 1]).tolist())
    np.testing.assert_allclose(np.array(moved) * [-1, -1, 1], matrix[:3, :3] @ point + matrix[:3, 3], atol=1e-4)


def test_decomposition():
    turn = phantom_rotation(20)
    low, high, shear, degrees = decompose(turn @ np.diag([0.9, 1.0, 1.1, 1.0]))
    assert (low, high, degrees) == pytest.approx((0.9, 1.1, 20)) and shear == pytest.approx(0, abs=1e-12)
    assert decompose(np.diag([-1.0, 1, 1, 1]))[0] < 0


def phantom_rotation(degrees):
    angle = np.deg2rad(degrees)
    matrix = np.eye(4)
    matrix[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return matrix


# ==== Whole runs ====


@pytest.fixture(scope="session")
def cohort(tmp_path_factory):
    """Three simulated cases that follow the known map."""
    return phantom.write_cohort(tmp_path_factory.mktemp("cohort") / "bids", 3, SEED, distortion=False, progress=False)


@pytest.fixture(scope="session")
def derived(cohort, tmp_path_factory):
    """The same, preprocessed by two workers: folder and report."""
    out = tmp_path_factory.mktemp("derived") / "out"
    return out, preprocess(cohort, out, workers=2, progress=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_registration_error_against_the_known_map(derived):
    out, _ = derived
    template = load_template()
    brain = np.argwhere(template.brain > 0.5)[::7] @ template.affine[:3, :3].T + template.affine[:3, 3]
    errors = []
    for number in range(3):
        native, there = phantom.truth(number, SEED)
        best = np.linalg.inv(phantom.fit_affine(native, there))
        sidecar = json.loads(next(out.glob(f"sub-{number + 1:04d}/dwi/*_dwi.json")).read_text())
        off = np.array(sidecar["Affine"]) - best
        errors.append(np.median(np.linalg.norm(brain @ off[:3, :3].T + off[:3, 3], axis=1)))
    assert np.median(errors) < 0.9 and max(errors) < 1.4, "mm; nobody's folds are the template's"


def test_derivatives(derived):
    out, report = derived
    assert report["status"].tolist() == ["done"] * 3 and report["flags"].tolist() == [""] * 3 and report["used"].all()
    assert pd.read_csv(out / "quality.tsv", sep="\t")["case"].tolist() == ["sub-0001", "sub-0002", "sub-0003"]
    assert (out / "quality.png").stat().st_size > 10_000
    assert json.loads((out / "dataset_description.json").read_text())["DatasetType"] == "derivative"
    folder = out / "sub-0001/dwi"
    image = nib.load(folder / "sub-0001_space-MNI152_dwi.nii.gz")
    assert image.shape == (128, 128, 40) and image.get_data_dtype() == np.float32
    np.testing.assert_allclose(image.affine, grid.affine(grid.IMAGE_SIZE, CALIBRATED.fov_mm), atol=1e-4)
    counts = read_histogram(folder / "sub-0001_space-MNI152_desc-histogram.tsv")
    kept = image.get_fdata()[..., grid.KEPT]
    assert percentile(counts, 95) == pytest.approx(np.percentile(kept, 95), rel=2e-3)
    sidecar = json.loads((folder / "sub-0001_space-MNI152_dwi.json").read_text())
    assert sidecar["BValue"] == 1000 and sidecar["NumberOfDirections"] == 3 and sidecar["Versions"]["antspyx"]
    np.testing.assert_allclose(read_transform(folder / "sub-0001_from-native_to-MNI152_xfm.mat"), sidecar["Affine"])
    volumes = list(read_derivatives(out))
    assert [volume.case for volume in volumes] == ["sub-0001", "sub-0002", "sub-0003"]
    assert volumes[0].image.shape == (26, 128, 128) and volumes[0].age == sidecar["Age"]


def test_one_worker_gives_the_same_bytes_as_two(cohort, derived, tmp_path_factory):
    out = tmp_path_factory.mktemp("single") / "out"
    preprocess(cohort, out, workers=1, only=["sub-0002"], progress=False)
    again = contents(out / "sub-0002")
    assert again == contents(derived[0] / "sub-0002") and len(again) == 4


def test_finished_cases_are_kept_and_other_settings_redo_them(cohort, derived, tmp_path, monkeypatch):
    out = tmp_path / "out"
    shutil.copytree(derived[0], out)
    before = contents(out)
    done = []
    monkeypatch.setattr("dwikit.preprocess.run.run_jobs", lambda jobs, workers: done.extend(jobs) or (answer for answer in ()))
    preprocess(cohort, out, progress=False)
    assert not done and contents(out) == before
    (out / "sub-0003/dwi/sub-0003_space-MNI152_dwi.json").unlink()  # as after a kill
    with pytest.raises(Exception):  # noqa: B017 - the stand-in for the pool answers nothing
        preprocess(cohort, out, progress=False)
    assert [job["case"]["name"] for job in done] == ["sub-0003"]
    done.clear()
    with pytest.raises(Exception):  # noqa: B017
        preprocess(cohort, out, only="sub-0001", settings=SliceSettings(interpolator="linear"), progress=False)
    assert [job["case"]["name"] for job in done] == ["sub-0001"]


def test_flagged_cases_are_left_out(derived, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(derived[0], out)
    path = out / "sub-0002/dwi/sub-0002_space-MNI152_dwi.json"
    sidecar = json.loads(path.read_text())
    path.write_text(json.dumps(sidecar | {"Flags": ["partial_coverage"]}))
    assert [volume.case for volume in read_derivatives(out)] == ["sub-0001", "sub-0003"]
    assert len(list(read_derivatives(out, include_flagged=True))) == 3
    with pytest.raises(InputError, match="holds no registered scan"):
        next(read_derivatives(tmp_path))


@pytest.mark.parametrize(("name", "value"), [("fov_mm", 233.0), ("interpolator", "linear")])
def test_slices_of_other_settings_than_the_registration_are_refused(derived, tmp_path, name, value):
    made = getattr(CALIBRATED, name)
    with pytest.raises(InputError, match=f"{name} {made}.*{name} {value} are wanted.*again with {value}.*with {made}"):
        build(derived[0], tmp_path / "slices", SliceSettings(**{name: value}))
    assert not list(tmp_path.iterdir())


def test_bad_cases_are_reported_and_the_rest_goes_on(cohort, tmp_path):
    raw = tmp_path / "bids"
    shutil.copytree(cohort / "sub-0001", raw / "sub-0001")
    good = raw / "sub-0001/dwi/sub-0001_dwi.nii.gz"
    image = nib.load(good)
    data = np.asarray(image.dataobj)
    bad = {
        "zero": (np.zeros_like(data), "0 1000 1000 1000", "every voxel is zero"),
        "count": (data[..., :2], "0 1000 1000 1000", "lists 4 b-values"),
        "far": (data[..., 1:3], "0 3000", "b-values are 0, 3000"),
    }
    for label, (content, bvals, _) in bad.items():
        folder = raw / f"sub-{label}/dwi"
        folder.mkdir(parents=True)
        nib.save(nib.Nifti1Image(content, image.affine), folder / f"sub-{label}_dwi.nii.gz")
        (folder / f"sub-{label}_dwi.bval").write_text(bvals)
    (raw / "sub-cut/dwi").mkdir(parents=True)
    (raw / "sub-cut/dwi/sub-cut_dwi.nii.gz").write_bytes(good.read_bytes()[:50_000])
    (raw / "sub-cut/dwi/sub-cut_dwi.bval").write_text("0 1000 1000 1000")
    top = data[:, :, data.shape[2] // 2 :]  # the upper half of a head
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, 2] * (data.shape[2] // 2)
    (raw / "sub-half/dwi").mkdir(parents=True)
    nib.save(nib.Nifti1Image(top, affine), raw / "sub-half/dwi/sub-half_dwi.nii.gz")
    (raw / "sub-half/dwi/sub-half_dwi.bval").write_text("0 1000 1000 1000")
    shutil.copytree(cohort / "sub-0001", raw / "sub-near")
    (raw / "sub-near/dwi/sub-0001_dwi.nii.gz").rename(raw / "sub-near/dwi/sub-near_DWI.nii.gz")
    old = os.fsencode(raw) + b"/sub-M\xfcller"  # the bytes of an archive that is no UTF-8
    shutil.copytree(os.fsencode(cohort) + b"/sub-0001", old)
    (raw / "sub-0001/dwi/sub-0001_sbref.nii.gz").write_bytes(good.read_bytes())
    (raw / "participants.tsv").write_text("participant_id\tage\n1\t38\n")
    report = preprocess(raw, tmp_path / "out", workers=2, progress=False).set_index("case")
    left = {"sub-near/dwi/sub-near_DWI.nii.gz", "sub-M\\udcfcller/dwi/sub-0001_dwi.nii.gz", "participants.tsv"}
    assert set(report.index[report["status"] == "left out"]) >= left
    assert report.index[report["status"] == "skipped"].tolist() == ["_sbref"] and not report.loc["_sbref", "used"]
    assert "'DWI', not in _dwi" in report.loc["sub-near/dwi/sub-near_DWI.nii.gz", "message"]
    written = pd.read_csv(tmp_path / "out/quality.tsv", sep="\t", keep_default_na=False)
    assert written["case"].tolist() == report.index.tolist()
    assert told(report, tmp_path).startswith("registered: 2; failed: 4; left out: ")
    assert report.loc["sub-0001", "status"] == "done" and report.loc["sub-0001", "flags"] == ""
    for label, (_, _, message) in bad.items():
        row = report.loc[f"sub-{label}"]
        assert row["status"] == "failed" and message in row["message"] and f"sub-{label}_dwi" in row["message"]
        assert not (tmp_path / f"out/sub-{label}").exists()
    assert "cannot be read as NIfTI" in report.loc["sub-cut", "message"]
    assert report.loc["sub-half", "flags"] == "partial_coverage" and not report.loc["sub-half", "used"]
    assert report.loc["sub-zero", "flags"] == "empty" and report.loc["sub-far", "flags"] == "b_value"
    assert [volume.case for volume in read_derivatives(tmp_path / "out")] == ["sub-0001"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(workers=0), "workers must be at least 1"),
        (dict(tolerance=-1), "tolerance"),
        (dict(grid_size=4), "grid_size"),
        (dict(only=["sub-9999"]), "sub-9999, which is not a subject"),
    ],
)
def test_impossible_settings(cohort, tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        preprocess(cohort, tmp_path / "out", progress=False, **settings)


def test_the_raw_dataset_is_never_written_to(cohort, tmp_path):
    with pytest.raises(InputError, match="raw dataset itself"):
        preprocess(cohort, cohort, progress=False)
    other = tmp_path / "other"
    shutil.copytree(cohort, other, ignore=shutil.ignore_patterns("sub-*"))
    with pytest.raises(InputError, match="holds another dataset"):
        preprocess(cohort, other, progress=False)


def test_an_unwritable_output_folder(cohort, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="could not be written.*choose another folder"):
        preprocess(cohort, tmp_path / "file" / "out", progress=False)


RUN = "import sys; from dwikit.preprocess import preprocess; preprocess(sys.argv[1], sys.argv[2], workers=2, progress=False)"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.mark.hardship
def test_a_full_disk_is_one_message_and_leaves_nothing_half_written(cohort, tmp_path):
    def no_large_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # an image needs more

    command = [sys.executable, "-c", RUN, str(cohort), str(tmp_path / "out")]
    ended = subprocess.run(command, env=ENVIRONMENT, preexec_fn=no_large_files, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "InputError" in ended.stderr.splitlines()[-1] and "Free some space" in ended.stderr.splitlines()[-1]
    assert [name for name in contents(tmp_path / "out") if "sub-" in name] == []


@pytest.mark.hardship
def test_a_killed_run_continues_to_the_same_bytes(cohort, tmp_path):
    raw = tmp_path / "bids"
    sources = sorted(cohort.glob("sub-*/dwi/*_dwi.nii.gz"))
    for number in range(10):  # ten cases out of three: the others are brighter and lie elsewhere
        image = nib.load(sources[number % 3])
        affine = image.affine.copy()
        affine[:3, 3] += number
        folder = raw / f"sub-{number:02d}/dwi"
        folder.mkdir(parents=True)
        data = np.asarray(image.dataobj[..., 1:2], np.float32)
        step = max(1, data.shape[0] // 96)  # a quarter of the voxels will do
        affine[:3, :2] *= step
        bright = data[::step, ::step] * (1 + number / 50)
        nib.save(nib.Nifti1Image(bright, affine), folder / f"sub-{number:02d}_trace.nii.gz")
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    preprocess(raw, undisturbed, workers=2, progress=False)

    process = subprocess.Popen([sys.executable, "-c", RUN, str(raw), str(disturbed)], env=ENVIRONMENT)
    deadline = time.monotonic() + 600
    while len(list(disturbed.glob("sub-*/dwi/*.json"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = len(list(disturbed.glob("sub-*/dwi/*.json")))
    assert 4 <= finished < 10
    leftover = disturbed / "sub-09/dwi/.sub-09_space-MNI152_dwi.nii.1.partial.gz"
    leftover.parent.mkdir(parents=True, exist_ok=True)
    leftover.write_bytes(b"half")  # what a kill in the middle of writing leaves
    preprocess(raw, disturbed, workers=1, progress=False)
    assert contents(disturbed) == contents(undisturbed)


FAKE_WORKER = """
import json, os, sys
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    name = json.loads(line)["case"]["image"]
    if name == "deadly" or (name == "shaky" and not os.path.exists(sys.argv[1])):
        open(sys.argv[1], "w").close()
        os.kill(os.getpid(), 9)
    print(json.dumps({"status": "done", "sidecar": name}), flush=True)
"""


def test_a_case_that_kills_its_process_is_blamed_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "COMMAND", (sys.executable, "-c", FAKE_WORKER, str(tmp_path / "mark")))
    names = ["a", "deadly", "b", "c", "d"]
    answers = dict(pool.run_jobs([{"case": {"image": name}} for name in names], workers=2))
    assert [answers[number]["status"] for number in range(5)] == ["done", "failed", "done", "done", "done"]
    assert "deadly: the process registering it died 2 times (SIGKILL)" in answers[1]["message"]


def test_a_process_that_died_once_is_forgiven(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "COMMAND", (sys.executable, "-c", FAKE_WORKER, str(tmp_path / "mark")))
    assert dict(pool.run_jobs([{"case": {"image": "shaky"}}], workers=1))[0]["status"] == "done"


def test_workers_that_cannot_start_say_why(monkeypatch):
    monkeypatch.setattr(pool, "COMMAND", (sys.executable, "-c", "raise ImportError('no module ants')"))
    with pytest.raises(InputError, match="could not start: ImportError: no module ants"):
        list(pool.run_jobs([{"case": {"image": "a"}}], workers=1))


def test_the_parent_does_not_import_ants():
    code = "import sys, dwikit.preprocess; sys.exit('ants' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT).returncode == 0
