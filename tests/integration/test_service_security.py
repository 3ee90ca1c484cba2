"""Who may call the service, and that it is not opened to others by mistake."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from db import keys
from service.executor.process import Inline
from service.http.auth import Gate, NoKey
from service.settings import Settings, is_loopback
from tests.support.serving import in_process

KEY = "a-key-of-more-than-32-characters"


@pytest.fixture(scope="module")
def locked(shared_settings):
    settings = shared_settings.model_copy(update={"api_key": Settings(api_key=KEY).api_key})
    with TestClient(in_process(settings, Inline()), base_url="http://127.0.0.1") as client:
        yield client


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", f"Basic {KEY}", KEY, "Bearer ü".encode()]
)
def test_without_the_key_nothing_is_answered_but_probes(locked, header):
    headers = {} if header is None else {"Authorization": header}
    answer = locked.get("/studies", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "key-required")
    assert answer.headers["www-authenticate"] == "Bearer"
    is_wrong = isinstance(header, bytes) or header == "Bearer wrong"
    assert ("not valid here" in answer.json()["detail"]) == is_wrong
    assert ("none came with the call" in answer.json()["detail"]) != is_wrong
    assert "`Authorization: Bearer KEY`" in answer.json()["hint"]
    assert KEY not in answer.text
    assert locked.get("/healthz").status_code == 200
    assert locked.get("/readyz").status_code == 200


def test_the_key_opens(locked):
    answer = locked.get("/studies", headers={"Authorization": f"Bearer {KEY}"})
    assert answer.json() == {"studies": [], "more": False}


def test_other_hosts_need_a_key(database):
    everywhere = Settings(host="0.0.0.0")  # noqa: S104 - it is the point
    with pytest.raises(NoKey, match="MODOMODO_API_KEY"):
        Gate(everywhere, database)
    assert not Gate(Settings(host="0.0.0.0", api_key=KEY), database).is_open()  # noqa: S104
    with database.write() as session:
        keys.create(session, "fleet", "worker")
    gate = Gate(everywhere, database)
    with database.write() as session:
        keys.revoke(session, "fleet")
    assert not gate.is_open(), "not even when its last key is revoked"


def test_a_short_key_is_refused():
    with pytest.raises(ValidationError, match=r"32 characters.*openssl rand"):
        Settings(api_key="short")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"), ("GET", "/studies"), ("GET", "/healthz"), ("GET", "/nothing"),
        ("GET", "/openapi.json"), ("GET", "/ui/static/x/style.css"), ("POST", "/trials/next"),
        ("GET", "/ui/sign-in"), ("DELETE", "/studies"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("has_key", [False, True])
def test_every_answer_forbids_to_run_what_it_holds(locked, method, path, has_key):
    headers = {"Authorization": f"Bearer {KEY}"} if has_key else {}
    answer = locked.request(method, path, headers=headers)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    is_page = answer.headers["Content-Type"].startswith("text/html")
    assert ("script-src 'self'" in policy) == is_page
    assert answer.headers["Cache-Control"].startswith(("no-store", "no-cache"))


def test_the_key_does_not_show():
    assert KEY not in repr(Settings(api_key=KEY))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.3.2.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("example.org", False),
        ("", False),
    ],
)
def test_loopback_is_known(host, expected):
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", ""]
)
def test_without_a_key_a_web_page_that_points_its_name_here_gets_nothing(untouched, host):
    answer = untouched.get("/studies", headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (403, "host-refused")


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://127.0.0.1.evil.example",
        "null",
        "http://127.0.0.1",  # another port, so another program's page
        "http://127.0.0.1:3000",
        "http://127.0.0.1:87650",
        "http://localhost:8765",
        "http://[::1]:8765",
        "https://127.0.0.1:8765",
        "http://user@127.0.0.1:8765",
        "127.0.0.1:8765",
    ],
)
def test_without_a_key_a_page_from_elsewhere_changes_nothing(untouched, origin):
    headers = {"Origin": origin, "Host": "127.0.0.1:8765"}
    answer = untouched.post("/trials/1/cancel", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "origin-refused")


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8765", "http://127.0.0.1:8765"),
        ("localhost:9000", "http://localhost:9000"),
        ("[::1]:8765", "http://[::1]:8765"),
        ("localhost", "http://localhost"),
        ("localhost:80", "http://localhost"),
        ("localhost", "http://LOCALHOST:80"),
    ],
)
def test_this_services_own_pages_may_call_it(untouched, host, origin):
    answer = untouched.post("/trials/1/cancel", headers={"Host": host, "Origin": origin})
    assert (answer.status_code, answer.json()["code"]) == (404, "trial-not-found")


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:8765", "[::1]:8765"])
def test_this_machines_own_names_are_fine(untouched, host):
    assert untouched.get("/studies", headers={"Host": host}).status_code == 200


def test_with_a_key_any_name_is_fine(locked):
    headers = {"Host": "modomodo.example", "Authorization": f"Bearer {KEY}"}
    assert locked.get("/studies", headers=headers).status_code == 200


def test_a_web_page_cannot_send_a_change_as_a_plain_form(untouched):
    answer = untouched.post("/studies", content="{}", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 422
