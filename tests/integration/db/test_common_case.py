"""The common case of the busy calls is a short cut: it leads where the general way does."""

from __future__ import annotations

import itertools
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db import leases, steering, studies, trials
from db.clock import Moment, after
from db.curves import Point
from db.errors import StorageError
from db.leases import common
from db.measurements import Reading
from db.models import Attempt, Base
from db.trials import NewTrial
from service.routes import leases as routes
from service.schemas import Measurement, NextRequest, Result, StudySpec
from tests.support.bodies import scores, study_body

pytestmark = pytest.mark.backends("sqlite", "postgresql")

OWN = ("attempts", "measurements", "curve_points", "events")
"""Tables whose rows are numbered by the database, which never gives a number twice."""

WORKERS = st.sampled_from(["w1", "w2"])
LEASES = st.integers(0, 4)
"""Which of the leases that were given so far a call is of; of none where there are fewer."""


def asks(worker, study, can_merge):
    channels = ["full", "merged"] if can_merge else ["full"]
    body = NextRequest(worker=worker, study=study, gpus=2, channels=channels)
    return lambda desk: desk.next(body)


def beats(lease, step, metrics):
    points = [Point(step, metrics)]
    return lambda desk: desk.holding(
        lease, leases.heartbeat, step=step, metrics=metrics, points=points
    )


def results_in(lease, value, benchmarks, step):
    sent = [Measurement(**item, step=step) for item in scores(value)[:benchmarks]]
    return lambda desk: desk.result(lease, sent)


def measures(lease, value):
    readings = [Reading("chart", value, 100, 1)]
    return lambda desk: desk.holding(lease, leases.measure, readings)


def is_asked(lease, action):
    return lambda desk: desk.of_trial(lease, steering.ask, action, "user", "maintenance")


STEPS = st.integers(0, 3)
VALUES = st.sampled_from([0.25, 0.5])
CALLS = st.one_of(
    st.builds(asks, WORKERS, st.sampled_from([None, "vlm", "hours", "merging"]), st.booleans()),
    st.builds(asks, WORKERS, st.just("vlm"), st.just(False)),
    st.builds(beats, LEASES, STEPS, st.dictionaries(st.sampled_from("ab"), VALUES)),
    st.builds(results_in, LEASES, VALUES, st.sampled_from([3, 3, 2]), STEPS),
    st.builds(measures, LEASES, VALUES),
    st.builds(is_asked, LEASES, st.sampled_from(["pause", "stop"])),
    st.builds(lambda n: lambda d: d.holding(n, leases.fail, "broke", is_retryable=True), LEASES),
    st.builds(lambda n: lambda d: d.holding(n, leases.release, "preempted"), LEASES),
    st.builds(lambda n: lambda d: d.holding(n, leases.leave, 1, []), LEASES),
    st.builds(lambda n: lambda d: d.of_trial(n, steering.cancel, "user"), LEASES),
    st.just(lambda desk: desk.time_passes()),
)


class Desk:
    """Calls one after the other, each in its own part of one transaction, and what they answered.

    Attributes:
        given: trial and token of each lease.
    """

    def __init__(self, connection):
        self.connection, self.given, self.answers = connection, [], []

    def call(self, work, *args, **options):
        with (
            Session(self.connection, join_transaction_mode="create_savepoint") as session,
            session.begin(),
        ):
            return work(session, *args, **options)

    def note(self, work, *args, **options):
        try:
            answer = self.call(work, *args, **options)
        except StorageError as error:
            answer = error
        self.answers.append(shown(answer))
        return answer

    def next(self, body):
        answer = self.note(routes.leased, body)
        if getattr(answer, "trial", None) is not None:
            self.given.append((answer.trial.id, answer.lease.token))

    def holding(self, lease, work, *args, **options):
        if lease < len(self.given):
            self.note(work, *self.given[lease], *args, **options)

    def of_trial(self, lease, work, *args):
        if lease < len(self.given):
            self.note(work, self.given[lease][0], *args)

    def result(self, lease, sent):
        if lease < len(self.given):
            trial, token = self.given[lease]
            body = Result(token=token, measurements=sent, artifacts={"steps": 3}, wall_s=2.5)
            self.note(routes.finished, trial, body)

    def time_passes(self):
        self.call(lambda session: session.execute(update(Attempt).values(until=after(-1.0))))
        self.call(lambda session: leases.reap(session, after_long_ago(session)))

    def rows(self):
        """What is stored, but for numbers that the database gives and times, which differ."""
        found = {}
        for table in Base.metadata.sorted_tables:
            kept = [
                column
                for column in table.c
                if not (column.name == "id" and table.name in OWN)
                and column.name not in ("token_hash", "gpu_s")
            ]
            order = table.c.id if "id" in table.c else kept[0]
            found[table.name] = [
                tuple(
                    value is None if isinstance(column.type, Moment) else value
                    for column, value in zip(kept, row, strict=True)
                )
                for row in self.connection.execute(select(*kept).order_by(order))
            ]
        return found


