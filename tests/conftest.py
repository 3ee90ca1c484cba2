"""Fixtures shared by all tiers: databases on disk and a service on them."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import uvicorn
from fastapi.testclient import TestClient

from db import upgrade
from db.sessions import Database
from service.app import create_app
from service.settings import Settings


@pytest.fixture(scope="session", autouse=True)
def _logs() -> None:
    """Log lines go where pytest shows them only with a failure."""
    structlog.configure(
        processors=[
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file at the newest revision, to copy instead of migrating again."""
    file = tmp_path_factory.mktemp("template") / "modomodo.db"
    database = Database(f"sqlite:///{file}")
    upgrade.prepare(database)
    database.close()
    return file


@pytest.fixture
def database_file(migrated_file: Path, tmp_path: Path) -> Path:
    """An empty database of the test's own."""
    return Path(shutil.copy(migrated_file, tmp_path / "modomodo.db"))


@pytest.fixture
def database(database_file: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{database_file}")
    yield opened
    opened.close()


@pytest.fixture
def app_settings(database_file: Path) -> Settings:
    """A service's settings on the test's database. Its upkeep never comes by unasked."""
    return Settings(database_url=f"sqlite:///{database_file}", upkeep_every_s=3600.0)


@pytest.fixture
def api(app_settings: Settings) -> Iterator[TestClient]:
    """The service in this process; faults reach the test instead of becoming a 500."""
    with TestClient(create_app(app_settings), base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture
def service_url(app_settings: Settings) -> Iterator[str]:
    """The service on a real socket, in a thread of this process."""
    config = uvicorn.Config(create_app(app_settings), port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive(), "the service stopped"
        assert time.monotonic() < deadline, "the service did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)
