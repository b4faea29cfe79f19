"""What is wrong with a deck, and what its key holds: remarks, names, hashes; damaged keys, older decks, many images."""

import hashlib
import json

import numpy as np
import pytest

from dwikit.common.errors import InputError
from dwikit.reader_study import Deck, Protocol, build_deck, machine
from tests.reader_study.test_deck import FAKE, REAL, SUBJECTS, noise


@pytest.fixture
def deck(tmp_path):
    return build_deck(REAL, FAKE, tmp_path / "deck", n=10, practice=4, subjects=SUBJECTS)


def heads(n, seed=0, size=32):
    """Round heads of noise, of several sizes."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - size / 2 + 0.5
    inside = np.hypot(y, x)[None] < rng.uniform(0.25, 0.4, (n, 1, 1)) * size
    return np.where(inside, rng.integers(60, 250, (n, size, size)), 0).astype(np.uint8)


def test_a_deck_says_what_is_wrong_with_it(tmp_path):
    real, fake, other = heads(30, 1), heads(30, 2), heads(30, 3)
    real[::10], fake[0] = 0, 3
    fake[1:] = fake[1]
    other[:] = np.clip(real[1] + 1.0, 0, 255).astype(np.uint8)
    deck = build_deck(real, {"a": fake, "b": other}, tmp_path / "d", n=10, practice=2, seed=0)
    said = "\n".join(deck.remarks)
    assert "3 of 30 images of original are near-blank and were passed over" in said
    assert "1 of 30 images of a are near-blank" in said and "of a are the same: 'a " in said
    assert "11 images of b are copies of real ones, or nearly" not in said and "10 images of b are copies" in said
    assert "Practice shows no image of 'b': more practice images would show each group" in said
    assert "The check for traces had 27 images a group; with fewer than 250" in said
    shown = Deck.open(tmp_path / "d")
    assert shown.remarks == deck.remarks and (shown.images == 255).any(axis=(1, 2)).all()


def test_the_same_image_in_two_groups_is_named(tmp_path):
    real = heads(12, 1)
    deck = build_deck(real, {"a": real}, tmp_path / "d", n=12, practice=0, seed=0)
    assert any("2 images of original and a are the same" in remark or "a and original" in remark for remark in deck.remarks)
    assert any("12 images of a are copies of real ones" in remark for remark in deck.remarks)


def test_a_key_is_plain_json_with_names_settings_and_hashes(tmp_path):
    protocol = Protocol("Bitte lesen.", 2, True, False, 9)
    names = {"original": [f"r{i}" for i in range(90)], "vae": [f"v{i}" for i in range(40)]}
    deck = build_deck(REAL, FAKE, tmp_path / "d", n=5, practice=4, protocol=protocol, names=names, spacing_mm=3.5, seed=0)

    def refuse(word):
        raise AssertionError(word)

    key = json.loads((deck.folder / "key.json").read_text(), parse_constant=refuse)
    assert key["settings"] == {
        "n": 5, "practice": 4, "title": "Real or fake?", "seed": 0, "spacing_mm": 3.5, "instructions": "Bitte lesen.",
        "repeats": 2, "confidence_required": True, "progress": False, "breaks": 9,
    }  # fmt: skip
    assert key["sources"]["vae"]["images"] == 40 and len(key["sources"]["vae"]["sha256"]) == 64
    for row, image in zip(key["images"], deck.images):
        assert row["sha256"] == hashlib.sha256(image.tobytes()).hexdigest() and row["subject"] is None
        assert row["name"] == {"original": "r", "vae": "v", "style_gan": "style_gan "}[row["group"]] + str(row["index"])


def test_a_deck_of_an_older_version_has_not_passed(deck):
    key = json.loads((deck.folder / "key.json").read_text())
    for name in ("leaks", "remarks", "frame", "traces"):
        del key[name]
    (deck.folder / "key.json").write_text(json.dumps(key))
    old = Deck.open(deck.folder)
    assert len(old.images) == 30 and "made by an older version" in old.leaks[0]
    with pytest.raises(InputError, match="does not read a deck that gives its answers away"):
        machine.read_deck(old, "Machine (shapes)", REAL, FAKE, SUBJECTS)


@pytest.mark.parametrize("part", [{"leaks": [3]}, {"frame": [[0, "a"], [0, 3]]}, {"frame": 5}, {"remarks": None}])
def test_a_damaged_key_is_refused(deck, part):
    key = json.loads((deck.folder / "key.json").read_text())
    (deck.folder / "key.json").write_text(json.dumps(key | part))
    with pytest.raises(InputError, match="is damaged: restore the key"):
        Deck.open(deck.folder)


def test_more_than_a_thousand_images(tmp_path):
    deck = build_deck(noise(334, 1, 12), {"a": noise(334, 2, 12), "b": noise(334, 3, 12)}, tmp_path, 334, 0, seed=0)
    assert len(Deck.open(tmp_path).images) == 1002 == deck.key["image"].nunique()
