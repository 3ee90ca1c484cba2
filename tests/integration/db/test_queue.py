"""Which trial a worker is given next, which ones rest, and what a stuck study holds back."""
# ruff: noqa: S106 - the tokens of tests are no secrets

from __future__ import annotations

import pytest
from sqlalchemy import event, update

from db import leases, proposal_needs, queue, steering, studies
from db.clock import after
from db.measurements import Reading
from db.models import Attempt, Trial
from tests.integration.db.test_leases import SCORES, Desk

pytestmark = pytest.mark.backends("sqlite", "postgresql")


@pytest.fixture
def desk(database):
    return Desk(database)


def rested(desk):
    """Lets every trial have rested long enough."""
    over = {"rests_until": after(-1.0), "kept_from_until": after(-1.0)}
    desk.call(lambda session: session.execute(update(Trial).values(over)))


def wait_of(desk, worker="w1"):
    return desk.call(queue.due_in_s, desk.study.id, worker)


def fail_for_good(desk, n, **changes):
    for number in range(n):
        desk.queue(**changes)
        trial = desk.claim("w1", f"broken-{number}")
        desk.call(leases.fail, trial, f"broken-{number}", "broke", is_retryable=False)
    return trial


def test_what_one_worker_cannot_run_goes_to_another_at_once(desk):
    (trial,) = desk.queue()
    desk.claim("w1", "token-1")
    desk.call(leases.release, trial, "token-1", "no GPU", is_unfit=True)
    assert desk.state(trial) == ("queued", 0)
    assert desk.trial(trial).error == "no GPU"
    assert desk.claim("w1", "token-2") is None
    assert 5 < wait_of(desk) <= 10
    assert desk.claim("w2", "token-2") == trial


def test_where_there_is_no_other_worker_the_same_gets_it_after_a_while(desk):
    (trial,) = desk.queue()
    waits = []
    for number in range(4):
        assert desk.claim("w1", f"token-{number}") == trial
        desk.call(leases.release, trial, f"token-{number}", "no data", is_unfit=True)
        waits.append(wait_of(desk))
        rested(desk)
    assert waits == pytest.approx([10, 20, 40, 80], abs=5)


def test_what_no_worker_can_run_rests_longer_each_time_for_all(desk):
    (trial,) = desk.queue()
    waits = []
    for number in range(4):
        desk.claim(f"w{number}", f"token-{number}")
        desk.call(leases.release, trial, f"token-{number}", "no data", is_unfit=True)
        waits.append(wait_of(desk, "fresh"))
        rested(desk)
    assert waits == pytest.approx([0, 5, 10, 20], abs=3)


@pytest.mark.parametrize("step", [None, 3])
def test_a_trial_released_often_rests_unless_it_gets_further(desk, step):
    (trial,) = desk.queue()
    for number in range(8):
        assert desk.claim(token=f"token-{number}") == trial
        desk.call(leases.heartbeat, trial, f"token-{number}", step=step)
        desk.call(leases.release, trial, f"token-{number}", "preempted")
        if number < 4 or step:
            assert wait_of(desk) == 0
        else:
            assert wait_of(desk) > 0
            assert desk.claim("w2", "early") is None
        rested(desk)
    assert desk.state(trial) == ("queued", 0)


def test_no_rest_is_longer_than_five_minutes():
    assert queue.rests_s(10_000, is_unfit=False) == queue.rests_s(10_000, is_unfit=True) == 300
    assert queue.kept_s(10_000) == 300


def test_a_broken_run_is_tried_by_another_worker_first_where_one_is_there(desk):
    (trial,) = desk.queue()
    desk.call(leases.seen, "w1", {})
    desk.call(leases.seen, "w2", {})
    desk.claim("w1", "token-1")
    desk.call(leases.fail, trial, "token-1", "broke", is_retryable=True)
    assert desk.claim("w1", "token-2") is None
    rested(desk)
    assert desk.claim("w1", "token-2") == trial


def test_a_rest_that_a_clock_set_back_has_made_long_is_over(desk):
    (trial,) = desk.queue()
    hours = {"rests_until": after(7200.0)}
    desk.call(lambda session: session.execute(update(Trial).values(hours)))
    assert desk.claim() == trial


