"""The lease protocol: what each call does to a trial in each state."""
# ruff: noqa: S106, S107 - the tokens of tests are no secrets

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, insert, select, update

from db import clock, events, leases, measurements, steering, studies, trials
from db.clock import after
from db.errors import KeyReused, LeaseLost, StudyExists, TooManyScores, TrialNotFound, WrongState
from db.measurements import Reading
from db.models import Attempt, Trial
from db.trials import NewTrial

pytestmark = pytest.mark.backends("sqlite", "postgresql")

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
SCORES = [Reading("chart", 0.5, 100)]
OTHER = [Reading("chart", 0.7, 100)]


def spec(name="vlm", **changes):
    return {
        "name": name,
        "budget": 10,
        "note": "",
        "lease_s": 60.0,
        "max_attempts": 2,
        "seed": 0,
    } | changes


class Desk:
    """A study's database with one transaction a call, as the service makes them."""

    def __init__(self, database):
        self.database = database
        with database.write() as session:
            self.study, _ = studies.create(session, spec(), "user")

    def queue(self, n=1, **changes):
        new = NewTrial({"a": 1.0}, **({"origin": "queued"} | changes))
        with self.database.write() as session:
            return [trials.add(session, self.study, new, "user")[0].id for _ in range(n)]

    def call(self, function, *arguments, **named):
        with self.database.write() as session:
            return function(session, *arguments, **named)

    def claim(self, worker="w1", token="token-1", study=None):
        attempt = self.call(leases.claim, worker, study, token)
        return attempt and attempt.trial_id

    def resume(self, worker="w1", token="token-2", study=None):
        attempt = self.call(leases.resume, worker, study, token)
        return attempt and attempt.trial_id

    def trial(self, trial_id):
        with self.database.read() as session:
            return trials.get(session, trial_id)

    def run_out(self):
        """Lets every lease end."""
        with self.database.write() as session:
            session.execute(update(Attempt).values(until=after(-1.0)))

    def reap(self, since=LONG_AGO):
        return self.call(leases.reap, since)

    def state(self, trial_id):
        row = self.trial(trial_id)
        return row.state, row.failures

    def history(self, trial_id):
        with self.database.read() as session:
            return [event.what for event in events.of_trial(session, trial_id)]


@pytest.fixture
def desk(database):
    return Desk(database)


def test_trials_are_claimed_in_order_of_priority_and_age(desk):
    first, second = desk.queue(2, origin="proposed")
    (urgent,) = desk.queue(priority=trials.BY_HAND)
    claimed = [desk.claim(f"w{i}", f"token-{i}") for i in range(4)]
    assert claimed == [urgent, first, second, None]


def test_a_claim_may_ask_for_one_study(desk):
    desk.queue()
    with desk.database.write() as session:
        other, _ = studies.create(session, spec("other"), "user")
        wanted, _ = trials.add(session, other, NewTrial({"a": 1.0}, "queued"), "user")
    assert desk.claim(study="other") == wanted.id
    assert desk.claim(study="other") is None


@pytest.mark.parametrize("state", ["paused", "finished"])
def test_a_study_that_is_not_active_gives_out_nothing_but_its_running_trials_go_on(desk, state):
    (trial, _) = desk.queue(2)
    desk.claim()
    desk.call(studies.patch, "vlm", "user", state=state)
    assert desk.claim("w2", "token-2") is None
    desk.call(leases.heartbeat, trial, "token-1", step=3)
    assert desk.call(leases.finish, trial, "token-1", SCORES) is None
    assert desk.state(trial) == ("completed", 0)


def test_a_heartbeat_extends_the_lease_and_keeps_progress(desk):
    (trial,) = desk.queue()
    desk.claim()
    before = desk.trial(trial)
    pulse = desk.call(
        leases.heartbeat, trial, "token-1", step=5, total_steps=9, metrics={"loss": 1.0}
    )
    desk.call(leases.heartbeat, trial, "token-1", metrics={"reward": 2.0})
    row = desk.trial(trial)
    assert pulse.until > before.attempt.until
    assert not pulse.is_cancelled
    assert (row.attempt.step, row.attempt.total_steps) == (5, 9)
    assert row.attempt.metrics == {"loss": 1.0, "reward": 2.0}
    assert row.revision > before.revision


