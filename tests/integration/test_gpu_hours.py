"""What runs cost in GPU-hours, and a budget that is counted in them."""

from __future__ import annotations

import itertools

import pytest
from sqlalchemy import update

from db import archive, clock, cost, leases, proposal_needs, studies
from db.clock import after
from db.models import Attempt, Trial
from service.schemas import StudySpec
from service.schemas.studies import MAX_BUDGET
from service.study import archive_checks
from tests.integration.test_budget import Watched
from tests.support.bodies import study_body

pytestmark = pytest.mark.backends("sqlite", "postgresql")

HOUR = 3600.0


@pytest.fixture
def desk(database):
    return Watched(database, budget=6, lookahead=2, lease_s=60.0)


def claim(desk, worker, gpus=1):
    with desk.database.write() as session:
        return leases.claim(session, worker, "vlm", f"token-of-{worker}", gpus).trial_id


def was_taken(desk, trial, hours_ago, heard_ago=None):
    """Sets back when a trial's live attempt began, and when it was last heard of."""
    heard = None if heard_ago is None else after(-heard_ago * HOUR)
    with desk.database.write() as session:
        session.execute(
            update(Attempt)
            .where(Attempt.trial_id == trial, Attempt.state == "live")
            .values(claimed_at=after(-hours_ago * HOUR), heard_at=heard)
        )


def ran(desk, worker, hours, gpus=1):
    """A trial that took so long, from being taken to its result."""
    trial = claim(desk, worker, gpus)
    was_taken(desk, trial, hours)
    desk.finish(trial, worker)
    return trial


def used(desk):
    with desk.database.read() as session:
        return studies.get(session, "vlm").gpu_s / HOUR


def by_trial(desk):
    with desk.database.read() as session:
        return cost.by_trial(session, studies.get(session, "vlm").id)


def test_a_run_costs_its_time_times_the_gpus_of_its_worker(desk):
    desk.proposer.turn()
    ran(desk, "w1", 0.5)
    ran(desk, "w2", 2.0, gpus=4)
    assert by_trial(desk) == pytest.approx({1: 0.5, 2: 8.0}, abs=0.02)
    assert used(desk) == pytest.approx(8.5, abs=0.02)


def test_a_running_trial_counts_up_to_now_but_not_in_the_sum_of_what_ended(desk):
    desk.proposer.turn()
    was_taken(desk, claim(desk, "w1", gpus=2), 1.5)
    assert by_trial(desk) == pytest.approx({1: 3.0}, abs=0.02)
    with desk.database.read() as session:
        study = studies.get(session, "vlm")
        assert cost.running(session, [study.id])[study.id] == pytest.approx(3.0, abs=0.02)
    assert used(desk) == 0.0


def test_a_lost_attempt_counts_up_to_its_last_sign_of_life_and_once_when_it_comes_back(desk):
    desk.proposer.turn()
    trial = claim(desk, "w1")
    was_taken(desk, trial, 3.0, heard_ago=1.0)
    with desk.database.write() as session:
        session.execute(update(Attempt).values(until=after(-60.0)))
        assert leases.reap(session, clock.read(session).replace(year=2020)) == [trial]
    assert used(desk) == pytest.approx(2.0, abs=0.02)
    with desk.database.write() as session:
        leases.heartbeat(session, trial, "token-of-w1")
    assert used(desk) == pytest.approx(0.0, abs=1e-6)
    desk.finish(trial, "w1")
    assert used(desk) == pytest.approx(3.0, abs=0.02)


def test_what_is_handed_back_and_what_fails_counts_too(desk):
    desk.proposer.turn()
    first, second = claim(desk, "w1"), claim(desk, "w2")
    for trial in (first, second):
        was_taken(desk, trial, 1.0)
    with desk.database.write() as session:
        leases.release(session, first, "token-of-w1", "stopped")
        leases.fail(session, second, "token-of-w2", "broke", is_retryable=False)
    assert used(desk) == pytest.approx(2.0, abs=0.02)


