"""The deck: who is in it, what its page gives away, what must be refused, and the commands for organizers."""

import base64
import json
import re
import shlex
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from dwikit import cli
from dwikit.common.errors import InputError
from dwikit.reader_study import Deck, Protocol, build_deck, leaks, machine
from dwikit.reader_study.deck import page_content
from dwikit.reader_study.folders import read_images
from dwikit.reader_study.prepare import prepare


def noise(n, seed=0, size=6):
    return np.random.default_rng(seed).integers(0, 250, (n, size, size)).astype(np.uint8)


REAL, SUBJECTS = noise(90), [f"sub-{i % 30:02d}" for i in range(90)]
FAKE = {"vae": noise(40, 1), "style_gan": noise(40, 2)}


def as_shown(deck, groups):
    """The images of a deck, from their sources."""
    places = deck.key[["group", "index"]].to_numpy()
    return np.concatenate([prepare(groups[group][index : index + 1][:, *deck.frame], deck.usual) for group, index in places])


@pytest.fixture
def deck(tmp_path):
    return build_deck(REAL, FAKE, tmp_path / "deck", n=10, practice=4, subjects=SUBJECTS)


def test_who_is_in_a_deck(deck):
    assert deck.key["group"].value_counts().to_dict() == {"original": 10, "vae": 10, "style_gan": 10}
    real = deck.key[deck.key["group"] == "original"]
    practice = pd.DataFrame(json.loads((deck.folder / "key.json").read_text())["practice"])
    practised = practice[practice["group"] == "original"]
    assert len(practised) == 2 and practice["group"].nunique() == 3
    shown = [*real["subject"], *practised["subject"]]
    assert len(set(shown)) == 12 and [SUBJECTS[i] for i in real["index"]] == real["subject"].tolist()
    assert not set(practice["image"]) & set(deck.key["image"])
    assert np.array_equal(deck.images, as_shown(deck, {"original": REAL} | FAKE))
    assert (deck.folder / "key.json").stat().st_mode & 0o077 == 0


def test_images_in_0_to_1_are_shown_as_the_same_bytes(tmp_path):
    floats = {group: (images / 255).astype(np.float32)[..., None] for group, images in FAKE.items()}
    one = build_deck(REAL, FAKE, tmp_path / "one", n=5, subjects=SUBJECTS, seed=1)
    other = build_deck((REAL / 255), floats, tmp_path / "other", n=5, subjects=SUBJECTS, seed=1)
    for deck in (one, other):
        assert np.array_equal(deck.images, as_shown(deck, {"original": REAL} | FAKE))


def test_secrets_decide_and_a_seed_repeats(tmp_path):
    decks = [build_deck(REAL, FAKE, tmp_path / str(i), n=5, seed=seed) for i, seed in enumerate((None, None, 3, 3, 4))]
    keys = [deck.key.drop(columns="subject").to_numpy().tolist() for deck in decks]
    assert keys[2] == keys[3] and decks[2].id == decks[3].id
    assert all(keys[i] != keys[j] and decks[i].id != decks[j].id for i in (0, 2, 4) for j in (1,)) and keys[3] != keys[4]


# ==== What the page gives away ====


def test_the_page_holds_pixels_of_fixed_length_and_nothing_else(deck):
    page = deck.page.read_text()
    content = page_content(page)
    told = {"deck", "version", "title", "height", "width", "spacing_mm", "practice", "images"}
    assert set(content) == told | {"instructions", "repeats", "confidence_required", "progress", "breaks"}
    for entry in content["images"] + content["practice"]:
        assert set(entry) == {"image", "pixels"} and len(base64.b64decode(entry["pixels"])) == 36
        assert re.fullmatch("[B-DF-HJ-NP-TV-Z]{8}", entry["image"])
    key = json.loads((deck.folder / "key.json").read_text())
    rest = re.sub('"pixels": "[^"]*"', "", page)
    for word in ("vae", "style_gan", "original", "sub-", key["secret"], key["source"], str(deck.folder)):
        assert word not in rest
    assert not re.search(r"(src|href|url|import|fetch|XMLHttp|sendBeacon|WebSocket)\s*[=(:]?\s*[\"'(]?(https?:)?//", rest)
    assert "default-src 'none'" in page


