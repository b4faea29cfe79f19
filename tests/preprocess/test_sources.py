"""Files as they arrive: not fetched, cut off, mirrored, with directions that scale b. Each says its real cause."""

import gzip
import json
import os
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from dwikit.cohorts.bids import find_cases
from dwikit.common import files
from dwikit.common.errors import InputError
from dwikit.preprocess import preprocess
from dwikit.preprocess.trace import first_trace, name_volumes, read_trace

RAMP = np.linspace(1, 2, 10 * 11 * 12, dtype=np.float32).reshape(10, 11, 12)
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
UNIT = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0.8, 0]]).T
LINK = "../../.git/annex/objects/zz/9J/MD5E-s120--0d.nii.gz/MD5E-s120--0d.nii.gz"
POINTER = b"/annex/objects/MD5E-s12057380--0d.nii.gz\n"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0d\nsize 12057380\n"


@pytest.fixture
def put(tmp_path):
    """Writes a scan whose volumes have the given values, with tables, and returns it."""

    def put(values=(9, 4, 4, 4, 4), bvals=None, bvecs=None, label="01", suffix="dwi", ending=".nii.gz"):
        folder = tmp_path / f"sub-{label}/dwi"
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"sub-{label}_{suffix}"
        data = np.stack([value * RAMP for value in values], -1) if len(values) > 1 else values[0] * RAMP
        image = nib.Nifti1Image(data, AFFINE)
        image.set_sform(AFFINE, 1)
        image.set_qform(AFFINE, 1)
        nib.save(image, folder / (stem + ending))
        if bvals is not None:
            (folder / f"{stem}.bval").write_text(" ".join(map(str, bvals)))
        if bvecs is not None:
            np.savetxt(folder / f"{stem}.bvec", bvecs, fmt="%.6f")
        return next(case for case in find_cases(tmp_path) if case.subject == f"sub-{label}")

    return put


def header(path, place, values):
    """Overwrites a part of a header."""
    raw = bytearray(gzip.decompress(path.read_bytes()))
    raw[place : place + values.nbytes] = values.tobytes()
    path.write_bytes(gzip.compress(bytes(raw)))


# ==== Not here ====


@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LINK, "is not fetched: it is a link to .*annex.*Fetch it with `datalad get` or `git annex get`"),
        ("../elsewhere", "is not fetched: it is a link to ../elsewhere.*Restore what it links to"),
        (POINTER, "is not fetched: it only holds the name.*`datalad get`"),
        (LINK.encode(), "is not fetched: it only holds the name.*`datalad get`"),
        (LFS, "is not fetched.*`git lfs pull`"),
        (b"", "is empty, 0 bytes. Copy it again"),
    ],
)
def test_what_was_not_fetched_is_called_so(put, content, message, ending):
    case = put(bvals=[0] + [1000] * 4, bvecs=np.c_[np.zeros(3), UNIT], ending=ending)
    for path in (case.image, case.bval, case.bvec):
        before = path.read_bytes()
        path.unlink()
        os.symlink(content, path) if isinstance(content, str) else path.write_bytes(content)
        with pytest.raises(InputError, match=f"{path.name} {message}") as caught:
            read_trace(case)
        assert "damaged" not in str(caught.value) and "truncated" not in str(caught.value)
        path.unlink()
        path.write_bytes(before)
    assert read_trace(case).n_directions == 4


def test_a_short_file_that_is_here_is_not_called_absent(tmp_path):
    (tmp_path / "a.bval").write_text("0 1000\n")
    (tmp_path / "b").write_bytes(b"annex/objects/\0 as voxels")
    (tmp_path / "c").mkdir()
    os.symlink("a.bval", tmp_path / "link")
    assert [files.absence(tmp_path / name) for name in ("a.bval", "b", "c", "link", "nowhere")] == [None] * 5


