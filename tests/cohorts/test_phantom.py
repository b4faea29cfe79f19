"""The simulated cohort: what it writes, that it repeats, and that its pictures obey the physics."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from dwikit import metrics, paper
from dwikit.cohorts import phantom
from dwikit.cohorts.phantom import cohort
from dwikit.cohorts.phantom.anatomy import make_anatomy
from dwikit.cohorts.phantom.atlas import load_atlas
from dwikit.cohorts.phantom.calibration import pooled, uniform_levels
from dwikit.cohorts.phantom.person import draw_person
from dwikit.cohorts.phantom.scanner import clean_image, make_scan, zero_fill
from dwikit.common.errors import InputError
from dwikit.slices import SliceSettings, grid

TIGHT = SliceSettings(fov_mm=233.0, interpolator="linear")
"""Each tissue has many pixels, and a level depends on the acquired slices below and above it."""
SMALL = phantom.Settings(
    protocols=(
        phantom.Protocol("small", "GE", 1.0, 1.5, 64, 96, 240.0, 5.0, 8.0, 19, 80.0, 6000.0, 14.0),
        phantom.Protocol("square", "Philips", 1.0, 3.0, 72, 72, 230.0, 5.0, 8.0, 19, 80.0, 6000.0, 18.0),
    )
)
"""Both kinds of protocol, with and without zero filling, at a size for tests."""


def contents(folder):
    """Relative path to bytes of every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Three small cases, made in this process."""
    folder = tmp_path_factory.mktemp("cohort") / "bids"
    return phantom.write_cohort(folder, 3, seed=5, workers=1, physics=SMALL, progress=False)


@pytest.fixture(scope="module")
def volumes():
    """Four cases of the direct path at full size, with their labels."""
    return list(phantom.simulate_volumes(4, seed=1, workers=1, labels=True, settings=TIGHT))


def test_files_do_not_depend_on_the_number_of_workers(written, tmp_path):
    other = phantom.write_cohort(tmp_path, 3, seed=5, workers=2, physics=SMALL, progress=False)
    assert contents(other) == contents(written)


def test_dataset_is_consistent(written):
    description = json.loads((written / "dataset_description.json").read_text())
    assert description["DatasetType"] == "raw"
    assert description["GeneratedBy"][0]["Parameters"]["seed"] == 5
    people = pd.read_csv(written / "participants.tsv", sep="\t")
    assert list(people.columns) == ["participant_id", "age", "sex"]
    assert list(people.participant_id) == ["sub-0001", "sub-0002", "sub-0003"]
    assert set(json.loads((written / "participants.json").read_text())) == {"age", "sex"}
    for label in people.participant_id:
        base = written / label / "dwi" / f"{label}_dwi"
        image = nib.load(f"{base}.nii.gz")
        b_values, directions = np.loadtxt(f"{base}.bval"), np.loadtxt(f"{base}.bvec")
        sidecar = json.loads(base.with_suffix(".json").read_text())
        assert image.get_data_dtype() == np.int16
        assert image.shape[3] == len(b_values) == directions.shape[1] == 4
        assert image.shape[0] == image.shape[1] == sidecar["ReconMatrixPE"]
        assert image.header.get_zooms()[2] == pytest.approx(sidecar["SpacingBetweenSlices"])
        assert list(b_values) == [0, 1000, 1000, 1000]
        np.testing.assert_allclose(directions[:, 1:].T @ directions[:, 1:], np.eye(3), atol=1e-5)
        np.testing.assert_allclose(image.get_sform(), image.get_qform(), atol=1e-3)
        assert np.abs(image.affine[1, 2]) > 1e-3, "slices are oblique"
        voxels = image.get_fdata(dtype=np.float32)
        assert voxels[..., 0].mean() > 1.5 * voxels[..., 1].mean(), "b = 0 is brighter"
        assert np.median(voxels[:6, :6, :, 1]) < 0.02 * np.percentile(voxels[..., 1], 95), "the scanner blanks the air"


def test_people_follow_the_paper():
    people = [draw_person(number, 0, phantom.Settings()) for number in range(2000)]
    ages = np.array([person.age for person in people])
    assert 0 <= ages.min() < 3 and 75 < ages.max() <= 95
    assert 37 < ages.mean() < 43 and 18 < ages.std() < 24
    assert np.mean([person.sex == "F" for person in people]) == pytest.approx(1088 / 2027, abs=0.035)
    assert {person.protocol.reconstructed for person in people} >= {128, 192, 256}


def test_interrupted_run_continues(written, tmp_path, monkeypatch):
    whole = cohort._sidecar

    def fails_at_second(person):
        if person.number == 1:
            raise KeyboardInterrupt
        return whole(person)

    monkeypatch.setattr(cohort, "_sidecar", fails_at_second)
    with pytest.raises(KeyboardInterrupt):
        phantom.write_cohort(tmp_path, 3, seed=5, workers=1, physics=SMALL, progress=False)
    monkeypatch.undo()
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == ["sub-0001"]
    assert "sub-0002" not in (tmp_path / "participants.tsv").read_text()
    (tmp_path / ".sub-0002.1.partial" / "dwi").mkdir(parents=True)  # as kill -9 leaves it
    first = tmp_path / "sub-0001" / "dwi" / "sub-0001_dwi.nii.gz"
    before = first.stat().st_mtime_ns
    phantom.write_cohort(tmp_path, 3, seed=5, workers=1, physics=SMALL, progress=False)
    assert first.stat().st_mtime_ns == before, "a finished case is not made again"
    assert contents(tmp_path) == contents(written)
    assert not list(tmp_path.rglob("*.partial"))


def test_numbering_can_start_later(written, tmp_path):
    phantom.write_cohort(tmp_path, 1, seed=5, first=2, workers=1, physics=SMALL, progress=False)
    name = "sub-0003/dwi/sub-0003_dwi.nii.gz"
    assert (tmp_path / name).read_bytes() == (written / name).read_bytes()
    assert (tmp_path / "participants.tsv").read_text().count("\n") == 2


@pytest.mark.parametrize("change", [{"seed": 6}, {"distortion": False}, {"physics": replace(SMALL, snr=9.0)}])
def test_other_cohort_in_the_folder_is_refused(written, change):
    before = contents(written)
    with pytest.raises(InputError, match="another seed, other settings or another version of the simulation; choose") as error:
        phantom.write_cohort(written, 1, **({"seed": 5, "physics": SMALL} | change))
    assert str(written) in str(error.value)
    assert contents(written) == before


def test_a_cohort_of_other_code_is_not_continued(written, monkeypatch):
    before = contents(written)
    monkeypatch.setattr(cohort, "code", lambda: "00000000")
    with pytest.raises(InputError, match="another version of the simulation"):
        phantom.write_cohort(written, 4, seed=5, physics=SMALL)
    assert contents(written) == before


@pytest.mark.parametrize(
    ("name", "old", "new", "decides"),
    [
        ("settings.py", b"warp_mm: float = 2.2", b"warp_mm: float = 2.3", True),
        ("person.py", b"        matrix = turn @ matrix", b"    matrix = turn @ matrix", True),
        ("hull.npz", b"", b"\n", True),
        ("settings.py", b"  # sd of the smooth warp, each axis", b"", False),
        ("person.py", b'"""Draws of one case:', b'"""What is drawn of one case:', False),
    ],
)
def test_every_statement_and_number_of_the_simulation_decide_its_code_and_no_word(
    name, old, new, decides, tmp_path, monkeypatch
):
    there, before = Path(phantom.settings.__file__).parent, phantom.code()
    folder = shutil.copytree(there, tmp_path / "phantom")
    content = (folder / name).read_bytes()
    assert old in content
    (folder / name).write_bytes(content.replace(old, new, 1) if old else content + new)
    monkeypatch.setattr(phantom.settings, "__file__", str(folder / "settings.py"))
    assert (phantom.code() != before) == decides


def test_the_code_of_the_simulation_is_the_same_on_every_version_of_python(tmp_path):
    """From Python 3.12 on an f-string is several tokens, among them names, but never a comment."""
    path = tmp_path / "some.py"
    words = '"""A module,\n\nof two lines."""  # a comment\n'
    code = 'NAME = f"{1:#x} # {2}"\nN = {\n    "a": """b\n# c"""\n}\ndef f(x):\n    return f\'{x!r:>{3}}\' + "d"\n'
    path.write_text(words + code.replace("f(x):\n", 'f(x):\n    """What it does."""\n') + "\n\n# end\n", encoding="utf-8")
    assert phantom.settings._without_words(path) == code.rstrip()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"age_range": (40.0, 40.0)}, "age_range must rise"),
        ({"age_range": (40.0, 40.0001)}, "age_range must rise"),
        ({"age_range": (50.0, 40.0)}, "age_range must rise"),
        ({"age_range": (200.0, 300.0)}, "lie near age_mean"),
        ({"fold_symmetry": 1.5}, "fold_symmetry is a correlation"),
        ({"subslices": 0}, "subslices must be 1 or more"),
        ({"snr": 0.0}, "snr must be above 0"),
    ],
)
def test_settings_that_would_never_end_or_hold_no_numbers_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        replace(phantom.Settings(), **changes)


