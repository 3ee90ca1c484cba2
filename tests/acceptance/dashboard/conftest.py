"""Fixtures of the browser tests: one Chromium, one service for tests that share it, pages."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from db.sessions import Database
from service.settings import Settings
from tests.support.dashboard import few_iterations, lease, store
from tests.support.visits import WITHIN_MS, Chromium, Service, Visit, launched

expect.set_options(timeout=WITHIN_MS)

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _quick_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    few_iterations(monkeypatch)


@pytest.fixture
def unfitted(service: Service, app_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """No surrogate is fitted unasked: for tests of something else."""
    for settings in (service.settings, app_settings):
        monkeypatch.setattr(settings, "fits_unasked", 0)


@pytest.fixture(scope="session")
def browser() -> Iterator[Chromium]:
    """Started once a process; tests use `chromium`."""
    with launched() as browser:
        yield browser


@pytest.fixture
def chromium(browser: Chromium) -> Iterator[Chromium]:
    with browser.at_work():
        yield browser


@pytest.fixture(scope="session")
def shared_database(
    migrated_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    file = tmp_path_factory.mktemp("shared") / "modomodo.db"
    shutil.copy(migrated_file, file)
    database = Database(f"sqlite:///{file}")
    yield database
    database.close()


@pytest.fixture(scope="session")
def service(shared_database: Database) -> Iterator[Service]:
    """One for all tests of this process; each looks at studies of its own or changes none."""
    url = shared_database.url.render_as_string(hide_password=False)
    with Service(Settings(database_url=url, upkeep_every_s=3600.0)) as service:
        yield service


@pytest.fixture(scope="session")
def searched(shared_database: Database, service: Service) -> str:
    """A study to look at: 6 runs, of which the first is uniform, one that failed, two that go on.

    Its budget is used, so that nothing is proposed and nothing changes.
    """
    study = store(shared_database, 6, name="search", budget=6, max_attempts=1, lease_s=86_400)
    failed, token = lease(service.client, study, "gpu-node-0")
    failure = {"token": token, "error": "first line\nRuntimeError: out of memory"}
    assert service.client.post(f"/trials/{failed}/failure", json=failure).is_success
    for worker, step in (("gpu-node-1", 7), ("gpu-node-2", 14)):
        trial, token = lease(service.client, study, worker)
        rewards = {f"reward/{domain}": 0.4 for domain in ("coco", "sat")}
        beat = {"token": token, "step": step, "total_steps": 24, "metrics": rewards}
        assert service.client.post(f"/trials/{trial}/heartbeat", json=beat).is_success
    return study


@pytest.fixture
def name() -> str:
    """Of a study that no other test has."""
    return f"study-{next(_numbers)}"


@pytest.fixture
def own_service(app_settings: Settings) -> Iterator[Service]:
    """A service of the test's own, in which nothing is yet."""
    with Service(app_settings) as service:
        yield service


@pytest.fixture
def visit(chromium: Chromium, service: Service, request: pytest.FixtureRequest) -> Iterator[Visit]:
    with Visit(chromium, service, **getattr(request, "param", {})) as visit:
        yield visit


@pytest.fixture
def own_visit(chromium: Chromium, own_service: Service) -> Iterator[Visit]:
    """At the test's own service."""
    with Visit(chromium, own_service) as visit:
        yield visit
