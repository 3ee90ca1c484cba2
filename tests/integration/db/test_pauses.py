"""Trials that pause at a step, go on, or are stopped there for good, and what their scores are."""

from __future__ import annotations

import pytest

from db import leases, proposal_needs, proposals, steering, studies, trials
from db.errors import LeaseLost, WrongState
from db.measurements import Reading
from db.trials import NewTrial
from service.schemas import StudySpec
from service.study import evidence
from service.study.runs import scored
from tests.integration.db.test_leases import Desk
from tests.support.bodies import study_body

pytestmark = pytest.mark.backends("sqlite", "postgresql")
AT_500 = [Reading("chart", 0.4, 100, 500)]


@pytest.fixture
def desk(database):
    return Desk(database)


def paused(desk):
    """A trial that came to its step."""
    desk.claim()
    desk.call(leases.leave, 1, "token-1", 500, AT_500)


def test_a_trial_that_comes_to_its_step_is_paused_with_its_scores_and_holds_no_worker(desk):
    (trial,) = desk.queue(stop_at=500)
    paused(desk)
    row = desk.trial(trial)
    assert (row.state, row.stop_at, row.failures, row.finished_at) == ("paused", 500, 0, None)
    assert (row.attempt.state, row.attempt.step) == ("paused", 500)
    assert [(m.step, m.score) for m in row.measurements] == [(500, 0.4)]
    assert desk.claim("w2", "token-2") is None
    desk.call(leases.leave, trial, "token-1", 500, AT_500)
    assert desk.history(trial) == ["queued", "claimed", "paused"], "twice is once"


def test_a_paused_trial_goes_on_with_any_worker_and_only_then_has_its_result(desk):
    (trial,) = desk.queue(stop_at=500)
    paused(desk)
    desk.call(steering.go_on, trial, "user", 1000)
    desk.call(steering.go_on, trial, "user", 1000)
    assert desk.trial(trial).stop_at == 1000
    assert desk.claim("w2", "token-2") == trial
    desk.call(leases.leave, trial, "token-2", 1000, [])
    desk.call(steering.go_on, trial, "user")
    assert desk.claim("w1", "token-3") == trial
    assert desk.call(leases.finish, trial, "token-3", [Reading("chart", 0.6, 100, 2000)]) is None
    row = desk.trial(trial)
    assert (row.state, row.failures, row.attempt_number, row.stop_at) == ("completed", 0, 3, None)
    assert [(m.step, m.score) for m in row.measurements] == [(500, 0.4), (2000, 0.6)]


def test_who_paused_a_trial_has_no_right_to_it_any_more(desk):
    (trial,) = desk.queue(stop_at=500)
    paused(desk)
    with pytest.raises(LeaseLost, match="is paused"):
        desk.call(leases.heartbeat, trial, "token-1")
    assert desk.call(leases.finish, trial, "token-1", AT_500).code == "lease-lost"
    desk.run_out()
    assert desk.reap() == []
    assert desk.trial(trial).state == "paused"


@pytest.mark.parametrize(("ask", "ends"), [("pause", "paused"), ("stop", "early_stopped")])
def test_a_heartbeat_says_what_was_asked_for_and_the_trial_becomes_it(desk, ask, ends):
    (trial,) = desk.queue()
    desk.claim()
    assert desk.call(leases.heartbeat, trial, "token-1").action == "continue"
    for _ in range(2):
        desk.call(steering.ask, trial, ask, "user", "it is not worth more")
    pulse = desk.call(leases.heartbeat, trial, "token-1")
    assert (pulse.action, pulse.reason, pulse.is_cancelled) == (ask, "it is not worth more", False)
    desk.call(leases.leave, trial, "token-1", 500, AT_500)
    row = desk.trial(trial)
    assert (row.state, row.asked, row.asked_why) == (ends, None, None)
    ended = "paused" if ask == "pause" else "early-stopped"
    assert desk.history(trial) == ["queued", "claimed", f"{ask}-asked", ended]
    desk.call(steering.ask, trial, ask, "user", "twice is once")


