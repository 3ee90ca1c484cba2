"""Pictures of pages: `python -m tests.support.dashboard_pictures URL STUDY FOLDER`.

For the documentation: take them from a real study, for example that of `make demo`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.support import browser

MOST_BYTES = 300_000
COLOURS = 255
"""Of a picture: enough for pages, and a third of the bytes."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A page as it is shown: its address below the study's, and the size of the window.

    Attributes:
        part: `BEST` stands for the best run's number.
        scale: pixels of the picture to one of the page.
    """

    name: str
    part: str
    width: int
    height: int
    colours: str = "light"
    scale: float = 1


BEST = "BEST"

PICTURES = (
    Picture("wall", "", 2560, 1440, "dark"),
    Picture("study", "", 1400, 1150),
    Picture("mixtures", "/mixtures", 1400, 1330),
    Picture("benchmarks", "/benchmarks", 1400, 1500),
    Picture("surfaces", "/surfaces", 1400, 1430, "dark"),
    Picture("what-if", "/what-if", 1400, 1180),
    Picture("trial", f"/trials/{BEST}", 1400, 1600),
    Picture("phone", "", 390, 844, scale=2),
)


def take(url: str, study: str, folder: Path) -> Iterator[Path]:
    """`dashboard-NAME.png` for each of `PICTURES`, of at most `MOST_BYTES`."""
    path = browser.find()
    if path is None:
        raise SystemExit("no Chromium found; `python -m tests.support.browser` installs one")
    folder.mkdir(parents=True, exist_ok=True)
    base = f"{url.rstrip('/')}/ui/studies/{study}"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        best = None
        for picture in PICTURES:
            page = chromium.new_page(
                viewport={"width": picture.width, "height": picture.height},
                device_scale_factor=picture.scale,
                color_scheme=picture.colours,  # type: ignore[arg-type]
                reduced_motion="reduce",
            )
            if best is None:
                best = _best(page, base)
            page.goto(base + picture.part.replace(BEST, best))
            _settle(page)
            file = folder / f"dashboard-{picture.name}.png"
            page.screenshot(path=file)
            page.close()
            yield _smaller(file)
        chromium.close()


def _best(page: Page, base: str) -> str:
    """Number of the best run, as the study's page links to it."""
    page.goto(base)
    link = page.locator("#head .figures a[href*='/trials/']")
    if not link.count():
        raise SystemExit(f"{base}: no run is completed yet, so there is little to take pictures of")
    return str(link.first.get_attribute("href")).rpartition("/")[2]


def _settle(page: Page) -> None:
    """Waits until all charts and predictions are there."""
    page.wait_for_load_state("networkidle")
    if page.locator("[data-plotly]").count():
        page.wait_for_selector("[data-drawn]", timeout=120_000)
    page.wait_for_function(
        "() => document.querySelectorAll('[aria-busy=true]').length === 0", timeout=120_000
    )


def _smaller(file: Path) -> Path:
    """The file as it is where that is small enough, else in fewer colours."""
    if file.stat().st_size <= MOST_BYTES:
        return file
    with Image.open(file) as picture:
        # Rare colours count too: what failed is red in few pixels.
        few = picture.convert("RGB").quantize(
            COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
        )
    few.save(file, optimize=True)
    if file.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{file} has {file.stat().st_size} bytes, more than {MOST_BYTES}")
    return file


if __name__ == "__main__":
    for picture in take(sys.argv[1], sys.argv[2], Path(sys.argv[3])):
        print(picture)
