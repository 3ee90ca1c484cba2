"""Pictures of a running service's pages: `python -m tests.dashboard_pictures URL STUDY FOLDER`.

For the documentation: take them from a real study, for example that of `make demo`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests import browser

SIZES = {"light": (1400, 900), "dark": (1400, 900), "wall": (2560, 1440), "phone": (390, 844)}


def take(url: str, study: str, folder: Path) -> list[Path]:
    """`dashboard-NAME.png` for each of `SIZES`, the first screen of the study's page."""
    path = browser.find()
    if path is None:
        raise SystemExit("no Chromium found; `python -m tests.browser` installs one")
    folder.mkdir(parents=True, exist_ok=True)
    taken = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        for name, (width, height) in SIZES.items():
            page = chromium.new_page(
                viewport={"width": width, "height": height},
                color_scheme="dark" if name in ("dark", "wall") else "light",
            )
            page.goto(f"{url.rstrip('/')}/ui/studies/{study}")
            page.wait_for_selector("#study[data-drawn]", timeout=120_000)
            taken.append(folder / f"dashboard-{name}.png")
            page.screenshot(path=taken[-1], full_page=name in ("light", "dark"))
            page.close()
        chromium.close()
    return taken


if __name__ == "__main__":
    for picture in take(sys.argv[1], sys.argv[2], Path(sys.argv[3])):
        print(picture)
