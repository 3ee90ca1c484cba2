"""The theme that a reader chooses, in a real Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

BACKGROUND = "() => getComputedStyle(document.body).backgroundColor"
LIGHT, DARK = "rgb(246, 246, 243)", "rgb(17, 19, 21)"


def test_a_theme_is_chosen_remembered_and_there_before_anything_is_painted(visit):
    # What a page has when its head is read, before its body is.
    visit.change(
        "new MutationObserver((_, me) => { if (document.body) { me.disconnect(); "
        "window.began = document.documentElement.dataset.theme; } })"
        ".observe(document, { childList: true, subtree: true })"
    )
    visit.page.emulate_media(color_scheme="light")
    page = visit.open("/ui/workers")
    theme = page.get_by_label("Theme")
    expect(theme).to_have_value("system")
    assert page.evaluate(BACKGROUND) == LIGHT
    theme.focus()
    page.keyboard.type("dark")
    page.wait_for_selector("html[data-theme=dark]")
    assert page.evaluate(BACKGROUND) == DARK
    page = visit.open("/")
    assert page.evaluate("window.began") == "dark"
    expect(page.get_by_label("Theme")).to_have_value("dark")
    page.get_by_label("Theme").select_option("system")
    page.wait_for_selector("html[data-theme=light]")
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector("html[data-theme=dark]")
