"""The colours of pages, as the stylesheet has them: lines can be seen on what they lie on."""

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


def dark() -> dict[str, str]:
    """Every colour of a dark page by its role."""
    style = (STATIC / "style.css").read_text()
    day, _, rest = style.partition(":root[data-theme=dark]")
    return dict(ROLE.findall(day)) | dict(ROLE.findall(rest.partition("}")[0]))


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("role", LINES)
def test_a_line_on_a_dark_page_has_a_contrast_of_three_to_one(role):
    colours = dark()
    high, low = luminance(colours[role]), luminance(colours["panel"])
    assert (high + 0.05) / (low + 0.05) >= 3, f"--{role} {colours[role]}"