def test_bad_requests_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="other files"):
        phantom.write_cohort(tmp_path, 1)
    with pytest.raises(InputError, match="could not be written"):
        phantom.write_cohort(tmp_path / "notes.txt", 1)
    for options in ({"n_cases": -1}, {"n_cases": 1, "seed": -1}, {"n_cases": 1, "first": 0.5}, {"n_cases": 1, "seed": 2**32}):
        with pytest.raises(InputError, match="whole number"):
            phantom.simulate_volumes(**options)
    with pytest.raises(InputError, match="levels"):
        phantom.simulate_slices(1, levels=[26])


def test_direct_path_yields_the_target_grid(volumes):
    first = volumes[0]
    assert (first.case, first.subject, first.origin) == ("sub-0001", "sub-0001", "simulated")
    assert first.image.shape == (26, 128, 128) and first.image.dtype == np.float32
    assert first.labels.shape == (26, 128, 128) and first.labels.dtype == np.uint8
    brain = np.mean([volume.labels > 0 for volume in volumes], axis=0)
    rows, columns = np.nonzero(brain[12] > 0.5)
    pixel = TIGHT.fov_mm / grid.IMAGE_SIZE
    assert abs(rows.mean() - 63.5) * pixel < 5 and abs(columns.mean() - 63.5) * pixel < 4
    assert np.ptp(rows) > 1.15 * np.ptp(columns), "heads are longer than wide"
    cerebellum = brain[0]
    assert cerebellum[64:].sum() > 2 * cerebellum[:40].sum(), "row 0 is anterior: the cerebellum lies below"