def test_each_kind_of_damage_has_its_own_words(put, monkeypatch):
    case = put(bvals=[0] + [1000] * 4)
    whole = case.image.read_bytes()
    damages = {
        "it is cut off or damaged .*Copy it again": whole[:-2000],
        "cut off or damaged": whole[:-8] + b"\0" * 8,
        "ends in .gz and is not compressed. Call it .nii if": gzip.decompress(whole),
        "ends in .gz and is not compressed.*convert it again": b"<!DOCTYPE html><title>Log in</title>",
        "has another format, or a damaged header.*dcm2niix": gzip.compress(b"no image at all" * 100),
    }
    for words, content in damages.items():
        case.image.write_bytes(content)
        with pytest.raises(InputError, match=words):
            read_trace(case)

    def denied(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", denied)
    with pytest.raises(InputError, match=r"dwi.nii.gz cannot be opened \(Permission denied\)") as caught:
        read_trace(case)
    assert "damaged" not in str(caught.value)


def test_scaling_in_the_header(put):
    case = put(values=(3,), suffix="trace")
    header(case.image, 112, np.array([np.nan, np.nan], "<f4"))  # slope, intercept: unset
    np.testing.assert_allclose(read_trace(case).image, 3 * RAMP)
    header(case.image, 112, np.array([2, np.nan], "<f4"))
    with pytest.raises(InputError, match="no valid scaling in its header.*intercept nan.*Set scl_slope to 1") as caught:
        read_trace(case)
    assert "damaged" not in str(caught.value)


def test_pictures_in_colour_are_called_so(put):
    case = put(values=(3,), suffix="trace")
    nib.save(nib.Nifti1Image(np.zeros((10, 11, 12), [("R", "u1"), ("G", "u1"), ("B", "u1")]), AFFINE), case.image)
    with pytest.raises(InputError, match="is a picture in colour"):
        read_trace(case)


def test_a_table_under_another_name_is_pointed_out(put):
    case = put()
    (case.image.parent / "sub-01_dwi.bvals").write_text("0 1000 1000 1000 1000")
    (case.image.parent / "sub-01_dwi.bval").mkdir()
    with pytest.raises(InputError, match=r"no b-values.*lies sub-01_dwi.bval \(a folder\), sub-01_dwi.bvals; its table must"):
        read_trace(case)


def test_folders_whose_names_are_no_text_end_in_the_report(put, tmp_path):
    """The bytes of an archive that is no UTF-8, and what matplotlib takes for a formula, above the data set."""
    put()
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller $x_1_$"))
    folder.mkdir()
    (tmp_path / "sub-01").rename(folder / "sub-01")
    report = preprocess(folder, folder / "out", workers=1, progress=False)
    written = pd.read_csv(folder / "out/quality.tsv", sep="\t", keep_default_na=False)
    assert report["status"].tolist() == ["failed"] and written["message"].tolist() == report["message"].tolist()
    assert r"M\udcfcller $x_1_$/sub-01" in report["message"][0] and "no b-values" in report["message"][0]
    assert (folder / "out/quality.png").is_file()


# ==== Directions ====


def scaled(*lengths):
    return np.c_[np.zeros(3), UNIT * lengths]


def test_lengths_of_directions_scale_b(put):
    case = put((9, 1, 4, 1e3, 1e5), [0, 1000, 1000, 1000, 1000], scaled(1, 1, 0.5, np.sqrt(0.0005)))
    trace = read_trace(case)
    np.testing.assert_allclose(trace.image, 2 * RAMP, rtol=1e-5)
    assert trace.n_directions == 2 and trace.b_value == pytest.approx(1000, abs=0.1) and trace.b_values == (0, 1, 250, 1000)


def test_columns_instead_of_rows_are_the_same_directions(put):
    case = put(bvals=[0, 1000, 1000, 1000, 1000], bvecs=scaled(1, 1, 0.5, 0.5).T)
    assert read_trace(case).n_directions == 2


@pytest.mark.parametrize("turn", [lambda table: table, np.transpose], ids=["rows", "columns"])
def test_three_volumes_are_no_reason_to_take_columns_for_rows(put, turn):
    """A table of 3 x 3 numbers reads either way; only one gives directions of length 1."""
    half = np.sqrt(0.5)
    directions = np.array([[0, half, 0], [0, half, half], [0, 0, half]])
    case = put(values=(9, 4, 4), bvals=[0, 1000, 1000], bvecs=turn(directions))
    assert read_trace(case).n_directions == 2 and read_trace(case).b_values == (0, 1000)


def test_a_shell_that_the_lengths_leave_out_is_named_with_its_reason(put):
    case = put(bvals=[0, 2000, 2000, 2000, 2000], bvecs=scaled(1, 1, 0.3, 0.3))
    with pytest.raises(InputError, match="dwi.bval, scaled by the squared lengths in sub-01_dwi.bvec, has no volume with"):
        read_trace(case, tolerance=100)


@pytest.mark.parametrize(
    "bvecs",
    [
        np.zeros((3, 5)),  # trace images
        np.full((3, 5), np.nan),
        scaled(1, 1, 1, 1),
        scaled(1.01, 0.99, 1, 1),  # rounded
        -scaled(1, 1, 1, 1),
        np.c_[np.ones(3), UNIT],  # any direction at b = 0
        np.c_[np.full(3, np.nan), UNIT],
        None,
    ],
)
def test_directions_that_say_nothing_about_b(put, bvecs):
    trace = read_trace(put(bvals=[0, 1000, 1000, 1005, 2000], bvecs=bvecs))
    assert trace.b_value == pytest.approx(1001.667, abs=0.001) and trace.n_directions == 3
    assert trace.b_values == (0, 1000, 1005, 2000)


@pytest.mark.parametrize(
    ("bvals", "bvecs", "message"),
    [
        (
            [0, 1000, 1000, 250, 250],
            scaled(1, 1, 0.5, 0.5),
            "0.5 to 1 beside several b-values.*multiplied.*already, or not",
        ),
        ([0, 1000, 1000, 1000, 1000], scaled(0.5, 0.5, 0.5, 0.5), "length 0.5, not 1, beside b = 1000"),
        ([0, 1000, 1000, 1000, 1000], scaled(2, 2, 2, 2), "length 2, not 1"),
        ([1000] * 5, scaled(1, 1, 1, 1), "no direction for volume 0, which has b = 1000.*may be a b = 0 or a trace"),
        ([0, 1000, 1000, 1000, 1000], scaled(1, 0, 1, 1), "no direction for volume 2"),
        ([0, 1000, 1000, 1000, 1000], scaled(1, np.nan, 1, 1), "no direction for volume 2"),
        ([0, 1000, 1000, 1000, 1000], UNIT, "holds 3 x 4 numbers, not 3 x 5"),
        ([0, 1000, 1000, 1000, 1000], np.ones((4, 5)), "holds 4 x 5 numbers, not 3 x 5"),
    ],
)
def test_tables_that_contradict_each_other_are_refused(put, bvals, bvecs, message):
    case = put(bvals=bvals, bvecs=bvecs)
    with pytest.raises(InputError, match=message) as caught:
        read_trace(case)
    assert "remove" in str(caught.value)
    case.bvec.unlink()
    assert read_trace(find_cases(case.image.parents[2])[0]).b_value == 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0 x\n0 1 0\n0 0 1\n", "bvec is not a list of numbers .*'x'.*three rows"),
        ("0 1 0 0 0\n0 0 1\n0 0 0 1 1\n", "bvec holds 3 x 3 x 5 numbers"),
        ("\n", "bvec holds 0 numbers"),
    ],
)
def test_directions_that_cannot_be_read(put, text, message):
    case = put(bvals=[0] + [1000] * 4, bvecs=scaled(1, 1, 1, 1))
    case.bvec.write_text(text)
    with pytest.raises(InputError, match=message):
        read_trace(case)


