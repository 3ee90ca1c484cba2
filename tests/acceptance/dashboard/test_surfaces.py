"""Surfaces and workers in a real Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.support.dashboard import create, lease, scores

pytestmark = pytest.mark.browser


def test_both_surrogates_are_drawn_around_the_best_run(visit, searched):
    page = visit.open(f"/ui/studies/{searched}/surfaces")
    page.wait_for_selector("#surfaces[data-drawn]")
    for chart in ("slices", "mean", "sd", "residuals"):
        drawn = page.locator(f"[data-figure={chart}] .main-svg")
        assert drawn.count() >= 2, f"{chart} is not drawn for both"
    for side, domain in (("top", "sat"), ("left", "geoqav"), ("right", "sat")):
        page.get_by_label(f"triangle, {side}").select_option(domain)
    expect(page.locator("#corners-said")).to_have_text("Choose three different domains.")
    expect(page.locator("[data-figure=mean]").first).to_be_hidden()
    page.get_by_label("triangle, right").select_option("coco")
    expect(page.locator("#corners-said")).to_have_text("")
    expect(page.locator("[data-figure=mean] .main-svg").first).to_be_visible()


def test_a_study_without_runs_says_what_is_missing(visit, service, name):
    page = visit.open(f"/ui/studies/{create(service.client, name=name)}/surfaces")
    page.wait_for_selector("#surfaces[data-drawn]")
    assert page.locator(".fit .callout:visible").count() == 2


def test_workers_come_and_go_without_a_reload(own_visit, own_service):
    page = own_visit.open("/ui/workers")
    expect(page.get_by_text("No worker has asked for work yet")).to_be_visible()
    trial, token = lease(own_service.client, create(own_service.client), "gpu-node-1")
    expect(page.get_by_role("rowheader", name="gpu-node-1")).to_be_visible()
    beat = {"token": token, "step": 3, "total_steps": 9}
    own_service.client.post(f"/trials/{trial}/heartbeat", json=beat)
    expect(page.locator("#workers")).to_contain_text("step 3 of 9")
    result = {"token": token, "measurements": scores(0.3)}
    own_service.client.post(f"/trials/{trial}/result", json=result)
    expect(page.locator("#workers")).to_contain_text("1 completed")


def test_a_workers_trial_is_a_bar_of_its_node_which_changes_its_colour(own_visit, own_service):
    client = own_service.client
    study = create(client)
    asked = {"worker": "w", "study": study, "capabilities": {"host": "node-7"}}
    client.post(f"/studies/{study}/trials", json={"mixture": {"coco": 0.5, "lisa": 0.5}})
    taken = client.post("/trials/next", json=asked).json()
    page = own_visit.open("/ui/workers")
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="node-7"))
    expect(row).to_contain_text("1 at work")
    bar = row.locator("rect.running")
    expect(bar).to_have_count(1)
    result = {"token": taken["lease"]["token"], "measurements": scores(0.3)}
    client.post(f"/trials/{taken['trial']['id']}/result", json=result)
    expect(row.locator("rect.completed")).to_have_count(1)
    expect(row).to_contain_text("1 completed")
