"""Surfaces, workers and exports in a real Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.dashboard import create, fill, lease, scores
from tests.visits import WITHIN_MS

pytestmark = pytest.mark.browser


def test_both_surrogates_are_drawn_around_the_best_run(visit, service):
    study = create(service.client, budget=40)
    fill(service.client, study, 12)
    page = visit.open(f"/ui/studies/{study}/surfaces")
    page.wait_for_selector("#surfaces[data-drawn]")
    for chart in ("slices", "mean", "sd", "residuals"):
        drawn = page.locator(f"[data-figure={chart}] .main-svg")
        assert drawn.count() >= 2, f"{chart} is not drawn for both"
    visit.keep("surfaces")
    for side, domain in (("top", "sat"), ("left", "geoqav"), ("right", "sat")):
        page.get_by_label(f"triangle, {side}").select_option(domain)
    expect(page.locator("#corners-said")).to_have_text("Choose three different domains.")
    expect(page.locator("[data-figure=mean]").first).to_be_hidden(timeout=WITHIN_MS)
    page.get_by_label("triangle, right").select_option("coco")
    expect(page.locator("#corners-said")).to_have_text("")
    expect(page.locator("[data-figure=mean] .main-svg").first).to_be_visible(timeout=WITHIN_MS)


def test_a_study_without_runs_says_what_is_missing(visit, service):
    page = visit.open(f"/ui/studies/{create(service.client)}/surfaces")
    page.wait_for_selector("#surfaces[data-drawn]")
    assert page.locator(".fit .callout:visible").count() == 2


def test_workers_come_and_go_without_a_reload(visit, service):
    page = visit.open("/ui/workers")
    expect(page.get_by_text("No worker has asked for work yet")).to_be_visible()
    trial, token = lease(service.client, create(service.client), "gpu-node-1")
    expect(page.get_by_role("rowheader", name="gpu-node-1")).to_be_visible(timeout=WITHIN_MS)
    beat = {"token": token, "step": 3, "total_steps": 9}
    service.client.post(f"/trials/{trial}/heartbeat", json=beat)
    expect(page.locator("#workers")).to_contain_text("step 3 of 9", timeout=WITHIN_MS)
    result = {"token": token, "measurements": scores(0.3)}
    service.client.post(f"/trials/{trial}/result", json=result)
    expect(page.locator("#workers")).to_contain_text("1 completed", timeout=WITHIN_MS)
    visit.keep("workers")


def test_a_study_is_saved_as_a_file(visit, service):
    study = create(service.client)
    fill(service.client, study, 2)
    page = visit.open_study(study)
    with page.expect_download() as started:
        page.get_by_role("link", name="CSV").click()
    assert started.value.suggested_filename == f"{study}.csv"


@pytest.mark.parametrize("visit", [{"viewport": {"width": 390, "height": 844}}], indirect=True)
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_every_page_fits_a_phone_and_names_its_controls(visit, service, colours):
    study = create(service.client, budget=40)
    fill(service.client, study, 5)
    page = visit.page
    page.emulate_media(color_scheme=colours)
    own = [f"/ui/studies/{study}{part}" for part in _parts(service, study)]
    for address in (*own, "/ui/workers"):
        visit.open(address)
        page.wait_for_load_state("networkidle")
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{address} is {wide} pixels too wide"
        unnamed = page.evaluate(
            """[...document.querySelectorAll("a, button, progress, [role=img], input, select")]
               .filter(part => !(part.textContent.trim() || part.getAttribute("aria-label")
                                 || part.labels?.length))
               .map(part => part.outerHTML)"""
        )
        assert unnamed == [], address


def _parts(service, study: str) -> list[str]:
    number = service.client.get(f"/studies/{study}/best").json()["best"]["number"]
    return ["", "/mixtures", "/benchmarks", "/surfaces", "/what-if", f"/trials/{number}"]