@pytest.mark.parametrize("values", ["0 nan 1000 1000 1000", "0 inf 1000 1000 1000", "0 -1000 1000 1000 1000"])
def test_b_values_that_are_no_numbers(put, values):
    case = put(bvals=[0])
    case.bval.write_text(values)
    with pytest.raises(InputError, match="must hold one b-value >= 0 per volume"):
        read_trace(case)


# ==== One volume without a table ====


def test_a_single_image_is_a_trace_image_only_if_something_says_so(put):
    case = put(values=(5,))
    with pytest.raises(InputError, match="single image without b-value: it may be a b = 0 or a trace image.*call it _trace"):
        read_trace(case)
    assert np.isnan(read_trace(put(values=(5,), suffix="trace", label="02")).b_value)


@pytest.mark.parametrize("suffix", ["dwi", "trace"])
def test_a_sidecar_tells_the_b_value_of_a_single_image(put, suffix):
    case = put(values=(5,), suffix=suffix)
    sidecar = case.image.with_name(f"sub-01_{suffix}.json")

    def told(value):
        sidecar.write_text(json.dumps({"DiffusionBValue": value}))
        return read_trace(find_cases(case.image.parents[2])[0])

    trace = told(800.0)
    assert (trace.b_value, trace.b_values, trace.n_directions) == (800, (800,), 1)
    for value in (0, 2500):
        with pytest.raises(InputError, match=rf"sub-01_{suffix}.json has no volume within 600.*b-values are {value}"):
            told(value)
    if suffix == "dwi":
        for value in (None, "800", True, -1):
            with pytest.raises(InputError, match="single image without b-value"):
                told(value)


