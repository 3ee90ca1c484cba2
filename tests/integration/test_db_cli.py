"""`modomodo db`: from an empty database to one that the service takes, and from a wheel too."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from db import upgrade
from db.sessions import Database
from modomodo.cli import app
from modomodo.errors import CommandFailed


def run(*arguments):
    return CliRunner().invoke(app, ["db", *arguments])


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/modomodo.db"


def test_an_empty_database_is_upgraded_and_then_sound(url, tmp_path):
    (tmp_path / "modomodo.db").touch()
    before = json.loads(run("current", "--database", url, "--json").stdout)
    assert before == {"current": None, "needed": upgrade.head()}
    refused = run("check", "--database", url)
    assert isinstance(refused.exception, CommandFailed)
    assert "modomodo db upgrade" in str(refused.exception)
    assert f"at revision {upgrade.head()}, was empty" in run("upgrade", "--database", url).stdout
    assert run("upgrade", "--database", url).stdout.strip() == f"at revision {upgrade.head()}"
    assert run("check", "--database", url).exit_code == 0


def test_tables_changed_by_hand_fail_the_check(url):
    run("upgrade", "--database", url)
    database = Database(url)
    with database.write() as session:
        session.execute(text("DROP INDEX ix_events_trial_id_id"))
    database.close()
    refused = run("check", "--database", url)
    assert refused.exit_code == 1
    assert "ix_events_trial_id_id" in str(refused.exception)


@pytest.mark.parametrize("uri", ["sqlite:///{}", "sqlite:///file:{}?uri=true"])
@pytest.mark.parametrize(
    "command",
    [
        ("db", "current"),
        ("db", "current", "--json"),
        ("db", "check"),
        ("key", "list"),
        ("key", "revoke", "fleet"),
        ("study", "export", "vlm", "--format", "archive"),
        ("study", "plot", "vlm", "--out", "pictures"),
    ],
)
def test_a_command_that_reads_makes_no_database(command, uri, tmp_path):
    file = tmp_path / "none" / "modomodo.db"
    refused = CliRunner().invoke(app, [*command, "--database", uri.format(file)])
    assert isinstance(refused.exception, CommandFailed)
    assert str(refused.exception) == (
        f"there is no database at {file}; --database or MODOMODO_DATABASE_URL name another"
    )
    assert not list(tmp_path.iterdir())


def test_a_database_that_is_not_there_is_said_to_be(url):
    gone = run("current", "--database", "postgresql://nobody@127.0.0.1:1/none")
    assert isinstance(gone.exception, CommandFailed)
    assert "cannot use the database" in str(gone.exception)


def test_an_installed_wheel_finds_its_migrations(tmp_path):
    """As installed elsewhere: unpacked into a folder, with the checkout out of sight."""
    pytest.importorskip("hatchling")
    checkout = Path(__file__).parents[2]
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=checkout, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    code = "import db, sys; from modomodo.cli import main; print(db.__file__); main()"
    command = [sys.executable, "-c", code, "db", "upgrade", "--database", "sqlite:///new.db"]
    ended = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(installed)}, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert str(installed) in ended.stdout
    assert f"at revision {upgrade.head()}" in ended.stdout
