"""How often one may call: each key for itself, everybody else by address."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from db import keys
from db.sessions import Database
from service.executor.process import Inline
from service.settings import Settings
from tests.support.serving import in_process

KEY = "a-key-of-thirty-two-or-more-chars"
OURS = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def slow(database_url):
    """A service that each may call once, and then once in 100 s."""
    settings = Settings(
        database_url=database_url, upkeep_every_s=3600.0, api_key=KEY, calls_per_s=0.01
    )
    with TestClient(in_process(settings, Inline()), base_url="http://127.0.0.1") as client:
        yield client


def test_who_calls_too_often_is_told_when_to_come_back(slow):
    assert slow.get("/studies", headers=OURS).status_code == 200
    held_up = slow.get("/studies", headers=OURS)
    assert held_up.status_code == 429
    assert held_up.headers["Content-Type"] == "application/problem+json"
    assert held_up.json()["code"] == "too-many-calls"
    assert 90 <= int(held_up.headers["Retry-After"]) <= 100


@pytest.mark.parametrize("header", ["Basic {}", "Bearer {}", "Bearer mdm_{}_x", "{}"])
def test_a_new_made_up_key_for_every_call_does_not_help(slow, header):
    statuses = [
        slow.get("/studies", headers={"Authorization": header.format(i)}).status_code
        for i in range(5)
    ]
    assert statuses == [401, 429, 429, 429, 429]


def test_a_valid_key_is_not_held_up_by_others_at_its_address(slow):
    assert [slow.get("/studies").status_code for _ in range(2)] == [401, 429]
    assert slow.get("/studies", headers=OURS).status_code == 200


def test_probes_heartbeats_and_results_are_never_held_up(slow):
    assert [slow.get("/studies", headers=OURS).status_code for _ in range(2)] == [200, 429]
    for path in ("/healthz", "/readyz", "/metrics"):
        assert {slow.get(path, headers=OURS).status_code for _ in range(5)} == {200}
    token = {"token": "x" * 20}
    for call, body in (("heartbeat", token), ("result", token | {"measurements": []})):
        answers = [slow.post(f"/trials/1/{call}", json=body, headers=OURS) for _ in range(5)]
        assert 429 not in {answer.status_code for answer in answers}


def test_heartbeats_of_strangers_are_held_up_like_anything(slow):
    beat = {"token": "x" * 20}
    statuses = [slow.post("/trials/1/heartbeat", json=beat).status_code for _ in range(3)]
    assert statuses == [401, 429, 429]


def test_heartbeats_are_not_held_up_while_nobody_needs_a_key(database_url):
    settings = Settings(database_url=database_url, upkeep_every_s=3600.0, calls_per_s=0.01)
    beat = {"token": "x" * 20}
    with TestClient(in_process(settings, Inline()), base_url="http://127.0.0.1") as client:
        assert client.get("/studies").status_code == 200
        assert client.get("/studies").status_code == 429
        assert client.post("/trials/1/heartbeat", json=beat).status_code == 404


@pytest.mark.parametrize(
    ("scope", "statuses"), [("read", [403, 429, 429]), ("worker", [404, 404, 404])]
)
def test_heartbeats_of_a_key_that_may_only_read_are_counted(slow, database_url, scope, statuses):
    database = Database(database_url)
    with database.write() as session:
        sent = {"Authorization": f"Bearer {keys.create(session, 'someone', scope)}"}
    database.close()
    assert slow.get("/studies", headers=sent).status_code == 200
    beat = {"token": "x" * 20}
    answers = [slow.post("/trials/1/heartbeat", json=beat, headers=sent) for _ in range(3)]
    assert [answer.status_code for answer in answers] == statuses
