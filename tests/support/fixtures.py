"""Fixtures shared by all tiers: databases on disk and a service on them.

A plugin, which `tests/conftest.py` loads where tests run.
"""

from __future__ import annotations

import io
import itertools
import logging
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from fastapi.testclient import TestClient

from db import postgresql, sqlite, upgrade
from db.sessions import Database
from modomodo import presets
from service.executor.process import Inline
from service.settings import Settings
from tests.support import once, tls
from tests.support.postgres import NoServer, Server
from tests.support.serving import in_process, on_a_socket


@pytest.fixture(scope="session", autouse=True)
def _logs() -> None:
    """Log lines go where pytest shows them only with a failure.

    Its own plugin for that is off: three times a test it would look through all loggers there are.
    """
    logging.getLogger().addHandler(logging.StreamHandler(sys.__stderr__))
    structlog.configure(
        processors=[
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What is logged during a test, from `INFO` on."""
    text, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(text), root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield text
    root.setLevel(level)
    root.removeHandler(handler)


@pytest.fixture(scope="session", autouse=True)
def _made_once() -> None:
    """Making a client of the service, calling a command and opening a database cost next to
    nothing."""
    tls.share()
    once.commands()
    once.statements(sqlite, "sqlite://")


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    """Kind of the test's database: SQLite, unless the test is marked `backends`."""
    return getattr(request, "param", "sqlite")


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file at the newest revision, to copy instead of migrating again."""
    file = tmp_path_factory.mktemp("template") / "modomodo.db"
    _migrate(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server of this process's own."""
    try:
        server = Server()
    except (NoServer, ImportError) as error:
        pytest.skip(f"NOT RUN on PostgreSQL: {error}")
    with server:
        once.statements(postgresql, server.url())
        yield server


@pytest.fixture(scope="session")
def migrated_database(postgres: Server) -> str:
    """Name of a PostgreSQL database at the newest revision, to copy."""
    url = postgres.create()
    _migrate(url)
    return url.rpartition("/")[2]


def _migrate(url: str) -> None:
    database = Database(url)
    upgrade.upgrade(database)
    database.close()


@pytest.fixture(scope="session")
def spare_databases() -> list[str]:
    """Databases of tests that are over, empty again: cheaper than new ones."""
    return []


@pytest.fixture
def new_on_postgresql(
    postgres: Server, migrated_database: str, spare_databases: list[str]
) -> Iterator[Callable[[], str]]:
    """Makes databases on the server, whatever the kind of the test's own."""
    made: list[str] = []

    def new() -> str:
        made.append(
            spare_databases.pop() if spare_databases else postgres.create(migrated_database)
        )
        return made[-1]

    yield new
    for url in made:
        postgres.empty(url)
    spare_databases += made


@pytest.fixture
def new_database(request: pytest.FixtureRequest, backend: str, tmp_path: Path) -> Callable[[], str]:
    """Makes databases of the test's own, migrated and empty; returns the URL of each. Their tables
    stay as they are: another test may have them next."""
    if backend == "postgresql":
        on_server: Callable[[], str] = request.getfixturevalue("new_on_postgresql")
        return on_server
    numbers = itertools.count()

    def on_sqlite() -> str:
        file = tmp_path / f"modomodo{next(numbers) or ''}.db"
        shutil.copy(request.getfixturevalue("migrated_file"), file)
        return f"sqlite:///{file}"

    return on_sqlite


@pytest.fixture
def database_url(new_database: Callable[[], str]) -> str:
    """An empty database of the test's own."""
    return new_database()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def app_settings(database_url: str) -> Settings:
    """A service's settings on the test's database. Its upkeep never comes by unasked."""
    return Settings(database_url=database_url, upkeep_every_s=3600.0)


@pytest.fixture
def api(app_settings: Settings) -> Iterator[TestClient]:
    """The service and its engine in this process; faults reach the test and become no 500."""
    with TestClient(in_process(app_settings, Inline()), base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture(scope="module")
def shared_settings(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Those of a service that tests of a module share, since they change nothing there."""
    file = tmp_path_factory.mktemp("shared") / "modomodo.db"
    shutil.copy(migrated_file, file)
    return Settings(database_url=f"sqlite:///{file}", upkeep_every_s=3600.0)


@pytest.fixture(scope="module")
def untouched(shared_settings: Settings) -> Iterator[TestClient]:
    """A service without studies, for calls that change nothing."""
    app = in_process(shared_settings, Inline(), presets.load())
    with TestClient(app, base_url="http://127.0.0.1", follow_redirects=False) as client:
        yield client


@pytest.fixture
def service_url(app_settings: Settings) -> Iterator[str]:
    """The service on a real socket, in a thread of this process."""
    with on_a_socket(in_process(app_settings, Inline())) as url:
        yield url
