"""The colours of pages, as the stylesheet has them: what is drawn and written can be seen."""

from __future__ import annotations

import re

import pytest

from service.dashboard.assets import STATIC

ROLE = re.compile(r"--([a-z]\w*): (#[0-9a-f]{6});")
LINES = (
    *("ink", "soft", "muted", "faint", "link", "busy", "good", "bad"),
    *(f"d{place}" for place in range(8)),
    *(f"s{place}" for place in range(8)),
)
WRITTEN = {
    "page": ("ink", "soft", "link", "bad"),
    "panel": ("ink", "soft", "link", "busy", "good", "bad"),
    "well": ("ink", "soft", "link", "bad"),
    "code": ("ink", "soft"),
}
"""Colours of text by what it stands on."""

TINTED = ("busy", "good", "bad")
"""Words for states, on 13% of their own colour over a panel."""


def palette(theme: str) -> dict[str, str]:
    """Every colour of a light or a dark page by its role."""
    style = (STATIC / "style.css").read_text()
    day, _, rest = style.partition(":root[data-theme=dark]")
    found = dict(ROLE.findall(day))
    return found | dict(ROLE.findall(rest.partition("}")[0])) if theme == "dark" else found


def channels(colour: str) -> list[float]:
    return [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]


def luminance(parts: list[float]) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: list[float], other: list[float]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("role", LINES)
def test_a_line_on_a_dark_page_has_a_contrast_of_three_to_one(role):
    colours = palette("dark")
    found = contrast(channels(colours[role]), channels(colours["panel"]))
    assert found >= 3, f"--{role} {colours[role]}: {found:.2f}"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("ground", WRITTEN)
def test_text_has_a_contrast_of_four_and_a_half_to_one(theme, ground):
    colours = palette(theme)
    for role in WRITTEN[ground]:
        found = contrast(channels(colours[role]), channels(colours[ground]))
        assert found >= 4.5, f"--{role} on --{ground}: {found:.2f}"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("role", TINTED)
def test_words_for_states_stand_out_from_their_tint(theme, role):
    colours = palette(theme)
    own, panel = channels(colours[role]), channels(colours["panel"])
    tint = [0.13 * a + 0.87 * b for a, b in zip(own, panel, strict=True)]
    assert contrast(own, tint) >= 4.5
