"""Fixtures shared by all tiers: databases on disk and a service on them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from db import upgrade
from db.sessions import Database


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
