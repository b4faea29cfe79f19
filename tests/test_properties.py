"""What holds for every input, not for chosen ones: headers, shapes, b-tables, readings, slices, settings."""

import dataclasses
import itertools
import math
import tempfile
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial.transform import Rotation

from dwikit import profiles, slices
from dwikit.cohorts import participants
from dwikit.cohorts.bids import Case
from dwikit.cohorts.participants import parse_age
from dwikit.common import files
from dwikit.common.errors import InputError
from dwikit.common.nifti import open_image, world_affine
from dwikit.metrics import as_images
from dwikit.models import presets, registry
from dwikit.preprocess import btable, register, trace
from dwikit.preprocess.quality import decompose
from dwikit.reader_study import agreement, read_readings, score_readings
from dwikit.slices import grid, histogram

often = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
rarely = settings(often, max_examples=15)
finite = st.floats(-1e6, 1e6)


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Everything that an example writes goes away with the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def folder() -> Path:
    return Path(tempfile.mkdtemp())


# ==== Headers: orientation and affine ====

ORIENTATIONS = [
    np.array([[axis, sign] for axis, sign in zip(order, signs)])
    for order in itertools.permutations(range(3))
    for signs in itertools.product((-1, 1), repeat=3)
]
"""All 48 ways to store a volume."""


@st.composite
def affines(draw):
    """Voxel-to-world maps as scanners write them: any orientation, turned by up to 40 degrees, 0.5 to 6 mm."""
    turn = Rotation.from_rotvec(draw(st.tuples(*[st.floats(-0.4, 0.4)] * 3))).as_matrix()
    order = draw(st.sampled_from(ORIENTATIONS))
    axes = np.zeros((3, 3))
    axes[order[:, 0], range(3)] = order[:, 1]
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ axes * draw(st.tuples(*[st.floats(0.5, 6)] * 3))
    matrix[:3, 3] = draw(st.tuples(*[st.floats(-300, 300)] * 3))
    return matrix


@often
@given(affine=affines(), form=st.sampled_from(["sform", "qform", "both"]), ending=st.sampled_from([".nii", ".nii.gz"]))
def test_an_affine_survives_the_header_whichever_form_holds_it(affine, form, ending):
    path = folder() / f"a{ending}"
    image = nib.Nifti1Image(np.ones((8, 9, 10), np.int16), affine)
    image.set_sform(affine, 0 if form == "qform" else 1)
    image.set_qform(affine, 0 if form == "sform" else 1)
    nib.save(image, path)
    opened = open_image(path)
    assert opened.shape == (8, 9, 10)
    found = world_affine(opened.header, path)
    np.testing.assert_allclose(found[:3, :3], affine[:3, :3], atol=2e-3)
    np.testing.assert_allclose(found[:3, 3], affine[:3, 3], atol=1e-3)


@often
@given(order=st.sampled_from(ORIENTATIONS), affine=affines())
def test_how_the_voxels_are_stored_changes_nothing_in_the_world(order, affine):
    """A volume whose axes are flipped and swapped, its affine with them, comes to the target grid as the same image."""
    affine = affine.copy()
    affine[:3, :3] *= 20 / np.linalg.norm(affine[:3, :3], axis=0)  # few voxels, a whole head
    shape = (12, 13, 14)
    affine[:3, 3] = grid.CENTRE_MM + (20.0,) - affine[:3, :3] @ (np.array(shape) - 1) / 2
    volume = np.random.default_rng(0).random(shape, np.float32)
    image = nib.Nifti1Image(volume, affine)
    turned = image.as_reoriented(order)
    one, other = (
        register.resample(trace.Trace(x.get_fdata(dtype=np.float32), x.affine, math.nan, 1, ()), np.eye(4), "linear", 8, 233.0)
        for x in (image, turned)
    )
    assert one.max() > 0.1
    np.testing.assert_allclose(one, other, atol=2e-4)


