"""The page in a real browser: a whole reading, a reload in the middle, the keyboard alone, a sandboxed frame, a tablet."""

import html

import numpy as np
import pytest

from dwikit.reader_study import build_deck, read_readings
from tests.reader_study.browsing import DOUBLE_PRESS, begin, enter, needs_browser, press, rows, visit, where

pytestmark = needs_browser


@pytest.fixture(scope="module")
def deck(tmp_path_factory):
    rng = np.random.default_rng(0)
    groups = {name: rng.integers(0, 256, (20, 16, 16)).astype(np.uint8) for name in ("original", "vae", "dfc_vae", "style_gan")}
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    groups["original"] = np.concatenate([ramp] * 20)
    return build_deck(groups.pop("original"), groups, tmp_path_factory.mktemp("page"), n=5, practice=2, seed=0)


def test_a_whole_reading_with_the_keyboard_and_a_reload(context, deck, tmp_path):
    page = visit(context, deck)
    page.keyboard.press("Tab")
    page.keyboard.type("R 1")
    page.keyboard.press("Enter")
    press(page, "r")
    press(page, "r")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    given = ["real" if i % 3 else "fake" for i in range(20)]
    for i in range(11):
        if i % 2:
            page.keyboard.press(str(i % 5 + 1))
        press(page, given[i][0])
    assert where(page) == "Image 12 of 20"
    page.reload()
    enter(page, "r 1")
    assert "11 of 20 images are read" in page.inner_text("#known-text")
    page.click("text=I am R 1: continue")
    assert where(page) == "Image 12 of 20"
    page.keyboard.press("Backspace")
    assert where(page) == "Image 11 of 20" and page.get_attribute('[data-answer="real"]', "aria-pressed") == "true"
    press(page, "f")
    given[10] = "fake"
    page.close()
    page = visit(context, deck)
    enter(page, "R 1")
    page.click("#known-yes")
    for i in range(11, 20):
        press(page, given[i][0])
    assert page.inner_text("#export-title") == "Thank you"
    order = page.evaluate("order.map(entry => entry.image)")
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == f"readings-{deck.id}-R-1.csv"
    download.value.save_as(tmp_path / "readings.csv")
    read = read_readings(tmp_path / "readings.csv", deck.key, deck.id)
    assert set(order) == set(deck.key["image"]) and read["image"].tolist() == order and read["answer"].tolist() == given
    assert read["confidence"].fillna(0).tolist()[:10] == [i % 5 + 1 if i % 2 else 0 for i in range(10)]
    assert (read["seconds"] >= 0.2).all() and (read["seconds"] < 60).all() and page.complaints == []
    assert read["changes"].tolist() == [float(i == 10) for i in range(20)] and read["time"].notna().all()
    assert read["time"].drop(10).is_monotonic_increasing and read["device"].nunique() == 1


def test_practice_counts_nothing_and_double_presses_answer_once(context, deck):
    page = visit(context, deck)
    page.fill("#reader", "A")
    page.keyboard.press("Enter")
    assert where(page) == "Practice image 1 of 2" and page.is_hidden("#save")
    page.wait_for_timeout(DOUBLE_PRESS)
    page.keyboard.press("r")
    page.keyboard.press("r")
    page.keyboard.press("f")
    assert where(page) == "Practice image 2 of 2"
    press(page, "f")
    assert page.inner_text("#between-title") == "Now it counts"
    page.click("#continue")
    press(page, "f")
    page.keyboard.press("s")
    assert len(page.input_value("#csv").splitlines()) == 2 and rows(page)[0]["position"] == "1"
    assert "1 of 20 images read" in page.inner_text("#export-text")


def test_pausing_stops_the_clock_and_hides_the_image(context, deck):
    context.clock.install()
    page = visit(context, deck)
    begin(page, "A")
    page.clock.fast_forward(100_000)
    page.keyboard.press("p")
    assert page.is_hidden("#picture") and "The clock has stopped" in page.inner_text("#between-text")
    page.clock.fast_forward(500_000)
    page.click("#continue")
    page.clock.fast_forward(1_000)
    press(page, "r")
    page.keyboard.press("s")
    assert 101 <= float(rows(page)[0]["seconds"]) < 500


