"""What operators see: figures, log lines, and a description of the interface that is true."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import structlog
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from db import studies
from modomodo.cli import app
from service import metrics
from service.executor.process import Inline
from service.proposing import proposer
from service.schemas import StudySpec
from service.settings import Settings
from tests.integration.test_api_calls import finish, lease, queue_is_filled
from tests.support.bodies import scores, study_body
from tests.support.dashboard import sign_in
from tests.support.serving import in_process

CHECKOUT = Path(__file__).parents[2]


def figures(api):
    """Value of every sample by its name and labels."""
    answer = api.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def of(found, name, **labels):
    return found.get((name, *sorted(labels.items())))


@pytest.mark.backends("sqlite", "postgresql")
def test_figures_follow_what_happens(api):
    api.post("/studies", json=study_body(budget=3))
    queue_is_filled(api, 2)
    before = figures(api)
    assert of(before, "modomodo_trials", study="vlm", state="completed") == 0
    assert of(before, "modomodo_leases_live", study="vlm") == 0
    assert of(before, "modomodo_best_score", study="vlm") is None
    first, token = lease(api, "w1")
    lease(api, "w2")
    held = figures(api)
    assert of(held, "modomodo_leases_live", study="vlm") == 2
    assert 0 <= of(held, "modomodo_lease_age_max_seconds", study="vlm") < 60
    assert 0 <= of(held, "modomodo_lease_silence_max_seconds", study="vlm") < 60
    finish(api, first, token, 0.75)
    after = figures(api)
    assert of(after, "modomodo_trials", study="vlm", state="completed") == 1
    assert of(after, "modomodo_leases_live", study="vlm") == 1
    assert of(after, "modomodo_best_score", study="vlm") == pytest.approx(0.75)
    assert of(after, "modomodo_proposal_seconds_count", strategy="random") >= 1
    assert of(after, "modomodo_proposing_failing", study="vlm") == 0
    route = {"method": "POST", "route": "/trials/{trial}/result", "status": "200"}
    assert of(after, "modomodo_request_seconds_count", **route) == 1
    assert of(after, "modomodo_request_seconds_bucket", **route, le="10.0") == 1


def test_a_study_that_is_gone_is_forgotten(database):
    stored = metrics._Stored(database)
    with database.write() as session:
        for name in ("stays", "goes"):
            body = StudySpec.model_validate(study_body(name=name)).model_dump(mode="json")
            studies.create(session, body, "user")
    list(stored.collect())
    with database.write() as session:
        studies.get(session, "goes").name = "came"
    list(stored.collect())
    assert sorted(stored._best) == ["came", "stays"]


def test_failing_strategies_are_counted(api, monkeypatch):
    def broken(task, strategy):
        raise RuntimeError("singular matrix")

    monkeypatch.setattr(proposer, "compute", broken)
    api.post("/studies", json=study_body())
    deadline = time.monotonic() + 30
    while not of(figures(api), "modomodo_proposing_failing", study="vlm"):
        assert time.monotonic() < deadline
    assert of(figures(api), "modomodo_proposal_failures_total", strategy="random") >= 1


def test_addresses_that_are_not_there_make_no_figures_of_their_own(api):
    for path in ("/nothing/here", "/studies/a/b/c/d"):
        assert api.get(path).status_code == 404
    routes = {dict(key[1:]).get("route") for key in figures(api)}
    assert not any(route and ("nothing" in route or "/a/" in route) for route in routes)


@pytest.fixture
def logged(monkeypatch):
    """Log lines as they are written, one dictionary each."""
    lines = []

    def keep(_, __, line):
        lines.append(dict(line))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, keep],
        cache_logger_on_first_use=False,
    )
    yield lines
    structlog.configure(**before)


def test_every_log_line_of_a_call_has_its_id_study_and_trial(api, logged):
    api.post("/studies", json=study_body())
    trial, token = lease(api)
    logged.clear()
    path = f"/trials/{trial['id']}/heartbeat"
    answer = api.post(path, json={"token": token}, headers={"X-Request-Id": "abc-1"})
    assert answer.headers["x-request-id"] == "abc-1"
    (line,) = [line for line in logged if line.get("request") == "abc-1"]
    assert (line["event"], line["trial"], line["status"]) == ("request", trial["id"], 200)
    assert line["route"] == "/trials/{trial}/heartbeat"
    assert token not in json.dumps(line)
    api.get("/studies/vlm")
    assert logged[-1]["study"] == "vlm"


def test_who_was_given_which_trial_is_logged(api, logged):
    api.post("/studies", json=study_body())
    trial, token = lease(api, "w7")
    (line,) = [line for line in logged if line["event"] == "leased"]
    assert (line["study"], line["trial"], line["worker"]) == ("vlm", trial["id"], "w7")
    assert line["request"]
    assert token not in json.dumps(logged, default=str)


def test_no_secret_is_in_a_log_line_wherever_it_was_sent(database_url, logged):
    key, secret = "a-key-of-thirty-two-or-more-chars", "what-nobody-shall-read"
    settings = Settings(database_url=database_url, upkeep_every_s=3600.0, api_key=key)
    with TestClient(in_process(settings, Inline()), base_url="http://127.0.0.1") as client:
        bearer = {"Authorization": f"Bearer {key}"}
        client.post("/studies", json=study_body(), headers=bearer)
        client.get("/studies", headers={"Authorization": f"Bearer {secret}"})
        client.get(f"/studies?key={secret}", headers=bearer)
        client.get(f"/ui/sign-in?to=/%3F{secret}")
        client.post("/ui/sign-in", data={"csrf": secret, "key": secret})
        client.post("/trials/1/heartbeat", json={"token": secret}, headers=bearer)
        client.post("/trials/1/result", content=f'{{"token": "{secret}"', headers=bearer)
        client.get("/", cookies={"modomodo_session": secret})
        sign_in(client, key)
    assert len(logged) >= 8
    said = json.dumps(logged, default=str)
    assert secret not in said
    assert key not in said


def test_a_fault_is_answered_with_the_id_that_finds_its_cause_in_the_log(api, logged, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("only the log shall have this")

    with monkeypatch.context() as during:
        during.setattr("service.study.views.study", broken)
        answer = api.post("/studies", json=study_body(), headers={"X-Request-Id": "abc-2"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == "abc-2"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.json()["code"] == "internal-error"
    assert "abc-2" in answer.json()["detail"]
    assert "only the log" not in answer.text
    fault, request = (line for line in logged if line.get("request") == "abc-2")
    assert (fault["event"], fault["path"]) == ("fault", "/studies")
    assert (request["event"], request["status"]) == ("request", 500)
    assert api.get("/studies").json() == {"studies": [], "more": False}, "nothing was changed"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, b'a"\nb', "ü".encode()])
def test_a_request_id_that_is_none_is_replaced(api, given):
    answer = api.get("/healthz", headers={"X-Request-Id": given})
    assert len(answer.headers["x-request-id"]) == 16


def test_the_committed_description_of_the_interface_is_true():
    printed = CliRunner().invoke(app, ["openapi"])
    assert printed.exit_code == 0
    committed = (CHECKOUT / "docs" / "openapi.json").read_text()
    assert printed.stdout == committed, "run `modomodo openapi > docs/openapi.json`"


def test_figures_of_other_studies_come_when_one_cannot_be_read(api, database):
    for name in ("broken", "vlm"):
        api.post("/studies", json=study_body(name))
    body = {"mixture": {"coco": 1.0}, "measurements": scores(0.75)}
    assert api.post("/studies/vlm/trials", json=body).status_code == 201
    assert api.post("/studies/broken/trials", json=body).status_code == 201
    with database.write() as session:
        study = studies.get(session, "broken")
        study.spec = study.spec | {"domains": []}
    found = figures(api)
    assert of(found, "modomodo_best_score", study="vlm") == pytest.approx(0.75)
    assert of(found, "modomodo_best_score", study="broken") is None
    assert of(found, "modomodo_trials", study="broken", state="completed") == 1
