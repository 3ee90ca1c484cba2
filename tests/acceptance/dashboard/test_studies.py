"""The list of studies and their comparison in a real Chromium, by keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.acceptance.dashboard.test_accessible import look
from tests.support.dashboard import store

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("colours", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_two_studies_are_chosen_from_the_list_and_compared(
    visit, shared_database, searched, name, colours
):
    other = store(shared_database, 6, seed=1, name=name, budget=6)
    page = visit.open("/")
    for study in (other, searched):
        page.get_by_label(f"Compare {study}", exact=True).focus()
        page.keyboard.press("Space")
    page.get_by_role("button", name="Compare the chosen ones").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/compare?*")
    expect(page.get_by_role("heading", level=1)).to_have_text("Compare studies")
    visit.settle()
    lines = page.locator("#best-chart .scatterlayer .trace")
    assert lines.count() >= 2
    page.get_by_label("Along").select_option("gpu_hours")
    expect(page.locator("#best-chart .xtitle")).to_have_text("GPU-hours used")
    assert page.url.endswith("&by=gpu_hours")
    expect(page.locator("#effects-chart .scatterlayer .trace")).to_have_count(2)
    look(visit, page.url.removeprefix(visit.service.url), colours)