@often
@given(scales=st.tuples(*[st.floats(0.6, 1.6)] * 3), vector=st.tuples(*[st.floats(-0.5, 0.5)] * 3), mirrored=st.booleans())
def test_scales_and_rotation_are_found_again(scales, vector, mirrored):
    turn = Rotation.from_rotvec(vector)
    matrix = np.eye(4)
    matrix[:3, :3] = turn.as_matrix() @ np.diag(scales)
    if mirrored:
        matrix[:3, 0] *= -1
    low, high, shear, degrees = decompose(matrix)
    if mirrored:
        assert low < 0
    else:
        assert (low, high) == pytest.approx((min(scales), max(scales))) and shear == pytest.approx(0, abs=1e-9)
        assert degrees == pytest.approx(np.degrees(turn.magnitude()), abs=1e-3)


@often
@given(values=st.lists(finite, min_size=12, max_size=12))
def test_transform_files_hold_any_affine(values):
    matrix = np.eye(4)
    matrix[:3] = np.reshape(values, (3, 4))
    path = folder() / "x.mat"
    register.write_transform(path, matrix)
    np.testing.assert_allclose(register.read_transform(path), matrix, rtol=1e-12, atol=1e-9)


@often
@given(shape=st.lists(st.integers(0, 12), min_size=1, max_size=6))
def test_a_shape_is_a_volume_a_series_or_refused_by_its_name(shape):
    path = folder() / "sub-a_dwi.nii"
    nib.save(nib.Nifti1Image(np.ones(shape, np.int16), np.diag([3.0, 3, 3, 1])), path)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    usable = 3 <= len(shape) <= 4 and min(shape[:3]) >= 8 and min(shape) > 0
    if usable:
        assert open_image(path).shape == tuple(shape)
    else:
        with pytest.raises(InputError, match=r"sub-a_dwi\.nii"):
            open_image(path)


# ==== b-tables ====

b_values = st.lists(st.sampled_from([0, 5, 50, 500, 700, 800, 990, 1000, 1005, 1500, 2000, 3000]), min_size=1, max_size=40)


@often
@given(
    values=b_values,
    gaps=st.lists(st.sampled_from([" ", "  ", "\t", "\n", "\r\n", ",", ", ", " ,\n"]), min_size=40, max_size=40),
    formats=st.lists(st.sampled_from(["{:d}", "{:.1f}", "{:.6e}", "{:+d}", "{:05d}"]), min_size=40, max_size=40),
    edges=st.tuples(st.sampled_from(["", "\ufeff", " ", "\n"]), st.sampled_from(["", " ", "\n", "\t\r\n", ","])),
)
def test_a_b_table_is_read_however_it_is_spaced_and_rounded(values, gaps, formats, edges):
    words = [form.format(float(value) if form[-2] in "fe" else value) for value, form in zip(values, formats)]
    text = "".join(word + gap for word, gap in zip(words, gaps)).rstrip(" ,\r\n\t")
    path = folder() / "a.bval"
    path.write_bytes((edges[0] + text + edges[1]).encode())
    np.testing.assert_array_equal(btable.read_bvals(path), values)


@often
@given(data=st.data(), bvals=b_values, jitter=st.floats(0, 20))
def test_a_shell_does_not_depend_on_order_or_rounding(data, bvals, jitter):
    bvals = np.array([value for value in bvals if value in (0, 500, 1000, 2000, 3000)] + [1000.0])
    chosen = trace.select_shell(bvals, 1000, 600, Path("a"))
    assert (chosen == (bvals == 1000)).all()
    order = np.array(data.draw(st.permutations(range(len(bvals)))))
    np.testing.assert_array_equal(trace.select_shell(bvals[order], 1000, 600, Path("a")), chosen[order])
    moved = np.where(bvals > 0, bvals + jitter * np.sin(np.arange(len(bvals))), bvals)
    np.testing.assert_array_equal(trace.select_shell(moved, 1000, 600, Path("a")), chosen)


