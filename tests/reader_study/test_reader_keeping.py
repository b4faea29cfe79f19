"""Readings are neither lost nor mixed up: two tabs, two readers, blocked and full storage; each reader's own order."""

import numpy as np
import pytest

from dwikit.reader_study import Protocol, build_deck, conduct, read_readings
from tests.reader_study.browsing import DOUBLE_PRESS, begin, enter, needs_browser, press, rows, visit, where

pytestmark = needs_browser


def made(folder, n=5, practice=0, **protocol):
    rng = np.random.default_rng(0)
    groups = {name: rng.integers(0, 256, (20, 16, 16)).astype(np.uint8) for name in ("original", "vae", "style_gan")}
    return build_deck(groups.pop("original"), groups, folder, n, practice, seed=0, protocol=Protocol(**protocol))


@pytest.fixture(scope="module")
def deck(tmp_path_factory):
    return made(tmp_path_factory.mktemp("page"))


def test_two_tabs_of_one_reading(context, deck):
    """The first is told when the second goes on; nothing that either recorded is lost."""
    first, second = visit(context, deck), visit(context, deck)
    begin(first, "A", practice=0)
    for _ in range(3):
        press(first, "r")
    enter(second, "A")
    second.click("#known-yes")
    assert where(second) == "Image 4 of 15"
    first.wait_for_selector("#elsewhere:not([hidden])")
    assert "goes on there" in first.inner_text("#elsewhere") and first.is_hidden("#reading")
    press(first, "f")
    for _ in range(2):
        press(second, "f")
    first.click("#here")
    assert where(first) == "Image 6 of 15" and [row["answer"] for row in rows(first)] == ["real"] * 3 + ["fake"] * 2
    second.wait_for_selector("#elsewhere:not([hidden])")


def test_a_tab_that_was_not_told_does_not_overwrite(context, deck):
    first, second = visit(context, deck), visit(context, deck)
    begin(first, "A", practice=0)
    press(first, "r")
    first.evaluate("window.addEventListener('storage', event => event.stopImmediatePropagation(), true)")
    enter(second, "A")
    second.click("#known-yes")
    press(second, "f")
    first.evaluate("show('reading')")
    press(first, "r")
    assert first.is_visible("#elsewhere")
    second.reload()
    enter(second, "A")
    second.click("#known-yes")
    assert [row["answer"] for row in rows(second)] == ["real", "fake"]


def test_a_second_reader_sees_nothing_of_the_first(context, deck):
    page = visit(context, deck)
    begin(page, "Ann", practice=0)
    press(page, "r")
    page.reload()
    assert "Ann" not in page.inner_text("body") and "begun on this device" in page.inner_text("#begun")
    enter(page, "Bob")
    assert where(page) == "Image 1 of 15"
    page.reload()
    enter(page, "ANN")
    assert page.is_hidden("#reading") and "Go on only with a reading that is your own" in page.inner_text("#known-text")
    page.click("#known-no")
    assert page.is_visible("#reader")
    enter(page, "Bob")
    page.click("#known-yes")
    assert where(page) == "Image 1 of 15"


def test_full_storage_is_said_and_nothing_is_lost(context, deck):
    page = visit(context, deck)
    begin(page, "A", practice=0)
    press(page, "r")
    page.evaluate("Storage.prototype.real = Storage.prototype.setItem; 0")
    page.evaluate("Storage.prototype.setItem = () => { throw new Error('full'); }; 0")
    press(page, "f")
    assert "its storage is full" in page.inner_text("#notice") and where(page) == "Image 3 of 15"
    assert [row["answer"] for row in rows(page)] == ["real", "fake"]
    page.evaluate("Storage.prototype.setItem = Storage.prototype.real; 0")
    press(page, "f")
    assert page.is_hidden("#notice")
    page.reload()
    enter(page, "A")
    page.click("#known-yes")
    assert where(page) == "Image 4 of 15"


def test_a_reading_goes_on_where_it_can_be_read_but_not_written(context, deck):
    """As on a full disk: there is no other tab, so none is blamed, and the answers are recorded in memory."""
    page = visit(context, deck)
    begin(page, "A", practice=0)
    press(page, "r")
    page.add_init_script("Storage.prototype.setItem = () => { throw new Error('full'); }")
    page.reload()
    enter(page, "A")
    page.click("#known-yes")
    press(page, "f")
    press(page, "f")
    assert where(page) == "Image 4 of 15" and "its storage is full" in page.inner_text("#notice")
    assert [row["answer"] for row in rows(page)] == ["real", "fake", "fake"]
    other = visit(context, deck)
    enter(other, "A")
    other.click("#known-yes")
    press(other, "f")
    page.wait_for_selector("#elsewhere:not([hidden])")


