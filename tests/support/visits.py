"""A real service and a browser page that keeps a record of what it must not do."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Error,
    Locator,
    Page,
    Position,
    Request,
    ViewportSize,
    sync_playwright,
)
from playwright.sync_api import TimeoutError as TookTooLong

from modomodo import presets
from modomodo.local import free_port
from service.executor.process import Inline
from service.server import Server
from service.settings import Settings
from tests.support import browser as installed
from tests.support.polling import until
from tests.support.serving import in_process

WINDOW: ViewportSize = {"width": 1400, "height": 900}
PRESS_MS = 3000
WITHIN_MS = 45_000
"""Generous, since machines are slow; what is waited for normally comes in a second or two."""


class Service:
    """A real server on a port of its own, which can be stopped and started again."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
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
            in_process(self.settings, Inline(), presets.load()), port=self._port, log_level="error"
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
        self._context = browser.new_context()
        self._spare: list[Page] = []
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

    def take(self, **options: object) -> Page:
        """A page as a new one is; its window is of the usual size.

        Without options it may be one that another test has had, and if not its process is that of
        the others: that has the program of the charts compiled, which costs more than all else
        that a test does in a browser.
        """
        if options:
            return self._browser.new_page(**options)  # type: ignore[arg-type]
        # One is left: with the last page of a process that would end, too.
        page = self._spare.pop() if len(self._spare) > 1 else self._context.new_page()
        page.set_viewport_size(WINDOW)
        return page

    def give_back(self, page: Page) -> None:
        """For another test: nothing is shown or remembered, and nobody listens."""
        page.goto("about:blank")
        page.unroute_all()
        page.context.clear_cookies()
        page.emulate_media(media="null", color_scheme="null", reduced_motion="null")
        self._spare.append(page)


@contextmanager
def launched() -> Iterator[Chromium]:
    """A Chromium; the test that wants it is skipped where there is none."""
    path = installed.find()
    if path is None:
        pytest.skip("NOT RUN: no Chromium found; `python -m tests.support.browser` installs one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--process-per-site",
            ],
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
        self._chromium = chromium
        self._is_as_new = not options
        self.page: Page = chromium.take(**options)
        self.page.set_default_timeout(WITHIN_MS)
        self.service = service
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self._heard = {"console": self._note, "pageerror": self._fail, "request": self._ask}
        for event, hear in self._heard.items():
            self.page.on(event, hear)  # type: ignore[call-overload]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(for_good=kind is not None)
        if kind is None:
            self.check()

    def close(self, *, for_good: bool = False) -> None:
        """Leaves the page to another test, unless it is of no use to one."""
        if for_good or not self._is_as_new:
            self.page.context.clear_cookies()
            self.page.close()
            return
        self._chromium.give_back(self.page)
        for event, hear in self._heard.items():
            self.page.remove_listener(event, hear)

    def change(self, script: str) -> None:
        """Runs a script in each document before its own; the page is not used again."""
        self._is_as_new = False
        self.page.add_init_script(script)

    def check(self) -> None:
        """That nothing went wrong in the page, and that it asked nobody else."""
        complaints, self.complaints = self.complaints, []
        assert complaints == [], "; ".join(complaints)
        # Pictures that the page draws itself have no host.
        assert self.hosts - {""} <= {urlsplit(self.service.url).netloc}

    def _note(self, message: ConsoleMessage) -> None:
        # What is loaded ahead is wanted some seconds later where the machine is busy.
        is_about_time = "was preloaded using link preload but not used" in message.text
        if message.type in ("error", "warning") and not is_about_time:
            self.complaints.append(f"{message.text} ({message.location['url']})")

    def _fail(self, error: Error) -> None:
        self.complaints.append(error.stack or str(error))

    def _ask(self, request: Request) -> None:
        self.hosts.add(urlsplit(request.url).netloc)

    def open(self, path: str) -> Page:
        self.page.goto(self.service.url + path)
        return self.page

    def open_nothing(self) -> Page:
        """What was shown follows no more when the window or its colours change."""
        self.page.goto("about:blank")
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

    def press(self, mark: Locator, url: str, at: Position | None = None) -> None:
        """Clicks on a mark of a chart until the page that it leads to is open: while a chart is
        drawn anew, a click on it is lost."""

        def is_open() -> bool:
            with suppress(TookTooLong):
                mark.hover(force=True, position=at, timeout=PRESS_MS)
                self.page.mouse.down()
                self.page.mouse.up()
            with suppress(TookTooLong):
                self.page.wait_for_url(url, timeout=PRESS_MS)
                return True
            return False

        until(is_open)

    def point_at(self, mark: Locator, said: Locator, text: str, at: Position | None = None) -> None:
        """Points at a mark of a chart until it says what it is: while a chart is drawn anew, that
        is lost."""

        def is_said() -> bool:
            with suppress(TookTooLong):
                self.page.mouse.move(0, 0)
                mark.hover(force=True, position=at, timeout=PRESS_MS)
                said.filter(has_text=text).first.wait_for(timeout=PRESS_MS)
                return True
            return False

        until(is_said)
