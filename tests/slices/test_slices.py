"""Normalization, the split by patient, the store on disk and its batches."""

import dataclasses
import inspect
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from dwikit import cli, slices
from dwikit.cohorts import phantom
from dwikit.common.errors import InputError
from dwikit.preprocess import preprocess
from dwikit.preprocess.template import load_template, on_grid
from dwikit.slices import grid
from dwikit.slices.settings import SHORTEST_MM

SMALL = slices.SliceSettings(image_size=32)


def test_clip_and_scale_follow_the_paper(volumes, tmp_path):
    """Clipped at the 95th percentile of all voxels of the cohort, divided by it, 26 levels a case."""
    store = slices.build(volumes, tmp_path / "s", slices.SliceSettings(percentile=95.0))
    stack = np.stack([volume.image for volume in volumes])
    cap = np.percentile(stack, 95)
    assert store.settings["clip"] == pytest.approx(cap, rel=1e-3)
    expected = np.round(np.clip(stack, 0, cap) / cap * 255).reshape(-1, 128, 128)
    assert np.abs(store.images.astype(int) - expected).max() <= 1
    assert store.images.max() == 255
    assert store.images.shape == (len(volumes) * 26, 128, 128)
    assert store.table.groupby("case", sort=False)["level"].apply(list).tolist() == [list(range(26))] * len(volumes)


def test_scope_volume_clips_each_case_by_itself(volumes, tmp_path):
    settings = slices.SliceSettings(percentile=95.0, scope="volume")
    louder = [volume._replace(image=volume.image * (1 + i)) for i, volume in enumerate(volumes)]
    one, other = (slices.build(v, tmp_path / str(i), settings) for i, v in enumerate([volumes, louder]))
    assert np.abs(one.images.astype(int) - other.images).max() <= 1
    shares = [np.mean(one.images[i * 26 : (i + 1) * 26] == 255) for i in range(len(volumes))]
    np.testing.assert_allclose(shares, 0.05, atol=0.005)


def test_grey_levels_are_the_nearest_and_do_not_wrap():
    assert slices.to_uint8([-0.1, 0, 0.49 / 255, 0.51 / 255, 0.5, 1, np.float32(1.01)]).tolist() == [0, 0, 0, 1, 128, 255, 255]


def test_smaller_slices_are_block_means(volumes):
    small = slices.shrink(volumes[0].image, 32)
    assert small.shape == (26, 32, 32)
    assert small[3, 5, 7] == pytest.approx(volumes[0].image[3, 20:24, 28:32].mean(), rel=1e-5)


def test_split_is_by_patient_and_depends_on_nothing_else():
    subjects = [f"sub-{i:03d}" for i in range(100)]
    split = slices.split_by_patient(subjects, seed=1)
    assert slices.split_by_patient(subjects[::-1], seed=1) == split
    assert slices.split_by_patient(subjects, seed=2) != split
    many = pd.Series(slices.split_by_patient([f"sub-{i}" for i in range(20000)])).value_counts(normalize=True)
    assert many.to_dict() == pytest.approx({"train": 0.8, "validation": 0.1, "test": 0.1}, abs=0.01)


def test_nobody_moves_when_people_join_or_leave():
    subjects = [f"sub-{i:03d}" for i in range(100)]
    before = slices.split_by_patient(subjects)
    joined = slices.split_by_patient(subjects + [f"sub-new{i}" for i in range(50)])
    left = slices.split_by_patient(subjects[::2])
    assert {subject: joined[subject] for subject in subjects} == before
    assert left == {subject: before[subject] for subject in subjects[::2]}


def test_small_sets_fill_all_three_splits_and_move_no_more_people_than_that_takes():
    for first in range(200):
        subjects = [f"sub-{first}-{i}" for i in range(3 + first % 6)]
        split = slices.split_by_patient(subjects)
        assert set(split.values()) == {"train", "validation", "test"}
        free = slices.split_by_patient(subjects + [f"sub-{i}" for i in range(100)])
        empty = {"train", "validation", "test"} - {free[subject] for subject in subjects}
        assert sum(split[subject] != free[subject] for subject in subjects) == len(empty)
    assert set(slices.split_by_patient(["sub-a", "sub-b"]).values()) <= {"train", "validation", "test"}


