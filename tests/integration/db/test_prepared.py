"""Prepared statements say and take what SQLAlchemy's own execution does."""

from __future__ import annotations

import pytest
from sqlalchemy import bindparam, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from db import leases
from db.clock import now
from db.models import Base, Worker
from db.prepared import Prepared
from db.sessions import Failed

pytestmark = pytest.mark.backends("sqlite", "postgresql")

WORKERS = Base.metadata.tables["workers"]
COLUMNS = ("name", "capabilities", "first_seen_at", "last_seen_at")
ADD = Prepared(insert(WORKERS), COLUMNS)
ALL = select(*WORKERS.c, now().label("at"), WORKERS.c.capabilities["gpus"])
OF_NAME = ALL.where(WORKERS.c.name == bindparam("named"), WORKERS.c.name != "nobody")
FIND = Prepared(OF_NAME)


def row(session, name):
    at = session.execute(select(now())).scalar_one()
    return dict(zip(COLUMNS, (name, {"gpus": 2, "é": None}, at, at), strict=True))


def names(database):
    with database.read() as session:
        return list(session.scalars(select(Worker.name).order_by(Worker.name)))


def test_rows_are_what_sqlalchemy_makes_of_them(database):
    with database.write() as session:
        ADD.run(session, row(session, "a"))
        ADD.run_each(session, [row(session, "b"), row(session, "c")])
        found = FIND.one(session, {"named": "a"})
        alike = session.execute(OF_NAME, {"named": "a"}).one()
        assert (found.name, found.capabilities) == ("a", {"gpus": 2, "é": None})
        assert found[:-2] == tuple(alike)[:-2]
        assert found[-1] == alike[-1] == 2
        assert found.at.tzinfo is not None
        assert FIND.one_or_none(session, {"named": "z"}) is None
        with pytest.raises(RuntimeError, match="no row"):
            FIND.one(session, {"named": "z"})
        with pytest.raises(RuntimeError, match="3 rows"):
            Prepared(ALL).one_or_none(session, {})


def test_an_error_of_the_driver_is_raised_as_sqlalchemys_and_undone_alone(database):
    def twice(session):
        ADD.run(session, row(session, "a"))
        ADD.run(session, row(session, "a"))

    outcomes = database.write_each(
        [lambda s: ADD.run(s, row(s, "b")), twice, lambda s: ADD.run(s, row(s, "c"))]
    )
    assert isinstance(outcomes[1], Failed)
    assert isinstance(outcomes[1].error, IntegrityError)
    assert names(database) == ["b", "c"]


def test_what_objects_and_statements_change_is_committed_and_undone_together(database):
    def both(session):
        session.add(Worker(name="by an object"))
        session.flush()
        ADD.run(session, row(session, "by a statement"))

    def breaks(session):
        both(session)
        raise ValueError("broken")

    assert isinstance(database.write_each([breaks])[0], Failed)
    assert names(database) == []
    database.write_each([both])
    assert names(database) == ["by a statement", "by an object"]


def test_a_statement_that_needs_more_than_the_database_is_refused(database):
    with database.read() as session, pytest.raises(ValueError, match="more than the database"):
        Prepared(insert(WORKERS), ("name",)).run(session, {"name": "a"})


@pytest.mark.backends("postgresql")
def test_a_statement_that_is_all_of_a_work_needs_no_transaction_around_it(database):
    kept = Prepared(insert(WORKERS).returning(WORKERS.c.name), COLUMNS)

    def whole(session):
        given = row_of_now(session)
        kept.whole(session, given | {"name": "whole"})
        raise ValueError("too late")

    def in_parts(session):
        ADD.run(session, row(session, "part"))
        kept.whole(session, row(session, "rest"))
        raise ValueError("in time")

    at = database.time()

    def row_of_now(_):
        return dict(zip(COLUMNS, ("", {}, at, at), strict=True))

    database.write_each([whole, in_parts])
    assert names(database) == ["whole"]


@pytest.mark.backends("postgresql")
def test_after_a_connection_is_lost_the_rest_goes_on_with_another(database):
    def loses(session):
        session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    def notes(session):
        leases.seen(session, "w1", {})

    outcomes = database.write_each([loses, notes])
    assert isinstance(outcomes[0].error, OperationalError)
    assert outcomes[1] is None
    assert names(database) == ["w1"]
