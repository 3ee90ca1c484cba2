"""The schema: migrations and models say the same, and databases get there with all they hold."""

from __future__ import annotations

import warnings

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, MetaData, Table, delete, insert, select, text
from sqlalchemy.exc import DBAPIError

from db import upgrade
from db.errors import BadDatabase
from db.sessions import Database
from tests.support.warm import Command

EVERYWHERE = pytest.mark.backends("sqlite", "postgresql")

REVISIONS = [
    script.revision
    for script in ScriptDirectory.from_config(upgrade.config()).walk_revisions()
    if script.revision != upgrade.head()
]


@pytest.fixture
def empty(request, backend, tmp_path):
    """A database without tables."""
    if backend == "sqlite":
        opened = Database(f"sqlite:///{tmp_path}/empty.db")
        yield opened
        opened.close()
        return
    server = request.getfixturevalue("postgres")
    url = server.create()
    opened = Database(url)
    yield opened
    opened.close()


@EVERYWHERE
def test_models_and_migrations_agree(database):
    assert upgrade.differences(database) == []


@EVERYWHERE
def test_a_column_that_someone_added_by_hand_is_told(empty):
    upgrade.upgrade(empty)
    with empty.write() as session:
        session.execute(text("ALTER TABLE studies ADD COLUMN mine INTEGER"))
    assert "studies.mine" in " ".join(upgrade.differences(empty))


@EVERYWHERE
def test_an_index_that_someone_dropped_is_told(empty):
    upgrade.upgrade(empty)
    with empty.write() as session:
        session.execute(text("DROP INDEX ix_trials_queue"))
    assert "ix_trials_queue" in " ".join(upgrade.differences(empty))


@pytest.mark.backends("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))
@pytest.mark.parametrize(
    "revision",
    [REVISIONS[-1], *(pytest.param(one, marks=pytest.mark.slow) for one in REVISIONS[:-1])],
)
def test_an_upgrade_from_an_earlier_revision_keeps_every_row(empty, revision):
    upgrade.upgrade(empty, revision)
    before = fill(empty)
    upgrade.upgrade(empty)
    assert upgrade.differences(empty) == []
    check_are_kept(empty, before)


@EVERYWHERE
def test_each_migration_keeps_every_row(empty):
    upgrade.upgrade(empty, REVISIONS[-1])
    for following in [*reversed(REVISIONS[:-1]), upgrade.head()]:
        before = fill(empty)
        upgrade.upgrade(empty, following)
        check_are_kept(empty, before)
        clear(empty)
    assert upgrade.differences(empty) == []


def check_are_kept(database: Database, before: dict[str, list[dict[str, object]]]) -> None:
    assert all(before.values()), "every table has rows to lose"
    tables = reflected(database)
    with database.engine.connect() as connection:
        for name, rows in before.items():
            table = tables[name]
            columns = [table.c[key] for key in rows[0]]
            kept = [dict(row._mapping) for row in connection.execute(select(*columns))]
            assert kept == rows, name


def reflected(database: Database) -> dict[str, Table]:
    metadata = MetaData()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*expression-based index")
        metadata.reflect(database.engine)
    return {t.name: t for t in metadata.sorted_tables if t.name != "alembic_version"}


KNOWN = {
    "state": {"studies": "active", "trials": "running", "attempts": "live"},
    "origin": {"trials": "proposed"},
    "channel": {"trials": "full"},
    "scope": {"api_keys": "read"},
}
"""Values that a constraint asks for."""


def fill(database: Database) -> dict[str, list[dict[str, object]]]:
    """A row in every table, with a value in every column; all ids are 1."""
    rows = {}
    with database.engine.begin() as connection:
        for name, table in reflected(database).items():
            row = {c.name: KNOWN.get(c.name, {}).get(name, value(c)) for c in table.columns}
            connection.execute(insert(table).values(row))
            rows[name] = [dict(r._mapping) for r in connection.execute(select(table))]
    return rows


def clear(database: Database) -> None:
    with database.engine.begin() as connection:
        for table in reversed(reflected(database).values()):
            connection.execute(delete(table))


def value(column):
    """Something of the column's type; 1 for whatever points at another table's id."""
    if isinstance(column.type, JSON):
        return {"foo": [1, "ü"]}
    kind = column.type.python_type
    return f"{column.name[:10]} ä" if kind is str else kind(1)


def test_an_embedded_database_makes_its_own_tables_and_folder(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/new/folder/modomodo.db")
    upgrade.prepare(database)
    assert upgrade.current(database) == upgrade.head()
    upgrade.prepare(database)
    database.close()


@EVERYWHERE
def test_many_may_upgrade_an_empty_database_at_once(empty):
    url = empty.url.render_as_string(hide_password=False)
    processes = [Command("db", "upgrade", "--database", url) for _ in range(3)]
    assert [process.wait(50) for process in processes] == [0, 0, 0]
    assert upgrade.current(empty) == upgrade.head()
    assert upgrade.differences(empty) == []


@EVERYWHERE
def test_an_upgrade_is_done_as_a_whole_or_not_at_all(empty):
    upgrade.upgrade(empty, "0004")
    with empty.write() as session:
        session.execute(text("ALTER TABLE trials ADD COLUMN client_hash VARCHAR(64)"))
    with pytest.raises(DBAPIError, match="client_hash"):
        upgrade.upgrade(empty)
    assert upgrade.current(empty) == "0004", "0005 is not left behind, nor seen by others"


@pytest.mark.backends("postgresql")
def test_a_server_database_that_is_behind_is_refused_with_the_command_to_run(empty):
    with pytest.raises(BadDatabase, match=r"empty.*modomodo db upgrade"):
        upgrade.prepare(empty)
    assert upgrade.current(empty) is None, "left alone"
    upgrade.upgrade(empty)
    upgrade.prepare(empty)


@EVERYWHERE
def test_a_database_of_a_newer_version_is_refused_and_left_alone(empty):
    upgrade.upgrade(empty)
    with empty.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'from-the-future'"))
    for call in (upgrade.prepare, upgrade.upgrade):
        with pytest.raises(BadDatabase, match="newer"):
            call(empty)
    assert upgrade.current(empty) == "from-the-future"


@pytest.mark.parametrize(
    "url", ["", "not a url", "://", "mysql://host/name", "postgresql+no://h/n"]
)
def test_what_is_no_database_url_is_refused_with_an_example(url):
    with pytest.raises(BadDatabase, match="postgresql"):
        Database(url)


def test_a_refused_url_does_not_show_its_password():
    with pytest.raises(BadDatabase) as refused:
        Database("mysql://user:hunter2@host/name")
    assert "hunter2" not in str(refused.value)


@EVERYWHERE
def test_time_is_the_databases_and_in_utc(database):
    first, second = database.time(), database.time()
    assert first.utcoffset() is not None
    assert first <= second
