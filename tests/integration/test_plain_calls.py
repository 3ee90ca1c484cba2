"""Busy calls have a way past most of FastAPI, with its answers."""

from __future__ import annotations

import json

import pytest

from service.http import plain
from tests.support.bodies import scores, study_body

MIXTURE = {"coco": 1.0, "lisa": 0.0, "sat": 0.0}


@pytest.fixture
def held(api):
    """A trial that a worker holds, and its token."""
    api.post("/studies", json=study_body()).raise_for_status()
    api.post("/studies/vlm/trials", json={"mixture": MIXTURE}).raise_for_status()
    given = api.post("/trials/next", json={"worker": "w1"}).json()
    return given["trial"]["id"], given["lease"]["token"]


def through_fastapi(monkeypatch):
    async def left_to_fastapi(*_):
        return None

    monkeypatch.setattr(plain, "answer", left_to_fastapi)


BODIES = [
    b"",
    b"{",
    b'{"worker"',
    b"[]",
    b"null",
    b'"w1"',
    b'{"worker": ""}',
    b'{"worker": 3}',
    b'{"worker": "w2", "more": 1}',
    b'{"worker": "w2", "gpus": 1.5}',
    b'{"worker": "w2", "study": "nowhere"}',
    b'{"worker": "\\ud800"}',
    b'{"worker": "\xff"}',
    b'{"worker": "w2", "gpus": NaN}',
    b'{"worker": "w2", "gpus": 1' + 5000 * b"0" + b"}",
    b'{"worker": "w2", "capabilities": ' + 30_000 * b"[" + 30_000 * b"]" + b"}",
    b'{"worker": "w2", "capabilities": {"a": "' + 70_000 * b"b" + b'"}}',
]


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "", "x/y"])
def test_what_is_wrong_with_a_body_is_said_in_the_same_words(api, held, monkeypatch, kind):
    def said():
        answers = []
        for body in BODIES:
            answer = api.post("/trials/next", content=body, headers={"content-type": kind})
            answers.append((answer.status_code, answer.headers["content-type"], answer.json()))
        return answers

    plainly = said()
    through_fastapi(monkeypatch)
    assert said() == plainly
    assert {status for status, _, _ in plainly} <= {400, 404, 413, 422}


@pytest.mark.parametrize("trial", ["0", str(2**31), "99999999999999", "-1", "x"])
def test_what_is_wrong_with_an_id_is_said_in_the_same_words(api, held, monkeypatch, trial):
    def said():
        body = {"token": "a-token-that-is-none"}
        answer = api.post(f"/trials/{trial}/heartbeat", json=body)
        return answer.status_code, answer.json()

    plainly = said()
    through_fastapi(monkeypatch)
    assert said() == plainly


def test_an_answer_has_the_same_bytes_and_headers(api, held, monkeypatch):
    trial, token = held
    body = {"token": token, "measurements": scores(0.5), "artifacts": {"a": [1.0, 1e-7, "é"]}}

    def said():
        answer = api.post(f"/trials/{trial}/result", json=body)
        headers = {k: v for k, v in answer.headers.items() if k != "x-request-id"}
        return answer.status_code, headers, answer.content

    said()
    plainly = said()  # the same again changes nothing
    through_fastapi(monkeypatch)
    assert said() == plainly
    assert json.loads(plainly[2])["state"] == "completed"


@pytest.mark.parametrize("trial", [1, 999])
@pytest.mark.parametrize("call", ["heartbeat", "result"])
def test_a_refusal_is_said_in_the_same_words(api, held, monkeypatch, call, trial):
    body = {"token": "a-token-that-is-none"}
    if call == "result":
        body["measurements"] = [{"benchmark": "nowhere", "score": 0.5, "samples": 10}]

    def said():
        answer = api.post(f"/trials/{trial}/{call}", json=body)
        headers = {k: v for k, v in answer.headers.items() if k != "x-request-id"}
        return answer.status_code, headers, answer.content

    plainly = said()
    through_fastapi(monkeypatch)
    assert said() == plainly
    assert plainly[0] in {404, 409, 422}


def test_a_call_is_counted_under_the_same_route(api, held, monkeypatch):
    trial, token = held

    def counted():
        api.post(f"/trials/{trial}/heartbeat", json={"token": token}).raise_for_status()
        api.post("/trials/next", json={"worker": "w2"}).raise_for_status()
        lines = [line for line in api.get("/metrics").text.splitlines() if "_count{" in line]
        return dict(line.rsplit(" ", 1) for line in lines if 'method="POST"' in line)

    plainly = counted()
    through_fastapi(monkeypatch)
    assert counted().keys() == plainly.keys()
