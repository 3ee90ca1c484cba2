"""A worker whose machine is dead: what it held is free at once, and nothing is counted."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from db import events, leases, queue, studies, workers
from db.clock import after
from db.errors import LeaseLost
from db.models import Attempt, Study, Worker
from tests.integration.db.test_leases import SCORES, Desk

pytestmark = pytest.mark.backends("sqlite", "postgresql")


@pytest.fixture
def desk(database):
    return Desk(database)


def claimable(desk):
    with desk.database.read() as session:
        return queue.claimable(session, [desk.study.id]).get(desk.study.id, 0)


def test_what_a_gone_worker_held_is_queued_again_and_not_counted(desk):
    (trial,) = desk.queue()
    for number in range(5):  # more often than there are attempts
        desk.claim("w1", f"token-{number}")
        desk.call(leases.heartbeat, trial, f"token-{number}", step=3)
        assert desk.call(leases.gone, "w1", "user ray") == [trial]
        assert desk.state(trial) == ("queued", 0)
    assert desk.claim("w2", "token-9") == trial


def test_the_event_says_who_said_so_and_why(desk):
    (trial,) = desk.queue()
    desk.claim()
    desk.call(leases.gone, "w1", "user ray")
    with desk.database.read() as session:
        last = events.of_trial(session, trial)[-1]
    assert (last.what, last.actor) == ("released", "user ray")
    assert last.detail["reason"] == "the machine of worker w1 is gone"


def test_a_lease_that_only_ran_out_still_counts(desk):
    (trial,) = desk.queue()
    desk.claim()
    desk.run_out()
    desk.reap()
    assert desk.state(trial) == ("queued", 1)
    assert desk.call(leases.gone, "w1", "user") == [], "it holds nothing any more"
    assert desk.state(trial) == ("queued", 1)


def test_a_gone_worker_that_lives_hears_that_its_lease_is_lost_and_its_scores_are_kept(desk):
    (trial,) = desk.queue()
    desk.claim()
    desk.call(leases.gone, "w1", "user")
    with pytest.raises(LeaseLost):
        desk.call(leases.heartbeat, trial, "token-1")
    assert desk.call(leases.finish, trial, "token-1", SCORES).code == "lease-lost"
    assert desk.state(trial) == ("queued", 0)


def test_only_its_own_trials_are_freed_and_twice_is_once(desk):
    first, second = desk.queue(2)
    desk.claim("w1", "token-1")
    desk.claim("w2", "token-2")
    assert desk.call(leases.gone, "w1", "user") == [first]
    assert desk.call(leases.gone, "w1", "user") == []
    assert desk.call(leases.gone, "never seen", "user") == []
    assert desk.state(second) == ("running", 0)
    assert desk.history(first) == ["queued", "claimed", "released"]


def test_a_gone_worker_costs_up_to_its_last_sign_of_life(desk):
    (trial,) = desk.queue()
    desk.claim()
    with desk.database.write() as session:
        session.execute(update(Attempt).values(claimed_at=after(-3600.0), heard_at=after(-1800.0)))
    desk.call(leases.gone, "w1", "user")
    with desk.database.read() as session:
        assert session.get_one(Study, desk.study.id).gpu_s == pytest.approx(1800, abs=5)
    assert desk.state(trial) == ("queued", 0)


def test_what_rests_or_is_kept_from_all_is_not_claimable(desk):
    (trial, _) = desk.queue(2)
    assert claimable(desk) == 2
    for number in range(queue.RELEASES_AT_ONCE + 1):
        desk.claim("w1", f"token-{number}")
        desk.call(leases.release, trial, f"token-{number}")
    assert claimable(desk) == 1, "one rests"
    desk.claim("w2", "token-other")
    assert claimable(desk) == 0


def test_a_paused_study_has_nothing_to_claim(desk):
    desk.queue(3)
    desk.call(studies.patch, "vlm", "user", state="paused")
    assert claimable(desk) == 0


def test_workers_that_hold_a_trial_or_asked_lately_are_listed_by_name(desk):
    def listed(**where):
        asked = {"starts_with": "", "beyond": "", "limit": 10} | where
        with desk.database.read() as session:
            return [(row.name, row.trial) for row in workers.seen(session, **asked)]

    desk.queue()
    for name in ("f_1.b", "f_1.a", "fx1.c", "away"):
        desk.call(leases.seen, name, {"gpus": 1})
    desk.claim("f_1.a", "token-1")
    with desk.database.write() as session:
        old = update(Worker).where(Worker.name.in_(["away", "f_1.a"]))
        session.execute(old.values(last_seen_at=after(-3600.0)))
    assert listed() == [("f_1.a", 1), ("f_1.b", None), ("fx1.c", None)]
    assert listed(starts_with="f_1.") == [("f_1.a", 1), ("f_1.b", None)]
    assert listed(beyond="f_1.a", limit=1) == [("f_1.b", None)]
