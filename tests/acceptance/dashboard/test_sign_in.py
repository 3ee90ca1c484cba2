"""Signing in with a key, in a real Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from service.settings import Settings
from tests.support.dashboard import create
from tests.support.visits import Service, Visit

KEY = "a-key-of-thirty-two-or-more-chars"

pytestmark = pytest.mark.browser


@pytest.fixture
def guarded(database_url):
    with Service(Settings(database_url=database_url, api_key=KEY)) as service:
        service.client.headers["Authorization"] = f"Bearer {KEY}"
        yield service


def test_one_signs_in_acts_and_signs_out(chromium, guarded):
    study = create(guarded.client)
    mixture = {"mixture": {"coco": 0.5, "lisa": 0.5}}
    number = guarded.client.post(f"/studies/{study}/trials", json=mixture).json()["number"]
    stranger = Visit(chromium, guarded)
    page = stranger.open(f"/ui/studies/{study}/trials/{number}")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_label("API key").fill("not the key")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("no valid key")
    page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/ui/studies/{study}/trials/{number}")
    page.wait_for_selector("#trial[data-drawn]")
    page.get_by_role("button", name="Cancel this trial").click()
    expect(page.locator("#announce")).to_have_text("The trial is cancelled now.")
    expect(page.locator("#live-text")).to_have_text("live")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto(f"{guarded.url}/ui/workers")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    stranger.close()
    # The browser itself notes the answer to the wrong key.
    stranger.complaints[:] = [said for said in stranger.complaints if "401" not in said]
    stranger.check()
