"""Many mixtures in a real Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.dashboard import create, fill, finish
from tests.visits import WITHIN_MS

pytestmark = pytest.mark.browser


def test_mixtures_are_sorted_drawn_kept_up_to_date_and_lead_to_trials(visit, service):
    study = create(service.client, budget=40)
    fill(service.client, study, 12)
    page = visit.open(f"/ui/studies/{study}/mixtures")
    page.wait_for_selector("#mixtures[data-drawn]")
    assert page.locator("#ternary .scatterlayer path.point").count() == 12
    page.get_by_label("State").select_option("completed")
    page.get_by_label("Sorted by").select_option("score")
    expect(page.locator("#n-found")).to_have_text("12 trials", timeout=WITHIN_MS)
    best = finish(service.client, study, [0.5, 0.0, 0.0, 0.0, 0.5], 0.9)
    expect(page.locator("#found > li .nr").first).to_have_text(str(best), timeout=WITHIN_MS)
    expect(page.locator("#ternary .scatterlayer path.point")).to_have_count(13, timeout=WITHIN_MS)
    page.get_by_label("right").select_option(label="coco")
    page.get_by_label("left").select_option(label="coco")
    expect(page.locator("#ternary-said")).to_have_text("Choose three different domains.")
    visit.keep("mixtures")
    page.locator("#found > li .nr").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Trial {best}")


def test_a_study_without_runs_has_no_charts_yet(visit, service):
    page = visit.open(f"/ui/studies/{create(service.client)}/mixtures")
    page.wait_for_selector("#mixtures[data-drawn]")
    expect(page.locator("#drawn-said")).to_have_text("No completed run among them.")
    expect(page.locator("#parallel")).to_be_hidden()
