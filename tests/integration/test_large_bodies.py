"""Large bodies: parsed where they hold up nobody, and answered like any other."""

from __future__ import annotations

import json
import threading

import pytest

from service.http import bodies
from service.study import engine_terms
from tests.integration.test_api_calls import lease
from tests.support.bodies import scores, study_body

JSON = {"Content-Type": "application/json"}
PREDICT = "/studies/vlm/surrogates/quadsurface/predict"
MIXTURE = {"coco": 0.5, "lisa": 0.25, "sat": 0.25}


@pytest.fixture
def study(api):
    assert api.post("/studies", json=study_body()).status_code == 201
    return "vlm"


def measured(api, n):
    """Adds finished runs."""
    for run in range(n):
        mixture = {"coco": run / n, "lisa": 1 - run / n}
        body = {"mixture": mixture, "measurements": scores(0.3 + run / 20)}
        assert api.post("/studies/vlm/trials", json=body).status_code == 201


@pytest.fixture(scope="module")
def running(untouched):
    """A service with a study whose first trial is running, and the token of that."""
    assert untouched.post("/studies", json=study_body()).status_code == 201
    return untouched, lease(untouched)[1]


def refusal(answer):
    told = answer.json()
    return answer.status_code, told["code"], told["detail"]


def test_a_large_body_is_taken_and_parsed_in_a_thread_of_its_own(api, study, monkeypatch):
    trial, token = lease(api)
    seen = []
    read = bodies._read

    def watched(*arguments):
        seen.append(threading.current_thread().name)
        return read(*arguments)

    monkeypatch.setattr(bodies, "_read", watched)
    points = [{"step": n, "metrics": {f"m{k}": 0.5 for k in range(50)}} for n in range(200)]
    body = {"token": token, "step": 200, "points": points}
    assert api.post(f"/trials/{trial['id']}/heartbeat", json=body).status_code == 200
    assert len(api.get(f"/trials/{trial['id']}/curve").json()["steps"]) == 200
    small = {"token": token, "step": 201}
    assert api.post(f"/trials/{trial['id']}/heartbeat", json=small).status_code == 200
    assert len(seen) == 1
    assert "worker thread" in seen[0].lower()


def test_a_large_body_that_is_wrong_is_told_like_a_small_one(api, study):
    trial, token = lease(api)
    path = f"/trials/{trial['id']}/heartbeat"
    for n in (1, 20_000):
        text = json.dumps({"token": token, "metrics": {"loss": "low"}, "step": 1})
        answer = api.post(path, content=text + " " * 5 * n, headers=JSON)
        assert refusal(answer)[:2] == (422, "invalid-request")
        assert answer.json()["errors"][0]["where"] == "body.metrics.loss"
        answer = api.post(path, content="{" + " " * 5 * n, headers=JSON)
        assert refusal(answer)[:2] == (400, "malformed-json")
        answer = api.post(path, content="[" * 5 * n + "]", headers=JSON)
        assert answer.status_code == 400
        answer = api.post(path, content=text + " " * 5 * n)
        assert answer.status_code == 422


@pytest.mark.parametrize(
    "fault",
    [
        {"step": -1},
        {"step": "one"},
        {"step": 1.5},
        {"token": "short"},
        {"token": None},
        {"colour": "red"},
        {"metrics": {"loss": "low"}},
        {"metrics": {"": 1.0}},
        {"metrics": {f"m{k}": 0.5 for k in range(300)}},
        {"points": [{"step": 1, "metrics": {}}] * 501},
        {"points": {}},
    ],
    ids=lambda fault: str(fault)[:40],
)
def test_every_kind_of_fault_is_told_in_the_same_words(running, fault):
    api, token = running
    path = "/trials/1/heartbeat"
    text = json.dumps({"token": token, "step": 1} | fault)
    small, large = (
        refusal(api.post(path, content=text + room, headers=JSON)) for room in ("", " " * 100_000)
    )
    assert small == large
    assert small[0] == 422


def test_of_very_many_faults_only_the_number_is_told(running):
    api, token = running
    body = {"token": token} | {f"extra{n}": 1 for n in range(20_000)}
    status, code, detail = refusal(api.post("/trials/1/heartbeat", json=body))
    assert (status, code) == (422, "invalid-request")
    assert "20,000 places are not valid" in detail


def test_of_many_wrong_mixtures_the_first_is_told(running):
    api, _ = running
    wrong = [MIXTURE] * 2000 + [{"coco": "much"}, {"lisa": []}] * 2000
    answer = api.post(PREDICT, json={"mixtures": wrong})
    assert [item["where"] for item in answer.json()["errors"]] == ["body.mixtures.2000.coco"]
    crowded = {f"d{n}": 0.0 for n in range(65)}
    status, _, detail = refusal(api.post(PREDICT, json={"mixtures": [crowded]}))
    assert status == 422
    assert "at most 64 entries" in detail


@pytest.mark.parametrize(
    ("path", "kib"),
    [
        ("/trials/next", 64),
        ("/trials/1/failure", 64),
        ("/trials/1/result", 2048),
        ("/trials/1/heartbeat", 4096),
        ("/studies", 2048),
        ("/studies/vlm/trials", 1024),
        (PREDICT, 4096),
        ("/ui/sign-in", 16),
        ("/ui/new", 128),
    ],
)
def test_more_than_a_call_takes_is_refused_declared_or_not(running, path, kib):
    api, _ = running
    too_much = b" " * (kib * 1024 + 1)

    def pieces():
        yield from (too_much[:-1], too_much[-1:])

    headers = (
        JSON
        if not path.startswith("/ui")
        else {"Content-Type": "application/x-www-form-urlencoded"}
    )
    for content in (too_much, pieces()):
        answer = api.post(path, content=content, headers=headers)
        status, code, detail = refusal(answer)
        if path == "/ui/new":  # which looks at the token of its pages first
            assert status in (403, 413)
            continue
        assert (status, code) == (413, "body-too-large")
        assert f"more than {kib * 1024} bytes" in detail


def test_many_mixtures_are_predicted_with_one_space(api, study, monkeypatch):
    measured(api, 6)
    made = []
    space = engine_terms.space
    monkeypatch.setattr(engine_terms, "space", lambda spec: made.append(1) or space(spec))
    answer = api.post(PREDICT, json={"mixtures": [MIXTURE] * 300})
    assert answer.status_code == 200
    assert len(answer.json()["predictions"]) == 300
    assert len(made) < 10


def test_a_worker_that_said_a_lot_before_there_was_a_limit_fills_no_page(api, database):
    from db import leases

    with database.write() as session:
        leases.seen(session, "w", {f"key{n}": n for n in range(50_000)})
    assert len(api.get("/ui/workers").content) < 200_000
