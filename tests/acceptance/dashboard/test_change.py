"""A study that is changed on its page, in a real Chromium, by keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.support.dashboard import body

pytestmark = pytest.mark.browser


def over(page, label, text):
    """Types over what stands in a field, without a mouse."""
    page.get_by_label(label, exact=True).focus()
    page.keyboard.press("Control+A")
    page.keyboard.type(text)


def test_a_budget_is_raised_and_a_bound_changed_by_keyboard(visit, name, unfitted):
    client = visit.service.client
    assert client.post("/studies", json=body(name)).is_success
    page = visit.open(f"/ui/studies/{name}")
    page.get_by_role("link", name="Change", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/change")
    over(page, "Budget, in completed runs", "20")
    over(page, "Most of domain 1", "lots")
    page.keyboard.press("Enter")
    expect(page.locator("#wrong")).to_be_focused()
    over(page, "Most of domain 1", "0.5")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/ui/studies/{name}")
    study = client.get(f"/studies/{name}").json()
    assert (study["budget"], study["domains"][0]["upper"]) == (20, 0.5)
    expect(page.locator("#changes")).to_contain_text("coco upper 1 → 0.5")


def test_a_study_is_paused_renamed_and_deleted_by_keyboard(visit, name, unfitted):
    client = visit.service.client
    assert client.post("/studies", json=body(name)).is_success
    page = visit.open(f"/ui/studies/{name}/change")
    page.get_by_role("button", name="Pause").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/ui/studies/{name}")
    assert client.get(f"/studies/{name}").json()["state"] == "paused"
    page = visit.open(f"/ui/studies/{name}/change")
    over(page, "Name", f"{name}-2")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/ui/studies/{name}-2")
    page = visit.open(f"/ui/studies/{name}-2/change")
    over(page, "Its name, to delete it", f"{name}-2")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: url.endswith("/"))
    assert client.get(f"/studies/{name}-2").status_code == 404