@pytest.mark.parametrize("n", [6, 60, 2029])
def test_the_default_seed_splits_the_simulated_cohort_evenly(n):
    split = slices.split_by_patient([f"sub-{i + 1:04d}" for i in range(n)])
    counts = pd.Series(split).value_counts()
    assert counts[["validation", "test"]].between(round(0.095 * n), round(0.105 * n)).all()


def test_two_series_of_a_patient_stay_together(volumes, tmp_path):
    twins = [v._replace(case=f"{v.subject}_acq-{a}") for v in volumes for a in "AB"]
    store = slices.build(twins, tmp_path / "s", SMALL)
    assert store.table.groupby("subject")["split"].nunique().max() == 1


def test_a_patient_in_two_splits_is_refused(store, tmp_path):
    np.save(tmp_path / "images.npy", store.images)
    table = store.table.copy()
    table.loc[0, "split"] = "test" if table.loc[0, "split"] != "test" else "train"
    table.to_csv(tmp_path / "table.tsv", sep="\t")
    (tmp_path / "settings.json").write_text(json.dumps(store.settings | {"image_size": 64}))
    with pytest.raises(InputError, match="says image_size 64, but the slices have 32 pixels"):
        slices.SliceStore.open(tmp_path)
    (tmp_path / "settings.json").write_text(json.dumps(store.settings))
    with pytest.raises(InputError, match=f"{table.loc[0, 'subject']}.*more than one split"):
        slices.SliceStore.open(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scope": "scanner"}, "scope must be one of cohort, volume, not 'scanner'"),
        ({"interpolator": ["nearest"]}, "interpolator must be one of nearest, linear, cubic"),
        ({"percentile": 50}, "percentile must be above 50"),
        ({"percentile": float("nan")}, "percentile must be above 50, up to 100, not nan"),
        ({"fov_mm": "300"}, r"fov_mm must be 185 to 500 \(the template's brain is 180 mm long\), not '300'"),
        ({"fov_mm": 184.0}, "fov_mm must be 185 to 500"),
        ({"image_size": 64.0}, "image_size must be 8 to 1024, whole, not 64.0"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        slices.SliceSettings(**settings)


def test_the_smallest_field_of_view_holds_the_whole_brain():
    """Slices that cut it would pass for whole ones: a scan's coverage is that within the field of view."""
    template, size = load_template(), 256
    whole = on_grid(template.brain, size, 500.0).sum() * (500 / size) ** 2
    shown = on_grid(template.brain, size, SHORTEST_MM).sum() * (SHORTEST_MM / size) ** 2
    cut = on_grid(template.brain, size, 170.0).sum() * (170 / size) ** 2
    assert shown == pytest.approx(whole, rel=1e-3) and cut < 0.999 * whole


def test_what_the_percentile_does_to_the_brain():
    """As the settings say of 325 mm: over a third of it is white at 95, a fifth at 97."""
    images, _ = phantom.simulate_slices(8, seed=3, workers=1)
    brain = grid.to_slices(on_grid(load_template().brain, images.shape[-1], slices.CALIBRATED.fov_mm)) > 0.5
    white = [np.mean(images[:, brain] >= np.percentile(images, percentile)) for percentile in (95, 97)]
    assert white == pytest.approx([0.37, 0.22], abs=0.04)


def test_an_image_size_that_does_not_divide_the_volumes_is_refused(volumes, tmp_path):
    with pytest.raises(InputError, match="divide 128, but 100 does not"):
        slices.build(volumes[:1], tmp_path / "s", slices.SliceSettings(image_size=100))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": lambda image: np.concatenate([image, image])}, r"shape \(52, .*levels first"),
        ({"image": lambda image: image.transpose(1, 2, 0)}, "levels first"),
        ({"image": lambda image: image[:, :, ::2]}, "H, H"),
        ({"image": lambda image: np.where(image > image.max() / 2, np.nan, image)}, "% of its voxels are no finite numbers"),
        ({"image": lambda image: np.where(image > image.max() / 2, -np.inf, image)}, "no finite numbers"),
        ({"image": lambda image: 0 * image}, "it is empty"),
        ({"age": 200.0}, "age must be None or 0 to 130 years, not 200"),
        ({"age": float("nan")}, "age must be"),
        ({"sex": "f"}, "sex must be None, F or M, not 'f'"),
        ({"subject": ""}, "must both be names"),
        ({"subject": "n/a"}, "must both be names"),
    ],
)
def test_what_is_no_scan_is_refused_and_leaves_the_store_before(changes, words, volumes, tmp_path):
    few = volumes[:3]
    before = slices.build(few, tmp_path / "s", SMALL).content
    changed = {name: value(few[1].image) if callable(value) else value for name, value in changes.items()}
    with pytest.raises(InputError, match=f"Scan .*{words}"):
        slices.build([few[0], few[1]._replace(**changed), few[2]], tmp_path / "s", SMALL)
    assert slices.SliceStore.open(tmp_path / "s").content == before


def test_a_person_may_be_called_anything_but_not_available(volumes, tmp_path):
    named = [volume._replace(subject=name, case=name) for volume, name in zip(volumes, ("NA", "null", "nan", "01"))]
    store = slices.build(named, tmp_path / "s", SMALL)
    assert set(store.table["subject"]) == {"NA", "null", "nan", "01"}


@pytest.mark.parametrize(("scope", "of"), [("cohort", "all slices"), ("volume", "the slices of sub-0001")])
def test_a_percentile_in_the_air_is_refused(scope, of, volumes, tmp_path):
    """Scanners blank the air: where it holds more voxels than the percentile, every slice would be black."""
    blanked = [volume._replace(image=np.where(volume.image < 60, 0, volume.image)) for volume in volumes[:3]]
    settings = dataclasses.replace(SMALL, percentile=60.0, scope=scope)
    with pytest.raises(InputError, match=f"percentile 60 of {of} is 0, so clipping there leaves nothing.*higher percentile"):
        slices.build(blanked, tmp_path / "s", settings)


def test_numbers_of_numpy_are_settings(volumes, tmp_path):
    settings = slices.SliceSettings(image_size=np.int64(32), fov_mm=np.float32(325), percentile=np.float64(97))
    assert settings == SMALL and slices.build(volumes[:2], tmp_path / "s", settings).image_size == 32


def test_every_default_is_the_calibrated_one():
    """One place: what functions, profiles and the command line do when nobody says otherwise."""
    for function in (slices.build, preprocess, phantom.simulate_volumes, phantom.simulate_slices):
        assert inspect.signature(function).parameters["settings"].default is slices.CALIBRATED
    for name in ("preprocess", "slices"):
        options = cli.parser().parse_args([name, "from", "to", "--image-size", "64"])
        assert cli.data._slice_settings(options) == slices.SliceSettings.for_size(64)
    assert slices.SliceSettings.for_size(128) == slices.CALIBRATED == slices.SliceSettings()


@pytest.mark.parametrize("size", [32, 64])
def test_small_slices_spend_their_pixels_on_the_whole_head(size):
    settings = slices.SliceSettings.for_size(size)
    assert settings == dataclasses.replace(slices.CALIBRATED, image_size=size, fov_mm=settings.fov_mm)
    raw, _ = phantom.simulate_slices(3, levels=(5, 9, 12), workers=1, settings=settings, grid_size=64)
    images = slices.normalize(raw.reshape(-1, 64, 64), np.percentile(raw, 99))
    rows, columns = slices.head_frame(images)
    assert rows.stop - rows.start > 52 and columns.stop - columns.start > 44, "it fills the frame"
    border = np.concatenate([images[:, [0, -1]].ravel(), images[:, :, [0, -1]].ravel()])
    assert border.max() < 0.1, "and is not cut"


def test_a_failed_build_leaves_nothing_and_the_old_store_unharmed(volumes, tmp_path):
    slices.build(volumes[:3], tmp_path / "s", SMALL)
    with pytest.raises(InputError, match="twice"):
        slices.build([*volumes[:3], volumes[0]], tmp_path / "s", SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    assert len(slices.SliceStore.open(tmp_path / "s").images) == 78
    with pytest.raises(InputError, match="no usable volume"):
        slices.build([], tmp_path / "t")


@pytest.mark.parametrize("name", ["images.npy", "table.tsv", "settings.json"])
def test_an_incomplete_store_is_named(volumes, tmp_path, name):
    slices.build(volumes[:3], tmp_path / "s", SMALL)
    (tmp_path / "s" / name).write_bytes((tmp_path / "s" / name).read_bytes()[:60])
    with pytest.raises(InputError, match="store|rows|columns"):
        slices.SliceStore.open(tmp_path / "s")
    (tmp_path / "s" / name).unlink()
    with pytest.raises(InputError, match="no usable store"):
        slices.SliceStore.open(tmp_path / "s")


def test_batches_are_a_function_of_seed_and_epoch(store):
    one, other = store.batches("train", 16, seed=5, flip=True), store.batches("train", 16, seed=5, flip=True)
    first = [one[i] for i in range(len(one))]
    one.on_epoch_end()
    second = [one[i] for i in range(len(one))]
    other.epoch = 1
    np.testing.assert_array_equal(np.stack(second), np.stack([other[i] for i in range(len(other))]))
    assert not np.array_equal(first[0], second[0])
    assert first[0].shape == (16, 32, 32, 1) and first[0].dtype == np.float32
    assert 0 <= first[0].min() and first[0].max() <= 1
    assert not np.array_equal(store.batches("train", 16, seed=6)[0], store.batches("train", 16, seed=5)[0])


def test_batches_visit_every_training_slice_once_before_any_twice(store):
    train = store.split("train")
    batches = store.batches("train", 13, steps=3)
    n = len(train) // 13
    seen = []
    for epoch in range(-(-n // 3)):
        batches.epoch = epoch
        seen += [batches[i] for i in range(3)]
    rows = {image.tobytes() for image in np.round(np.concatenate(seen[:n]) * 255).astype(np.uint8)[..., 0]}
    assert len(rows) >= 0.98 * 13 * n  # a few slices may be equal (all black above the head)
    assert rows <= {image.tobytes() for image in train}


def test_the_dataset_serves_the_same_batches(store):
    dataset, batches = store.dataset("train", 16, seed=2), store.batches("train", 16, seed=2)
    assert int(dataset.cardinality()) == len(batches)
    for epoch in range(2):
        batches.epoch = epoch
        for i, batch in enumerate(dataset):
            np.testing.assert_array_equal(batch.numpy(), batches[i])


def test_a_batch_larger_than_the_split_is_refused(store):
    with pytest.raises(InputError, match="batch of 5000 does not fit"):
        store.batches("train", 5000)
    with pytest.raises(InputError, match="no slices in the split 'dev'"):
        store.batches("dev", 2)


def test_flip_mirrors_half_of_the_images(store):
    plain, flipped = store.batches("train", 64, seed=1)[0], store.batches("train", 64, seed=1, flip=True)[0]
    same = np.all(plain == flipped, axis=(1, 2, 3))
    mirrored = np.all(plain[:, :, ::-1] == flipped, axis=(1, 2, 3))
    assert np.all(same | mirrored) and 15 < mirrored.sum() < 49


def test_the_target_grid_is_the_papers():
    assert grid.N_LEVELS == 26 and 2029 * grid.N_LEVELS == 52_754
    affine = grid.affine(128, 233.0)
    low, high = affine @ [-0.5, -0.5, -0.5, 1], affine @ [127.5, 127.5, 39.5, 1]
    np.testing.assert_allclose(low[:3], [-116.5, -134.5, -72])
    np.testing.assert_allclose(high[:3], [116.5, 98.5, 117])
    volume = np.zeros((128, 128, 40))
    volume[100, 120, 8] = 1  # right, anterior, lowest kept
    np.testing.assert_array_equal(np.argwhere(grid.to_slices(volume)), [[0, 7, 27]])


FULL = """
import resource, signal, sys
import numpy as np
from dwikit import slices
from dwikit.slices import grid
from dwikit.common.errors import InputError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
image = np.random.default_rng(0).random((26, 128, 128), np.float32)
try:
    slices.build([grid.Volume(f"sub-{i}", f"sub-{i}", 30.0, "F", "test", image) for i in range(3)], sys.argv[1])
except InputError as error:
    print(error)
"""


def test_a_full_disk_is_one_message_and_nothing_remains(tmp_path):
    result = subprocess.run([sys.executable, "-c", FULL, str(tmp_path / "s")], capture_output=True, text=True)
    assert "could not be written" in result.stdout and "Free some space" in result.stdout, result.stderr
    assert not list(tmp_path.iterdir())