def test_a_title_cannot_break_the_page(tmp_path):
    title = 'A </script><script>alert("x")</script> & "study"'
    deck = build_deck(REAL, FAKE, tmp_path, n=2, title=title)
    assert (
        page_content(deck.page.read_text())["title"] == title
        and "alert(" not in deck.page.read_text().split("const content")[1]
    )
    assert deck.page.read_text().count("</script>") == 2


def test_all_groups_of_a_deck_have_one_frame(tmp_path):
    """It is that of all images of all groups, in the deck or not, and the same whichever group is called what."""
    real, fake = np.zeros((2, 20, 64, 64), np.uint8)
    real[:, 20:40, 22:42], fake[:, 24:50, 26:40] = 150, 90
    one = build_deck(real, {"vae": fake}, tmp_path / "one", n=5, practice=2)
    other = build_deck(fake, {"vae": real}, tmp_path / "other", n=5, practice=2)
    assert one.images.shape[1:] == other.images.shape[1:] == (32, 22)
    assert one.frame == other.frame == (slice(19, 51), slice(21, 43))
    assert np.array_equal(one.images, as_shown(one, {"original": real, "vae": fake}))


@pytest.fixture(scope="module")
def many_decks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decks")
    blurred = {group: gaussian_filter(noise(99, seed, 32), (0, 3, 3)) for group, seed in (("vae", 5), ("style_gan", 6))}
    return [build_deck(noise(99, 4, 32), blurred, folder / str(seed), n=30, seed=seed) for seed in range(4)]


def truth(decks):
    return [(deck.key["group"] != "original").to_numpy() for deck in decks]


def test_everything_but_the_pixels_tells_nothing(many_decks):
    found = leaks.leak_test(many_decks)
    assert found["n"].tolist() == [360, 360] and found["se"].max() < 0.035
    assert (found["accuracy"] < 0.5 + 3 * found["se"]).all(), found


def test_the_leak_test_finds_leaks(many_decks):
    """Compressed images, sorted images and telling names would all have been found."""
    pages, answers = [deck.page.read_text() for deck in many_decks[:2]], truth(many_decks[:2])
    compressed = [pd.DataFrame({"length": leaks.compressed_length(page)}) for page in pages]
    assert (leaks.separation(compressed, answers)["accuracy"] > 0.9).all()
    features = [leaks.page_features(page) for page in pages]
    assert (leaks.separation(features, [np.sort(flags) for flags in answers])["accuracy"] > 0.9).all()
    named = [table.assign(**{"letter 1": flags * 3 + 66}) for table, flags in zip(features, answers)]
    assert (leaks.separation(named, answers)["accuracy"] > 0.9).all()