@often
@given(
    volumes=arrays.arrays(np.float32, (4, 2, 3, 2), elements=st.floats(0, 4000, width=32)),
    scale=st.sampled_from([0.125, 4, 1024]),
)
def test_the_trace_lies_among_its_directions_and_keeps_their_unit(volumes, scale):
    chosen = np.array([False, True, True, True])
    mean = trace.geometric_mean(iter(volumes), chosen)
    lifted = [np.where(volume > 0, volume, volume[volume > 0].min() / 2) for volume in volumes[1:] if volume.any()]
    assert np.isfinite(mean).all() and (mean <= np.max(lifted or [volumes[0] * 0], axis=0) * 1.0001 + 1e-6).all()
    positive = (volumes[1:] > 1e-3).all(0)
    assert (mean[positive] >= volumes[1:].min(0)[positive] * 0.9999).all()
    backwards = trace.geometric_mean(iter(volumes[::-1]), chosen[::-1])
    np.testing.assert_allclose(backwards, mean, rtol=1e-4, atol=1e-30)
    if volumes[volumes > 0].min(initial=1) > 1e-20:
        np.testing.assert_allclose(trace.geometric_mean(iter(volumes * np.float32(scale)), chosen), mean * scale, rtol=2e-4)


@often
@given(
    values=st.lists(st.sampled_from([0, 1000, 2000]), min_size=2, max_size=5), dtype=st.sampled_from(["i2", "u2", "f4", "f8"])
)
def test_a_series_is_read_as_it_was_written(values, dtype):
    """Whatever the voxels are stored as, the trace is the geometric mean of the b = 1000 volumes."""
    where = folder()
    data = np.random.default_rng(len(values)).integers(1, 3000, (8, 8, 8, len(values))).astype(dtype)
    nib.save(nib.Nifti1Image(data, np.diag([3.0, 3, 3, 1])), where / "a_dwi.nii.gz")
    (where / "a.bval").write_text(" ".join(map(str, values)))
    case = Case("sub-a", None, "a", where / "a_dwi.nii.gz", where / "a.bval")
    if 1000 not in values:
        with pytest.raises(InputError, match="a.bval"):
            trace.read_trace(case)
        return
    found = trace.read_trace(case)
    wanted = np.exp(np.log(data[..., np.array(values) == 1000].astype(float)).mean(-1))
    np.testing.assert_allclose(found.image, wanted, rtol=1e-4)
    assert found.n_directions == values.count(1000) and found.b_value == 1000 and found.b_values == tuple(sorted(set(values)))


# ==== People ====

labels = st.from_regex(r"[a-z0-9]{1,6}", fullmatch=True)
people = st.dictionaries(labels, st.tuples(st.none() | st.integers(0, 120), st.sampled_from(["F", "M", None])), max_size=8)


@often
@given(who=people, columns=st.permutations(["participant_id", "age", "sex", "site"]), crlf=st.booleans(), prefix=st.booleans())
def test_participants_come_back_whatever_the_order_of_the_columns(who, columns, crlf, prefix):
    rows = [columns]
    for label, (age, sex) in who.items():
        cells = {"participant_id": ("sub-" if prefix else "") + label, "site": "x"}
        cells |= {"age": "n/a" if age is None else str(age), "sex": sex or "n/a"}
        rows.append([cells[name] for name in columns])
    path = folder() / "participants.tsv"
    path.write_bytes(("\r\n" if crlf else "\n").join("\t".join(row) for row in rows).encode("utf-8-sig"))
    found = participants.read(path)
    assert {label: (None if math.isnan(age) else age, sex) for label, (age, sex) in found.items()} == {
        f"sub-{label}": values for label, values in who.items()
    }


@often
@given(text=st.text(max_size=12) | st.from_regex(r"[<>]?\d{0,25}\+?", fullmatch=True))
def test_an_age_is_one_of_a_person_or_unknown(text):
    age = parse_age(text)
    assert math.isnan(age) or (0 <= age <= 130 and any(character.isdigit() for character in text))


# ==== Readings ====

