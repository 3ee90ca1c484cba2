"""The sliders in a real Chromium."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.dashboard import create, finish

pytestmark = pytest.mark.browser


def weights(page: Page) -> dict[str, float]:
    """What stands beside the sliders, in percent."""
    said = page.locator("[data-domain]").evaluate_all(
        "rows => rows.map(row => [row.dataset.domain, "
        "row.querySelector('input[type=number]').valueAsNumber])"
    )
    return dict(said)


def test_weights_move_together_locks_hold_and_predictions_follow(visit, searched):
    page = visit.open(f"/ui/studies/{searched}/what-if?trial=1")  # the uniform mixture
    for surrogate in ("bayes-quadratic", "gp"):
        shown = page.locator(f"[data-surrogate={surrogate}] .large")
        expect(shown).to_be_visible()
        rows = page.locator(f"[data-surrogate={surrogate}] .expected tbody tr")
        expect(rows).to_have_count(4)
    before = page.locator("[data-surrogate=gp] .large").inner_text()
    chart = page.locator("[data-surrogate=gp] .expected tr", has_text="chart").locator(".num").first
    was = chart.inner_text()
    page.get_by_label("lock lisa").check()
    slider = page.get_by_label("coco", exact=True)
    slider.fill("50")
    moved = weights(page)
    assert moved["coco"] == 50.0
    assert moved["lisa"] == 20.0
    assert moved["sat"] == moved["geoqav"] == moved["scienceqa"] == 10.0
    expect(page.locator("[data-surrogate=gp] .large")).not_to_have_text(before)
    expect(chart).not_to_have_text(was)
    # All else locked, there is nowhere to go.
    for domain in ("geoqav", "sat", "scienceqa"):
        page.get_by_label(f"lock {domain}").check()
    slider.fill("90")
    assert weights(page)["coco"] == 50.0


def test_a_mixture_out_of_bounds_goes_to_the_nearest_that_fits_and_is_queued(visit, service, name):
    limit = {"weights": {"coco": 1.0}, "at_most": 0.3}
    study = create(service.client, name=name, limits=[limit])
    page = visit.open(f"/ui/studies/{study}/what-if")
    slider = page.get_by_label("coco", exact=True)
    slider.focus()
    for _ in range(3):
        page.keyboard.press("PageUp")
    expect(page.locator("#chosen .callout")).to_contain_text("coco <= 0.3")
    typed = page.get_by_label("coco in percent")
    expect(typed).to_have_value("30.0")
    page.get_by_role("button", name="Uniform").press("Enter")
    expect(typed).to_have_value("20.0")
    typed.fill("40")
    typed.press("Enter")
    expect(typed).to_have_value("30.0")
    page.get_by_role("button", name="Queue this mixture").click()
    link = page.locator("#queued a")
    expect(link).to_contain_text("trial")
    link.click()
    expect(page.locator("#story .mix.big")).to_have_attribute(
        "aria-label", "coco 30%, lisa 18%, geoqav 18%, sat 18%, scienceqa 18%"
    )


def test_an_answer_that_comes_while_a_number_is_typed_leaves_the_number(visit, searched):
    page = visit.open(f"/ui/studies/{searched}/what-if")
    held: list[Route] = []
    page.route("**/feasible", lambda route: held.append(route))
    with page.expect_request("**/feasible"):
        page.get_by_role("button", name="Uniform").click()
    typed = page.get_by_label("coco in percent")
    typed.fill("44")
    held.pop().continue_()
    page.unroute("**/feasible")
    expect(page.locator("#chosen .mix")).to_have_attribute("aria-label", re.compile("coco 20%"))
    expect(typed).to_have_value("44")
    typed.press("Enter")
    expect(typed).to_have_value("44.0")


def test_what_is_queued_is_what_was_typed_last(visit, service, name):
    study = create(service.client, name=name)
    page = visit.open(f"/ui/studies/{study}/what-if")
    page.get_by_label("coco in percent").fill("60")
    page.get_by_role("button", name="Queue this mixture").click()
    page.locator("#queued a").click()
    expect(page.locator("#story .mix.big")).to_have_attribute("aria-label", re.compile("coco 60%"))


def test_a_number_that_is_typed_and_queued_at_once_is_asked_about_once(visit, service, name):
    study = create(service.client, name=name)
    page = visit.open(f"/ui/studies/{study}/what-if")
    held: list[Route] = []
    page.route("**/feasible", lambda route: held.append(route))
    page.get_by_label("coco in percent").fill("60")
    with page.expect_request("**/feasible"):
        page.get_by_role("button", name="Queue this mixture").click()
    # A timer that ends after the one that what was typed has started.
    page.evaluate("() => new Promise((done) => setTimeout(done, 200))")
    assert len(held) == 1
    held.pop().continue_()
    expect(page.locator("#queued a")).to_be_visible()
    page.unroute("**/feasible")


def test_weights_typed_by_phase_are_predicted_and_queued(visit, service, name):
    study = create(
        service.client, name=name, strategy="bayes-quadratic", search={"schedule": {"phases": 2}}
    )
    finish(service.client, study, [1.0, 0.0, 0.0, 0.0, 0.0], 0.4)
    finish(service.client, study, [0.0, 0.0, 0.0, 1.0, 0.0], 0.5)
    page = visit.open(f"/ui/studies/{study}/what-if")
    for domain, phase, percent in (("coco", 1, "60"), ("sat", 1, "20"), ("coco", 2, "0")):
        page.get_by_label(f"{domain} in phase {phase}, percent").fill(percent)
    queue = page.get_by_role("button", name="Queue it")
    expect(queue).to_be_disabled()
    page.get_by_role("button", name="Predict this schedule").press("Enter")
    expect(page.locator("#schedule .aid", has_text="what the order is worth")).to_be_visible()
    first = page.locator("[data-phase='0']").evaluate_all(
        "inputs => inputs.reduce((total, input) => total + input.valueAsNumber, 0)"
    )
    assert first == pytest.approx(100, abs=0.3)
    queue.press("Enter")
    expect(page.locator("#schedule-said a")).to_contain_text("trial")
