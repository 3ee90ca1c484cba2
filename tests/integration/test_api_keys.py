"""Keys with scopes: made, used for what they allow, revoked; and never shown again."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from typer.testing import CliRunner

from db import events, keys
from db.errors import BadKey, KeyNotFound
from db.models import ApiKey
from modomodo.cli import app
from modomodo.errors import CommandFailed
from service.executor.process import Inline
from service.http import auth
from tests.support.bodies import study_body
from tests.support.serving import in_process

pytestmark = pytest.mark.backends("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))


@pytest.fixture
def made(database):
    """A key of each scope, by scope."""
    with database.write() as session:
        return {scope: keys.create(session, f"our-{scope}", scope) for scope in auth.SCOPES}


@pytest.fixture(autouse=True)
def cache_no_keys(api, app_settings, database):
    """The service asks the database each time."""
    gate = auth.Gate(app_settings, database, cache_ttl_s=-1.0)
    api.app.state.context = replace(api.app.state.context, gate=gate)


def call(api, key, method, path, body=None):
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return api.request(method, path, headers=headers, json=body)


READING = [
    ("GET", "/metrics", None),
    ("GET", "/studies", None),
    ("GET", "/studies/vlm", None),
    ("GET", "/studies/vlm/trials", None),
    ("GET", "/studies/vlm/trials/2", None),
    ("GET", "/studies/vlm/best", None),
    ("GET", "/studies/vlm/front", None),
    ("GET", "/studies/vlm/effects", None),
    ("GET", "/studies/vlm/cost", None),
    ("GET", "/studies/vlm/changes", None),
    ("GET", "/studies/vlm/export", None),
    ("GET", "/studies/vlm/figures", None),
    ("GET", "/studies/vlm/figures", None),
    ("GET", "/demand", None),
    ("GET", "/studies/vlm/demand", None),
    ("GET", "/workers", None),
    ("GET", "/owners", None),
    ("GET", "/trials/1", None),
    ("GET", "/trials/1/curve", None),
    ("GET", "/studies/vlm/figures", None),
    ("GET", "/studies/vlm/surrogates/quadsurface", None),
    ("POST", "/studies/vlm/surrogates/quadsurface/predict", {"mixtures": [{"coco": 1.0}]}),
    ("GET", "/ui/studies/vlm", None),
    ("GET", "/ui/studies/vlm/trials", None),
    ("GET", "/ui/studies/vlm/trials/found", None),
    ("GET", "/ui/studies/vlm/trials.csv", None),
    ("GET", "/ui/studies/vlm/curves", None),
    ("GET", "/ui/studies/vlm/curves/drawn", None),
    ("GET", "/ui/studies/vlm/effects", None),
    ("GET", "/ui/studies/vlm/effects/all", None),
    ("GET", "/ui/studies/vlm/cost", None),
    ("GET", "/compare", None),
    ("GET", "/ui/compare/progress?study=vlm", None),
    ("GET", "/ui/compare/fits?study=vlm", None),
]
WORKING = [
    ("POST", "/trials/next", {"worker": "w"}),
    ("POST", "/trials/1/heartbeat", {"token": "x" * 20}),
    ("POST", "/heartbeats", {"beats": [{"trial": 1, "token": "x" * 20}]}),
    ("POST", "/trials/1/measurements", {"token": "x" * 20, "measurements": []}),
    ("POST", "/trials/1/result", {"token": "x" * 20, "measurements": []}),
    ("POST", "/trials/1/failure", {"token": "x" * 20, "error": "e", "retryable": True}),
    ("POST", "/trials/1/release", {"token": "x" * 20}),
    ("POST", "/trials/1/partial", {"token": "x" * 20, "step": 1}),
]
ADMINISTERING = [
    ("POST", "/studies", study_body("other")),
    ("PATCH", "/studies/vlm", {"note": "changed"}),
    ("POST", "/studies/vlm/clone", {"name": "copy"}),
    ("DELETE", "/studies/vlm?confirm=other", None),
    ("POST", "/studies/vlm/trials", {"mixture": {"coco": 1.0}}),
    ("POST", "/studies/vlm/trials/import", {"runs": [{"mixture": {}, "scores": {"chart": 1.0}}]}),
    ("POST", "/studies/vlm/trials/bulk", {"action": "tag", "numbers": [1], "tags": ["old"]}),
    ("PATCH", "/trials/1", {"note": "looked at"}),
    ("POST", "/trials/1/cancel", None),
    ("POST", "/trials/1/retry", None),
    ("POST", "/trials/1/early-stop", None),
    ("POST", "/trials/1/pause", None),
    ("POST", "/trials/1/continue", None),
    ("POST", "/trials/1/stop", None),
    ("POST", "/workers/w/gone", None),
    ("PUT", "/owners/o", {"gpu_hours": 10.0}),
    ("PUT", "/studies/vlm/owner", {"owner": None}),
]


@pytest.mark.backends("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))
def test_each_scope_allows_its_calls_and_no_others(api, made):
    assert call(api, made["admin"], "POST", "/studies", study_body()).status_code == 201
    calls = {"read": READING, "worker": WORKING, "admin": ADMINISTERING}
    for has, key in made.items():
        for needs, listed in calls.items():
            for method, path, body in listed:
                answer = call(api, key, method, path, body)
                assert answer.status_code != 401, (has, path)
                allowed = auth.SCOPES.index(has) >= auth.SCOPES.index(needs)
                assert (answer.status_code != 403) == allowed, (has, needs, path, answer.text)
                if not allowed:
                    problem = answer.json()
                    assert problem["code"] == "scope-needed"
                    assert f"scope '{needs}'" in problem["detail"]
                    assert f"'{has}'" in problem["detail"]


def test_every_call_is_among_those_tested(api):
    names = {"vlm": "{study}", "1": "{trial}", "2": "{number}", "quadsurface": "{name}"}
    names |= {"w": "{worker}", "o": "{owner}"}
    tested = {
        (method, "/".join(names.get(part, part) for part in path.split("?")[0].split("/")))
        for method, path, _ in READING + WORKING + ADMINISTERING
    }
    offered = {
        (method.upper(), path)
        for path, calls in api.get("/openapi.json").json()["paths"].items()
        for method in calls
    }
    assert offered - tested == {("GET", "/healthz"), ("GET", "/readyz")}


def test_from_the_first_key_on_every_call_needs_one(api, database):
    assert api.get("/studies").status_code == 200
    with database.write() as session:
        key = keys.create(session, "mine", "read")
    assert (api.get("/studies").status_code, api.get("/").status_code) == (401, 401)
    assert api.get("/healthz").status_code == 200
    assert call(api, key, "GET", "/studies").status_code == 200
    elsewhere = {"Authorization": f"Bearer {key}", "Host": "modomodo.example"}
    assert api.get("/studies", headers=elsewhere).status_code == 200, "under any name"
    with database.write() as session:
        keys.revoke(session, "mine")
    assert call(api, key, "GET", "/studies").status_code == 401
    assert api.get("/studies").status_code == 401, "it never opens again"


@pytest.mark.parametrize("path", ["/studies", "/trials/next", "/trials/1/result", "/nothing"])
def test_nothing_of_a_body_is_read_before_the_key(api, made, path):
    def broken(key):
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        return api.post(path, content="{", headers=headers).status_code

    expected = [404] * 3 if path == "/nothing" else [401, 403, 400]
    assert [broken(key) for key in ("wrong", made["read"], made["admin"])] == expected


@pytest.mark.parametrize(
    "path",
    [
        "/ui/studies/vlm/what-if/feasible",
        "/ui/studies/vlm/what-if/predictions/auto",
        "/ui/studies/vlm/trials/1/note",
    ],
)
def test_neither_is_one_that_a_page_sends(api, made, path):
    headers = {"Authorization": "Bearer wrong", "Content-Type": "application/json"}
    assert api.post(path, content="{", headers=headers).status_code == 401
    headers["Authorization"] = f"Bearer {made['admin']}"
    assert api.post(path, content="{", headers=headers).status_code == 400


def test_a_revoked_key_opens_nothing(api, made, database):
    with database.write() as session:
        keys.revoke(session, "our-worker")
    assert call(api, made["worker"], "POST", "/trials/next", {"worker": "w"}).status_code == 401
    assert call(api, made["read"], "GET", "/studies").status_code == 200


def test_a_revoked_key_is_found_out_soon_though_keys_are_remembered(
    api, app_settings, made, database, monkeypatch
):
    clock = [0.0]
    monkeypatch.setattr(auth.time, "monotonic", lambda: clock[0])
    gate = auth.Gate(app_settings, database, cache_ttl_s=2.0)
    api.app.state.context = replace(api.app.state.context, gate=gate)
    assert call(api, made["read"], "GET", "/studies").status_code == 200
    with database.write() as session:
        keys.revoke(session, "our-read")
    clock[0] = 2.1
    assert call(api, made["read"], "GET", "/studies").status_code == 401


def test_of_many_callers_one_asks_again_before_an_answer_about_a_key_ends(
    app_settings, made, database, monkeypatch
):
    clock = [0.0]
    monkeypatch.setattr(auth.time, "monotonic", lambda: clock[0])
    gate = auth.Gate(app_settings, database, cache_ttl_s=2.0)
    sent = f"Bearer {made['read']}"
    gate.caller(sent, "here")
    clock[0] = 0.9
    assert not gate.is_to_renew(sent)
    clock[0] = 1.1
    assert [gate.is_to_renew(sent) for _ in range(3)] == [True, False, False]
    gate.renew(sent)
    clock[0] = 3.0
    assert gate.caller_at_once(sent) is not None
    with database.write() as session:
        keys.revoke(session, "our-read")
    gate.renew(sent)
    assert gate.caller_at_once(sent) is None


def test_a_key_that_is_nearly_right_opens_nothing(api, made):
    key = made["admin"]
    start, prefix, secret = key.split("_", 2)
    wrong = [key[:-1], key + "x", f"{start}_{prefix}_", f"{start}_{prefix}", prefix, secret,
             f"{start}_{prefix}_{made['read'].split('_', 2)[2]}", "mdm__", "mdm_%_%"]  # fmt: skip
    for text in wrong:
        assert call(api, text, "GET", "/studies").status_code == 401, text


def test_the_operators_own_key_goes_on_to_do_everything(app_settings, made):
    own = "the-operators-own-and-very-long-key"
    settings = type(app_settings)(**app_settings.model_dump() | {"api_key": own})
    with TestClient(in_process(settings, Inline()), base_url="http://127.0.0.1") as client:
        assert call(client, own, "POST", "/studies", study_body()).status_code == 201
        assert call(client, made["read"], "GET", "/studies").status_code == 200
        assert call(client, made["read"], "PATCH", "/studies/vlm", {}).status_code == 403
        assert call(client, None, "GET", "/studies").status_code == 401


def test_events_name_the_key_that_changed_something(api, made, database):
    call(api, made["admin"], "POST", "/studies", study_body(budget=1))
    added = call(api, made["admin"], "POST", "/studies/vlm/trials", {"mixture": {"coco": 1.0}})
    with database.read() as session:
        assert events.of_trial(session, added.json()["id"])[0].actor == "user our-admin"


def test_only_hashes_are_stored(database, made):
    with database.read() as session:
        rows = session.scalars(select(ApiKey)).all()
    for row in rows:
        key = made[row.scope]
        assert row.key_hash == keys.hash_of(key)
        assert key.split("_", 2)[2] not in str(vars(row))


def test_names_are_unique_among_valid_keys_and_scopes_are_known(database, made):
    with database.write() as session:
        with pytest.raises(BadKey, match="revoke it first"):
            keys.create(session, "our-read", "read")
        with pytest.raises(BadKey, match="read, worker, admin"):
            keys.create(session, "new", "root")
        with pytest.raises(BadKey, match="no name"):
            keys.create(session, "new\nline", "read")
        with pytest.raises(KeyNotFound, match="modomodo key list"):
            keys.revoke(session, "nobody")
        keys.revoke(session, "our-read")
        assert keys.create(session, "our-read", "read") != made["read"]


def test_keys_from_the_command_line(database_url, database):
    def run(*arguments):
        return CliRunner().invoke(app, ["key", *arguments, "--database", database_url])

    key = run("create", "fleet", "--scope", "worker").stdout.strip()
    with database.read() as session:
        assert keys.by_prefix(session, keys.prefix_of(key)).name == "fleet"
    again = run("create", "fleet", "--scope", "worker")
    assert isinstance(again.exception, CommandFailed)
    listed = run("list", "--json")
    (row,) = json.loads(listed.stdout)
    assert (row["name"], row["scope"], row["revoked_at"]) == ("fleet", "worker", None)
    assert key.startswith(row["starts_with"])
    assert key not in listed.stdout
    revoked = run("revoke", "fleet")
    assert revoked.exit_code == 0
    assert "the last one" in revoked.stderr
    assert json.loads(run("list", "--json").stdout)[0]["revoked_at"]
    assert "fleet" in run("list").stdout
    with database.read() as session:
        assert keys.by_prefix(session, keys.prefix_of(key)) is None
    assert run("create", "x", "--scope", "root").exit_code == 2