def test_a_retry_by_hand_does_not_rest(desk):
    (trial,) = desk.queue()
    desk.claim("w1", "token-1")
    desk.call(leases.release, trial, "token-1", "no GPU", is_unfit=True)
    desk.call(steering.cancel, trial, "user")
    desk.call(steering.retry, trial, "user")
    assert desk.claim("w1", "token-2") == trial


def test_a_stuck_study_holds_back_what_was_proposed_and_gives_what_a_person_queued(desk):
    fail_for_good(desk, queue.FAILURES_IN_A_ROW, origin="proposed")
    (held,) = desk.queue(origin="proposed")
    assert desk.claim("w2", "token-2") is None
    assert wait_of(desk) is None
    (mine,) = desk.queue()
    assert desk.claim("w2", "token-2") == mine
    desk.call(leases.finish, mine, "token-2", SCORES)
    assert desk.claim("w2", "token-3") == held, "a result ends the row"


@pytest.mark.parametrize("how", ["resumed", "retried"])
def test_a_person_lets_a_stuck_study_go_on(desk, how):
    with desk.database.write() as session:
        studies.get(session, "vlm").failing = 63
    failed = None
    if how == "retried":
        with desk.database.write() as session:
            studies.get(session, "vlm").failing = 0
        failed = fail_for_good(desk, 1, origin="proposed")
        with desk.database.write() as session:
            studies.get(session, "vlm").failing = 63
        desk.call(steering.retry, failed, "user")
    else:
        (failed,) = desk.queue(origin="proposed")
        for state in ("paused", "active"):
            desk.call(studies.patch, "vlm", "user", state=state)
    assert desk.claim("w2", "token-2") == failed


def test_a_trial_that_is_stopped_early_ends_a_row_of_failures(desk):
    fail_for_good(desk, queue.FAILURES_IN_A_ROW - 1, origin="proposed")
    (trial,) = desk.queue()
    desk.claim("w2", "token-2")
    desk.call(leases.measure, trial, "token-2", SCORES)
    desk.call(steering.stop_early, trial, "user")
    with desk.database.read() as session:
        assert studies.get(session, "vlm").failing == 0
    assert desk.trial(trial).state == "early_stopped"
    fail_for_good(desk, queue.FAILURES_IN_A_ROW - 1, origin="proposed")
    with desk.database.read() as session:
        now = proposal_needs.standing(session, studies.get(session, "vlm"))
    assert (now.failing, now.is_stuck) == (queue.FAILURES_IN_A_ROW - 1, False)
    (given,) = desk.queue(origin="proposed")
    assert desk.claim("w3", "token-3") == given


def test_an_expired_holder_that_comes_back_is_no_failure(desk):
    (trial,) = desk.queue()
    with desk.database.write() as session:
        studies.get(session, "vlm").max_attempts = 1
    desk.claim()
    desk.run_out()
    desk.reap()
    with desk.database.read() as session:
        assert studies.get(session, "vlm").failing == 1
    desk.call(leases.heartbeat, trial, "token-1", step=1)
    with desk.database.read() as session:
        assert studies.get(session, "vlm").failing == 0


def test_scores_of_an_incomplete_result_are_kept_whoever_sent_them(desk):
    (trial,) = desk.queue()
    desk.claim()
    assert desk.call(leases.finish_in_part, trial, "token-1", SCORES) is None
    row = desk.trial(trial)
    assert (row.state, [m.score for m in row.measurements]) == ("running", [0.5])
    refusal = desk.call(leases.finish_in_part, trial, "a-strangers", SCORES)
    assert refusal.code == "lease-lost"
    assert [bool(m.replicate) for m in desk.trial(trial).measurements] == [False, True]


def test_a_call_reads_one_attempt_however_often_its_trial_was_released(desk):
    (trial,) = desk.queue()
    for number in range(8):
        desk.claim(token=f"token-{number}")
        desk.call(leases.release, trial, f"token-{number}", "preempted")
        rested(desk)
    desk.claim(token="token-last")
    loaded = []
    event.listen(Attempt, "load", lambda row, _: loaded.append(row))
    event.listen(Attempt, "refresh", lambda row, *_: loaded.append(row))
    desk.call(leases.measure, trial, "token-last", [Reading("chart", 0.5, 100, 1)])
    assert len({id(row) for row in loaded}) == 1
