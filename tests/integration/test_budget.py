"""What uses a study's budget, and what a study whose budget is used is told to be."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from db import archive, leases, proposal_needs, proposals, steering, studies, trials, upgrade
from db.sessions import Database
from db.trials import NewTrial
from service.proposing.task import read_task
from service.study import archive_checks, views, waiting
from tests.integration.test_service_proposals import SCORES, Desk

pytestmark = pytest.mark.backends("sqlite", "postgresql")


class Watched(Desk):
    """A desk that sees the study as people do."""

    def study(self):
        with self.database.read() as session:
            row = studies.get(session, "vlm")
            return views.study(row, studies.trial_counts(session, [row.id])[row.id])

    def add(self, origin, **finished):
        with self.database.write() as session:
            study = studies.get(session, "vlm")
            new = NewTrial({"coco": 0.5, "lisa": 0.5, "sat": 0.0}, origin, **finished)
            return trials.add(session, study, new, "user")[0].id

    def do(self, act, *arguments, **more):
        with self.database.write() as session:
            act(session, *arguments, **more)

    def waiting(self):
        with self.database.read() as session:
            return waiting.for_a_trial(session, "vlm")


@pytest.fixture
def desk(database):
    return Watched(database, budget=2, lookahead=2)


def used(desk):
    """Lets both trials of the budget end, one of them early."""
    desk.proposer.turn()
    first, second = desk.claim("w1"), desk.claim("w2")
    desk.finish(first, "w1")
    assert desk.study().state == "active"
    desk.do(leases.measure, second, "token-of-w2", SCORES)
    desk.do(steering.stop_early, second, "user")


def test_a_study_whose_budget_is_used_and_whose_trials_have_ended_is_finished(desk):
    used(desk)
    assert (desk.study().state, desk.study().n_done) == ("finished", 2)
    reason, retry_after_s = desk.waiting()
    assert "is finished: all 2 trials of its budget are done" in reason
    assert retry_after_s is None


def test_it_is_active_again_with_a_larger_budget(desk):
    used(desk)
    desk.do(studies.patch, "vlm", "user", budget=3)
    assert desk.study().state == "active"
    assert desk.proposer.turn() == 1


@pytest.mark.parametrize("how", ["retried", "queued"])
def test_it_is_active_again_while_a_trial_that_a_person_wants_is_under_way(desk, how):
    desk.proposer.turn()
    lost = desk.claim("w")
    desk.do(leases.fail, lost, "token-of-w", "broke", is_retryable=False)
    desk.proposer.turn()
    used(desk)
    if how == "retried":
        desk.do(steering.retry, lost, "user")
    else:
        desk.add("queued")
    assert desk.study().state == "active"
    trial = desk.claim("w3")
    assert desk.study().state == "active"
    desk.finish(trial, "w3")
    assert desk.study().state == "finished"


@pytest.mark.parametrize("state", ["paused", "finished"])
def test_what_a_person_made_of_a_study_is_told_whatever_its_budget(desk, state):
    used(desk)
    desk.do(studies.patch, "vlm", "user", state=state)
    assert desk.study().state == state
    desk.do(studies.patch, "vlm", "user", budget=3)
    assert desk.study().state == state


def test_runs_that_were_added_finished_use_none_of_the_budget(desk):
    for _ in range(5):
        desk.add("attached", readings=SCORES)
    assert (desk.study().attached, desk.study().n_done) == (5, 0)
    assert desk.proposer.turn() == 2
    with desk.database.write() as session:
        proposals.withdraw_surplus(session, studies.get(session, "vlm"))
    assert len(desk.queued()) == 2
    used(desk)
    assert desk.study().state == "finished"
    assert len([trial for trial in desk.all() if trial.state == "completed"]) == 6
    with desk.database.read() as session:
        assert proposal_needs.in_need(session) == []


def test_a_strategy_is_told_of_the_whole_search_that_added_runs_are_part_of(desk):
    for _ in range(5):
        desk.add("attached", readings=SCORES)
    with desk.database.read() as session:
        task = read_task(session, "vlm")
    assert (task.question.budget, len(task.known.runs)) == (7, 5)


def test_an_archived_study_knows_again_what_uses_its_budget(desk, new_database):
    desk.add("attached", readings=SCORES)
    desk.add("queued")
    with desk.database.read() as session:
        document = archive.Archive.model_validate(archive.dump(session, "vlm"))
    other = Database(new_database())
    with other.write() as session:
        spec = archive_checks.check(document).model_dump(mode="json")
        archive.load(session, document, spec)
        assert studies.get(session, "vlm").attached == 1
    other.close()


@pytest.mark.backends("sqlite")  # tables on the server are another test's next
def test_runs_added_before_they_were_counted_apart_are_counted_by_the_upgrade(desk):
    for _ in range(3):
        desk.add("attached", readings=SCORES)
    desk.add("queued")
    with desk.database.write() as session:
        later = [
            *("studies.gpu_s", "studies.gpu_hours", "attempts.gpus"),
            *("trials.stop_at", "trials.asked", "trials.asked_why"),
            *("trials.channel", "studies.merged", "studies.channels"),
            *("studies.edits", "studies.created_as", "studies.former_names"),
            *("trials.share", "trials.by_hand", "studies.unspent", "studies.early_stopping"),
            "trials.tags",
            *("studies.owner", "api_keys.owner"),
            "trials.schedule",
        ]
        for table, column in (name.split(".") for name in ("studies.attached", *later)):
            session.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
        for table in ("owners", "fits"):
            session.execute(text(f"DROP TABLE {table}"))
        session.execute(text("UPDATE alembic_version SET version_num = '0007'"))
    upgrade.upgrade(desk.database)
    assert desk.study().attached == 3