def test_the_same_result_again_changes_nothing(desk):
    (trial,) = desk.queue()
    desk.claim()
    assert desk.call(leases.finish, trial, "token-1", SCORES, wall_s=3.0) is None
    revision = desk.trial(trial).revision
    assert desk.call(leases.finish, trial, "token-1", SCORES, wall_s=3.0) is None
    row = desk.trial(trial)
    assert (row.revision, len(row.measurements)) == (revision, 1)


def test_another_result_is_refused_and_kept_once_as_a_replicate(desk):
    (trial,) = desk.queue()
    desk.claim()
    desk.call(leases.finish, trial, "token-1", SCORES)
    for _ in range(2):
        refusal = desk.call(leases.finish, trial, "token-1", OTHER)
        assert refusal.code == "result-conflict"
    row = desk.trial(trial)
    assert [m.score for m in row.measurements if not m.replicate] == [0.5]
    assert [m.score for m in row.measurements if m.replicate] == [0.7]


def test_a_result_under_a_strangers_token_is_kept_as_a_replicate(desk):
    (trial,) = desk.queue()
    desk.claim()
    refusal = desk.call(leases.finish, trial, "not-the-token", OTHER)
    assert refusal.code == "lease-lost"
    row = desk.trial(trial)
    assert row.state == "running"
    assert [bool(m.replicate) for m in row.measurements] == [True]


@pytest.mark.parametrize(
    ("call", "arguments", "named"),
    [
        (leases.heartbeat, (), {}),
        (leases.measure, (SCORES,), {}),
        (leases.fail, ("broke",), {"is_retryable": True}),
        (leases.release, (), {}),
    ],
)
def test_a_strangers_token_changes_nothing(desk, call, arguments, named):
    (trial,) = desk.queue()
    desk.claim()
    before = desk.trial(trial)
    with pytest.raises(LeaseLost, match="stop the run"):
        desk.call(call, trial, "not-the-token", *arguments, **named)
    assert desk.trial(trial).revision == before.revision


def test_a_retryable_failure_is_tried_again_until_attempts_are_used_up(desk):
    (trial,) = desk.queue()
    for number, expected in ((1, "queued"), (2, "failed")):
        assert desk.claim(token=f"token-{number}") == trial
        desk.call(leases.fail, trial, f"token-{number}", "out of memory", is_retryable=True)
        assert desk.state(trial) == (expected, number)
    assert desk.trial(trial).error == "out of memory"
    assert desk.claim() is None


def test_a_failure_that_is_not_retryable_is_final(desk):
    (trial,) = desk.queue()
    desk.claim()
    for _ in range(2):
        desk.call(leases.fail, trial, "token-1", "no such model", is_retryable=False)
    assert desk.state(trial) == ("failed", 1)


def test_a_released_trial_waits_again_with_nothing_counted(desk):
    (trial,) = desk.queue()
    for number in range(5):
        desk.claim(token=f"token-{number}")
        for _ in range(2):
            desk.call(leases.release, trial, f"token-{number}", "preempted")
    assert desk.state(trial) == ("queued", 0)


def test_a_lease_that_ran_out_counts_and_the_trial_is_given_to_another(desk):
    (trial,) = desk.queue()
    desk.claim("w1", "token-1")
    desk.run_out()
    assert desk.reap() == [trial]
    assert desk.state(trial) == ("queued", 1)
    assert desk.claim("w2", "token-2") == trial
    with pytest.raises(LeaseLost, match="expired"):
        desk.call(leases.heartbeat, trial, "token-1")
    refusal = desk.call(leases.finish, trial, "token-1", OTHER)
    assert refusal.code == "lease-lost"
    assert desk.call(leases.finish, trial, "token-2", SCORES) is None
    row = desk.trial(trial)
    assert [m.score for m in row.measurements if not m.replicate] == [0.5]


def test_leases_are_not_taken_away_in_the_first_lease_period_after_a_break(desk):
    (trial,) = desk.queue()
    desk.claim()
    desk.run_out()
    now = desk.database.time()
    assert desk.reap(since=now) == []
    assert desk.reap(since=now - timedelta(seconds=59)) == []
    assert desk.reap(since=now - timedelta(seconds=61)) == [trial]


