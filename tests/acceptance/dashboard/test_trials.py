"""The table of trials in a real Chromium, by keyboard alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.dashboard import create
from tests.support.visits import Service, Visit

pytestmark = pytest.mark.browser


def paused(visit: Visit, service: Service, name: str, n: int, query: str = "") -> Page:
    """The table of trials of a new study that is paused, with so many queued by hand."""
    create(service.client, name=name)
    service.client.patch(f"/studies/{name}", json={"state": "paused"})
    for _ in range(n):
        service.client.post(f"/studies/{name}/trials", json={"mixture": {"coco": 1.0}})
    page = visit.open(f"/ui/studies/{name}/trials{query}")
    expect(page.locator("#trials")).to_have_attribute("data-drawn", "yes")
    return page


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
    expect(page.locator("tbody tr")).to_have_count(6)
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
    assert len(text.splitlines()) == 7
    assert text.splitlines()[1].startswith(f"{best},completed,")
    page.go_back()
    expect(state).to_have_value("")
    expect(page.locator("tbody tr")).not_to_have_count(6)
    page.locator("tbody th a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/trials/*")


def test_trials_that_are_chosen_are_tagged_and_cancelled_and_the_cancel_undone(
    visit, service, name
):
    page = paused(visit, service, name, n=2, query="?origin=queued")
    expect(page.get_by_role("button", name="Cancel")).to_be_disabled()
    page.get_by_role("checkbox", name="Choose all trials shown").focus()
    page.keyboard.press("Space")
    expect(page.locator("#n-chosen")).to_have_text("2 trials chosen")
    page.get_by_role("combobox", name="Tag").last.focus()
    page.keyboard.type("second look")
    page.keyboard.press("Enter")
    expect(page.locator("#changed")).to_have_text("2 trials tagged.")
    expect(page.locator("tbody .tag")).to_have_text(["second look"] * 2)
    page.get_by_role("button", name="Cancel").focus()
    page.keyboard.press("Enter")
    expect(page.locator("tbody .pill")).to_have_text(["cancelled"] * 2)
    expect(page.locator("tbody input:checked")).to_have_count(2)
    page.get_by_role("button", name="Undo").focus()
    page.keyboard.press("Enter")
    expect(page.locator("tbody .pill")).to_have_text(["queued"] * 2)
    expect(page.get_by_role("button", name="Undo")).to_be_hidden()
    page.get_by_role("combobox", name="Tag").first.select_option("second look")
    expect(page).to_have_url(re.compile(r"tag=second\+look"))
    expect(page.locator("tbody tr")).to_have_count(2)


def test_what_has_the_focus_keeps_it_when_news_of_the_study_come(visit, service, name):
    page = paused(visit, service, name, n=1)
    link = page.get_by_role("link", name="Trial 1", exact=True)
    link.focus()
    service.client.post(f"/studies/{name}/trials", json={"mixture": {"coco": 1.0}})
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(link).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/trials/1")


def test_what_is_asked_for_is_shown_although_news_of_the_study_come_meanwhile(visit, service, name):
    page = paused(visit, service, name, n=1)
    held = []
    page.route("**/trials/found?*state=completed*", lambda route: held.append(route), times=1)
    with page.expect_request("**/trials/found?*state=completed*"):
        page.get_by_role("combobox", name="State").select_option("completed")
    with page.expect_request("**/trials/found?*"):
        service.client.post(f"/studies/{name}/trials", json={"mixture": {"coco": 1.0}})
    expect(page).to_have_url(re.compile("state=completed"))
    expect(page.locator("tbody tr")).to_have_count(0)
    held[0].continue_()
    expect(page.get_by_role("combobox", name="State")).to_have_value("completed")


def test_learning_curves_of_chosen_trials_are_laid_over_each_other_by_keyboard(visit, searched):
    page = visit.open(f"/ui/studies/{searched}/trials?state=running")
    expect(page.locator("#trials")).to_have_attribute("data-drawn", "yes")
    curves = page.get_by_role("button", name="Learning curves")
    expect(curves).to_be_disabled()
    page.get_by_role("checkbox", name="Choose all trials shown").focus()
    page.keyboard.press("Space")
    curves.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/curves?trial=8&trial=9")
    lines = page.locator("#metric-chart .scatterlayer .trace")
    expect(lines).to_have_count(2)
    rows = page.locator("#table tbody tr")
    expect(rows).to_have_count(2)
    page.get_by_role("combobox", name="Of").focus()
    page.keyboard.type("reward/s")
    page.wait_for_url("**metric=reward%2Fsat")
    expect(lines).to_have_count(2)
    page.get_by_role("link", name="Leave trial 9 out").focus()
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    page.get_by_label("Another trial").focus()
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(2)
    expect(rows.last).to_contain_text("trial 1")


def test_hundreds_of_runs_are_looked_at_and_imported_from_a_file(visit, service, name, tmp_path):
    create(service.client, name=name)
    file = tmp_path / "runs.csv"
    rows = [f"{i / 1000},{1 - i / 1000},0.4,0.4,0.5,{i / 1000}" for i in range(120)]
    head = "w_coco,w_lisa,lisa_test,sat_test,chart,info"
    file.write_text("\n".join([head, *rows, "1,0,0.4,0.4,,"]) + "\n")
    page = visit.open(f"/ui/studies/{name}/trials?state=completed")
    expect(page.locator("#trials")).to_have_attribute("data-drawn", "yes")
    page.get_by_label("File").set_input_files(file)
    said = page.locator("#import-said")
    expect(said).to_contain_text("runs.csv: 120 runs would be added to study")
    expect(said).to_contain_text("line 122: no score of chart, info")
    page.get_by_role("button", name="Import 120").focus()
    page.keyboard.press("Enter")
    expect(said).to_contain_text("120 runs added to study")
    expect(page.locator("#found [role=status]")).to_contain_text("1 to 100 of 120 trials")
    page.get_by_label("File").set_input_files(file)
    expect(said).to_contain_text("120 runs in study")
    expect(said).to_contain_text("already, as trials ")
    expect(page.get_by_role("button", name="Import", exact=True)).to_be_disabled()
