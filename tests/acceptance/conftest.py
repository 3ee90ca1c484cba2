"""Fixtures of the browser tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from service.settings import Settings
from tests import browser as installed
from tests.visits import Service, Visit


@pytest.fixture
def service(app_settings: Settings) -> Iterator[Service]:
    service = Service(app_settings)
    service.start()
    yield service
    service.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = installed.find()
    if path is None:
        pytest.skip("NOT RUN: no Chromium found; `python -m tests.browser` installs one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser, service: Service, request) -> Iterator[Visit]:
    options = getattr(request, "param", {"viewport": {"width": 1400, "height": 900}})
    visit = Visit(chromium, service, **options)
    yield visit
    visit.page.close()
    assert visit.complaints == []
    assert visit.stays_at_home()