def test_a_live_lease_is_never_taken_away(desk):
    desk.queue()
    desk.claim()
    assert desk.reap() == []


@pytest.mark.parametrize("max_attempts", [1, 2])
def test_a_late_holder_carries_on_while_nobody_else_has_the_trial(desk, max_attempts):
    with desk.database.write() as session:
        studies.get(session, "vlm").max_attempts = max_attempts
    (trial,) = desk.queue()
    desk.claim()
    desk.run_out()
    desk.reap()
    assert desk.state(trial) == ("failed" if max_attempts == 1 else "queued", 1)
    desk.call(leases.heartbeat, trial, "token-1", step=7)
    assert desk.state(trial) == ("running", 0)
    assert desk.claim("w2", "token-2") is None
    desk.run_out()
    desk.reap()
    assert desk.call(leases.finish, trial, "token-1", SCORES) is None
    assert desk.state(trial) == ("completed", 0)
    assert desk.trial(trial).error is None


def test_a_worker_whose_answer_was_lost_gets_its_lease_again_under_a_new_token(desk):
    (trial, _) = desk.queue(2)
    desk.claim("w1", "token-1")
    until = desk.trial(trial).attempt.until
    assert desk.resume("w1", "token-2") == trial
    row = desk.trial(trial)
    assert (row.attempt_number, row.attempt.until) == (1, until), "not made longer"
    desk.call(leases.heartbeat, trial, "token-2")
    with pytest.raises(LeaseLost):
        desk.call(leases.heartbeat, trial, "token-1")
    assert desk.resume("w2", "token-3") is None


def test_a_lease_that_was_used_is_not_taken_by_who_asks_under_its_workers_name(desk):
    (trial, other) = desk.queue(2)
    desk.claim("w1", "token-1")
    desk.call(leases.heartbeat, trial, "token-1", step=1)
    assert desk.resume("w1", "token-2") is None
    assert desk.claim("w1", "token-2") == other
    desk.call(leases.heartbeat, trial, "token-1", step=2)
    assert desk.state(trial) == ("running", 0)


def test_a_worker_that_never_heard_and_now_wants_another_study_loses_nothing(desk):
    (trial,) = desk.queue()
    desk.claim("w1", "token-1")
    assert desk.resume("w1", "token-2", study="other") is None
    assert desk.state(trial) == ("queued", 0)


def test_a_cancelled_trial_tells_its_worker_at_the_next_heartbeat(desk):
    (trial,) = desk.queue()
    desk.claim()
    for _ in range(2):
        desk.call(steering.cancel, trial, "user")
    assert desk.call(leases.heartbeat, trial, "token-1").is_cancelled
    desk.call(leases.release, trial, "token-1")
    desk.call(leases.fail, trial, "token-1", "stopped", is_retryable=True)
    assert desk.call(leases.finish, trial, "token-1", SCORES).code == "lease-lost"
    assert desk.state(trial) == ("cancelled", 0)
    assert desk.history(trial)[-1] == "replicate"


def test_a_completed_trial_is_neither_cancelled_nor_retried(desk):
    (trial,) = desk.queue()
    desk.claim()
    desk.call(leases.finish, trial, "token-1", SCORES)
    for call in (steering.cancel, steering.retry):
        with pytest.raises(WrongState, match="completed"):
            desk.call(call, trial, "user")


def test_retry_gives_a_failed_trial_all_its_attempts_again(desk):
    (trial,) = desk.queue()
    desk.claim()
    desk.call(leases.fail, trial, "token-1", "broke", is_retryable=False)
    for _ in range(2):
        desk.call(steering.retry, trial, "user")
    assert desk.state(trial) == ("queued", 0)
    assert desk.trial(trial).error is None
    assert desk.claim() == trial


def test_scores_on_the_way_are_replaced_by_the_same_again(desk):
    (trial,) = desk.queue()
    desk.claim()
    for score in (0.2, 0.3):
        desk.call(leases.measure, trial, "token-1", [Reading("chart", score, 100, step=500)])
    assert [(m.step, m.score) for m in desk.trial(trial).measurements] == [(500, 0.3)]


