"""Settings of the dashboard's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from modomodo import presets
from service.executor.process import Inline
from service.settings import Settings
from tests.support.dashboard import few_iterations
from tests.support.serving import in_process


@pytest.fixture(autouse=True)
def _quick_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    few_iterations(monkeypatch)


@pytest.fixture(scope="module")
def untouched(
    migrated_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    """A service without studies, for calls that change nothing."""
    file = tmp_path_factory.mktemp("untouched") / "modomodo.db"
    file.write_bytes(migrated_file.read_bytes())
    settings = Settings(database_url=f"sqlite:///{file}", upkeep_every_s=3600.0)
    app = in_process(settings, Inline(), presets.load())
    with TestClient(app, base_url="http://127.0.0.1", follow_redirects=False) as client:
        yield client