NAMES = ["".join(letters) for letters in itertools.product("BCDF", repeat=2)]
DECK = pd.DataFrame({"image": NAMES, "group": ["original"] * 6 + ["vae"] * 5 + ["style_gan"] * 5})
reading = st.tuples(st.sampled_from(["real", "fake"]), st.none() | st.integers(1, 5), st.none() | st.integers(0, 10**6))
readings = st.lists(reading, min_size=16, max_size=16)
readers = st.text(st.characters(codec="cp1252", exclude_categories=["C", "Z"]), min_size=1, max_size=8)


@often
@given(
    given_=readings,
    reader=readers,
    columns=st.permutations(["deck", "reader", "image", "answer", "confidence", "seconds"]),
    form=st.sampled_from([(",", "utf-8"), (",", "utf-8-sig"), (";", "utf-16"), ("\t", "utf-16"), (";", "utf-8-sig")]),
    order=st.permutations(range(16)),
)
def test_readings_come_back_however_a_spreadsheet_saved_them(given_, reader, columns, form, order):
    delimiter, encoding = form
    table = pd.DataFrame({"deck": "D", "reader": reader, "image": NAMES})
    table["answer"] = [answer for answer, *_ in given_]
    table["confidence"] = ["" if sure is None else str(sure) for _, sure, _ in given_]
    table["seconds"] = [
        "" if ms is None else f"{ms / 1000}".replace(".", "," if delimiter != "," else ".") for *_, ms in given_
    ]
    path = folder() / "a.csv"
    table.iloc[list(order)][columns].to_csv(path, sep=delimiter, encoding=encoding, index=False)
    found = read_readings(path, DECK, "D").set_index("image").loc[NAMES]
    assert found["answer"].tolist() == table["answer"].tolist() and set(found["reader"]) == {reader}
    assert [None if math.isnan(x) else x for x in found["confidence"]] == [sure for _, sure, _ in given_]
    assert [None if math.isnan(x) else round(1000 * x) for x in found["seconds"]] == [ms for *_, ms in given_]


def _study(first, second):
    rows = [{"reader": reader, "image": image, "answer": answer} for reader, answers in (("A", first), ("B", second))
            for image, answer in zip(NAMES, answers)]  # fmt: skip
    return pd.DataFrame(rows)


answers = st.lists(st.sampled_from(["real", "fake"]), min_size=16, max_size=16)


@rarely
@given(first=answers, second=answers, order=st.permutations(range(32)))
def test_scores_do_not_depend_on_the_order_of_rows_and_count_every_answer(first, second, order):
    study = _study(first, second)
    one, other = (score_readings(rows, DECK) for rows in (study, study.iloc[list(order)]))
    assert one.called_real["n"].sum() == 32 and one.called_real["real"].sum() == [*first, *second].count("real")
    assert one.called_real["share"].between(one.called_real["low"], one.called_real["high"]).all()
    key = ["reader", "group"]
    pd.testing.assert_frame_equal(*(x.called_real.sort_values(key, ignore_index=True) for x in (one, other)))
    assert Counter(one.agreement["value"].round(12)) == Counter(other.agreement["value"].round(12))


tables = st.lists(st.integers(0, 60), min_size=4, max_size=4)


@often
@given(cells=tables, k=st.integers(2, 5))
def test_kappa_stays_the_same_under_what_changes_nothing(cells, k):
    """Readers exchanged, real and fake exchanged; every image k times: the same kappa, and an interval sqrt(k) narrower."""
    table = np.reshape(cells, (2, 2))
    kappa = agreement.cohens_kappa(table)
    variants = [agreement.cohens_kappa(other) for other in (table.T, table[::-1, ::-1], k * table)]
    if kappa is None:
        assert variants == [None] * 3
        return
    assert [other.value for other in variants] == pytest.approx([kappa.value] * 3, abs=1e-12)
    assert [other.se for other in variants] == pytest.approx([kappa.se] * 2 + [kappa.se / math.sqrt(k)], abs=1e-9)
    assert -1 <= kappa.value <= 1 + 1e-12
    assert (abs(kappa.value - 1) < 1e-12) == (table[0, 1] == table[1, 0] == 0)