def test_single_keys_can_be_switched_off(context, deck):
    page = visit(context, deck)
    begin(page, "A")
    page.click("#help summary")
    page.uncheck("#keys")
    press(page, "r")
    assert where(page) == "Image 1 of 20"
    page.focus('[data-answer="real"]')
    press(page, "Enter")
    assert where(page) == "Image 2 of 20"


def test_the_order_for_keyboard_and_screen_reader(context, deck):
    page = visit(context, deck)
    begin(page, "A")
    press(page, "r")
    assert page.inner_text("#status") == "Recorded: real. Image 2 of 20."
    page.focus("#where")
    order = []
    for _ in range(9):
        page.keyboard.press("Tab")
        order.append(
            page.evaluate("document.activeElement.id || document.activeElement.dataset.answer || document.activeElement.name")
        )
    assert order == ["full", "pause", "save", "stage", "confidence", "real", "fake", "back", None]
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tree = page.locator("#reading").aria_snapshot()
    names = [
        "Image 2 of 20",
        "Images read",
        "a slice of a brain",
        "How sure are you?",
        "1, a guess",
        "This image is",
        "Real",
        "Fake",
    ]
    places = [tree.find(name) for name in names]
    assert min(places) >= 0 and places == sorted(places)


def test_names_that_a_spreadsheet_would_run_are_refused(context, deck):
    page = visit(context, deck)
    for name in ("=1+1", "", "-A", "a,b"):
        page.fill("#reader", name)
        page.click("#begin")
        assert "Letters, digits" in page.inner_text("#wrong") and page.is_visible("#start")
    page.fill("#reader", "Jörg 2")
    page.click("#begin")
    assert page.is_visible("#reading")
    page.reload()
    enter(page, "jörg  2")
    assert page.inner_text("#known-title") == "Are you Jörg 2?"


def test_a_sandboxed_frame_keeps_going_in_memory_and_says_so(context, deck):
    page = context.new_page()
    page.set_content(
        f'<iframe sandbox="allow-scripts" width="1000" height="700" srcdoc="{html.escape(deck.page.read_text())}">'
    )
    page.wait_for_selector("iframe")
    frame = page.frames[1]
    assert "does not let the page store anything" in frame.inner_text("#notice")
    frame.fill("#reader", "A")
    frame.click("#begin")
    for i in range(3):
        page.wait_for_timeout(DOUBLE_PRESS)
        frame.click('[data-answer="fake"]')
        if i == 1:
            frame.click("#continue")
    frame.click("#save")
    frame.click("#copy")
    page.wait_for_function("document.querySelector('iframe')")
    read = dict(zip(*(line.split(",") for line in frame.input_value("#csv").splitlines())))
    assert (read["deck"], read["reader"], read["position"], read["answer"]) == (deck.id, "A", "1", "fake")
    frame.wait_for_selector("#export-status:not(:empty)")
    frame.click("#return")
    assert frame.inner_text("#where") == "Image 2 of 20"


@pytest.mark.parametrize(("width", "height"), [(820, 1180), (1180, 820), (390, 844)])
def test_a_tablet_shows_image_and_answers_without_scrolling(browser, deck, width, height):
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=True, is_mobile=True)
    page = visit(context, deck)
    page.fill("#reader", "A")
    page.tap("#begin")
    for selector in ("#picture", '[data-answer="real"]', '[data-answer="fake"]'):
        box = page.locator(selector).bounding_box()
        assert box["x"] >= 0 and box["y"] >= 0 and box["x"] + box["width"] <= width and box["y"] + box["height"] <= height
    assert page.locator('[data-answer="real"]').bounding_box()["height"] >= 44
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.wait_for_timeout(DOUBLE_PRESS)
    page.tap('[data-answer="real"]')
    assert where(page) == "Practice image 2 of 2"
    context.close()
