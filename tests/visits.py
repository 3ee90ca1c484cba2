"""A real service and a browser page that keeps a record of what it must not do."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from modomodo import presets
from modomodo.local import free_port
from service.app import create_app
from service.engine import Inline
from service.server import Server
from service.settings import Settings
from tests import browser as installed

ARTIFACTS = Path(__file__).parent / "artifacts"
WITHIN_MS = 45_000
"""Generous, since machines are slow; what is waited for normally comes in a second or two."""


class Service:
    """A real server on a port of its own, which can be stopped and started again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.client = httpx.Client(base_url=self.url, timeout=60)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.client.close()

    def start(self) -> None:
        self._server = Server(
            create_app(self._settings, Inline(), presets.load()), port=self._port, log_level="error"
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 60
        while not self._server.started:
            assert time.monotonic() < deadline, "the service did not start"
            assert self._thread.is_alive(), "the service stopped at once"
            time.sleep(0.01)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(30)
        self.client.close()
        self.client = httpx.Client(base_url=self.url, timeout=60)


class Chromium:
    """A browser that stays open while tests that know nothing of it come in between."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.loop = asyncio.get_running_loop()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While it is driven.

        Playwright leaves its event loop marked as the one that runs in this thread, so that a test
        after it could run none. Thus it is marked only here.
        """
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self.loop)
        try:
            yield
        finally:
            asyncio._set_running_loop(before)

    def new_page(self, **options: object) -> Page:
        """In a context of its own."""
        return self._browser.new_page(**options)  # type: ignore[arg-type]


@contextmanager
def launched() -> Iterator[Chromium]:
    """A Chromium; the test that wants it is skipped where there is none."""
    path = installed.find()
    if path is None:
        pytest.skip("NOT RUN: no Chromium found; `python -m tests.browser` installs one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        chromium = Chromium(browser)
        asyncio._set_running_loop(None)
        try:
            yield chromium
        finally:
            asyncio._set_running_loop(chromium.loop)
            browser.close()


class Visit:
    """A page with a record of what it must not do, which is looked at when it ends."""

    def __init__(self, chromium: Chromium, service: Service, **options: object) -> None:
        self.page: Page = chromium.new_page(**options)
        self.page.set_default_timeout(WITHIN_MS)
        self.service = service
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(error.stack or str(error)))
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.page.close()
        if kind is None:
            self.check()

    def check(self) -> None:
        """That nothing went wrong in the page, and that it asked nobody else."""
        complaints, self.complaints = self.complaints, []
        assert complaints == [], "; ".join(complaints)
        # Pictures that the page draws itself have no host.
        assert self.hosts - {""} <= {urlsplit(self.service.url).netloc}

    def _hear(self, message: object) -> None:
        text: str = message.text  # type: ignore[attr-defined]
        if message.type in ("error", "warning"):  # type: ignore[attr-defined]
            self.complaints.append(text)

    def open(self, path: str) -> Page:
        self.page.goto(self.service.url + path)
        return self.page

    def open_study(self, study: str) -> Page:
        """Opens a study and waits until all its charts are drawn."""
        self.open(f"/ui/studies/{study}")
        self.page.wait_for_selector("#study[data-drawn]")
        return self.page

    def open_trial(self, study: str, number: int) -> Page:
        """Opens a trial and waits until its story has been told once more, as it is by then."""
        self.open(f"/ui/studies/{study}/trials/{number}")
        self.page.wait_for_selector("#trial[data-drawn]")
        return self.page

    def settle(self) -> Page:
        """Waits until all that the page draws and asks for at first is there."""
        if self.page.locator("[data-plotly]").count():
            self.page.wait_for_selector("[data-drawn]")
        self.page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")
        self.page.wait_for_load_state("networkidle")
        return self.page

    def keep(self, name: str) -> None:
        """A picture of the window, to look at."""
        ARTIFACTS.mkdir(exist_ok=True)
        self.page.screenshot(path=ARTIFACTS / f"dashboard-{name}.png")