def test_every_reader_has_an_order_that_stays(context, deck):
    orders = {}
    for reader in ("A", "B", "A"):
        page = visit(context, deck)
        page.evaluate("localStorage.clear()")
        enter(page, reader)
        order = page.evaluate("order.map(entry => entry.image)")
        assert set(order) == set(deck.key["image"]) and orders.setdefault(reader, order) == order
        page.close()
    assert orders["A"] != orders["B"] != deck.key["image"].tolist()


def test_some_images_come_twice(context, tmp_path):
    deck = made(tmp_path / "d", repeats=3)
    page = visit(context, deck)
    begin(page, "A", practice=0)
    for i in range(18):
        press(page, "r" if i < 9 else "f")
    assert page.inner_text("#export-title") == "Thank you"
    (tmp_path / "a.csv").write_text(page.input_value("#csv"))
    read = read_readings(tmp_path / "a.csv", deck.key, deck.id, again=True)
    twice = read.loc[read["again"], "image"]
    assert len(read) == 18 and len(twice) == 3
    places = {image: read.index[read["image"] == image].tolist() for image in twice}
    assert all(first < 6 and second >= 10 for first, second in places.values())
    assert conduct.self_agreement(read).to_dict("records")[0] | {"kappa": None} == {
        "reader": "A", "images": 3, "same": 0, "kappa": None,
    }  # fmt: skip
    assert len(read_readings(tmp_path / "a.csv", deck.key, deck.id)) == 15


def test_confidence_can_be_required_progress_hidden_and_breaks_offered(context, tmp_path):
    deck = made(tmp_path / "d", practice=4, confidence_required=True, progress=False, breaks=2)
    page = visit(context, deck)
    assert "15" not in page.inner_text("#start").replace(deck.id, "")
    enter(page, "A")
    press(page, "r")
    assert where(page) == "Practice image 1 of 4" and page.inner_text("#missing") == "Say first how sure you are."
    for _ in range(4):
        page.keyboard.press("3")
        press(page, "r")
    page.click("#continue")
    assert where(page) == "Real or fake?" and page.is_hidden("#progress")
    for _ in range(2):
        page.keyboard.press("2")
        press(page, "f")
    assert page.inner_text("#between-title") == "Time for a break?" and "of 15" not in page.inner_text("#between")
    page.click("#continue")
    assert where(page) == "Real or fake?" and [row["confidence"] for row in rows(page)] == ["2", "2"]


def test_own_instructions_in_any_language(context, tmp_path):
    words = "Sie sehen <b>Bilder</b>.\n\nשלום לכולם"
    page = visit(context, made(tmp_path / "d", instructions=words))
    assert page.locator("#instructions p").all_inner_texts() == ["Sie sehen <b>Bilder</b>.", "שלום לכולם"]
    assert page.locator("#instructions b").count() == 0 and "generated by a computer" not in page.inner_text("#start")


@pytest.mark.parametrize(("key", "code", "answer"), [("к", "KeyR", "real"), ("а", "KeyF", "fake"), ("r", "KeyO", "real")])
def test_keys_work_on_any_layout(context, deck, key, code, answer):
    page = visit(context, deck)
    begin(page, "A", practice=0)
    page.wait_for_timeout(DOUBLE_PRESS)
    type_ = "([key, code]) => document.dispatchEvent(new KeyboardEvent('keydown', { key, code, bubbles: true }))"
    page.evaluate(type_.replace("document.d", "document.body.d"), ["&", "Digit1"])
    page.evaluate(type_.replace("document.d", "document.body.d"), [key, code])
    assert (rows(page)[0]["answer"], rows(page)[0]["confidence"]) == (answer, "1")


def test_three_thousand_images_are_read_without_waiting(context, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (1000, 12, 12)).astype(np.uint8)
    deck = build_deck(images, {"a": 255 - images, "b": images[::-1]}, tmp_path, 1000, 0, seed=0)
    page = visit(context, deck)
    begin(page, "A", practice=0)
    press(page, "r")
    assert where(page) == "Image 2 of 3000"
    page.evaluate(
        "for (const entry of order.slice(1, 2999)) state.answers[entry.key] = state.answers[order[0].key]; position = 2998"
    )
    page.wait_for_timeout(DOUBLE_PRESS)
    took = page.evaluate("() => { const start = performance.now(); answer('fake'); return performance.now() - start; }")
    assert where(page) == "Image 3000 of 3000" and took < 1000 and len(rows(page)) == 2999
    page.reload()
    enter(page, "A")
    assert "2999 of 3000" in page.inner_text("#known-text")
