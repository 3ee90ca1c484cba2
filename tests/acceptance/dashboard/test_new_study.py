"""The form for a new study in a real Chromium, by keyboard, and without JavaScript."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def fill(page: Page, name: str) -> None:
    """The least that makes a study."""
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Name of domain 1").fill("coco")
    page.get_by_label("Name of domain 2").fill("sat")
    page.get_by_label("Name of benchmark 1").fill("chart")
    page.get_by_label("Items of benchmark 1").fill("400")


def create(page: Page) -> None:
    page.get_by_role("button", name="Create study").click()


def test_rows_come_and_go_and_mistakes_are_led_to(visit, name):
    page = visit.open("/ui/new")
    page.evaluate("window.stayed = true")
    fill(page, name)
    page.get_by_label("Name of benchmark 1").fill("chartqa")  # that the recipe's world scores
    for _ in range(6):
        page.get_by_role("button", name="Add a domain").click()
    ninth = page.get_by_role("group", name="domain 9")
    expect(ninth.get_by_label("Name of domain 9")).to_be_focused()
    expect(ninth.locator(".chip")).to_have_class("chip d0 h1")
    page.keyboard.type("lisa")
    page.keyboard.press("Tab")
    page.keyboard.type("lots")
    page.get_by_role("button", name="Remove domain 3").click()
    page.get_by_label("Recipe").select_option("tiny")
    expect(page.get_by_label("Steps", exact=True)).to_have_attribute("placeholder", "24")
    assert page.evaluate("window.stayed") is True
    create(page)
    expect(page.locator("#wrong")).to_be_focused()
    page.get_by_role("link", name="domain 3, samples").click()
    wrong = page.get_by_label("Samples of domain 3")
    expect(wrong).to_be_focused()
    expect(wrong).to_have_value("lots")
    expect(wrong).to_have_accessible_description("domain 3, samples: 'lots' is not a whole number")
    wrong.fill("300")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/ui/studies/{name}")
    stored = visit.service.client.get(f"/studies/{name}").json()
    assert [domain["name"] for domain in stored["domains"]] == ["coco", "sat", "lisa"]
    assert stored["recipe"]["steps"] == 24


@pytest.mark.parametrize("visit", [{"java_script_enabled": False}], indirect=True)
def test_the_form_works_without_javascript(visit, name):
    page = visit.open("/ui/new")
    fill(page, name)
    page.get_by_role("button", name="Add a benchmark").click()
    expect(page.get_by_label("Name of benchmark 1")).to_have_value("chart")
    page.get_by_label("Name of benchmark 2").fill("info")
    page.get_by_label("Items of benchmark 2").fill("none")
    create(page)
    expect(page.locator("#wrong")).to_contain_text("benchmark 2, samples")
    page.get_by_label("Items of benchmark 2").fill("100")
    create(page)
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
