"""The page of a study in a real Chromium: what is drawn, what changes by itself, what never may."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import expect

from tests.support.dashboard import HOSTILE, create, finish, lease, scores, store, store_many

pytestmark = pytest.mark.browser

UNIFORM = [0.2] * 5


def test_the_first_page_leads_from_nothing_to_the_first_study(own_visit, own_service):
    page = own_visit.open("/")
    expect(page.get_by_text("modomodo demo")).to_be_visible()
    # The study that another window creates shows without a reload.
    create(own_service.client, name="first")
    page.get_by_role("link", name="first", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("first")


def test_a_study_without_results_explains_itself(visit, service, name):
    page = visit.open_study(create(service.client, name=name))
    expect(page.locator("#progress-none")).to_be_visible()
    expect(page.locator("#progress-chart")).to_be_hidden()
    assert page.locator(".fit .callout").count() >= 2


@pytest.mark.usefixtures("unfitted")
def test_one_result_is_enough_for_a_curve(visit, service, name):
    study = create(service.client, name=name)
    finish(service.client, study, UNIFORM, 0.3)
    page = visit.open_study(study)
    expect(page.locator("#progress-chart .scatterlayer .trace").first).to_be_attached()
    expect(page.locator(".figures")).to_contain_text("32.5")


def test_what_happens_to_trials_shows_without_a_reload(visit, service, name):
    study = create(service.client, name=name, max_attempts=1)
    finish(service.client, study, [0.6, 0.1, 0.1, 0.1, 0.1], 0.3)
    page = visit.open_study(study)
    page.evaluate("window.stayed = true")

    trial, token = lease(service.client, study, HOSTILE)
    number = service.client.get(f"/trials/{trial}").json()["number"]
    row = page.locator(f"#trial-{number}")
    expect(row.locator(".pill")).to_have_text("running")
    expect(row).to_contain_text("<script>")
    beat = {"token": token, "step": 5, "total_steps": 20, "metrics": {"reward/coco": 0.5}}
    service.client.post(f"/trials/{trial}/heartbeat", json=beat)
    expect(row).to_contain_text("step 5 of 20")
    expect(row).to_contain_text("coco reward 0.5")

    result = {"token": token, "measurements": scores(0.5)}
    assert service.client.post(f"/trials/{trial}/result", json=result).is_success
    expect(row.locator(".pill")).to_have_text("completed")
    expect(page.locator(".figures")).to_contain_text("52.5")
    expect(page.locator("#announce")).to_have_text(f"Trial {number} is completed.")
    # The curve follows: its last step is at the new best.
    page.wait_for_function(
        "() => document.getElementById('progress-chart').data.at(-1).y.at(-1) === 52.5"
    )

    failing, token = lease(service.client, study)
    service.client.post(f"/trials/{failing}/failure", json={"token": token, "error": HOSTILE})
    expect(page.locator("tr.failed summary")).to_contain_text("<script>")
    assert "owned" not in page.title()
    assert page.evaluate("window.stayed") is True


@pytest.mark.parametrize("n", [2_500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_of_thousands_of_trials_a_page_has_a_hundred(visit, service, shared_database, name, n):
    store_many(shared_database, n, name)
    page = visit.page
    start = time.monotonic()
    page.goto(f"{service.url}/ui/studies/{name}", wait_until="commit")
    expect(page.locator(f"#trial-{n - 9}")).to_be_attached()
    print(f"first trials of {n:,} on the page after {time.monotonic() - start:.2f} s")
    assert page.locator("#rows tr").count() == 10
    expect(page.locator("#n-trials")).to_have_text(f"{n:,}")
    page.wait_for_selector("#study[data-drawn]")
    assert page.locator("#progress-chart .scatterlayer .trace").count() >= 3
    expect(page.locator(".fit").first).to_contain_text("too many to fit here")
    page.get_by_role("link", name=f"all {n:,} as a table").click()
    page.get_by_role("link", name="Next").click()
    expect(page.locator("tbody th").first).to_have_text(str(n - 100))
    assert page.locator("tbody tr").count() == 100


@pytest.mark.usefixtures("unfitted")
def test_a_fit_that_is_kept_is_there_with_its_age_and_is_made_anew_when_asked(
    visit, service, shared_database, name
):
    study = store(shared_database, 6, name=name)
    service.client.get(f"/studies/{study}/surrogates/bayes-quadratic").raise_for_status()
    page = visit.open_study(study)
    panel = page.locator("[data-surrogate=bayes-quadratic]")
    age, button = panel.locator(".fit-age"), panel.get_by_role("button")
    expect(age).to_contain_text("to 6 runs")
    expect(panel.locator("[data-figure=loo] .main-svg").first).to_be_attached()
    # Runs of other studies, or scores on the way, may be new without a result of this one.
    expect(button).to_be_visible()
    finish(service.client, study, UNIFORM, 0.3)
    expect(age).to_contain_text("1 result has come since.")
    button.click()
    expect(age).to_contain_text("to 7 runs")
    expect(button).to_be_hidden()


@pytest.mark.usefixtures("unfitted")
def test_the_keyboard_reaches_content_and_errors(visit, service, name):
    study = create(service.client, name=name, max_attempts=1)
    trial, token = lease(service.client, study)
    failure = {"token": token, "error": "first line\nRuntimeError: out of memory"}
    service.client.post(f"/trials/{trial}/failure", json=failure)
    page = visit.open_study(study)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    summary = page.locator("tr.failed summary")
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.locator("tr.failed pre")).to_be_visible()
    unnamed = page.evaluate(
        """[...document.querySelectorAll("a, button, progress, [role=img], input")]
           .filter(part => !(part.textContent.trim() || part.getAttribute("aria-label")))
           .map(part => part.outerHTML)"""
    )
    assert unnamed == []


def test_on_a_phone_a_study_is_short_and_says_what_more_there_is(visit, searched):
    visit.page.set_viewport_size({"width": 390, "height": 844})
    page = visit.open_study(searched)
    assert page.evaluate("document.documentElement.scrollHeight") < 6 * 844
    row = page.locator(".top nav")
    expect(row).to_have_class("after")
    row.evaluate("row => row.scrollTo(row.scrollWidth, 0)")
    expect(row).to_have_class("before")
    assert page.locator(".fit [data-figure]").count() == 0
    page.locator(".fit summary").first.click()
    page.wait_for_selector(".fit [data-figure] .main-svg")
