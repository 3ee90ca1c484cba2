"""A real service and a browser page that keeps a record of what it must not do."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from playwright.sync_api import Browser, Page

from modomodo import presets
from modomodo.local import free_port
from service.app import create_app
from service.engine import Inline
from service.server import Server
from service.settings import Settings

ARTIFACTS = Path(__file__).parent / "artifacts"
WITHIN_MS = 60_000
"""Generous, since machines are slow; what is waited for normally comes in a second or two."""


class Service:
    """A real server on a port of its own, which can be stopped and started again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.client = httpx.Client(base_url=self.url, timeout=60)

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
            time.sleep(0.05)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(30)
        self.client.close()
        self.client = httpx.Client(base_url=self.url, timeout=60)


class Visit:
    """A page with a record of what it must not do."""

    def __init__(self, chromium: Browser, service: Service, **options: object) -> None:
        self.page: Page = chromium.new_page(**options)  # type: ignore[arg-type]
        self.page.set_default_timeout(WITHIN_MS)
        self.service = service
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    def _hear(self, message: object) -> None:
        if message.type in ("error", "warning"):  # type: ignore[attr-defined]
            self.complaints.append(message.text)  # type: ignore[attr-defined]

    def open(self, path: str) -> Page:
        self.page.goto(self.service.url + path)
        return self.page

    def open_study(self, study: str) -> Page:
        """Opens a study and waits until all its charts are drawn."""
        self.open(f"/ui/studies/{study}")
        self.page.wait_for_selector("#study[data-drawn]")
        return self.page

    def keep(self, name: str) -> None:
        ARTIFACTS.mkdir(exist_ok=True)
        self.page.screenshot(path=ARTIFACTS / f"dashboard-{name}.png", full_page=True)

    def stays_at_home(self) -> bool:
        # Pictures that the page draws itself have no host.
        return self.hosts - {""} == {urlsplit(self.service.url).netloc}
