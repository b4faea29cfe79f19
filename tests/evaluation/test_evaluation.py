"""Tables beyond the paper, and ``dwikit evaluate`` for files of every kind, good and bad."""

import functools
import json
import os
import re
import shlex
import shutil
import zlib

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dwikit import cli, evaluation, metrics, profiles, slices, study
from dwikit.common.errors import InputError
from dwikit.evaluation import samples
from dwikit.slices.store import digest


def small_network(images):
    """Mean and spread of each quarter of an image: a feature network that costs nothing."""
    values = images.reshape(len(images), 2, images.shape[1] // 2, 2, -1) / 255
    return np.concatenate([values.mean((2, 4)).reshape(len(images), -1), values.std((2, 4)).reshape(len(images), -1)], axis=1)


NETWORKS = {"quarters": small_network}


@pytest.fixture(scope="module", autouse=True)
def few_pairs():
    """A tenth of the pairs of images: seconds saved, the same code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "ms_ssim_diversity", functools.partial(metrics.ms_ssim_diversity, pairs=100))
        yield


@pytest.fixture(scope="module")
def folder(store, tmp_path_factory):
    """The store's folder, with 40 noisy slices beside it in every format."""
    root = tmp_path_factory.mktemp("samples")
    rng = np.random.default_rng(0)
    chosen = store.images[rng.permutation(len(store.images))[:40]]
    images = (chosen + rng.normal(0, 10, chosen.shape)).clip(0, 255).astype(np.uint8)
    np.save(root / "samples.npy", images)
    np.save(root / "floats.npy", (images / 255).astype(np.float32)[..., None])
    np.savez(root / "samples.npz", samples=images, seed=3)
    for name in ("png", "nifti"):
        (root / name).mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(root / "png" / f"{i:03d}.png")
    volume = images[:20].transpose(2, 1, 0)[::-1, ::-1]  # RAS+: x to the right, y to the front
    nib.Nifti1Image(volume, np.diag([2, 2, 5, 1])).to_filename(root / "volume.nii.gz")
    flipped = volume[::-1, ::-1]  # the same in LPS+, with its second half in a file of its own
    nib.Nifti1Image(flipped[..., :10], np.diag([-2, -2, 5, 1])).to_filename(root / "nifti" / "a.nii")
    nib.Nifti1Image(flipped[..., 10:] / np.float32(255), np.diag([-2, -2, 5, 1])).to_filename(root / "nifti" / "b.nii")
    return root, images


@pytest.fixture(scope="module")
def store_folder(volumes, tmp_path_factory):
    path = tmp_path_factory.mktemp("evaluation") / "slices"
    slices.build(volumes, path, slices.SliceSettings(image_size=32))
    return path


# ==== Reading ====


@pytest.mark.parametrize("name", ["samples.npy", "floats.npy", "samples.npz", "png"])
def test_every_format_gives_the_same_images(folder, name):
    read = samples.read(folder[0] / name)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(np.squeeze(read), folder[1])


def test_axial_slices_of_a_volume_are_shown_as_in_a_store(folder):
    np.testing.assert_array_equal(samples.read(folder[0] / "volume.nii.gz"), folder[1][:20])
    nib.save(nib.load(folder[0] / "nifti" / "a.nii"), folder[0] / "a.nii.gz")
    np.testing.assert_array_equal(samples.read(folder[0] / "a.nii.gz"), folder[1][:10])


class Trap:
    """Unpickled, it would leave a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


BAD = {
    "missing.npy": (None, "There are no samples"),
    "text.txt": (lambda p: p.write_text("x"), "none of .npy"),
    "damaged.npy": (lambda p: p.write_bytes(b"\x93NUMPY\x01"), "cannot be read as an array"),
    "damaged.npz": (lambda p: p.write_bytes(b"PK\x03\x04 and nothing more"), "cannot be read as an array"),
    "several.npz": (lambda p: np.savez(p, a=np.zeros(3), b=np.zeros(3)), "holds a, b; name the array"),
    "objects.npy": (lambda p: np.save(p, np.array([{}, 1], object), allow_pickle=True), "could run code"),
    "one.npy": (lambda p: np.save(p, np.zeros((1, 32, 32), np.uint8)), "2 or more images are needed, but there are only 1"),
    "none.npy": (lambda p: np.save(p, np.zeros((0, 32, 32), np.uint8)), "there are only 0"),
    "flat.npy": (lambda p: np.save(p, np.zeros((32, 32), np.uint8)), "must have the shape"),
    "nan.npy": (lambda p: np.save(p, np.full((3, 32, 32), np.nan)), "NaN"),
    "range.npy": (lambda p: np.save(p, np.full((3, 32, 32), 200.0)), "Divide 0-255 values by 255"),
    "signed.npy": (lambda p: np.save(p, np.full((3, 32, 32), -1.0)), "Values of -1 to 1"),
    "ones.npy": (lambda p: np.save(p, np.ones((3, 32, 32), np.uint8)), "is brighter than 1 of 255"),
    "twice.npy": (lambda p: np.save(p, np.full((3, 32, 32), 0.9 / 255)), "is brighter than 1 of 255"),
    "mask.npy": (lambda p: np.save(p, np.zeros((3, 32, 32), bool)), "True and False"),
    "counts.npy": (lambda p: np.save(p, np.zeros((3, 32, 32), np.int32)), "int32"),
    "small.npy": (lambda p: np.save(p, np.zeros((3, 16, 16), np.uint8)), "16 x 16 pixels and the store"),
    "empty": (lambda p: p.mkdir(), "neither PNG nor NIfTI"),
    "broken.nii": (lambda p: p.write_bytes(b"no volume"), "cannot be read as NIfTI"),
    "four.nii": (lambda p: nib.Nifti1Image(np.zeros((4, 4, 4, 3), np.uint8), np.eye(4)).to_filename(p), "a volume of axial"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_message(name, tmp_path, store_folder, capsys):
    make, message = BAD[name]
    if make:
        make(tmp_path / name)
    status = cli.main(["evaluate", str(tmp_path / name), "--originals", str(store_folder), "--out", str(tmp_path / "out")])
    error = capsys.readouterr().err
    assert status == 2 and message in error and str(tmp_path / name) in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("b.png", "../.git/annex/objects/x.png", "b.png is not fetched: it is a link to .*datalad get"),
        ("b.png", b"/annex/objects/MD5E-s120--0d.png\n", "b.png is not fetched: it only holds the name.*datalad get"),
        ("b.jp2", b"", "b.jp2 is neither PNG nor NIfTI"),
        ("b.dcm", b"", "b.dcm is neither PNG nor NIfTI"),
        ("b.nii.bz2", b"", "b.nii.bz2 is neither PNG nor NIfTI"),
        ("more/b.png", b"", "more/b.png lies in a folder of .*, which is not searched"),
    ],
)
def test_no_image_of_a_folder_is_passed_over(tmp_path, name, content, message):
    Image.new("L", (32, 32), 9).save(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("how they were made")
    assert samples.read(tmp_path).shape == (1, 32, 32)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(content) if isinstance(content, str) else path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        samples.read(tmp_path)


def test_a_pickle_is_never_opened(tmp_path):
    np.save(tmp_path / "trap.npy", np.array([Trap(tmp_path / "sprung")], object), allow_pickle=True)
    with pytest.raises(InputError, match="could run code"):
        samples.read(tmp_path / "trap.npy")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.new("RGB", (32, 32), (10, 20, 30)), "b.png is in colour"),
        (Image.new("L", (16, 32)), "32 x 32 pixels of uint8 and .*b.png 32 x 16"),
        (Image.new("RGB", (32, 32), (10, 20, 30)).quantize(), "b.png is in colour"),
        (Image.new("I;16", (32, 32)), "16 bits per pixel"),
        (Image.new("1", (32, 32)), "1 bit per pixel"),
        (Image.new("LA", (32, 32), (9, 254)), "b.png is transparent in places"),
        (Image.new("RGBA", (32, 32), (9, 9, 9, 0)), "b.png is transparent in places"),
    ],
)
def test_a_bad_picture_is_named(image, message, tmp_path):
    Image.new("RGB", (32, 32), (7, 7, 7)).save(tmp_path / "a.png")  # grey all the same
    image.save(tmp_path / "b.png")
    with pytest.raises(InputError, match=message):
        samples.read(tmp_path)
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    with pytest.raises(InputError, match="b.png cannot be read as PNG"):
        samples.read(tmp_path)
    (tmp_path / "b.png").unlink()
    assert samples.read(tmp_path)[0, 0, 0] == 7
    (tmp_path / "c.nii").write_bytes(b"")
    with pytest.raises(InputError, match="both PNG and NIfTI"):
        samples.read(tmp_path)


def test_greys_are_read_in_every_form_that_holds_them(tmp_path):
    """Palette, RGB and opaque alpha hold the same 8 bits; fewer bits are spread over 0-255."""
    grey = Image.fromarray(np.arange(0, 256, 4).repeat(4).reshape(16, 16).astype(np.uint8))
    palette = grey.copy()
    palette.putpalette([level for level in range(256) for _ in "rgb"])
    for i, image in enumerate([grey, palette, *(grey.convert(mode) for mode in ("RGB", "LA", "RGBA"))]):
        image.save(tmp_path / f"{i}.png")
    np.testing.assert_array_equal(samples.read(tmp_path), np.repeat(np.asarray(grey)[None], 5, axis=0))


@pytest.mark.parametrize(
    ("options", "message"), [({"transparency": 9}, "transparent"), ({"save_all": True}, "an animation")], ids=["key", "frames"]
)
def test_what_opencv_would_drop_in_silence_is_refused(tmp_path, options, message):
    options |= {"append_images": [Image.new("L", (8, 8), 7)]} if "save_all" in options else {}
    Image.new("L", (8, 8), 9).save(tmp_path / "a.png", **options)
    with pytest.raises(InputError, match=f"a.png is .*{message}"):
        samples.read(tmp_path)


@pytest.mark.parametrize("name", ["b.jpg", "b.JPEG", "b.tif", "b.bmp", "b.webp"])
def test_pictures_of_other_kinds_are_named_and_not_passed_over(tmp_path, name):
    Image.new("L", (8, 8), 9).save(tmp_path / "a.png")
    Image.new("L", (8, 8), 9).save(tmp_path / name)
    with pytest.raises(InputError, match=f"{name} is neither PNG nor NIfTI.* Write 8-bit grey PNG"):
        samples.read(tmp_path)


def test_a_header_that_claims_a_billion_pixels_is_one_message(tmp_path):
    Image.new("L", (8, 8), 9).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[16:24] = (30_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match="a.png cannot be read as PNG"):
        samples.read(tmp_path)


def test_larger_images_are_shrunk_to_means_over_areas():
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 96)).astype(np.uint8)
    small, note = samples.fitted(images, (16, 32), "a", resize=True)
    np.testing.assert_allclose(small, images.reshape(3, 16, 3, 32, 3).mean((2, 4)), atol=0.5)
    assert note.startswith("The samples were shrunk from 48 x 96 to 16 x 32 pixels")
    odd, _ = samples.fitted(images, (20, 40), "a", resize=True)
    assert odd.shape == (3, 20, 40) and odd.mean() == pytest.approx(images.mean(), abs=0.5)
    same, note = samples.fitted(images, (48, 96), "a", resize=True)
    assert same is images and note == ""


@pytest.mark.parametrize(
    ("size", "resize", "message"),
    [
        ((16, 32), False, r"16 x 32; shrink the images \(--resize\), or build"),
        ((96, 192), True, "96 x 192; build a store"),
        ((16, 16), True, "16 x 16; build a store"),
    ],
)
def test_images_are_neither_enlarged_nor_stretched(size, resize, message):
    with pytest.raises(InputError, match=f"a holds images of 48 x 96 pixels and the store slices of {message}"):
        samples.fitted(np.zeros((3, 48, 96), np.uint8), size, "a", resize)


def test_volumes_of_two_kinds_are_refused(folder):
    with pytest.raises(InputError, match="a.nii has 32 x 32 pixels of uint8 and .*b.nii 32 x 32 pixels of float32"):
        samples.read(folder[0] / "nifti")


# ==== The table ====


@pytest.fixture(scope="module")
def table(store):
    """Training slices handed in as samples, noise, and a model that paints everything black."""
    train = store.split("train")
    noise = np.random.default_rng(0).integers(0, 256, (60, 32, 32)).astype(np.uint8)
    groups = {"copies": train[::3], "noise": noise, "black": np.zeros_like(noise)}
    with np.errstate(divide="raise", invalid="raise"):
        return evaluation.beyond_paper(store, groups, {**NETWORKS, "other": small_network})


def test_real_slices_reach_the_floor_and_copies_are_found(table):
    row = {key: table.xs("quarters", axis=1, level=1).loc[key] for key in table.index}
    pixels = table.xs("pixels", axis=1, level=1)
    assert list(row) == ["held_out", "copies", "noise", "black"] and table["n", ""].eq(table["n", ""].iloc[0]).all()
    assert pixels["nearest"]["held_out"] == 1 and 0.1 < pixels["authenticity"]["held_out"] < 0.9
    assert pixels["nearest"]["copies"] == pixels["authenticity"]["copies"] == 0 and pixels["c_t"]["copies"] < -3
    assert row["noise"]["precision"] == 0 and pixels["nearest"]["noise"] > 5 and pixels["authenticity"]["noise"] == 1
    assert row["noise"]["accuracy"] > 0.95 and row["held_out"]["accuracy"] < 0.85
    assert row["noise"]["fid"] > 10 * row["held_out"]["fid"] and row["noise"]["kid"] > 0
    ms_ssim = table["ms_ssim", "2 scales"]  # of 32 pixels
    assert ms_ssim["noise"] < ms_ssim["held_out"] < ms_ssim["black"]


def test_a_collapsed_model_gets_all_its_numbers(table):
    assert table.loc["black"].notna().all() and table["recall", "quarters"]["black"] == 0


def test_the_machine_reader_gets_the_held_out_patients_whole(store, monkeypatch):
    seen = []
    reading = metrics.machine_reader

    def spy(originals, samples, patients, sample_patients, seed):
        seen.append((set(patients), None if sample_patients is None else set(sample_patients)))
        return reading(originals, samples, patients, sample_patients, seed)

    monkeypatch.setattr(metrics, "machine_reader", spy)
    evaluation.beyond_paper(store, {"vae": store.split("train")}, NETWORKS, n=30)
    assert seen[0][1] and not seen[0][0] & seen[0][1] and seen[1][1] is None


def test_the_most_copied_samples_come_first(store):
    train = store.indices("train")
    images = store.images[store.indices("test")].copy()
    images[7], images[4] = store.images[train[33]], store.images[train[60]]
    images[4, 16, 16] ^= 8
    found = evaluation.most_copied(store, images, n=3)
    assert found["sample"].tolist()[:2] == [7, 4] and found["row"].tolist()[:2] == [train[33], train[60]]
    assert found["ratio"][0] == 0 < found["ratio"][1] < 0.05 < found["ratio"][2]
    assert found["case"][0] == store.table["case"][train[33]]


def test_the_neighbour_of_a_slice_is_of_another_patient(store):
    train = store.indices("train")
    near = evaluation.nearest(store, store.images[train[:30]])
    table = np.square(store.images[train, None].astype(float) - store.images[None, train[:30]]).mean((2, 3)).T / 255**2
    others = store.table["subject"].to_numpy()[train]
    table[others[:30, None] == others[None]] = np.inf
    assert (near.distances == 0).all() and near.rows.tolist() == train[:30].tolist()
    np.testing.assert_allclose(near.radii, table.min(1), rtol=1e-9)


def test_a_readable_table_names_the_network_beside_every_number(table):
    text = evaluation.readable(table, {"held_out": "Held-out slices"})
    assert list(text.columns) == ["Held-out slices", "copies", "noise", "black"] and text.loc["images a row"].eq("52").all()
    assert {"FID (quarters)", "FID (other)", "precision (quarters)", "C_T (pixels)"} <= set(text.index)
    assert not text.isna().any().any() and "precision (other)" not in text.index


# ==== The command ====


def test_evaluate_prints_and_writes_the_tables(folder, store_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evaluation.judge, "feature_networks", lambda *_: NETWORKS)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["evaluate", str(folder[0] / "png"), "--originals", str(store_folder)]) == 0
    out = tmp_path / "evaluation-png"
    printed = capsys.readouterr().out
    assert (out / "evaluation.md").read_text() in printed and str(out.name) in printed
    for line in ("| Held-out people | 40 |", "| paper: StyleGAN | - | - | 0.0487 (0.99) |", "precision (quarters)"):
        assert line in printed
    facts = json.loads((out / "evaluation.json").read_text())
    store = slices.SliceStore.open(store_folder)
    expected = metrics.dataset_similarity(folder[1], store.split("train"))
    assert facts["four_metrics"]["samples"]["ds"] == pytest.approx(expected) and facts["samples"]["images"] == 40
    assert facts["beyond_the_paper"]["held_out"]["nearest pixels"] == 1
    picture = np.asarray(Image.open(out / "most-copied.png"))
    top = facts["most_copied"][0]
    np.testing.assert_array_equal(picture[:, :32], np.concatenate([folder[1][top["sample"]], store.images[top["row"]]]))
    assert {path.name for path in out.iterdir()} == {
        *(f"{name}.csv" for name in ("four-metrics", "beyond-the-paper", "most-copied")),
        "evaluation.md",
        "evaluation.json",
        "most-copied.png",
    }


@pytest.mark.parametrize("n", [1000, 23])
def test_evaluate_gives_the_rows_of_a_study_to_the_last_digit(n, folder, store_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation.judge, "feature_networks", lambda *_: NETWORKS)
    verdict = evaluation.evaluate(folder[0] / "samples.npy", store_folder, out=tmp_path / "out", n=n)
    store = slices.SliceStore.open(store_folder)
    noise = np.random.default_rng(1).integers(0, 256, (60, 32, 32)).astype(np.uint8)
    both = {"noise": noise, "theirs": folder[1]}
    table, beyond = evaluation.table_1(store, both, n), evaluation.beyond_paper(store, both, NETWORKS, n)
    for ours, theirs in ((verdict.four, table), (verdict.beyond, beyond)):
        assert list(ours) == list(theirs)
        for row, key in (("samples", "theirs"), ("held_out", "held_out")):
            pd.testing.assert_series_equal(ours.loc[row], theirs.loc[key], check_exact=True, check_names=False)
    facts = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert facts["four_metrics"]["samples"]["ds_low"] == table.loc["theirs", "ds_low"] and verdict.four["ds_low"]["samples"] > 0


def test_the_command_below_the_tables_makes_them_again(folder, store_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation.judge, "feature_networks", lambda *_: NETWORKS)
    monkeypatch.chdir(folder[0])
    np.save(tmp_path / "large ones.npy", folder[1].repeat(2, axis=1).repeat(2, axis=2))
    samples_at = os.path.relpath(tmp_path / "large ones.npy")
    words = ["--originals", os.path.relpath(store_folder), "-n", "23", "--out", os.path.relpath(tmp_path / "out"), "--resize"]
    assert cli.main(["evaluate", samples_at, *words]) == 0
    page, kept = (tmp_path / "out" / "evaluation.md"), {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    program, *words = shlex.split(re.search("Made by `(.*)`", page.read_text())[1])
    shutil.rmtree(tmp_path / "out")
    monkeypatch.chdir("/")
    assert program == "dwikit" and cli.main(words) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == kept


def test_evaluate_measures_with_the_feature_network_of_the_study(folder, store_folder, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(evaluation.judge, "feature_networks", lambda store, where: asked.append(where) or NETWORKS)
    samples_at = folder[0] / "samples.npy"
    evaluation.evaluate(samples_at, store_folder, out=tmp_path / "out")
    config = profiles.resolve("smoke")
    assert asked == [store_folder.parent / "features"]
    assert study.features_folder(config) == study.data_folder(config) / "features", "the slices are in data/slices"
    evaluation.evaluate(samples_at, store_folder, out=tmp_path / "out", features=tmp_path / "other")
    assert asked[1] == tmp_path / "other"


@pytest.mark.parametrize("n", ["0", "-5", "1"])
def test_a_number_of_images_that_compares_nothing_is_refused(n, folder, store_folder, tmp_path, capsys):
    command = ["evaluate", str(folder[0] / "samples.npy"), "--originals", str(store_folder), "--out", str(tmp_path), "-n", n]
    assert cli.main(command) == 2 and "two or more of each are needed" in capsys.readouterr().err


def test_evaluate_says_that_it_shrank_the_samples(folder, store_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evaluation.judge, "feature_networks", lambda *_: NETWORKS)
    np.save(tmp_path / "large.npy", folder[1].repeat(2, axis=1).repeat(2, axis=2))
    command = ["evaluate", str(tmp_path / "large.npy"), "--originals", str(store_folder), "--out", str(tmp_path / "out")]
    assert cli.main(command) == 2 and "64 x 64 pixels and the store slices of 32 x 32; shrink" in capsys.readouterr().err
    assert cli.main([*command, "--resize"]) == 0
    said = "The samples were shrunk from 64 x 64 to 32 x 32 pixels"
    facts = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert said in capsys.readouterr().out and facts["samples"]["note"].startswith(said) and "--resize" in facts["command"]
    store = slices.SliceStore.open(store_folder)
    expected = metrics.dataset_similarity(folder[1], store.split("train"))
    assert facts["four_metrics"]["samples"]["ds"] == pytest.approx(expected), "each block of four was one pixel"


def test_constant_and_duplicate_samples_get_their_numbers(store):
    """Laplace variance 0 and minimum ISD exactly 0; no division by zero."""
    for images in (np.full((30, 32, 32), 70, np.uint8), np.repeat(store.images[:15], 2, axis=0)):
        with np.errstate(divide="raise", invalid="raise"):
            table = evaluation.table_1(store, {"samples": images})
            row = evaluation.judge.beside_paper(table).loc["Samples"]
        assert row["min_isd", "ours"] == 0 and (row["laplace", "ours"] == 0) == (images[0].min() == 70)


@pytest.mark.parametrize(
    ("split", "message"),
    [("trian", "There is no split 'trian'. Did you mean 'train'?"), ("train", "held-out people are needed")],
)
def test_a_store_without_the_split_asked_for(split, message, folder, store_folder, tmp_path, volumes, capsys):
    if split == "train":
        store_folder = tmp_path / "slices"
        slices.build(volumes, store_folder, slices.SliceSettings(image_size=32))
        table = (store_folder / "table.tsv").read_text()
        for name in ("validation", "test"):
            table = table.replace(f"\t{name}\t", "\ttrain\t")
        (store_folder / "table.tsv").write_text(table)
        settings = json.loads((store_folder / "settings.json").read_text()) | {"sha256": digest(store_folder)}
        (store_folder / "settings.json").write_text(json.dumps(settings))
    arguments = ["evaluate", str(folder[0] / "samples.npy"), "--originals", str(store_folder), "--split", split]
    assert cli.main([*arguments, "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert cli.main(["evaluate", str(folder[0] / "samples.npy"), "--originals", str(tmp_path / "nowhere")]) == 2
    assert "no usable store" in capsys.readouterr().err
