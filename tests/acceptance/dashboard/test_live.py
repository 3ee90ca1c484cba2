"""What keeps a page up to date in a real Chromium: events, or polls where none get through."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import expect

from tests.support.dashboard import create, finish

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("unfitted")]

UNIFORM = [0.2] * 5

NO_CALM_POLLS = """
const later = window.setTimeout;
window.setTimeout = (work, ms, ...more) => (ms >= 20_000 ? 0 : later(work, ms, ...more));
"""
"""A page that hears of events asks by itself every 20 seconds: here it never does."""


A_SECOND_A_DRAWING = """
const later = window.setTimeout, get = window.fetch;
let now = 0;
performance.now = () => now;
window.fetch = async (url, ...more) => {
  const answer = await get(url, ...more);
  if (String(url).includes("/figures")) now += 1000;
  return answer;
};
window.setTimeout = (work, ms, ...more) => {
  if (ms >= 20_000) return 0;
  if (ms <= 2_000) return later(work, ms, ...more);
  return later(() => { now += ms; work(...more); }, 0);
};
"""
"""By the page's clock a drawing takes a second, after which it rests for five; these pass at once.
Polls in between do not come."""


def by_events(page) -> None:
    expect(page.locator("#live")).to_have_attribute("data-by", "events")


def test_a_finished_trial_shows_by_an_event(visit, service, name):
    study = create(service.client, name=name)
    visit.change(NO_CALM_POLLS)
    page = visit.open_study(study)
    by_events(page)
    for value in (0.3, 0.4):
        number = finish(service.client, study, UNIFORM, value)
        expect(page.locator(f"#trial-{number} .pill")).to_have_text("completed")


@pytest.mark.slow
def test_a_finished_trial_shows_within_two_seconds(visit, service, name):
    study = create(service.client, name=name)
    page = visit.open_study(study)
    by_events(page)
    took = []
    for value in (0.3, 0.4, 0.5):
        number = finish(service.client, study, UNIFORM, value)
        began = time.monotonic()
        expect(page.locator(f"#trial-{number} .pill")).to_have_text("completed")
        took.append(time.monotonic() - began)
    assert min(took) < 2, took


def test_a_study_made_elsewhere_joins_the_list_by_an_event(own_visit, own_service):
    create(own_service.client, name="first")
    own_visit.change(NO_CALM_POLLS)
    page = own_visit.open("/")
    by_events(page)
    create(own_service.client, name="second")
    expect(page.get_by_role("link", name="second", exact=True)).to_be_visible()
    by_events(page)


def test_where_a_proxy_holds_events_up_the_page_asks_by_itself(visit, service, name):
    study = create(service.client, name=name)
    # Such a proxy sends an answer on when it has all of it: of a stream, never.
    visit.page.route("**/ui/events*", lambda route: None)
    page = visit.open_study(study)
    number = finish(service.client, study, UNIFORM, 0.3)
    row = page.locator(f"#trial-{number} .pill")
    expect(row).to_have_text("completed")
    expect(page.locator("#live")).to_have_attribute("data-by", "polls")
    expect(page.locator("#live-text")).to_have_text("live")
    page.unroute_all(behavior="ignoreErrors")


def test_a_restarted_service_is_picked_up_again(own_visit, own_service):
    study = create(own_service.client)
    finish(own_service.client, study, UNIFORM, 0.3)
    page = own_visit.open_study(study)
    by_events(page)
    own_service.stop()
    expect(page.locator("#live-text")).to_contain_text("trying again")
    own_service.start()
    expect(page.locator("#live-text")).to_have_text("live")
    number = finish(own_service.client, study, [0.6, 0.1, 0.1, 0.1, 0.1], 0.5)
    expect(page.locator(f"#trial-{number}")).to_be_attached()
    expect(page.locator(".figures")).to_contain_text("52.5")
    by_events(page)
    # The browser itself notes the calls that found nobody; nothing else may have gone wrong.
    own_visit.complaints[:] = [said for said in own_visit.complaints if "ERR_" not in said]


def test_what_changed_while_the_page_rested_shows_when_it_has_rested(visit, service, name):
    study = create(service.client, name=name)
    service.client.patch(f"/studies/{study}", json={"state": "paused"})
    visit.change(A_SECOND_A_DRAWING)
    page = visit.open(f"/ui/studies/{study}/benchmarks")
    by_events(page)
    for value, times in ((0.3, 2), (0.5, 3)):
        number = finish(service.client, study, UNIFORM, value)
        expect(page.locator("#benchmarks")).to_have_attribute("data-drawn", str(times))
        expect(page.locator("#front")).to_contain_text(f"trial {number}")
