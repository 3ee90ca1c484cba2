"""A search under way, rendered once in a real Chromium: on every screen, at night and on paper."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.acceptance.dashboard.test_accessible import violations
from tests.support.visits import WINDOW, Visit

pytestmark = pytest.mark.browser

LIGHT = {"color_scheme": "light", "media": "screen", "reduced_motion": "reduce"}
A4_PX = 794
"""Width of the sheet in CSS pixels."""

CHARTS = "[...document.querySelectorAll('.js-plotly-plot')]"
WIDTHS = f"{CHARTS}.map(chart => chart.querySelector('.main-svg').getBoundingClientRect().width)"
BEST = "#progress-chart .scatterlayer .trace:last-child .js-line"
STROKE = "line => getComputedStyle(line).stroke"


@pytest.fixture(scope="module")
def opened(browser, service, searched):
    with browser.at_work():
        visit = Visit(browser, service)
        visit.open_study(searched)
    yield visit
    with browser.at_work():
        visit.close()


@pytest.fixture
def visit(chromium, opened):
    """The same page for each test, in a light window of the usual size."""
    opened.page.set_viewport_size(WINDOW)
    opened.page.emulate_media(**LIGHT)
    opened.page.wait_for_selector("html[data-theme=light]")  # the charts are, too, by then
    yield opened
    opened.check()


def stroke(page) -> str:
    return page.locator(BEST).evaluate(STROKE)


def test_a_search_under_way_reads_on_every_screen(visit):
    page = visit.page
    assert page.locator(".fit [data-figure] .main-svg").count() >= 6
    assert page.locator(".strip progress").count() == 2
    for width, height, colours in (
        (1400, 900, "light"),
        (390, 844, "light"),
        (2560, 1440, "dark"),
        (1400, 900, "dark"),
    ):
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=colours)
        page.wait_for_selector(f"html[data-theme={colours}]")
        # Charts take the new size a moment later.
        page.wait_for_function("() => document.documentElement.scrollWidth <= innerWidth")
        expect(page.locator("#head svg.mix.big rect").first).to_be_visible()
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        lightness = sum(map(int, re.findall(r"\d+", background)[:3]))
        assert (lightness < 200) == (colours == "dark")
    assert violations(page, "dark") == []


def test_charts_turn_dark_with_the_screen_and_on_paper_are_light_and_fit(visit):
    page = visit.page
    light = stroke(page)
    page.emulate_media(color_scheme="dark")
    expect(page.locator(BEST)).not_to_have_css("stroke", light)
    before, dark = page.evaluate(WIDTHS), stroke(page)
    assert max(before) > A4_PX
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert max(page.evaluate(WIDTHS)) < A4_PX
    assert stroke(page) == light
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    # The screen is as it was.
    page.wait_for_function(
        f"before => {WIDTHS}.every((width, i) => Math.abs(width - before[i]) < 2)", arg=before
    )
    expect(page.locator(BEST)).to_have_css("stroke", dark)
    page.emulate_media(color_scheme="light")
    expect(page.locator(BEST)).to_have_css("stroke", light)


def test_paper_has_no_navigation_and_every_chart(visit):
    page = visit.page
    n = page.evaluate(f"{CHARTS}.length")
    page.emulate_media(media="print")
    assert not page.locator("header.top").is_visible()
    assert not page.locator("details.data").first.is_visible()
    assert page.evaluate(f"{CHARTS}.filter(chart => chart.offsetHeight > 100).length") == n
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_a_study_is_saved_as_a_file(visit, searched):
    with visit.page.expect_download() as started:
        visit.page.get_by_role("link", name="CSV").click()
    assert started.value.suggested_filename == f"{searched}.csv"
