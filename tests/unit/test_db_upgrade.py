"""The schema: migrations and models say the same, and databases get there by themselves."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from db import upgrade
from db.errors import BadDatabase
from db.models import Base
from db.sessions import Database


def test_models_and_migrations_agree(database):
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_an_embedded_database_makes_its_own_tables_and_folder(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/new/folder/modomodo.db")
    upgrade.prepare(database)
    assert upgrade.current(database) == upgrade.head()
    upgrade.prepare(database)
    database.close()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(database):
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'from-the-future'"))
    with pytest.raises(BadDatabase, match="newer"):
        upgrade.prepare(database)
    assert upgrade.current(database) == "from-the-future"


@pytest.mark.parametrize("url", ["", "not a url", "://"])
def test_what_is_no_database_url_is_refused_with_an_example(url):
    with pytest.raises(BadDatabase, match="sqlite:///"):
        Database(url)


def test_time_is_the_databases_and_in_utc(database):
    first, second = database.time(), database.time()
    assert first.utcoffset() is not None
    assert first <= second
