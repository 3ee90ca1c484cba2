"""However many ask for fits that take long, workers are answered."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from service.executor.process import EngineFailed, Inline
from service.fitting import fits, questions
from tests.integration.test_api_calls import attach, lease
from tests.support.bodies import study_body
from tests.support.serving import in_process

CROWD = 45
"""More than there are threads that answer calls."""


class SlowEngine(Inline):
    """Diagnoses only end when they are let go, and then fail; what else is asked is computed."""

    def __init__(self):
        self.let_go = threading.Event()
        self.asked = 0

    def ask(self, function, *args, **kwargs):
        if function is not questions.diagnosed:
            return super().ask(function, *args, **kwargs)
        self.asked += 1
        assert self.let_go.wait(60)
        raise EngineFailed("it took too long")


@pytest.fixture
def engine():
    engine = SlowEngine()
    yield engine
    engine.let_go.set()


@pytest.fixture
def api(app_settings, engine):
    with TestClient(in_process(app_settings, engine), base_url="http://127.0.0.1") as client:
        client.post("/studies", json=study_body())
        attach(client, {"coco": 1.0}, 0.5)
        yield client


def test_workers_are_answered_while_a_crowd_waits_for_a_fit(api, engine):
    trial, token = lease(api)
    with ThreadPoolExecutor(CROWD) as crowd:
        waiting = [crowd.submit(api.get, "/studies/vlm/surrogates/auto") for _ in range(CROWD)]
        deadline = time.monotonic() + 30
        while sum(future.done() for future in waiting) < CROWD - fits.WAITING:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        beat = api.post(f"/trials/{trial['id']}/heartbeat", json={"token": token})
        assert beat.status_code == 200
        assert api.get("/healthz").status_code == 200
        assert not engine.let_go.is_set(), "the fit is still being computed"
        engine.let_go.set()
    answers = [future.result() for future in waiting]
    sent_away = [answer for answer in answers if answer.status_code == 503]
    assert len(sent_away) == CROWD - fits.WAITING
    assert {answer.json()["code"] for answer in sent_away} == {"busy"}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in sent_away)


def test_a_fit_that_failed_is_not_tried_again_by_everyone_who_waits_for_it(api, engine):
    engine.let_go.set()
    codes = [api.get("/studies/vlm/surrogates/auto").json()["code"] for _ in range(3)]
    assert codes == ["fit-failed"] * 3
    assert engine.asked == 1


def test_a_new_result_is_a_new_question(api, engine):
    engine.let_go.set()
    api.get("/studies/vlm/surrogates/auto")
    attach(api, {"lisa": 1.0}, 0.5)
    api.get("/studies/vlm/surrogates/auto")
    assert engine.asked == 2