# ==== What is refused, and what is kept ====


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"n": 35},
            "original has 30 different subjects with usable images, but 37 are needed: 35 to read and 2 to practise on",
        ),
        ({"n": 45, "subjects": None}, "The group vae has 40 usable images, but 46 are needed"),
        ({"samples": {" ": noise(40)}}, "A group of generated images has an empty name"),
        (
            {"samples": {"vae": noise(40), "Original ": noise(40)}},
            "'original', 'Original ' would be called the same in the tables",
        ),
        ({"samples": {"style_gan": noise(40), "StyleGAN": noise(40)}}, "'style_gan', 'StyleGAN' would be called the same"),
        ({"protocol": Protocol(breaks=-1)}, "A break is offered after so many images, 0 for never, not -1"),
        ({"protocol": Protocol(repeats=6)}, "Of 15 images, 0 to 5 can be shown a second time, not 6"),
        ({"samples": {"vae": noise(40, 1, 8)}}, "All images of a deck must have one size"),
        ({"samples": {"original": noise(40)}}, "cannot be called 'original'"),
        ({"samples": {}}, "at least one group"),
        ({"n": 0}, "n of 1 or more"),
        ({"subjects": SUBJECTS[:5]}, "90 real images, but 5 subjects for them"),
        ({"originals": REAL * 1.5}, "must lie in"),
    ],
)
def test_impossible_decks_are_refused(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        build_deck(**{"originals": REAL, "samples": FAKE, "out": tmp_path / "d", "n": 5, "subjects": SUBJECTS} | arguments)
    assert not (tmp_path / "d").exists()


def test_a_deck_is_never_overwritten(deck):
    again = build_deck(REAL, FAKE, deck.folder, n=10, practice=4, subjects=SUBJECTS)
    assert again.id == deck.id and again.key.equals(deck.key)
    with pytest.raises(InputError, match="holds another deck, whose readings need its key"):
        build_deck(REAL, FAKE, deck.folder, n=9, practice=4, subjects=SUBJECTS)
    assert Deck.open(deck.folder).id == deck.id
    deck.page.unlink()
    assert build_deck(REAL, FAKE, deck.folder, n=10, practice=4, subjects=SUBJECTS).key.equals(deck.key)


def test_page_and_key_must_belong_together(deck, tmp_path):
    other = build_deck(REAL, FAKE, tmp_path / "other", n=3)
    (deck.folder / "key.json").replace(tmp_path / "key.json")
    with pytest.raises(InputError, match="There is no key at"):
        Deck.open(deck.folder)
    for content in ("", "[]", "{}", "{bad"):
        (deck.folder / "key.json").write_text(content)
        with pytest.raises(InputError, match="key.json is damaged: restore the key"):
            Deck.open(deck.folder)
    (deck.folder / "key.json").write_bytes((other.folder / "key.json").read_bytes())
    with pytest.raises(InputError, match="belong to two decks"):
        Deck.open(deck.folder)
    deck.page.write_text("<html></html>")
    with pytest.raises(InputError, match="no reader study is in it"):
        Deck.open(deck.folder)


# ==== Machines ====


def test_a_machine_reads_without_having_seen_the_deck(tmp_path):
    """Blurred images as fakes: found. Images of other people as fakes: not to be found."""
    inside = np.hypot(*(np.mgrid[:32, :32] - 15.5)) < 14  # air in the corners, as around a head
    texture, subjects = gaussian_filter(noise(240, 7, 32), (0, 1, 1)), pd.Series([f"sub-{i // 20:02d}" for i in range(240)])
    real, blurred = texture * inside, gaussian_filter(texture, (0, 1, 1)) * inside
    deck = build_deck(real, {"vae": blurred}, tmp_path / "blurred", n=5, practice=0, subjects=subjects, seed=0)
    result = machine.read_deck(deck, "Machine (textures)", real, {"vae": blurred}, subjects)
    assert result.practice > 0.95
    fake = (deck.key["group"] != "original").to_numpy()
    assert ((result.readings["answer"] == "fake").to_numpy() == fake).mean() >= 0.8
    assert result.readings["confidence"].between(1, 5).all() and result.readings["image"].tolist() == deck.key["image"].tolist()
    others = np.isin(subjects, subjects.unique()[:6])
    deck = build_deck(
        real[others], {"vae": real[~others]}, tmp_path / "same", n=3, practice=0, subjects=subjects[others], seed=0
    )
    result = machine.read_deck(deck, "Machine (textures)", real[others], {"vae": real[~others]}, subjects[others])
    assert 0.3 < result.practice < 0.75
    with pytest.raises(InputError, match="needs two people"):
        few = build_deck(real[others], {"vae": blurred}, tmp_path / "few", n=6, practice=0, subjects=subjects[others])
        machine.read_deck(few, "Machine (shapes)", real[others], {"vae": blurred}, subjects[others])


# ==== Folders and commands ====


@pytest.fixture
def folders(tmp_path):
    for name, images in {"real": REAL[:60], "vae": FAKE["vae"]}.items():
        (tmp_path / name).mkdir()
        for i, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / name / f"sub-{i // 2:02d}_slice-{i % 2}.png")
    np.save(tmp_path / "style_gan.npy", FAKE["style_gan"])
    return tmp_path


