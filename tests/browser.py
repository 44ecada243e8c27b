"""The system's Chromium for tests of pages; module-wide fixtures are made from these."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needed = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


@contextmanager
def launched() -> Iterator[object]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def until(page, expression, seconds=10):
    """Wait until an expression is true; the page's own rules let no text be run inside it."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        time.sleep(0.01)


def opened(browser, path, moving=False, inside=False, **options):
    """Open a page; errors and requests are kept in its ``errors`` and ``requests``."""
    page = browser.new_page(viewport=options.pop("viewport", {"width": 1100, "height": 850}), **options)
    page.errors, page.requests = [], []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda message: page.errors.append(message.text))
    page.on("request", lambda request: page.requests.append(request.url))
    page.goto(path.as_uri() + ("" if moving else "#still"))
    if inside:
        page.locator("iframe").scroll_into_view_if_needed()
    until(page.frames[-1] if inside else page, "!!window.lab")
    return page


@contextmanager
def visits(browser, path_of):
    """A function that opens pages by name, which closes them at the end and checks that they had no errors."""
    every = []

    def visit(*name, **options):
        every.append(opened(browser, path_of(*name), **options))
        return every[-1]

    yield visit
    for page in every:
        assert page.errors == []
        page.close()


def nothing_is_cut_off(page, width):
    """Whether every control lies within the page's width."""
    page.click("summary")
    boxes = [control.bounding_box() for control in page.query_selector_all("button, input, select, canvas, summary")]
    shown = [box for box in boxes if box is not None]
    inside = all(box["x"] >= 0 and box["x"] + box["width"] <= width for box in shown)
    return inside and page.evaluate("document.documentElement.scrollWidth") <= width


def unnamed(page):
    """Controls and pictures without a name for who hears the page."""
    every = page.query_selector_all("button, input, select, canvas:not([aria-hidden])")
    name = "e => e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText || ''"
    return [each.evaluate("e => e.outerHTML") for each in every if len(each.evaluate(name).strip()) <= 3]