def test_slices_stack_the_volumes(volumes):
    images, table = phantom.simulate_slices(2, seed=1, first=1, levels=[3, 20], workers=1, settings=TIGHT)
    assert images.shape == (2, 2, 128, 128) and images.dtype == np.float32
    np.testing.assert_array_equal(images[0], volumes[1].image[[3, 20]])
    assert not np.array_equal(images[0], images[1])
    assert list(table["case"]) == ["sub-0002", "sub-0003"]
    assert table.age[1] == volumes[2].age and table.sex[1] == volumes[2].sex


def test_levels_of_their_own_equal_the_volumes(volumes):
    levels = np.array([[0, 25], [9, 9], [14, 2], [25, 13]])
    images, _ = phantom.simulate_slices(4, seed=1, levels=levels, workers=1, settings=TIGHT)
    for image, level, volume in zip(images, levels, volumes, strict=True):
        np.testing.assert_array_equal(image, volume.image[level])
    for wrong in ([], [0.5], [[1]], [[[1]]], [-1]):
        with pytest.raises(InputError, match="levels"):
            phantom.simulate_slices(4, levels=wrong)


def test_slices_have_the_statistics_of_the_paper():
    """A tenth of what benchmarks/calibration.py draws: nearest neighbours are further away, so their bound is wider."""
    count = 100
    images, _ = phantom.simulate_slices(count, 3, levels=uniform_levels(count, seed=3), workers=2)
    slices = pooled(images[:, 0], SliceSettings.percentile)
    goal, laplace = paper.TABLE_1.loc["original"], metrics.laplace_variance(slices)
    assert metrics.intra_sample_diversity(slices) == pytest.approx(goal["isd"], rel=0.3)
    assert 0.8 < metrics.minimum_intra_sample_diversity(slices) / goal["min_isd"] < 2
    assert laplace.mean() == pytest.approx(goal["laplace"], rel=0.3)
    assert laplace.std() == pytest.approx(goal["laplace_sd"], rel=0.35)
    assert len(np.unique(slices)) == 256 and slices.min() == 0


def test_contrast_is_that_of_real_scans(volumes):
    grey, white, fluid = ([] for _ in range(3))
    for volume in volumes:
        share = volume.image / np.percentile(volume.image[volume.labels > 0], 95)
        inner = np.stack([ndimage.binary_erosion(level, iterations=8) for level in volume.labels > 0])
        ventricle = inner & np.stack([ndimage.binary_erosion(level) for level in volume.labels == 3])
        grey.append(np.median(share[volume.labels == 1]))
        white.append(np.median(share[volume.labels == 2]))
        fluid.append(np.median(share[ventricle]))
        air = volume.image[8:16, 40:80, 3:10]
        assert np.median(air) < 0.01 * np.percentile(volume.image, 95), "the scanner blanks the air"
    ratio = np.divide(grey, white)
    assert np.all((1.02 < ratio) & (ratio < 1.25)), ratio
    assert np.all((0.25 < np.array(fluid)) & (np.array(fluid) < 0.5)), fluid


