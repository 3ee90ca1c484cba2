"""Many sessions at once: what holds for one caller holds for a crowd."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from db import leases, proposers, steering, studies, trials, turns
from db.clock import after
from db.errors import LeaseLost, StudyExists, WrongState
from db.measurements import Reading
from db.models import Attempt, Event, Study, Trial
from db.sessions import Database
from db.trials import NewTrial
from tests.integration.db.test_leases import spec
from tests.support.postgres import Server, programs

pytestmark = pytest.mark.backends("sqlite", "postgresql")

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
CROWD = 8


def all_at_once(n, act):
    """Calls `act(0..n-1)` in threads and returns what they returned."""
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(act, range(n)))


def queue(database, n, **changes):
    with database.write() as session:
        study, _ = studies.create(session, spec(**changes), "user")
        return [
            trials.add(session, study, NewTrial({"a": 1.0}, "queued"), "user")[0].id
            for _ in range(n)
        ]


def test_no_trial_is_claimed_twice_and_none_is_left(database):
    ids = queue(database, 40)

    def claim_all(number):
        taken = []
        while True:
            with database.write() as session:
                attempt = leases.claim(session, f"w{number}", None, f"token-{number}-{len(taken)}")
                if attempt is None:
                    return taken
                taken.append(attempt.trial_id)

    taken = [trial for part in all_at_once(CROWD, claim_all) for trial in part]
    assert sorted(taken) == ids


@pytest.mark.parametrize("is_known", [False, True], ids=["a new worker", "a known worker"])
def test_a_worker_that_asks_again_while_its_call_is_under_way_gets_one_trial(database, is_known):
    queue(database, CROWD)
    if is_known:
        with database.write() as session:
            leases.seen(session, "w1", {})

    def ask(number):
        token = f"token-{number}"
        with database.write() as session:
            leases.seen(session, "w1", {})
            attempt = leases.resume(session, "w1", None, token)
            attempt = attempt or leases.claim(session, "w1", None, token)
            return attempt.trial_id

    assert len(set(all_at_once(CROWD, ask))) == 1


def test_the_same_study_from_many_sides_is_created_once(database):
    def create(_):
        from sqlalchemy.exc import IntegrityError

        while True:
            try:
                with database.write() as session:
                    return studies.create(session, spec(), "user")[1]
            except IntegrityError:  # the service answers 503 and the client tries again
                continue

    assert Counter(all_at_once(CROWD, create)) == {True: 1, False: CROWD - 1}
    with pytest.raises(StudyExists), database.write() as session:
        studies.create(session, spec(budget=3), "user")


def test_numbers_and_revisions_have_no_gaps_and_come_once(database):
    queue(database, 0, budget=1000)

    def add(number):
        for _ in range(10):
            with database.write() as session:
                study = studies.get(session, "vlm")
                trials.add(session, study, NewTrial({"a": 1.0}, "queued"), f"user {number}")

    all_at_once(CROWD, add)
    with database.read() as session:
        numbers = sorted(session.scalars(select(Trial.number)))
        revisions = sorted(session.scalars(select(Trial.revision)))
    assert numbers == list(range(1, 10 * CROWD + 1))
    assert len(set(revisions)) == 10 * CROWD


def test_one_replica_at_a_time_proposes(database):
    queue(database, 0)
    with database.read() as session:
        study = studies.get(session, "vlm").id

    def take(number):
        with database.write() as session:
            return proposers.take(session, study, f"replica-{number}", 60.0)

    assert sum(all_at_once(CROWD, take)) == 1


def test_a_result_sent_by_many_at_once_is_stored_once(database):
    (trial,) = queue(database, 1)
    with database.write() as session:
        leases.claim(session, "w1", None, "token-1")

    def finish(_):
        with database.write() as session:
            return leases.finish(session, trial, "token-1", [Reading("chart", 0.5, 100)])

    assert all_at_once(CROWD, finish) == [None] * CROWD
    with database.read() as session:
        row = trials.get(session, trial)
        events = session.scalars(select(Event.what).where(Event.trial_id == trial)).all()
    assert (row.state, len(row.measurements)) == ("completed", 1)
    assert events.count("completed") == 1


def test_busy_calls_of_a_crowd_take_each_trial_once_and_number_every_change(database):
    ids = queue(database, 3 * CROWD, budget=1000)

    def work(number):
        worker, taken = f"w{number}", []
        while True:
            token = f"token-{number}-{len(taken)}"
            with database.write() as session:
                leases.seen(session, worker, {})
                given = leases.claim_unheld(session, worker, "vlm", token, 1, can_merge=False)
            if given is None:
                return taken
            taken.append((given.trial.id, token))
            with database.write() as session:
                leases.heartbeat(session, *taken[-1], step=1)
            with database.write() as session:
                assert leases.finish(session, *taken[-1], [Reading("chart", 0.5, 100)]) is None

    taken = [trial for part in all_at_once(CROWD, work) for trial, _ in part]
    with database.read() as session:
        study = studies.get(session, "vlm")
        counts = Counter(session.scalars(select(Event.what)))
        revisions = set(session.scalars(select(Trial.revision)))
    assert sorted(taken) == ids
    assert (study.results, counts["claimed"], counts["completed"]) == (len(ids),) * 3
    assert len(revisions) == len(ids)


def test_heartbeats_beside_a_cancel_are_taken_before_it_or_told_of_it(database):
    queue(database, 5)
    for turn in range(5):
        with database.write() as session:
            leases.seen(session, "w1", {})
            given = leases.claim_unheld(session, "w1", "vlm", f"token-{turn}", 1, can_merge=False)
        trial, token = given.trial.id, f"token-{turn}"

        def act(number, trial=trial, token=token):
            with database.write() as session:
                if number == CROWD // 2:
                    steering.cancel(session, trial, "user")
                    return None
                return leases.heartbeat(session, trial, token, step=number).is_cancelled

        all_at_once(CROWD, act)
        assert act(0) is True
        with database.read() as session:
            row = trials.get(session, trial)
        assert (row.state, row.attempt.state) == ("cancelled", "cancelled")


def test_everything_at_once_neither_locks_up_nor_breaks_a_promise(database):
    """Claims, heartbeats, results, failures, releases, expiry, cancelling and retrying."""
    queue(database, 30, max_attempts=50)

    def worker(number):
        chance = random.Random(number)
        for turn in range(25):
            name, token = f"w{number}", f"token-{number}-{turn}"
            with database.write() as session:
                leases.reap(session, LONG_AGO)
            with database.write() as session:
                leases.seen(session, name, {})
                attempt = leases.resume(session, name, None, token)
                attempt = attempt or leases.claim(session, name, None, token)
            if attempt is None:
                continue
            trial = attempt.trial_id
            try:
                act(chance, trial, token)
            except (LeaseLost, WrongState):
                continue

    def act(chance, trial, token):
        what = chance.choice(["finish", "fail", "release", "expire", "cancel", "die"])
        with database.write() as session:
            leases.heartbeat(session, trial, token, step=1)
        with database.write() as session:
            if what == "finish":
                leases.finish(session, trial, token, [Reading("chart", 0.5, 100)])
            elif what == "fail":
                leases.fail(session, trial, token, "broke", is_retryable=True)
            elif what == "release":
                leases.release(session, trial, token)
            elif what == "expire":
                session.execute(
                    update(Attempt).where(Attempt.trial_id == trial).values(until=after(-1.0))
                )
            elif what == "cancel":
                steering.cancel(session, trial, "user")
        if what == "cancel":
            with database.write() as session:
                steering.retry(session, trial, "user")

    all_at_once(CROWD, worker)
    with database.read() as session:
        live = session.execute(
            select(Attempt.trial_id, func.count())
            .where(Attempt.state == "live")
            .group_by(Attempt.trial_id)
        ).all()
        running = set(session.scalars(select(Trial.id).where(Trial.state == "running")))
        completed = session.execute(
            select(func.count()).select_from(Trial).where(Trial.state == "completed")
        ).scalar_one()
        results = session.execute(select(Study.results)).scalar_one()
        finished = session.execute(
            select(func.count()).select_from(Event).where(Event.what == "completed")
        ).scalar_one()
    assert {trial for trial, _ in live} == running
    assert all(count == 1 for _, count in live)
    assert completed == results == finished > 0


def test_a_reader_sees_one_state_while_others_write(database):
    queue(database, 3)
    with database.read() as session:
        before = len(session.scalars(select(Trial.id)).all())
        with database.write() as other:
            study = studies.get(other, "vlm")
            trials.add(other, study, NewTrial({"a": 1.0}, "queued"), "user")
        study = studies.get(session, "vlm")
        assert (study.last_number, len(session.scalars(select(Trial.id)).all())) == (3, before)


def test_what_a_reading_session_changes_is_not_kept(database):
    from sqlalchemy.exc import DBAPIError

    queue(database, 1)
    try:
        with database.read() as session:
            session.execute(update(Study).values(note="changed"))
    except DBAPIError:
        pass  # PostgreSQL says so, SQLite forgets
    with database.read() as session:
        assert studies.get(session, "vlm").note == ""


@pytest.mark.skipif(programs() is None, reason="NOT RUN: there are no programs of PostgreSQL")
def test_connections_that_a_server_ended_while_idle_are_replaced_unnoticed():
    with Server() as server:
        database = Database(server.create())
        try:
            with ThreadPoolExecutor(4) as crowd:
                list(crowd.map(lambda _: database.time(), range(20)))
            server.kill()
            server.start()
            assert [database.time() for _ in range(5)]
        finally:
            database.close()


def test_who_gets_no_turn_to_write_is_refused_and_the_next_one_writes():
    turn = turns.WriteTurns(2, timeout_s=0.01)
    with ExitStack() as writers:
        for _ in range(2):
            writers.enter_context(turn())
        with pytest.raises(PoolTimeout), turn():
            pass
    with turn():
        pass


@pytest.mark.skipif(programs() is None, reason="NOT RUN: there are no programs of PostgreSQL")
def test_options_in_a_databases_address_come_to_our_own_and_count_more():
    with Server() as server:
        url = f"{server.create()}?options=-c%20statement_timeout%3D7s%20-c%20lock_timeout%3D3s"
        database = Database(url)
        try:
            with database.read() as session:
                shown = {
                    name: session.scalar(text(f"SHOW {name}"))
                    for name in (
                        "statement_timeout",
                        "lock_timeout",
                        "idle_in_transaction_session_timeout",
                    )
                }
        finally:
            database.close()
    assert shown == {
        "statement_timeout": "7s",
        "lock_timeout": "3s",
        "idle_in_transaction_session_timeout": "1min",
    }


def test_an_error_of_the_database_does_not_tell_what_was_sent_to_it(database):
    with pytest.raises(DBAPIError) as caught, database.read() as session:
        session.execute(text("SELECT nothing FROM nowhere WHERE :word = 1"), {"word": "secret"})
    assert "secret" not in str(caught.value)


@pytest.mark.backends("sqlite")
def test_what_sqlite_has_committed_survives_a_power_cut_and_readers_do_not_wait(database):
    with database.read() as session:
        found = {
            name: session.scalar(text(f"PRAGMA {name}"))
            for name in ("synchronous", "journal_mode", "foreign_keys")
        }
    assert found == {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1}
