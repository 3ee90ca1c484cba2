"""The lease protocol under any order of calls by several workers, with lost and repeated answers.

A model beside the database remembers who may hold what; after every step both must agree, and what
is finished must be as it was.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select, update

from db import leases, queue, states, steering, studies, trials
from db.clock import after
from db.errors import LeaseLost, WrongState
from db.measurements import Reading
from db.models import Attempt, Event, Measurement, Trial
from db.sessions import Database
from db.trials import NewTrial

WORKERS = st.sampled_from(["w1", "w2", "w3"])
N_QUEUED, N_TRIALS = 3, 5
"""Trials that a person queued, and all: the others were proposed, so they may be withdrawn."""

MAX_ATTEMPTS = 2


def pause(session, trial, actor):
    steering.ask(session, trial, "pause", actor, "maintenance")


def stop(session, trial, actor):
    steering.ask(session, trial, "stop", actor, "not worth more")


REFUSED = {
    steering.cancel: {"completed", "failed", "early_stopped"},
    steering.retry: {"completed", "early_stopped", "paused"},
    steering.stop_early: {"queued", "completed", "failed", "cancelled", "paused"},
    pause: {"queued", "completed", "failed", "cancelled", "early_stopped"},
    stop: {"queued", "completed", "failed", "cancelled"},
    steering.go_on: {"completed", "failed", "cancelled", "early_stopped"},
}
"""States in which a call is refused and changes nothing."""


class LeaseProtocol(RuleBasedStateMachine):
    """Several workers, each with the tokens it has ever been given."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.database = Database(url)
        self.n_tokens = 0
        self.given: list[tuple[int, str]] = []
        """All (trial, token) ever answered, lost or not."""
        self.finished: dict[int, tuple[object, ...]] = {}
        self.posted: set[tuple[int, float]] = set()
        self.is_paused = False
        self.budget = N_TRIALS

    def teardown(self) -> None:
        self.database.close()

    @initialize()
    def a_study_with_trials(self) -> None:
        spec = {
            "name": "vlm",
            "budget": N_TRIALS,
            "note": "",
            "lease_s": 60.0,
            "max_attempts": MAX_ATTEMPTS,
            "seed": 0,
        }
        with self.database.write() as session:
            study, _ = studies.create(session, spec, "user")
            for number in range(N_TRIALS):
                origin = "queued" if number < N_QUEUED else "proposed"
                trials.add(session, study, NewTrial({"a": 1.0}, origin), "user")

    # --- what workers do ---

    @rule(worker=WORKERS)
    def asks_for_work(self, worker: str) -> None:
        self.n_tokens += 1
        token = f"token-{self.n_tokens}"
        with self.database.write() as session:
            leases.seen(session, worker, {})
            attempt = leases.resume(session, worker, None, token)
            if attempt is None:
                attempt = leases.claim(session, worker, None, token)
                assert attempt is None or not self.is_paused, "a paused study starts nothing"
                if attempt is None and not self.is_paused:
                    waits = queue.due_in_s(session, 1, worker)
                    assert waits != 0, "an active study gives what does not rest"
            if attempt is not None:
                self.given.append((attempt.trial_id, token))

    @rule(worker=WORKERS)
    def asks_twice_since_the_answer_was_lost(self, worker: str) -> None:
        before = len(self.given)
        self.asks_for_work(worker)
        first = self.given[before:]
        self.asks_for_work(worker)
        second = self.given[before + len(first) :]
        assert [trial for trial, _ in first] == [trial for trial, _ in second]

    @precondition(lambda self: self.given)
    @rule(data=st.data(), times=st.integers(1, 2))
    def heartbeat(self, data: st.DataObject, times: int) -> None:
        trial, token = data.draw(st.sampled_from(self.given))
        self._twice(times, lambda s: leases.heartbeat(s, trial, token, step=1).is_cancelled)

    @precondition(lambda self: self.given)
    @rule(data=st.data(), times=st.integers(1, 2), score=st.sampled_from([0.3, 0.4]))
    def result_in_part(self, data: st.DataObject, times: int, score: float) -> None:
        trial, token = data.draw(st.sampled_from(self.given))
        readings = [Reading("info", score, 100)]
        self._twice(times, lambda s: leases.finish_in_part(s, trial, token, readings))
        assert score in self._scores(trial), "what came of a result is kept, whoever sent it"

    @precondition(lambda self: self.given)
    @rule(data=st.data(), times=st.integers(1, 2), score=st.sampled_from([0.1, 0.2]))
    def result(self, data: st.DataObject, times: int, score: float) -> None:
        trial, token = data.draw(st.sampled_from(self.given))
        readings = [Reading("chart", score, 100)]
        self._twice(times, lambda s: leases.finish(s, trial, token, readings))
        self.posted.add((trial, score))

    @precondition(lambda self: self.given)
    @rule(data=st.data(), times=st.integers(1, 2), step=st.integers(1, 3))
    def scores_on_the_way(self, data: st.DataObject, times: int, step: int) -> None:
        trial, token = data.draw(st.sampled_from(self.given))
        score = 0.5 + step / 100
        reading = Reading("chart", score, 100, step)
        answer = self._twice(times, lambda s: leases.measure(s, trial, token, [reading]))
        if answer is not LeaseLost:
            self.posted.add((trial, score))
        elif (trial, score) not in self.posted:
            assert score not in self._scores(trial), "who holds no lease writes nothing"

    @precondition(lambda self: self.given)
    @rule(data=st.data(), times=st.integers(1, 2), is_retryable=st.booleans())
    def failure(self, data: st.DataObject, times: int, is_retryable: bool) -> None:
        trial, token = data.draw(st.sampled_from(self.given))
        self._twice(
            times, lambda s: leases.fail(s, trial, token, "broke", is_retryable=is_retryable)
        )

    @precondition(lambda self: self.given)
    @rule(data=st.data(), times=st.integers(1, 2), is_unfit=st.booleans())
    def release(self, data: st.DataObject, times: int, is_unfit: bool) -> None:
        trial, token = data.draw(st.sampled_from(self.given))
        failures = self._row(trial).failures
        self._twice(times, lambda s: leases.release(s, trial, token, is_unfit=is_unfit))
        assert self._row(trial).failures <= failures, "a release never counts"

    @precondition(lambda self: self.given)
    @rule(data=st.data(), times=st.integers(1, 2), step=st.integers(1, 3))
    def comes_to_its_step(self, data: st.DataObject, times: int, step: int) -> None:
        trial, token = data.draw(st.sampled_from(self.given))
        before = self._row(trial)
        score = 0.6 + step / 100
        reading = Reading("chart", score, 100, step)
        answer = self._twice(times, lambda s: leases.leave(s, trial, token, step, [reading]))
        after = self._row(trial)
        assert after.failures <= before.failures, "a pause never counts"
        if answer is not LeaseLost and before.state == "running":
            assert after.state == ("early_stopped" if before.asked == "stop" else "paused")
            self.posted.add((trial, score))

    def _twice(self, times: int, call) -> object:
        """The answer of one call, or of the same one twice, which must answer the same."""
        answers = []
        for _ in range(times):
            try:
                with self.database.write() as session:
                    answers.append(call(session))
            except LeaseLost as lost:
                answers.append(type(lost))
        assert all(answer == answers[0] for answer in answers)
        return answers[0]

    # --- what happens to them ---

    @rule()
    def time_passes_and_leases_end(self) -> None:
        with self.database.write() as session:
            session.execute(update(Attempt).values(until=after(-1.0)))

    @rule(worker=WORKERS, times=st.integers(1, 2))
    def a_machine_is_gone(self, worker: str, times: int) -> None:
        before = {n: self._row(n) for n in range(1, N_TRIALS + 1)}
        freed = []
        for _ in range(times):
            with self.database.write() as session:
                freed += leases.gone(session, worker, "engine")
        assert len(set(freed)) == len(freed)
        for number, was in before.items():
            now = self._row(number)
            wanted = "queued" if number in freed else was.state
            assert (now.state, now.failures) == (wanted, was.failures), "it never counts"

    @rule()
    def trials_have_rested(self) -> None:
        with self.database.write() as session:
            over = {"rests_until": after(-1.0), "kept_from_until": after(-1.0)}
            session.execute(update(Trial).values(over))
            assert all(queue.due_in_s(session, 1, w) in (0, None) for w in ("w1", "w2", "w3"))

    @rule()
    def the_reaper_passes(self) -> None:
        with self.database.write() as session:
            since = session.execute(select(after(-3600.0))).scalar_one()
            due = set(
                session.scalars(
                    select(Attempt.trial_id).where(
                        Attempt.state == "live", Attempt.until < after(0.0)
                    )
                )
            )
            assert set(leases.reap(session, since)) == due

    @rule(
        trial=st.integers(1, N_TRIALS),
        times=st.integers(1, 2),
        call=st.sampled_from(list(REFUSED)),
    )
    def someone_steps_in(self, trial: int, times: int, call) -> None:
        row = self._row(trial)
        before = row.state
        if (call, row.asked) == (pause, "stop"):
            return  # refused while it runs: a test of its own
        if call is steering.go_on and (row.attempt_number == 0 or row.stop_at is not None):
            return  # likewise
        for _ in range(times):
            try:
                with self.database.write() as session:
                    call(session, trial, "user")
            except WrongState:
                assert before in REFUSED[call]
                assert self._row(trial).state == before
            else:
                assert before not in REFUSED[call]

    @rule()
    def someone_pauses_or_resumes_the_study(self) -> None:
        running = self._running()
        self.is_paused = not self.is_paused
        with self.database.write() as session:
            state = "paused" if self.is_paused else "active"
            studies.patch(session, "vlm", "user", state=state)
        assert self._running() == running, "what runs goes on"

    @rule(budget=st.integers(1, N_TRIALS))
    def someone_changes_the_budget(self, budget: int) -> None:
        before = [self._row(trial) for trial in range(1, N_TRIALS + 1)]
        using = [row for row in before if row.state not in ("failed", "cancelled")]
        unstarted = [
            row.id
            for row in reversed(before)
            if (row.state, row.origin, row.attempt_number) == ("queued", "proposed", 0)
        ]
        surplus = max(0, len(using) - budget)
        with self.database.write() as session:
            studies.patch(session, "vlm", "user", budget=budget)
        self.budget = budget
        withdrawn = set(unstarted[:surplus])
        for was in before:
            now = self._row(was.id)
            wanted = ("cancelled", True) if was.id in withdrawn else (was.state, was.is_withdrawn)
            assert (now.state, now.is_withdrawn) == wanted, "the newest that nobody has started"

    def _running(self) -> set[int]:
        with self.database.read() as session:
            return set(session.scalars(select(Trial.id).where(Trial.state == "running")))

    # --- what must hold ---

    @invariant()
    def at_most_one_live_lease_a_trial_and_just_then_it_is_running(self) -> None:
        with self.database.read() as session:
            live = dict(
                session.execute(
                    select(Attempt.trial_id, func.count())
                    .where(Attempt.state == "live")
                    .group_by(Attempt.trial_id)
                ).all()
            )
            running = set(session.scalars(select(Trial.id).where(Trial.state == "running")))
        assert set(live) == running
        assert all(count == 1 for count in live.values())

    @invariant()
    def a_trial_that_has_its_result_never_changes(self) -> None:
        for trial in range(1, N_TRIALS + 1):
            with self.database.read() as session:
                row = session.get(Trial, trial)
                if row is None or row.state not in ("completed", "early_stopped"):
                    assert trial not in self.finished
                    continue
                own = tuple(
                    session.execute(
                        select(Measurement.benchmark, Measurement.score)
                        .where(Measurement.trial_id == trial, Measurement.replicate == "")
                        .order_by(Measurement.id)
                    ).all()
                )
                now = (row.state, row.finished_at, row.failures, row.attempt_number, own)
            assert self.finished.setdefault(trial, now) == now

    @invariant()
    def no_score_that_was_posted_is_lost(self) -> None:
        with self.database.read() as session:
            kept = {
                (trial, score)
                for trial, score in session.execute(
                    select(Measurement.trial_id, Measurement.score)
                ).all()
            }
        assert self.posted <= kept

    @invariant()
    def attempts_stay_within_what_is_allowed(self) -> None:
        for trial in range(1, N_TRIALS + 1):
            with self.database.read() as session:
                row = session.get(Trial, trial)
            if row is not None:
                assert 0 <= row.failures <= MAX_ATTEMPTS
                assert row.failures < MAX_ATTEMPTS or row.state in ("failed", "cancelled")

    @invariant()
    def events_tell_every_change_of_state(self) -> None:
        for trial in range(1, N_TRIALS + 1):
            with self.database.read() as session:
                row = session.get(Trial, trial)
                told = session.scalars(
                    select(Event.detail).where(Event.trial_id == trial).order_by(Event.id)
                ).all()
            state = "queued"
            for detail in told:
                if "state" in detail:
                    assert detail["state"] in states.FOLLOWS[state]
                    state = detail["state"]
            assert row is None or row.state == state

    def _scores(self, trial: int) -> list[float]:
        with self.database.read() as session:
            return list(
                session.scalars(select(Measurement.score).where(Measurement.trial_id == trial))
            )

    def _row(self, trial: int) -> Trial:
        with self.database.read() as session:
            return session.get_one(Trial, trial)


@pytest.fixture
def fresh_database(backend, new_database, request):
    """Gives the URL of an empty database; on a server always the same, emptied."""
    if backend == "sqlite":
        return new_database
    url, server = new_database(), request.getfixturevalue("postgres")

    def emptied() -> str:
        server.empty(url)
        return url

    return emptied


@pytest.mark.hypothesis
@pytest.mark.backends("sqlite", "postgresql")
def test_the_lease_protocol_holds_under_any_order_of_calls(fresh_database, backend):
    # Many calls each: half as many sequences as properties of one call have examples. On a server,
    # where a call takes three times as long and the statements are the same, a quarter.
    share = 2 if backend == "sqlite" else 4
    run_state_machine_as_test(
        lambda: LeaseProtocol(fresh_database()),
        settings=settings(
            max_examples=max(1, settings.default.max_examples // share),
            stateful_step_count=25,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
