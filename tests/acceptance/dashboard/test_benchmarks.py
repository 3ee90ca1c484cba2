"""Benchmarks in a real Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.support.dashboard import create, finish, scores

pytestmark = pytest.mark.browser

CELL = {"x": 20, "y": 8}


def test_a_new_result_joins_the_charts_and_a_cell_leads_to_its_trial(visit, service, name):
    study = create(service.client, name=name)
    finish(service.client, study, [0.2] * 5, 0.3)
    page = visit.open(f"/ui/studies/{study}/benchmarks")
    drawn = page.locator("#benchmarks")
    expect(drawn).to_have_attribute("data-drawn", "1")
    number = finish(service.client, study, [0.6, 0.1, 0.1, 0.1, 0.1], 0.5)
    expect(page.locator("#front")).to_contain_text(f"trial {number}")
    expect(drawn).to_have_attribute("data-drawn", "2")
    page.get_by_label("x axis").select_option("chart")
    expect(page.locator("#trade-chart .xtitle")).to_contain_text("chart")
    expect(drawn).to_have_attribute("data-drawn", "3")
    cells = page.locator("#heat-chart .heatmaplayer image").first
    cells.scroll_into_view_if_needed()
    said = page.locator("#heat-chart .hovertext")
    visit.point_at(cells, said, f"trial {number}", CELL)
    visit.press(cells, f"**/trials/{number}", at=CELL)


def test_a_study_without_results_says_so(visit, service, name):
    study = create(service.client, name=name)
    page = visit.open(f"/ui/studies/{study}/benchmarks")
    expect(page.locator("#no-runs")).to_be_visible()
    expect(page.locator("#charts")).to_be_hidden()
    finish(service.client, study, [0.2] * 5, 0.3, measurements=scores(0.3))
    expect(page.locator("#charts")).to_be_visible()


SIZE = """() => {
  const plot = document.querySelector("#heat-chart");
  const drawn = plot.querySelector(".main-svg").getBoundingClientRect();
  return [Math.round(drawn.width) - plot.clientWidth, Math.round(drawn.height)];
}"""


def test_a_chart_with_a_height_of_its_own_keeps_it_when_the_window_changes(visit, service, name):
    study = create(service.client, name=name)
    finish(service.client, study, [0.2] * 5, 0.3)
    page = visit.open(f"/ui/studies/{study}/benchmarks")
    expect(page.locator("#benchmarks")).to_have_attribute("data-drawn", "1")
    [_, height] = page.evaluate(SIZE)
    for width in (390, 1400, 700):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function(f"() => ({SIZE})().join() === '0,{height}'")
    visit.check()
