"""What keeps a page up to date in a real Chromium: events, or polls where none get through."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import expect

from tests.dashboard import create, finish
from tests.visits import WITHIN_MS

pytestmark = pytest.mark.browser

UNIFORM = [0.2] * 5


def test_a_finished_trial_shows_within_two_seconds(visit, service):
    study = create(service.client)
    page = visit.open_study(study)
    expect(page.locator("#live")).to_have_attribute("data-by", "events", timeout=WITHIN_MS)
    took = []
    for value in (0.3, 0.4, 0.5):
        number = finish(service.client, study, UNIFORM, value)
        began = time.monotonic()
        expect(page.locator(f"#trial-{number} .pill")).to_have_text("completed", timeout=WITHIN_MS)
        took.append(time.monotonic() - began)
    assert min(took) < 2, took


def test_a_study_made_elsewhere_joins_the_list_by_an_event(visit, service):
    create(service.client, name="first")
    page = visit.open("/")
    expect(page.locator("#live")).to_have_attribute("data-by", "events", timeout=WITHIN_MS)
    create(service.client, name="second")
    expect(page.get_by_role("link", name="second", exact=True)).to_be_visible(timeout=WITHIN_MS)
    expect(page.locator("#live")).to_have_attribute("data-by", "events")


def test_where_a_proxy_holds_events_up_the_page_asks_by_itself(visit, service):
    study = create(service.client)
    # Such a proxy sends an answer on when it has all of it: of a stream, never.
    visit.page.route("**/ui/events*", lambda route: None)
    page = visit.open_study(study)
    number = finish(service.client, study, UNIFORM, 0.3)
    row = page.locator(f"#trial-{number} .pill")
    expect(row).to_have_text("completed", timeout=WITHIN_MS)
    expect(page.locator("#live")).to_have_attribute("data-by", "polls")
    expect(page.locator("#live-text")).to_have_text("live")
    page.unroute_all(behavior="ignoreErrors")


def test_a_restarted_service_is_picked_up_again(visit, service):
    study = create(service.client)
    finish(service.client, study, UNIFORM, 0.3)
    page = visit.open_study(study)
    expect(page.locator("#live")).to_have_attribute("data-by", "events", timeout=WITHIN_MS)
    service.stop()
    expect(page.locator("#live-text")).to_contain_text("trying again", timeout=WITHIN_MS)
    service.start()
    expect(page.locator("#live-text")).to_have_text("live", timeout=WITHIN_MS)
    number = finish(service.client, study, [0.6, 0.1, 0.1, 0.1, 0.1], 0.5)
    expect(page.locator(f"#trial-{number}")).to_be_attached(timeout=WITHIN_MS)
    expect(page.locator(".figures")).to_contain_text("52.5")
    expect(page.locator("#live")).to_have_attribute("data-by", "events", timeout=WITHIN_MS)
    # The browser itself notes the calls that found nobody; nothing else may have gone wrong.
    others = [said for said in visit.complaints if "ERR_" not in said]
    visit.complaints[:] = others
