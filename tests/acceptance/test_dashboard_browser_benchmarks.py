"""Benchmarks in a real Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.dashboard import create, finish, scores
from tests.visits import WITHIN_MS

pytestmark = pytest.mark.browser


def test_a_new_result_joins_the_charts_and_a_cell_leads_to_its_trial(visit, service):
    study = create(service.client)
    finish(service.client, study, [0.2] * 5, 0.3)
    page = visit.open(f"/ui/studies/{study}/benchmarks")
    page.wait_for_selector("#benchmarks[data-drawn]")
    number = finish(service.client, study, [0.6, 0.1, 0.1, 0.1, 0.1], 0.5)
    expect(page.locator("#front")).to_contain_text(f"trial {number}", timeout=WITHIN_MS)
    with page.expect_response("**/figures?x=chart*"):
        page.get_by_label("across").select_option("chart")
    expect(page.locator("#trade-chart .xtitle")).to_contain_text("chart", timeout=WITHIN_MS)
    visit.keep("benchmarks")
    cells = page.locator("#heat-chart .heatmaplayer image").first
    cells.scroll_into_view_if_needed()
    cells.hover(position={"x": 20, "y": 8}, force=True)
    expect(page.locator("#heat-chart .hovertext")).to_contain_text(f"trial {number}")
    page.mouse.down()
    page.mouse.up()
    page.wait_for_url(f"**/trials/{number}")


def test_a_study_without_results_says_so(visit, service):
    study = create(service.client)
    page = visit.open(f"/ui/studies/{study}/benchmarks")
    expect(page.locator("#no-runs")).to_be_visible()
    expect(page.locator("#charts")).to_be_hidden()
    finish(service.client, study, [0.2] * 5, 0.3, measurements=scores(0.3))
    expect(page.locator("#charts")).to_be_visible(timeout=WITHIN_MS)
