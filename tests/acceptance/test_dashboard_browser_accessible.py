"""axe-core over every page, light and dark, and charts without a mouse, in a real Chromium."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from service.settings import Settings
from tests.dashboard import create, fill, finish, lease
from tests.visits import Service, Visit

pytestmark = pytest.mark.browser

OF_A_STUDY = ("", "/mixtures", "/benchmarks", "/surfaces", "/what-if")


def violations(page: Page) -> list[str]:
    """What axe-core finds in both colour schemes, on the page as it is now."""
    found = []
    for colours in ("light", "dark"):
        page.emulate_media(color_scheme=colours, reduced_motion="reduce")
        for one in Axe().run(page).response["violations"]:
            places = [node["html"][:120] for node in one["nodes"][:3]]
            found.append(f"{colours}: {one['impact']} {one['id']}: {one['help']} {places}")
    return found


def look(visit, addresses) -> dict[str, list[str]]:
    found = {}
    for address in addresses:
        page = visit.open(address)
        page.wait_for_load_state("networkidle")
        if page.locator("[data-plotly]").count():
            page.wait_for_selector("[data-drawn]")
        if wrong := violations(page):
            found[address] = wrong
    return found


def test_axe_finds_nothing_wrong_with_trials(visit, service):
    study = create(service.client, max_attempts=1)
    fill(service.client, study, 5)
    failed, token = lease(service.client, study, "gpu-node-1")
    failure = {"token": token, "error": "first line\nRuntimeError: out of memory"}
    service.client.post(f"/trials/{failed}/failure", json=failure)
    running, token = lease(service.client, study, "gpu-node-2")
    beat = {"token": token, "step": 5, "total_steps": 20, "metrics": {"reward/coco": 0.5}}
    service.client.post(f"/trials/{running}/heartbeat", json=beat)
    numbers = [
        service.client.get(f"/trials/{trial}").json()["number"] for trial in (failed, running)
    ]
    ui = f"/ui/studies/{study}"
    trials = [f"{ui}/trials/{number}" for number in numbers]
    pages = ["/", "/ui/workers", *(ui + part for part in OF_A_STUDY), *trials]
    assert look(visit, pages) == {}


def test_axe_finds_nothing_wrong_without_any(visit, service):
    assert look(visit, ["/", "/ui/workers", "/ui/new", "/ui/studies/nope"]) == {}
    ui = f"/ui/studies/{create(service.client)}"
    visit.complaints.clear()  # the browser notes that a page is not there
    assert look(visit, [ui + part for part in OF_A_STUDY]) == {}


def test_axe_finds_nothing_wrong_where_one_signs_in(chromium, database_url):
    service = Service(
        Settings(database_url=database_url, api_key="a-key-of-thirty-two-or-more-chars")
    )
    service.start()
    visit = Visit(chromium, service)
    found = look(visit, ["/ui/sign-in"])
    visit.page.close()
    service.stop()
    assert found == {}


def test_what_a_chart_shows_is_a_table_too_whose_links_the_keyboard_reaches(visit, service):
    study = create(service.client)
    first = finish(service.client, study, [0.2] * 5, 0.3)
    best = finish(service.client, study, [0.6, 0.1, 0.1, 0.1, 0.1], 0.5)
    page = visit.open_study(study)
    summary = page.locator("#progress-chart + details.data summary")
    summary.focus()
    page.keyboard.press("Enter")
    rows = page.locator("#progress-chart + details.data tr")
    expect(rows.filter(has_text=f"trial {best}").first).to_contain_text("52.5")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    expect(focused).to_have_text(f"trial {first}")
    outline = focused.evaluate("link => getComputedStyle(link).outlineStyle")
    assert outline == "solid", "where the focus is can be seen"
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/trials/{first}")
