"""The picture on the page: its pixels, window, size, place and scale; wide, tablet, forced colours, print."""

import io

import numpy as np
import pytest
from PIL import Image

from dwikit.reader_study import build_deck
from tests.reader_study.browsing import begin, needs_browser, press, rows, visit

pytestmark = needs_browser
SHOWN = "() => Array.from(raw.getContext('2d').getImageData(0, 0, raw.width, raw.height).data).filter((_, i) => i % 4 === 0)"
AT = "() => shown()"


@pytest.fixture(scope="module")
def deck(tmp_path_factory):
    rng = np.random.default_rng(0)
    groups = {name: rng.integers(0, 256, (9, 20, 16)).astype(np.uint8) for name in ("original", "vae")}
    return build_deck(groups.pop("original"), groups, tmp_path_factory.mktemp("page"), 3, 0, seed=0, spacing_mm=3.64)


@pytest.fixture
def page(context, deck):
    page = visit(context, deck)
    begin(page, "A", practice=0)
    return page


def drag(page, right, down, button="left"):
    box = page.locator("#stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down(button=button)
    page.mouse.move(x + right, y + down, steps=4)
    page.mouse.up(button=button)


def test_the_pixels_are_shown_as_they_are_and_windowed(page, deck):
    first = page.evaluate("order[0].image")
    image = deck.images[deck.key["image"].tolist().index(first)].ravel().tolist()
    assert page.evaluate(SHOWN) == image
    page.fill("#width", "128")
    page.fill("#level", "64")
    assert page.evaluate(SHOWN) == [min(255, 2 * value) for value in image]
    page.keyboard.press("i")
    assert page.evaluate(SHOWN) == [255 - min(255, 2 * value) for value in image]
    page.keyboard.press("0")
    assert page.evaluate(SHOWN) == image


def test_the_window_is_set_by_dragging_and_bounded(page):
    drag(page, 60, 80)
    assert (page.input_value("#width"), page.input_value("#level")) == ("316", "168")
    drag(page, -600, -300)
    assert (page.input_value("#width"), page.input_value("#level")) == ("64", "48")
    press(page, "r")
    assert [rows(page)[0][name] for name in ("level", "width", "zoom", "inverted")] == ["48", "64", "1", "0"]


def test_zoom_by_wheel_and_move_by_dragging(page):
    before = page.evaluate(AT)
    box = page.locator("#stage").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 + 100, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -300)
    after = page.evaluate(AT)
    grown = after["width"] / before["width"]
    assert grown == pytest.approx(2.1, abs=0.06)
    pointed = box["width"] / 2 + 100
    assert pointed - after["left"] == pytest.approx(grown * (pointed - before["left"]), abs=1)
    drag(page, 30, -20, button="right")
    moved = page.evaluate(AT)
    assert (moved["left"] - after["left"], moved["top"] - after["top"]) == pytest.approx((30, -20))
    page.focus("#stage")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(AT)["top"] == pytest.approx(moved["top"] - 40)
    drag(page, 5000, 0, button="right")
    far = page.evaluate(AT)
    assert far["left"] < box["width"], "the image cannot be lost"
    page.keyboard.press("0")
    assert page.evaluate(AT) == before


def test_two_fingers_enlarge(page):
    send = """(points) => points.forEach(([type, id, x, y]) => stage.dispatchEvent(new PointerEvent(type, {
        pointerId: id, pointerType: 'touch', clientX: x, clientY: y, bubbles: true })))"""
    page.evaluate(send, [["pointerdown", 1, 400, 400], ["pointerdown", 2, 500, 400], ["pointermove", 2, 600, 400]])
    assert page.input_value("#zoom") == "2"
    page.evaluate(send, [["pointerup", 1, 400, 400], ["pointerup", 2, 600, 400]])
    assert page.input_value("#width") == "256"


def test_the_scale_is_as_long_as_it_says(page):
    text, length = page.inner_text("#scale"), page.locator("#scale").bounding_box()["width"]
    pixels_per_mm = page.evaluate(AT)["scale"] / 3.64
    assert length == pytest.approx(int(text.removesuffix(" mm")) * pixels_per_mm, abs=1)


def test_a_wide_screen_shows_at_least_800_pixels(browser, deck):
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = visit(context, deck)
    begin(page, "A", practice=0)
    assert max(page.evaluate(AT)[side] for side in ("width", "height")) >= 800
    page.click("#full")
    page.wait_for_function("document.fullscreenElement")
    page.keyboard.press("v")
    page.wait_for_function("!document.fullscreenElement")
    context.close()


def test_forced_colours_and_print_are_readable(browser, deck):
    context = browser.new_context(viewport={"width": 1280, "height": 800}, forced_colors="active")
    page = visit(context, deck)
    begin(page, "A", practice=0)
    page.keyboard.press("4")
    assert page.evaluate("getComputedStyle(document.querySelector('.steps label:has(:checked)')).outlineStyle") == "solid"
    context.close()
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = visit(context, deck)
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(21, 23, 26)"
    page.emulate_media(media="print")
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.getElementById('title')).color") == "rgb(0, 0, 0)"
    page.emulate_media(media="screen")
    begin(page, "A", practice=0)
    page.emulate_media(media="print")
    assert page.is_visible('[data-answer="real"]') and page.is_visible('[data-answer="fake"]') and page.is_hidden("#back")
    context.close()


def test_the_keyboard_s_place_is_seen_on_the_image(page):
    """The canvas covers the stage, and an outline beneath it would be hidden."""
    page.focus("#where")
    for _ in range(4):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "stage"
    box = page.locator("#stage").bounding_box()
    picture = page.screenshot(clip={**box, "height": 6})
    with Image.open(io.BytesIO(picture)) as picture:
        edge = np.asarray(picture.convert("RGB"), int)[1]
    assert (edge.max(axis=1) > 150).all() and (edge[:, 2] > edge[:, 0] + 50).all(), "a blue line along the whole edge"


@pytest.mark.parametrize(("width", "height"), [(740, 360), (667, 375)])
def test_a_phone_on_its_side_shows_image_and_answers(browser, deck, width, height):
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=True, is_mobile=True)
    page = visit(context, deck)
    begin(page, "A", practice=0)
    assert page.evaluate(AT)["height"] > 0.75 * height
    fake = page.locator('[data-answer="fake"]').bounding_box()
    assert fake["y"] + fake["height"] <= height and page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
