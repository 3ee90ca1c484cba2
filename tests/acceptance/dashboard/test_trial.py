"""The page of one trial in a real Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.support.dashboard import create, finish, lease, scores

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("unfitted")]


def test_a_running_trial_is_watched_cancelled_and_queued_again(visit, service, name):
    study = create(service.client, name=name)
    trial, token = lease(service.client, study)
    number = service.client.get(f"/trials/{trial}").json()["number"]
    page = visit.open_study(study)
    page.locator(f"#trial-{number} a.nr").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Trial {number}")
    page.wait_for_selector("#trial[data-drawn]")
    beat = {"token": token, "step": 5, "total_steps": 20, "metrics": {"loss": 0.5}}
    assert service.client.post(f"/trials/{trial}/heartbeat", json=beat).is_success
    expect(page.locator("#story")).to_contain_text("step 5 of 20")
    page.get_by_role("button", name="Cancel this trial").click()
    expect(page.locator("h1 + .pill")).to_have_text("cancelled")
    expect(page.locator("#announce")).to_have_text("The trial is cancelled now.")
    page.get_by_role("button", name="Queue it again").click()
    expect(page.get_by_role("button", name="Cancel this trial")).to_be_visible()
    assert service.client.get(f"/trials/{trial}").json()["state"] in ("queued", "running")


def test_a_result_shows_its_curves_and_a_note_is_kept(visit, service, name):
    study = create(service.client, name=name)
    trial, token = lease(service.client, study)
    early = [score | {"step": 10} for score in scores(0.2)]
    address = f"/trials/{trial}/measurements"
    service.client.post(address, json={"token": token, "measurements": early})
    number = service.client.get(f"/trials/{trial}").json()["number"]
    page = visit.open_trial(study, number)
    result = {"token": token, "measurements": [s | {"step": 20} for s in scores(0.3)]}
    assert service.client.post(f"/trials/{trial}/result", json=result).is_success
    expect(page.locator("#learning-chart .scatterlayer .trace")).to_have_count(5)
    page.get_by_label("What a reader of this trial should know").fill("seen <b>twice</b>")
    page.get_by_role("button", name="Save note").click()
    expect(page.locator("#note-said")).to_have_text("Saved.")
    assert service.client.get(f"/trials/{trial}").json()["note"] == "seen <b>twice</b>"


def test_a_click_on_a_point_of_a_chart_leads_to_its_trial(visit, service, name):
    study = create(service.client, name=name)
    number = finish(service.client, study, [0.2] * 5, 0.3)
    page = visit.open_study(study)
    mark = page.locator("#progress-chart .points path").first
    visit.point_at(mark, page.locator("#progress-chart .hovertext"), f"trial {number}")
    visit.press(mark, f"**/trials/{number}")