@often
@given(counts=st.lists(st.integers(0, 4), min_size=2, max_size=30))
def test_agreement_of_many_readers_does_not_care_for_names(counts):
    four = np.array([[n, 4 - n] for n in counts])
    for statistic in (agreement.fleiss_kappa, agreement.gwet_ac1):
        one, other = statistic(four), statistic(four[::-1, ::-1])
        assert (one is None) == (other is None)
        if one is not None:
            assert one.value == pytest.approx(other.value, abs=1e-12) and one.value <= 1 + 1e-12


# ==== Slices ====

intensities = arrays.arrays(np.float32, (grid.N_LEVELS, 8, 8), elements=st.floats(0, 4000, width=32))
bright = arrays.arrays(np.float32, (grid.N_LEVELS, 8, 8), elements=st.floats(0.125, 4000, width=32))  # no scan is all air


@often
@given(image=intensities, cap=st.floats(1e-3, 5000))
def test_normalized_slices_lie_in_the_unit_interval_and_keep_their_order(image, cap):
    scaled = slices.normalize(image, cap)
    assert scaled.min() >= 0 and scaled.max() <= 1 + 1e-6
    flat, after = image.ravel(), scaled.ravel()
    assert (np.diff(after[np.argsort(flat, kind="stable")]) >= 0).all()
    assert (after[flat >= cap] >= 1 - 1e-6).all()
    grey = slices.to_uint8(scaled)
    assert grey.dtype == np.uint8 and np.abs(grey / 255 - np.clip(scaled, 0, 1)).max() <= 0.5 / 255 + 1e-6


@rarely
@given(
    images=st.lists(bright, min_size=3, max_size=3, unique_by=lambda image: image.tobytes()),
    gain=st.sampled_from([0.01, 3.0, 1000.0]),
)
def test_a_store_does_not_depend_on_the_unit_of_the_scanner(images, gain):
    """Intensities times a number make the same slices but for a grey level (the histogram's bins are 0.1 % wide)."""
    stores = []
    for factor in (1.0, gain):
        volumes = [
            grid.Volume(f"sub-{i}", f"sub-{i}", None, None, "test", x * np.float32(factor)) for i, x in enumerate(images)
        ]
        stores.append(slices.build(volumes, folder() / "s", slices.SliceSettings(image_size=8)))
    one, other = (store.images.astype(int) for store in stores)
    assert one.min() >= 0 and one.max() <= 255 and np.abs(one - other).max() <= 1
    assert stores[0].table["split"].value_counts().to_dict() == dict.fromkeys(slices.SPLITS, grid.N_LEVELS)
    np.testing.assert_array_equal(slices.SliceStore.open(stores[0].images.filename.parent).images, one)


@often
@given(
    values=arrays.arrays(np.float64, st.integers(1, 200), elements=st.floats(0, 1e6)),
    q=st.lists(st.floats(0, 100), min_size=2, max_size=2),
)
def test_percentiles_grow_with_q_and_lie_within_a_bin_of_the_exact_one(values, q):
    counts = histogram.histogram(values)
    low, high = (histogram.percentile(counts, x) for x in sorted(q))
    assert low <= high and counts.total() == len(values)
    for x in q:
        exact = np.percentile(values, x, method="inverted_cdf")
        assert histogram.percentile(counts, x) == pytest.approx(exact, rel=2e-3, abs=1e-300)
    path = folder() / "h.tsv"
    path.write_text(histogram.to_text(counts))
    assert histogram.read_histogram(path) == counts


@often
@given(
    subjects=st.lists(st.text(min_size=1, max_size=6), unique=True, min_size=1, max_size=60),
    seed=st.integers(0, 9),
    data=st.data(),
)
def test_everybody_is_in_one_split_whoever_else_is_there(subjects, seed, data):
    split = slices.split_by_patient(subjects, seed)
    assert set(split) == set(subjects) and set(split.values()) <= set(slices.SPLITS)
    assert split == slices.split_by_patient(data.draw(st.permutations(subjects)), seed)
    assert len(subjects) < 3 or set(split.values()) == set(slices.SPLITS)