def after_long_ago(session):
    return session.execute(select(after(-1e6))).scalar_one()


def shown(answer):
    """An answer without its times."""
    if hasattr(answer, "model_dump"):
        answer = answer.model_dump()
        for part in (answer, answer.get("trial") or {}, answer.get("lease") or {}):
            for name in ("lease_until", "until", "started_at", "finished_at", "duration_s"):
                if name in part:
                    part[name] = part[name] is None
    elif isinstance(answer, leases.Pulse):
        answer = (answer.duration_s, answer.is_cancelled, answer.action, answer.reason)
    elif isinstance(answer, Exception):
        answer = (type(answer), str(answer))
    return answer


@contextmanager
def without_the_common_case(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(leases, "claim_unheld", lambda *_, **__: None)
        patch.setattr(leases, "held", lambda *_: None)
        patch.setattr(common, "held", lambda *_: None)
        yield


@pytest.fixture
def a_fleet(database):
    """Three studies, one of which counts GPU-hours and one merges models."""
    bodies = [
        study_body("vlm", max_attempts=2),
        study_body("hours", gpu_hours=9.0),
        study_body("merging", search={"channels": ["full", "merged"]}),
    ]
    with database.write() as session:
        for body in bodies:
            spec = StudySpec.model_validate(body).model_dump(mode="json")
            study, _ = studies.create(session, spec, "user")
            channels = ["merged", *["full"] * 2] if body["name"] == "merging" else ["full"] * 3
            for n, channel in enumerate(channels):
                mixture = {"coco": 1.0 - n / 4, "lisa": n / 4, "sat": 0.0}
                new = NewTrial(mixture, "queued", channel=channel, priority=n % 2)
                trials.add(session, study, new, "user")
    return database


def done(database, calls):
    """What calls answer and leave behind, in a transaction that is then undone."""
    numbers = itertools.count()
    with database.engine.connect() as opened, pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            routes.secrets, "token_urlsafe", lambda _: f"a-token-of-number-{next(numbers)}"
        )
        connection = opened.execution_options(is_writing=True)
        with connection.begin() as transaction:
            desk = Desk(connection)
            for call in calls:
                call(desk)
            found = desk.answers, desk.rows()
            transaction.rollback()
    return found


@pytest.mark.hypothesis
def test_calls_leave_the_same_rows_and_answers_by_the_common_case_and_the_general_way(
    a_fleet, monkeypatch
):
    @settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
    @given(calls=st.lists(CALLS, min_size=4, max_size=16))
    def same(calls):
        quickly = done(a_fleet, calls)
        with without_the_common_case(monkeypatch):
            generally = done(a_fleet, calls)
        assert quickly == generally

    same()


def test_a_run_from_its_first_call_to_its_result_is_the_common_case(a_fleet, monkeypatch):
    calls = [asks("w1", "vlm", True), beats(0, 1, {"a": 0.5}), results_in(0, 0.5, 3, 3)]

    def general(*_, **__):
        raise AssertionError("this is done in the common case")

    for place, name in ((leases, "resume"), (leases, "claim"), (trials, "lock"), (trials, "get")):
        monkeypatch.setattr(place, name, general)
    answers, rows = done(a_fleet, calls)
    assert [answer["state"] for answer in (answers[0]["trial"], answers[2])] == [
        "running",
        "completed",
    ]
    assert len(rows["measurements"]) == 3


def test_a_worker_with_a_store_is_given_a_run_without_a_look_at_merged_models(a_fleet, monkeypatch):
    monkeypatch.setattr(routes.merge_readiness, "ready", lambda *_: pytest.fail("not needed"))
    answers, _ = done(a_fleet, [asks("w1", None, True)])
    assert answers[0]["trial"]["channel"] == "full"