def test_what_an_earlier_attempt_measured_beyond_the_final_step_is_put_aside(desk):
    (trial,) = desk.queue()
    desk.claim()
    desk.call(leases.measure, trial, "token-1", [Reading("chart", 0.9, 100, step=1500)])
    desk.call(leases.fail, trial, "token-1", "broke", is_retryable=True)
    desk.claim("w2", "token-2")
    desk.call(leases.finish, trial, "token-2", [Reading("chart", 0.5, 100, step=1000)])
    kept = [(m.step, m.is_superseded) for m in desk.trial(trial).measurements]
    assert sorted(kept) == [(1000, False), (1500, True)]


def test_every_change_of_state_is_an_event_with_actor_and_time(desk):
    (trial,) = desk.queue()
    desk.claim("w1", "token-1")
    desk.run_out()
    desk.reap()
    desk.claim("w2", "token-2")
    desk.call(leases.finish, trial, "token-2", SCORES)
    with desk.database.read() as session:
        log = events.of_trial(session, trial)
    assert [(event.what, event.actor) for event in log] == [
        ("queued", "user"),
        ("claimed", "worker w1"),
        ("expired", "service"),
        ("claimed", "worker w2"),
        ("completed", "worker w2"),
    ]
    assert [event.at for event in log] == sorted(event.at for event in log)


def test_the_database_itself_refuses_a_second_holder(desk):
    from sqlalchemy.exc import IntegrityError

    (trial,) = desk.queue()
    desk.claim()
    with pytest.raises(IntegrityError), desk.database.write() as session:
        session.add(
            Attempt(
                trial_id=trial,
                number=2,
                worker="w2",
                token_hash="x",
                lease_s=1.0,
                until=after(1.0),
            )
        )


def test_tokens_are_stored_as_hashes_only(desk):
    (trial,) = desk.queue()
    desk.claim(token="a-secret-token")
    with desk.database.read() as session:
        stored = session.scalar(select(Attempt.token_hash).where(Attempt.trial_id == trial))
    assert stored == leases.token_hash("a-secret-token") != "a-secret-token"


def test_a_smaller_budget_withdraws_proposals_that_nobody_started(desk):
    ids = desk.queue(4, origin="proposed")
    desk.claim()
    desk.call(studies.patch, "vlm", "user", budget=2)
    assert [desk.trial(i).state for i in ids] == ["running", "queued", "cancelled", "cancelled"]
    assert desk.trial(ids[-1]).is_withdrawn


def test_a_study_is_the_same_only_with_the_same_body(desk):
    again, is_new = desk.call(studies.create, spec(), "user")
    assert (again.id, is_new) == (desk.study.id, False)
    with pytest.raises(StudyExists, match="another budget"):
        desk.call(studies.create, spec(budget=11), "user")


def test_an_idempotency_key_is_one_trial(desk):
    new = NewTrial({"a": 1.0}, "queued", client_key="k")
    first, is_new = desk.call(trials.add, desk.study, new, "user")
    again, is_new_again = desk.call(trials.add, desk.study, new, "user")
    assert (is_new, is_new_again, first.id) == (True, False, again.id)
    with pytest.raises(KeyReused):
        desk.call(trials.add, desk.study, NewTrial({"b": 1.0}, "queued", client_key="k"), "user")


def test_pages_give_each_change_once_and_in_order(desk):
    ids = desk.queue(5)
    with desk.database.read() as session:
        page, has_more = trials.page(session, desk.study, limit=3)
        rest, has_still_more = trials.page(session, desk.study, after=page[-1].revision, limit=3)
    assert [t.id for t in page + rest] == ids
    assert (has_more, has_still_more) == (True, False)
    desk.claim()
    with desk.database.read() as session:
        news, _ = trials.page(session, desk.study, after=rest[-1].revision)
    assert [t.id for t in news] == ids[:1]


def test_a_lease_ends_in_its_time_also_after_the_clock_was_set_back(desk):
    (trial,) = desk.queue()
    desk.claim()
    with desk.database.write() as session:  # what a clock an hour behind makes of it
        session.execute(update(Attempt).values(until=after(3600.0 + 60.0)))
    desk.call(leases.bound)
    with desk.database.read() as session:
        left = session.scalar(select(Attempt.until)) - clock.read(session)
    assert timedelta(seconds=50) < left <= timedelta(seconds=60)
    desk.run_out()
    desk.call(leases.bound)
    assert desk.reap() == [trial], "one that ran out is not made longer"


