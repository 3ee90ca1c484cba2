"""Many mixtures in a real Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.support.dashboard import create, finish, store

pytestmark = pytest.mark.browser


def test_mixtures_are_sorted_drawn_kept_up_to_date_and_lead_to_trials(
    visit, service, shared_database, name
):
    study = store(shared_database, 6, name=name, budget=7)
    page = visit.open(f"/ui/studies/{study}/mixtures")

    def drawn(times: int) -> None:
        expect(page.locator("#mixtures")).to_have_attribute("data-drawn", str(times))

    drawn(1)
    assert page.locator("#ternary .scatterlayer path.point").count() == 6
    page.get_by_label("State").select_option("completed")
    drawn(2)
    page.get_by_label("Sorted by").select_option("score")
    drawn(3)
    expect(page.locator("#n-found")).to_have_text("6 trials")
    best = finish(service.client, study, [0.5, 0.0, 0.0, 0.0, 0.5], 0.9)
    expect(page.locator("#found > li .nr").first).to_have_text(str(best))
    expect(page.locator("#ternary .scatterlayer path.point")).to_have_count(7)
    page.get_by_label("right").select_option(label="coco")
    drawn(4)
    page.get_by_label("left").select_option(label="coco")
    drawn(5)
    expect(page.locator("#ternary-said")).to_have_text("Choose three different domains.")
    page.locator("#found > li .nr").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Trial {best}")


def test_a_study_without_runs_has_no_charts_yet(visit, service, name):
    page = visit.open(f"/ui/studies/{create(service.client, name=name)}/mixtures")
    page.wait_for_selector("#mixtures[data-drawn]")
    expect(page.locator("#drawn-said")).to_have_text("No completed run among them.")
    expect(page.locator("#parallel")).to_be_hidden()