def test_a_clock_that_was_set_back_makes_no_cost_below_zero(desk):
    desk.proposer.turn()
    trial = claim(desk, "w1")
    was_taken(desk, trial, -5.0)
    desk.finish(trial, "w1")
    assert used(desk) == 0.0
    assert by_trial(desk) == {1: 0.0}


def test_no_more_is_proposed_than_the_gpu_hours_last_for(desk):
    with desk.database.write() as session:
        studies.patch(session, "vlm", "me", gpu_hours=3.5)
    desk.proposer.turn()
    ran(desk, "w1", 1.0)
    assert desk.study().planned == 3  # at one hour a run
    for worker in ("w2", "w3"):
        desk.proposer.turn()
        ran(desk, worker, 1.0)
    assert desk.proposer.turn() == 0
    assert desk.study().state == "finished"
    why, again_s = desk.waiting()
    assert "3.5 GPU-hours last for no more than 3 trials" in why
    assert again_s is None


def test_more_gpu_hours_let_a_finished_study_go_on_and_fewer_withdraw_what_is_queued(desk):
    with desk.database.write() as session:
        studies.patch(session, "vlm", "me", gpu_hours=1.2)
    desk.proposer.turn()
    ran(desk, "w1", 1.0)
    desk.do(studies.patch, "vlm", "me", gpu_hours=9.0)
    desk.proposer.turn()
    assert desk.study().state == "active"
    assert desk.study().trials["queued"] == 2
    desk.do(studies.patch, "vlm", "me", gpu_hours=1.2)
    assert desk.study().trials["queued"] == 0
    assert desk.study().state == "finished"


def test_a_run_that_cost_more_than_thought_withdraws_what_no_longer_fits(desk):
    desk.do(studies.patch, "vlm", "me", gpu_hours=4.0)
    desk.proposer.turn()
    ran(desk, "w1", 1.0)
    desk.proposer.turn()
    assert desk.study().trials["queued"] == 2
    ran(desk, "w2", 3.0)
    assert desk.study().trials["queued"] == 0
    assert desk.study().state == "finished"


def test_the_one_question_for_studies_in_need_agrees_with_each_study(database):
    hours, spent, done, queued = (None, 2.0, 5.0), (0.0, 1.5, 2.0, 4.9), (0, 2, 4), (0, 1)
    with database.write() as session:
        for number, (limit, used_h, n_done, n_queued) in enumerate(
            itertools.product(hours, spent, done, queued)
        ):
            body = study_body(name=f"s{number}", budget=6, lookahead=2)
            spec = StudySpec.model_validate(body).model_dump(mode="json")
            study, _ = studies.create(session, spec | {"gpu_hours": limit}, "me")
            study.gpu_s, study.results = used_h * HOUR, n_done
            for place in range(n_queued):
                session.add(
                    Trial(study_id=study.id, number=place + 1, origin="queued", mixture={}, seed=0)
                )
    with database.read() as session:
        found = set(proposal_needs.in_need(session))
        every = studies.everyone(session)
        standings = {now.study: now for now in proposal_needs.standings(session, every)}
    assert found == {name for name, now in standings.items() if now.missing}
    assert 0 < len(found) < len(every)


def test_an_archive_keeps_the_cost_and_one_without_gpus_counts_one_each(desk, database):
    desk.proposer.turn()
    ran(desk, "w1", 2.0, gpus=2)
    with database.read() as session:
        document = archive.dump(session, "vlm")
    for attempt in document["trials"][0]["attempts"]:
        assert attempt.pop("gpus") == 2
    document["study"].pop("gpu_hours")
    document["version"] = 4
    checked = archive.Archive.model_validate(document)
    spec = archive_checks.check(checked, "old").model_dump(mode="json")
    with database.write() as session:
        archive.load(session, checked, spec)
        assert studies.get(session, "old").gpu_s / HOUR == pytest.approx(2.0, abs=0.02)


def test_a_budget_in_gpu_hours_alone_does_not_stop_at_the_usual_number_of_runs():
    body = study_body(gpu_hours=40, budget=7)
    assert StudySpec.model_validate(body).budget == 7
    del body["budget"]
    assert StudySpec.model_validate(body).budget == MAX_BUDGET
