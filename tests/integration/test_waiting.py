"""What a study says when nothing of it runs: its own words, `study show` and its page."""

# ruff: noqa: S106 - the tokens of tests are no secrets

from __future__ import annotations

import html

import pytest

from db import leases, steering
from db.models import Trial
from service.study import waiting
from tests.integration.db.test_leases import Desk
from tests.integration.db.test_queue import rested
from tests.support.bodies import study_body

MISSING = "the recipe runs 'train', and this worker has no folder of commands"


@pytest.fixture
def desk(database):
    return Desk(database)


def hand_back(desk, trial, n, reason=MISSING):
    for number in range(n):
        rested(desk)
        token = f"{trial}-{number}-{reason}"
        assert desk.claim(token=token) == trial
        desk.call(leases.release, trial, token, reason, is_unfit=True)


def told(desk):
    return desk.call(waiting.came_back, desk.study.id)


@pytest.mark.backends("sqlite", "postgresql")
def test_what_came_back_is_told_with_how_often_and_the_last_reason(desk):
    (trial,) = desk.queue()
    assert told(desk) is None
    hand_back(desk, trial, 1)
    assert told(desk) == f"trial 1 came back from its workers once: {MISSING}"
    hand_back(desk, trial, 2, "no data\nTraceback\n\nOSError: gone\n")
    assert told(desk) == "trial 1 came back from its workers 3 times: OSError: gone"


def test_a_trial_that_failed_and_waits_for_its_next_try_is_told_too(desk):
    (trial,) = desk.queue()
    desk.claim(token="t")
    desk.call(leases.fail, trial, "t", "diverged", is_retryable=True)
    assert told(desk) == "trial 1 came back from its workers once: diverged"


def test_a_trial_whose_worker_was_lost_is_told_too(desk):
    desk.queue()
    desk.claim(token="t")
    desk.run_out()
    desk.reap()
    assert told(desk).startswith("trial 1 came back from its workers once: lost its worker w1")


def test_of_several_the_last_one_is_told(desk):
    for trial in desk.queue(3)[:2]:
        hand_back(desk, trial, 2, f"reason {trial}")
        desk.call(lambda session, t=trial: setattr(session.get(Trial, t), "priority", -1))
    assert told(desk) == (
        "2 of them came back from their workers, trial 2 last (2 times so far): reason 2"
    )


def test_what_was_stopped_with_its_worker_is_no_trouble(desk):
    (trial,) = desk.queue()
    desk.claim(token="t")
    desk.call(leases.release, trial, "t", "the worker was asked to stop")
    assert told(desk) is None


def test_what_a_person_retries_is_no_trouble_any_more(desk):
    (trial,) = desk.queue()
    desk.claim(token="t")
    desk.call(leases.fail, trial, "t", "no such benchmark", is_retryable=False)
    desk.call(steering.retry, trial, "user")
    assert told(desk) is None


def test_the_answer_and_the_page_of_a_study_say_why_nothing_runs(api):
    api.post("/studies", json=study_body(budget=1)).raise_for_status()
    api.post("/studies/vlm/trials", json={"mixture": {"coco": 1}}).raise_for_status()
    assert api.get("/studies/vlm/best").json()["waiting"] == (
        "study 'vlm': 1 trial is queued, and no worker runs one"
    )
    leased = api.post("/trials/next", json={"worker": "w"}).json()
    body = {"token": leased["lease"]["token"], "reason": MISSING, "cause": "environment"}
    api.post(f"/trials/{leased['trial']['id']}/release", json=body).raise_for_status()
    number = leased["trial"]["number"]
    why = f"trial {number} came back from its workers once: {MISSING}"
    assert api.get("/studies/vlm/best").json()["waiting"] == (
        f"study 'vlm': 1 trial is queued, and no worker runs one; {why}"
    )
    assert why in html.unescape(api.get("/ui/studies/vlm").text)
