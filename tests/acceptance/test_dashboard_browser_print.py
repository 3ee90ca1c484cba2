"""Pages on paper, in a real Chromium."""

from __future__ import annotations

import pytest

from tests.dashboard import create, fill

pytestmark = pytest.mark.browser

A4_PX = 794
"""Width of the sheet in CSS pixels."""

CHARTS = "[...document.querySelectorAll('.js-plotly-plot')]"
WIDTHS = f"{CHARTS}.map(chart => chart.querySelector('.main-svg').getBoundingClientRect().width)"
BEST = "#progress-chart .scatterlayer .trace:last-child .js-line"


@pytest.mark.parametrize(
    "visit",
    [{"viewport": {"width": 1920, "height": 1080}, "color_scheme": "dark"}],
    indirect=True,
)
def test_on_paper_charts_are_light_and_fit_and_then_the_screen_is_as_before(visit, service):
    study = create(service.client)
    fill(service.client, study, 4)
    page = visit.open_study(study)
    before = page.evaluate(WIDTHS)
    dark = page.locator(BEST).evaluate("line => getComputedStyle(line).stroke")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert max(page.evaluate(WIDTHS)) < A4_PX
    assert page.locator(BEST).evaluate("line => getComputedStyle(line).stroke") != dark
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.wait_for_function(
        f"before => {WIDTHS}.every((width, i) => Math.abs(width - before[i]) < 2)", arg=before
    )
    assert page.locator(BEST).evaluate("line => getComputedStyle(line).stroke") == dark


def test_paper_has_no_navigation_and_every_chart(visit, service):
    study = create(service.client)
    fill(service.client, study, 4)
    page = visit.open_study(study)
    n = page.evaluate(f"{CHARTS}.length")
    page.emulate_media(media="print")
    assert not page.locator("header.top").is_visible()
    assert not page.locator("details.data").first.is_visible()
    assert page.evaluate(f"{CHARTS}.filter(chart => chart.offsetHeight > 100).length") == n
    assert page.pdf(format="A4").startswith(b"%PDF")