def test_ventricles_and_sulci_grow_with_age():
    people = [draw_person(number, 0, SMALL) for number in range(300)]
    young = sorted(people, key=lambda person: person.age)[:2]
    old = sorted(people, key=lambda person: person.age)[-2:]

    def fluid(person, part):
        volume = next(phantom.simulate_volumes(1, first=person.number, workers=1, labels=True, physics=SMALL))
        return int(np.count_nonzero(volume.labels[part] == 3))

    ventricles, top = np.s_[10:15, 40:95, 48:80], np.s_[18:23]
    assert np.mean([fluid(p, ventricles) for p in old]) > 1.3 * np.mean([fluid(p, ventricles) for p in young])
    assert np.mean([fluid(p, top) for p in old]) > 1.1 * np.mean([fluid(p, top) for p in young])


def test_distortion_brightens_the_skull_base():
    person = draw_person(0, 0, phantom.Settings())
    distorted, straight = (clean_image(make_scan(person, phantom.Settings(), on), 1000.0) for on in (True, False))
    change = np.abs(distorted - straight)
    base, vertex = np.s_[:, :, 4:10], np.s_[:, :, -9:-5]
    assert change[base].mean() > 5 * change[vertex].mean()
    assert np.percentile(distorted[base], 99.9) > 1.1 * np.percentile(straight[base], 99.9)


def test_known_map_predicts_the_undistorted_image(tmp_path):
    """The person's solid tissue, read through the map, predicts where the b = 0 image is dark."""
    folder = phantom.write_cohort(tmp_path, 1, workers=1, distortion=False, progress=False)
    image = nib.load(folder / "sub-0001" / "dwi" / "sub-0001_dwi.nii.gz")
    native, template = phantom.truth(0)
    affine = phantom.fit_affine(native, template)
    fitted = native @ affine[:3, :3].T + affine[:3, 3]
    residual = np.linalg.norm(fitted - template, axis=1)
    assert 1 < np.median(residual) < 5, "the warp is what the affine leaves"
    b0 = image.get_fdata(dtype=np.float32)[..., 0]
    values = np.log(read(b0, image.affine, native) + 1)
    atlas, everything = load_atlas(), slice(0, load_atlas().shape[2])
    anatomy = make_anatomy(draw_person(0, 0, phantom.Settings()), atlas, phantom.Settings(), everything)
    solid = atlas.lattice(everything, 1 - anatomy.fluid)
    tissue, of_affine, of_shifted = (read(solid, atlas.affine, points) for points in (template, fitted, template + [0, 5, 0]))
    exact = -np.corrcoef(values, tissue)[0, 1]
    assert exact > 0.6
    assert exact > 0.05 - np.corrcoef(values, of_affine)[0, 1]
    assert exact > 0.2 - np.corrcoef(values, of_shifted)[0, 1]


def read(voxels, affine, points):
    """Linear interpolation of an image at world points (N, 3)."""
    where = np.linalg.inv(affine) @ np.c_[points, np.ones(len(points))].T
    return ndimage.map_coordinates(voxels, where[:3], order=1)


def test_distorted_map_differs_only_along_the_phase_encoding_axis():
    straight_native, straight = phantom.truth(0, physics=SMALL)
    native, bent = phantom.truth(0, distortion=True, physics=SMALL)
    common = {tuple(point): i for i, point in enumerate(np.round(straight_native, 3))}
    pairs = [(common[key], i) for i, key in enumerate(map(tuple, np.round(native, 3))) if key in common]
    before, after = np.array(pairs).T
    person = draw_person(0, 0, SMALL)
    shift = (bent[after] - straight[before]) @ np.linalg.inv(person.world_to_template[:3, :3]).T
    voxels = shift @ np.linalg.inv(person.voxel_to_world[:3, :3]).T
    assert np.abs(voxels[:, 1]).max() > 1
    assert np.abs(voxels[:, [0, 2]]).max() < 1e-3


def test_zero_filling_keeps_the_acquired_samples():
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.standard_normal((16, 16, 2)), (2, 2, 0), mode="wrap")
    filled = zero_fill(smooth.astype(np.complex64), 32)
    np.testing.assert_allclose(filled[::2, ::2].real, smooth, atol=1e-3)


def test_direct_path_imports_nothing_heavy():
    code = (
        "import sys; from dwikit.cohorts import phantom;"
        "next(phantom.simulate_volumes(1, workers=1));"
        "print([m for m in ('tensorflow', 'keras', 'torch', 'ants', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