def test_what_was_asked_for_outlives_the_worker_that_did_not_hear_it(desk):
    (trial,) = desk.queue()
    desk.claim()
    desk.call(steering.ask, trial, "pause", "user", "maintenance")
    desk.run_out()
    desk.reap()
    desk.claim("w2", "token-2")
    assert desk.call(leases.heartbeat, trial, "token-2").action == "pause"


def test_a_run_that_ends_before_it_hears_has_its_whole_result(desk):
    (trial,) = desk.queue()
    desk.claim()
    desk.call(steering.ask, trial, "stop", "user", "")
    assert desk.call(leases.finish, trial, "token-1", AT_500) is None
    row = desk.trial(trial)
    assert (row.state, row.asked) == ("completed", None)


def test_a_paused_trial_may_be_stopped_or_called_off_and_is_not_retried(desk):
    desk.queue()
    paused(desk)
    with pytest.raises(WrongState, match="is paused, and did not fail; continue it instead"):
        desk.call(steering.retry, 1, "user")
    with pytest.raises(WrongState, match="paused at step 500; a later one than 500"):
        desk.call(steering.go_on, 1, "user", 500)
    desk.call(steering.ask, 1, "stop", "user", "")
    assert desk.state(1) == ("early_stopped", 0)
    with pytest.raises(WrongState, match="only paused ones are continued"):
        desk.call(steering.go_on, 1, "user")


def test_only_a_running_trial_is_asked_to_pause(desk):
    desk.queue()
    with pytest.raises(WrongState, match="is queued; only running ones are paused"):
        desk.call(steering.ask, 1, "pause", "user", "")
    desk.claim()
    desk.call(steering.ask, 1, "stop", "user", "")
    with pytest.raises(WrongState, match="about to be stopped"):
        desk.call(steering.ask, 1, "pause", "user", "")


def test_a_paused_trial_holds_its_place_in_the_budget(desk):
    desk.queue()
    paused(desk)
    with desk.database.read() as session:
        study = studies.get(session, "vlm")
        assert proposals.committed(session, study) == 1
        assert not studies.is_done(study, {"paused": 1})
        standing = proposal_needs.standing(session, study)
        assert (standing.paused, standing.committed, standing.is_done) == (1, 1, False)


def readings(step, score):
    return [Reading(name, score, 100, step) for name in ("chart", "info")]


def test_partial_scores_are_a_channel_of_their_step_and_never_a_whole_run(database):
    spec = StudySpec.model_validate(study_body()).model_dump(mode="json")
    with database.write() as session:
        study, _ = studies.create(session, spec, "user")
        for weight in (0.2, 0.4, 0.6):
            mixture = {"coco": weight, "lisa": 0.0, "sat": 1 - weight}
            trials.add(session, study, NewTrial(mixture, "queued"), "user")
    for trial in (1, 2, 3):
        with database.write() as session:
            leases.claim(session, f"w{trial}", None, f"token-{trial}")
            leases.measure(session, trial, f"token-{trial}", readings(500, trial / 10))
    with database.write() as session:
        leases.finish(session, 1, "token-1", readings(2000, 0.7))
        steering.ask(session, 2, "stop", "user", "")
        leases.leave(session, 2, "token-2", 500, [])
        leases.leave(session, 3, "token-3", 500, [])
    with database.read() as session:
        study = studies.get(session, "vlm")
        known = evidence.read(session, study)
        found, _ = scored(session, study, known.spec)
    assert [run.number for run in known.completed] == [run.number for run in found] == [1]
    assert known.train_this().number == 1
    assert known.runs.score == pytest.approx([0.7])
    assert list(known.runs.channels) == ["step-500"]
    channel = known.runs.channels["step-500"]
    assert sorted(channel.score) == pytest.approx([0.1, 0.2, 0.3])
    assert known.runs.run.tolist() == [1]
    assert sorted(channel.run) == [1, 2, 3], "run 1 has two scores, 2 was stopped, 3 is paused"
    assert study.completed == 2, "what was stopped uses the budget"
