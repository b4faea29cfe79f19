"""A deck's page in a real browser, as several tests use it."""

import shutil

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DOUBLE_PRESS = 260  # milliseconds in which the page takes a second answer for a double press
needs_browser = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here; on Debian: apt-get install chromium")


def visit(context, deck):
    """The page, with everything that it asks the network for or complains about."""
    page = context.new_page()
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda message: page.complaints.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: page.complaints.append(request.url) if request.url.startswith("http") else None)
    page.goto(deck.page.as_uri())
    return page


def press(page, key):
    page.wait_for_timeout(DOUBLE_PRESS)
    page.keyboard.press(key)


def enter(page, reader):
    page.fill("#reader", reader)
    page.keyboard.press("Enter")


def begin(page, reader, practice=2):
    enter(page, reader)
    for _ in range(practice):
        press(page, "r")
    if practice:
        page.click("#continue")


def where(page):
    return page.inner_text("#where")


def rows(page):
    """The readings so far, as the page would export them."""
    header, *lines = page.evaluate("csv()").splitlines()
    return [dict(zip(header.split(","), line.split(","))) for line in lines]
