"""Finds a Chromium for the browser tests, or gets one: `python -m tests.support.browser`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from modomodo import pictures


def find() -> str | None:
    """Path of an installed Chromium; None where there is none."""
    if path := pictures.find():
        return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if os.path.exists(path) else None  # noqa: PTH110


PACKAGES = ("chromium-headless-shell", "chromium")
"""Of Debian; the first has no window, so it comes without a desktop and takes a third less of a
processor."""

FONTS = "fonts-liberation"
"""What pages are laid out with; the packages only recommend it."""


def install() -> None:
    """Debian's package as root, else Playwright's own download; failing is no error here."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(["apt-get", "update", "-qq"], check=False, **quiet)
        for package in PACKAGES:
            if find() is None:
                command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"]
                subprocess.run([*command, package, FONTS], check=False, **quiet)
    if find() is None:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


if __name__ == "__main__":
    if find() is None:
        print("no Chromium found, installing one for the browser tests", flush=True)
        install()
    print(f"browser tests: {find() or 'NOT RUN, no Chromium could be installed'}", flush=True)
