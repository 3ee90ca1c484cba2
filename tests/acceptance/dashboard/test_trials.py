"""The table of trials in a real Chromium, by keyboard alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_trials_are_sorted_filtered_and_exported_by_keyboard(visit, searched):
    page = visit.open(f"/ui/studies/{searched}/trials")
    expect(page.locator("#trials")).to_have_attribute("data-drawn", "yes")
    state = page.get_by_role("combobox", name="State")
    page.get_by_role("columnheader", name="Out-Score").get_by_role("link").focus()
    page.keyboard.press("Enter")
    head = page.locator("thead th[aria-sort=descending]")
    expect(head).to_contain_text("Out-Score")
    expect(head.locator("a")).to_be_focused()
    state.focus()
    page.keyboard.type("comp")
    expect(page.locator("tbody tr")).to_have_count(12)
    scores = [float(cell) for cell in page.locator("tbody td.score b").all_text_contents()]
    assert scores == sorted(scores, reverse=True)
    heights = page.locator("tbody tr").evaluate_all("rows => rows.map(r => r.offsetHeight)")
    assert max(heights) <= 36
    expect(page).to_have_url(re.compile(r"/trials\?sort=objective&state=completed$"))
    best = page.locator("tbody th").first.text_content()
    # The address is the view: who is sent it sees the same.
    page.reload()
    expect(page.locator("tbody th").first).to_have_text(best or "")
    expect(state).to_have_value("completed")
    page.get_by_role("link", name="These as CSV").focus()
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    text = Path(download.value.path()).read_text()
    assert len(text.splitlines()) == 13
    assert text.splitlines()[1].startswith(f"{best},completed,")
    page.go_back()
    expect(state).to_have_value("")
    page.locator("tbody th a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/trials/*")