def test_a_lease_lasts_as_long_as_its_own_study_says(desk):
    other, _ = desk.call(studies.create, spec("other", lease_s=5.0), "user")
    desk.queue(2)
    desk.call(trials.add, other, NewTrial({"a": 1.0}, "queued"), "user")
    lengths = [desk.call(leases.claim, f"w{n}", None, f"token-{n}").lease_s for n in range(3)]
    assert lengths == [60.0, 60.0, 5.0]


def test_a_claim_finds_the_head_of_a_long_queue_without_sorting_it(desk):
    rows = [
        {"study_id": desk.study.id, "number": n, "origin": "queued", "mixture": {}, "seed": n}
        for n in range(1, 2001)
    ]
    desk.call(lambda session: session.execute(insert(Trial), rows))
    claims = []

    @event.listens_for(desk.database.engine, "before_cursor_execute")
    def note(connection, cursor, statement, parameters, *_):
        if "ORDER BY -trials.priority" in statement:
            claims.append((statement, parameters))

    desk.claim(study="vlm")
    (statement, parameters), *_ = claims
    how = "EXPLAIN QUERY PLAN" if desk.database.is_embedded else "EXPLAIN"
    with desk.database.engine.begin() as connection:
        if not desk.database.is_embedded:
            connection.exec_driver_sql("ANALYZE")  # as autovacuum does; SQLite's is never called
        plan = str(connection.exec_driver_sql(f"{how} {statement}", parameters).all())
    assert "ix_trials_queue" in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan


def test_a_trial_that_is_not_there_is_said_to_be_missing(desk):
    with pytest.raises(TrialNotFound, match="no trial 99"):
        desk.call(leases.heartbeat, 99, "token-1")


def test_metrics_of_ever_new_names_have_an_end_and_the_latest_stay(desk):
    (trial,) = desk.queue()
    desk.claim()
    for start in range(0, 1000, 100):
        sent = {f"m{i}": float(i) for i in range(start, start + 100)}
        desk.call(leases.heartbeat, trial, "token-1", metrics={"loss": float(start), **sent})
    kept = desk.trial(trial).attempt.metrics
    assert len(kept) == leases.MAX_METRICS
    assert kept["loss"] == 900.0
    assert kept["m999"] == 999.0


def test_scores_on_the_way_have_an_end_and_the_result_is_taken_all_the_same(desk):
    (trial,) = desk.queue()
    desk.claim()
    most = measurements.MAX_SCORES
    on_the_way = [Reading("bench", 0.5, 100, step) for step in range(most + 1)]
    desk.call(leases.measure, trial, "token-1", on_the_way[:-1])
    with pytest.raises(TooManyScores, match=f"{most + 1} scores, more than {most}"):
        desk.call(leases.measure, trial, "token-1", on_the_way[-1:])
    assert len(desk.trial(trial).measurements) == most
    assert desk.call(leases.finish, trial, "token-1", on_the_way[-1:]) is None
    assert desk.state(trial) == ("completed", 0)


def test_replicates_have_an_end_which_who_sends_more_is_told(desk):
    (trial,) = desk.queue()
    most = measurements.MAX_REPLICATES
    many = [Reading("bench", 0.5, 100, step) for step in range(most - 1)]
    for readings in (many, [Reading("bench", 0.2, 100)]):
        refusal = desk.call(leases.finish, trial, "nobody's", readings)
        assert refusal.why.endswith("kept as a replicate")
    refusal = desk.call(leases.finish, trial, "nobody's", [Reading("bench", 0.9, 100)])
    assert refusal.why.endswith("too many replicates to keep these scores too")
    again = desk.call(leases.finish, trial, "nobody's", [Reading("bench", 0.2, 100)])
    assert again.why.endswith("kept as a replicate"), "it is there"
    assert len(desk.trial(trial).measurements) == most


def test_a_lease_that_hangs_on_no_running_trial_does_not_keep_others_from_running_out(desk):
    first, second = desk.queue(2)
    desk.claim("w1", "token-1")
    desk.claim("w2", "token-2")
    with desk.database.write() as session:
        session.execute(update(Trial).where(Trial.id == first).values(state="queued"))
    desk.run_out()
    assert desk.reap() == [second]
    assert desk.reap() == []