def test_from_folders_to_tables(folders, capsys):
    out = folders / "Studie für Ärzte"
    fakes = ["--fake", f"vae={folders / 'vae'}", "--fake", f"style_gan={folders / 'style_gan.npy'}"]
    assert cli.main(["deck", str(out), "--real", str(folders / "real"), *fakes, "-n", "12"]) == 0
    said = capsys.readouterr().out
    assert "36 images, 12 per group, the real ones of 12 different subjects" in said
    assert f"dwikit readings {shlex.quote(str(out))} <" in said
    key = json.loads((out / "key.json").read_text())
    assert {row["name"].split("-")[0].split(" ")[0] for row in key["images"]} == {"sub", "style_gan.npy"}
    deck = Deck.open(out)
    assert deck.key.loc[deck.key["group"] == "original", "subject"].nunique() == 12
    for reader, wrong in (("R1", 3), ("R2", 5)):
        truth = np.where(deck.key["group"] == "original", "real", "fake")
        given = [{"real": "fake", "fake": "real"}[a] if i < wrong else a for i, a in enumerate(truth)]
        rows = pd.DataFrame({"deck": deck.id, "reader": reader, "image": deck.key["image"], "answer": given})
        rows.to_csv(folders / f"{reader}.csv", index=False)
    files = [str(folders / "R1.csv"), str(folders / "R2.csv")]
    assert cli.main(["readings", str(out), *files, "-o", str(folders / "tables.md")]) == 0
    text = capsys.readouterr().out
    assert (folders / "tables.md").read_text() in text and "92 % (78 to 97)" in text and "Cohen's kappa" in text
    assert cli.main(["readings", str(out), files[0]]) == 0
    assert "There is one reader: agreement, such as kappa, needs two or more." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--real", "real", "--fake", "vae"], "--fake takes GROUP=PATH"),
        (["--real", "nothing", "--fake", "vae=vae"], "There are no samples at nothing"),
        (["--real", "style_gan.npy", "--fake", "vae=missing.npy"], "There are no samples at missing.npy"),
        (["--real", "real", "--fake", "=vae"], "--fake takes GROUP=PATH"),
        (["--real", "real", "--fake", "vae=vae", "--instructions", "style_gan.npy"], "style_gan.npy cannot be read as text"),
        (["--real", "real", "--fake", "vae=vae", "--instructions", "empty.txt"], "empty.txt is empty"),
        (["--real", "real", "--fake", "vae=vae", "--fake", " vae =vae"], "each group once, not ' vae =vae'"),
        (["--real", "real", "--fake", "vae=vae", "-n", "0"], "n of 1 or more"),
        (["--real", "real", "--fake", "vae=vae", "-n", "41"], "30 different subjects with usable images, but 42 are needed"),
    ],
)
def test_mistakes_of_an_organizer_are_one_message(folders, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(folders)
    Path("empty.txt").write_text("\n ", encoding="utf-8")
    assert cli.main(["deck", "out", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


@pytest.mark.parametrize(
    ("name", "image", "message"),
    [
        ("a.png", Image.new("RGB", (6, 6), (1, 2, 3)), "is in colour"),
        ("a.png", Image.fromarray(np.zeros((6, 6), np.uint16)), "write 8-bit grey images"),
        ("a.png", Image.new("L", (7, 6)), "convert all to one size"),
    ],
)
def test_images_that_would_give_hints_are_refused(folders, name, image, message):
    image.save(folders / "vae" / name)
    with pytest.raises(InputError, match=message):
        read_images(folders / "vae")


def test_whose_an_image_is(folders, tmp_path):
    Image.fromarray(FAKE["vae"][0]).save(folders / "vae" / "a.png")
    (folders / "vae" / "list.txt").write_text("")
    found = read_images(folders / "vae")
    assert np.array_equal(found.images[0], FAKE["vae"][0]) and found.subjects[:3] == ["a", "sub-00", "sub-00"]
    assert found.names[:2] == ["a.png", "sub-00_slice-0.png"] and "1 files of" in found.nameless and "'a.png'" in found.nameless
    assert "neither PNG nor NIfTI and were passed over: 'list.txt'" in found.passed_over
    array = read_images(folders / "style_gan.npy")
    assert array.images.shape == (40, 6, 6) and array.subjects is None and array.names[3] == "style_gan.npy 3"
    (tmp_path / "volumes").mkdir()
    for name, levels in (("sub-1_dwi.nii.gz", 3), ("sub-2_dwi.nii.gz", 2)):
        nib.save(nib.Nifti1Image(np.zeros((6, 6, levels), np.uint8), np.eye(4)), tmp_path / "volumes" / name)
    found = read_images(tmp_path / "volumes")
    assert found.images.shape == (5, 6, 6) and found.subjects == ["sub-1"] * 3 + ["sub-2"] * 2