@often
@given(size=st.sampled_from([1, 2, 4, 8, 16]))
def test_smaller_slices_keep_the_mean(size):
    image = np.random.default_rng(size).random((3, 16, 16))
    small = slices.shrink(image, size)
    assert small.shape == (3, size, size) and small.mean() == pytest.approx(image.mean())
    assert image.min() <= small.min() and small.max() <= image.max()


@often
@given(volume=arrays.arrays(np.int16, (5, 6, grid.N_SLICES)))
def test_slices_hold_every_kept_voxel_once_front_up_and_right_on_the_left(volume):
    shown = grid.to_slices(volume)
    assert shown.shape == (grid.N_LEVELS, 6, 5)
    x, y, z = 1, 4, 11
    assert shown[z - grid.DROPPED_BOTTOM, 5 - y, 4 - x] == volume[x, y, z]
    np.testing.assert_array_equal(np.sort(shown.ravel()), np.sort(volume[..., grid.KEPT].ravel()))


@often
@given(
    images=arrays.arrays(
        st.sampled_from([np.uint8, np.float32, np.float64, np.int32, bool]),
        arrays.array_shapes(min_dims=1, max_dims=5, max_side=4),
    )
)
def test_images_are_taken_as_they_are_or_refused(images):
    try:
        taken = as_images(images)
    except InputError:
        sound = images.ndim == 3 or (images.ndim == 4 and images.shape[-1] == 1)
        in_range = images.dtype.kind == "f" and np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1
        assert not sound or not (images.dtype == np.uint8 or in_range)
    else:
        assert taken.ndim == 3 and taken.size == images.size and np.shares_memory(taken, images)


# ==== Files and settings ====


@often
@given(
    array=arrays.arrays(
        arrays.scalar_dtypes() | arrays.unicode_string_dtypes(max_len=4),
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    )
)
def test_arrays_survive_their_file(array):
    path = folder() / "a.npy"
    files.write_array(path, array)
    found = np.load(path, allow_pickle=False)
    assert found.dtype == array.dtype and found.shape == array.shape and found.tobytes() == array.tobytes()


@often
@given(
    epochs=st.integers(1, 10**6),
    seed=st.integers(0, 2**31),
    percentile=st.floats(51, 100),
    model=st.dictionaries(st.sampled_from(["slope", "decay"]), st.floats(0, 1)),
)
def test_a_profile_survives_its_file(epochs, seed, percentile, model):
    given = {"vae": {"epochs": epochs, "seed": seed, "model": model}, "slices": {"percentile": percentile}}
    profile, path = dataclasses.replace(profiles.resolve("smoke", **given), name="mine"), folder() / "mine.yaml"
    values = {name: value for name, value in profiles.as_dict(profile).items() if name != "name"}
    path.write_text(yaml.safe_dump(values))
    assert profiles.as_dict(profiles.resolve(str(path))) == profiles.as_dict(profile)
    path.write_text(yaml.safe_dump({"extends": "smoke", **given}))
    assert profiles.resolve(str(path)) == profile


@often
@given(
    key=st.sampled_from(registry.keys()),
    value=st.sampled_from([None, "x", -1, math.nan, math.inf, [], {}, [1, "x"], True, 2.5, b"x"]),
    data=st.data(),
)
def test_settings_of_a_network_are_of_the_preset_s_kind_or_refused(key, value, data):
    settings = presets.settings(registry.network(key), "paper")
    name = data.draw(st.sampled_from(sorted(settings)))
    like = settings[name].value
    try:
        found = presets.preset(registry.network(key), "paper", 64, overrides={name: value})[name]
    except InputError as error:
        assert name in str(error)
    else:
        assert (
            type(found) is type(like)
            or (isinstance(like, float) and found >= 0)
            or (like and found == [])
            or (name, found) == ("norm", None)
        )