# ==== Orientation ====


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (np.diag([-1.0, 1, 1, 1]), "RAS and LAS"),
        (np.diag([1.0, -1, 1, 1]), "RAS and RPS"),
        (np.diag([-1.0, -1, 1, 1]), "RAS and LPS"),  # turned, not mirrored
        (np.array([[0.0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "RAS and PRS"),
        (np.diag([2.0, 2, 2, 1]), "factor of 2"),
    ],
)
@pytest.mark.parametrize("code", [1, 4])
def test_an_sform_and_a_qform_that_disagree_are_questioned(put, change, words, code):
    case = put(values=(5,), suffix="trace")
    image = nib.Nifti1Image(5 * RAMP, AFFINE)
    image.set_qform(AFFINE @ change, 1)
    image.set_sform(AFFINE, code)
    nib.save(image, case.image)
    with pytest.raises(InputError, match=f"an sform and a qform that disagree .*{words}"):
        read_trace(case)


def test_forms_that_differ_by_a_registration_are_no_contradiction(put):
    case = put(values=(5,), suffix="trace")
    angle = np.deg2rad(25)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    turn[:3, 3] = 40, -20, 10
    image = nib.Nifti1Image(5 * RAMP, AFFINE)
    image.set_qform(turn @ AFFINE, 1)
    image.set_sform(AFFINE, 2)
    nib.save(image, case.image)
    np.testing.assert_allclose(read_trace(case).affine, AFFINE)


# ==== The first of several ====


def test_the_first_scan_that_can_be_used(put, capsys):
    put(label="01", bvals=[0] + [1000] * 4).image.write_bytes(b"")
    put(label="02", bvals=[0] + [2500] * 4)
    third = put(label="03", values=(9, 4), bvals=[0, 1000])
    cases = find_cases(third.image.parents[2])
    case, trace = first_trace(cases)
    assert case.image == third.image and trace.b_value == 1000
    said = capsys.readouterr().out
    assert re.search("sub-01 cannot be used: .*empty", said) and re.search(
        "sub-02 cannot be used: .*b-values are 0, 2500", said
    )
    with pytest.raises(InputError, match="No scan of the data set can be used"):
        first_trace(cases[:2])


@pytest.mark.parametrize(
    ("values", "bvals", "names"),
    [
        ((9, 4), [0, 1000], {"b = 0": 0, "b = 1000, volume 1": 1}),
        ((4, 4, 4, 9), [1000, 2000, 995, 5], {"b = 5": 3, "b = 1000, volume 0": 0, "b = 995, volume 2": 2}),
        ((4, 4), [1000, 1000], {"b = 1000, volume 0": 0, "b = 1000, volume 1": 1}),
        ((4,), [1000], {}),
        ((4,), None, {}),
    ],
)
def test_volumes_to_show_are_named_by_their_b_value(put, values, bvals, names):
    case = put(values, bvals, suffix="trace" if bvals is None else "dwi")
    assert name_volumes(case, read_trace(case)) == names
