"""Calls that are written together: each is undone alone, and none is answered before the commit."""

from __future__ import annotations

import asyncio
import threading

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from db import leases
from db.models import Worker
from db.postgresql import FLUSH
from db.sessions import Failed
from db.turns import WriteTurns
from db.writer import Writer

both = pytest.mark.backends("sqlite", "postgresql")


def notes(name):
    """A write that leaves a row."""

    def work(session):
        leases.seen(session, name, {})
        return name

    return work


def breaks(session):
    leases.seen(session, "broken", {})
    raise ValueError("broken")


def stored(database):
    with database.read() as session:
        return list(session.scalars(select(Worker.name).order_by(Worker.name)))


@pytest.fixture
def writer(database):
    opened = Writer(database)
    yield opened
    opened.close()


def all_of(writer, works):
    async def run():
        return await asyncio.gather(*map(writer.run, works), return_exceptions=True)

    return asyncio.run(run())


@both
def test_one_that_fails_is_undone_alone(writer, database):
    found = all_of(writer, [notes("a"), breaks, notes("b")])
    assert (found[0], found[2]) == ("a", "b")
    assert isinstance(found[1], ValueError)
    assert stored(database) == ["a", "b"]


def test_on_sqlite_what_waits_is_committed_at_once(writer, database):
    commits, all_wait = [], threading.Event()
    event.listen(database.engine, "commit", commits.append)

    async def run():
        calls = [asyncio.ensure_future(writer.run(lambda _: all_wait.wait()))]
        calls += [asyncio.ensure_future(writer.run(notes(name))) for name in "abcdefgh"]
        await asyncio.sleep(0)
        all_wait.set()
        await asyncio.gather(*calls)

    asyncio.run(run())
    assert stored(database) == list("abcdefgh")
    assert len(commits) <= 2


@pytest.mark.backends("postgresql")
def test_on_postgresql_no_commit_waits_for_the_disk_and_all_answers_do_once(database):
    said = []
    event.listen(database.engine, "before_cursor_execute", lambda *of: said.append(of[2]))

    def shows(session):
        return session.scalar(text("SHOW synchronous_commit"))

    outcomes = database.write_each([shows, breaks, shows])
    assert (outcomes[0], outcomes[2]) == ("off", "off")
    assert said == [str(FLUSH)]
    assert isinstance(database.write_each([breaks])[0], Failed)
    assert len(said) == 1, "there is nothing to wait for"


@pytest.mark.backends("postgresql")
def test_where_the_disk_cannot_be_waited_for_nobody_is_told_that_it_is_written(database):
    def away(*_):
        raise OperationalError("SELECT", {}, Exception("the server went away"))

    event.listen(database.engine, "before_cursor_execute", away)
    with pytest.raises(OperationalError):
        database.write_each([notes("a"), notes("b")])


def test_a_commit_that_fails_is_told_to_all_and_leaves_nothing(database):
    def full(connection):
        raise OperationalError("COMMIT", {}, Exception("database or disk is full"))

    event.listen(database.engine, "commit", full)
    with pytest.raises(OperationalError):
        database.write_each([notes("a"), notes("b")])
    event.remove(database.engine, "commit", full)
    assert stored(database) == []


def test_where_sqlite_undoes_all_by_itself_nothing_goes_on_beyond_it(database):
    def loses_all(session):
        session.connection().exec_driver_sql("ROLLBACK")
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    with pytest.raises(OperationalError):
        database.write_each([notes("a"), loses_all, notes("b")])
    assert stored(database) == []


def test_where_a_part_cannot_be_ended_nothing_is_committed_and_the_error_is_sqlalchemys(database):
    def ends_its_part(session):
        leases.seen(session, "a", {})
        session.driver.execute("RELEASE work")

    with pytest.raises(OperationalError, match="no such savepoint"):
        database.write_each([notes("b"), ends_its_part])
    assert stored(database) == []


def test_what_was_written_before_a_failure_is_seen_by_the_next(database):
    def counts(session):
        return session.scalar(select(func.count()).select_from(Worker))

    outcomes = database.write_each([notes("a"), breaks, counts])
    assert (outcomes[0], outcomes[2]) == ("a", 1)
    assert isinstance(outcomes[1], Failed)


def test_a_call_whose_turn_does_not_come_in_time_is_given_up_and_never_done(database):
    impatient = Writer(database, timeout_s=-1.0)
    found = all_of(impatient, [notes("a")])
    impatient.close()
    assert isinstance(found[0], PoolTimeout)
    assert stored(database) == []


def test_what_came_before_the_end_is_done(database):
    writer = Writer(database)

    async def run():
        calls = [asyncio.ensure_future(writer.run(notes(name))) for name in "abc"]
        await asyncio.sleep(0)
        writer.close()
        return await asyncio.gather(*calls)

    assert asyncio.run(run()) == list("abc")


def test_turns_to_write_come_in_the_order_in_which_they_were_asked_for():
    turns, came = WriteTurns(1), []

    def write(number):
        with turns():
            came.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(5)]
    with turns():
        for number, thread in enumerate(threads):
            thread.start()
            while len(turns._waiting) <= number:
                pass
    for thread in threads:
        thread.join()
    assert came == list(range(5))


def test_who_did_not_get_a_turn_in_time_holds_none():
    turns = WriteTurns(1, timeout_s=0.01)
    with turns(), pytest.raises(PoolTimeout), turns():
        pass
    with turns():
        pass
