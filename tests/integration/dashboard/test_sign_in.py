"""Signing in with a key: a cookie that ends with it, and tokens against forged calls."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update

from db import keys
from db.clock import after
from db.models import SignIn
from service.dashboard import session
from service.executor.process import Inline
from service.http import auth
from service.settings import Settings
from tests.support.dashboard import body, own, sign_in
from tests.support.serving import in_process

KEY = "a-key-of-thirty-two-or-more-chars"
PAGE = {"Accept": "text/html"}

in_sql = pytest.mark.backends("sqlite", "postgresql")
"""What is kept of sessions and keys, and asked for; the rest is the same whatever keeps it."""


@contextmanager
def browsers(database_url):
    """A service with `KEY`; call it for a browser of its own."""
    settings = Settings(database_url=database_url, upkeep_every_s=3600.0, api_key=KEY)
    app = in_process(settings, Inline())
    with TestClient(app, base_url="http://127.0.0.1"):
        yield lambda: TestClient(app, base_url="http://127.0.0.1")


def cache_no_keys(app, database):
    """Has a service ask the database about keys each time."""
    gate = auth.Gate(app.state.settings, database, cache_ttl_s=-1.0)
    app.state.context = replace(app.state.context, gate=gate)


@pytest.fixture
def service(database_url):
    with browsers(database_url) as service:
        yield service


@pytest.fixture(scope="module")
def shared(migrated_file, tmp_path_factory):
    """For tests that send no wrong key, of which only so many are let in, and look at no row."""
    file = tmp_path_factory.mktemp("shared") / "modomodo.db"
    file.write_bytes(migrated_file.read_bytes())
    with browsers(f"sqlite:///{file}") as service:
        yield service


def test_a_browser_is_led_to_the_form_and_back_to_where_it_wanted_to_go(shared):
    browser = shared()
    led = browser.get("/ui/workers?x=1", headers=PAGE, follow_redirects=False)
    assert led.headers["Location"] == "/ui/sign-in?to=/ui/workers%3Fx%3D1"
    token = own(browser)["X-CSRF-Token"]
    form = {"csrf": token, "key": KEY, "to": "/ui/workers?x=1"}
    done = browser.post("/ui/sign-in", data=form, follow_redirects=False)
    assert (done.status_code, done.headers["Location"]) == (303, "/ui/workers?x=1")
    assert browser.get("/ui/workers").status_code == 200
    assert "Sign out" in browser.get("/ui/workers").text


def test_the_cookie_is_for_this_service_alone_and_holds_no_key(shared):
    browser = shared()
    token = own(browser)["X-CSRF-Token"]
    form = {"csrf": token, "key": KEY}
    set_cookie = browser.post("/ui/sign-in", data=form, follow_redirects=False).headers[
        "Set-Cookie"
    ]
    assert "HttpOnly" in set_cookie
    assert "SameSite=lax" in set_cookie
    assert KEY not in set_cookie
    assert keys.hash_of(KEY) not in set_cookie
    secure = TestClient(browser.app, base_url="https://127.0.0.1")
    assert "Secure" in secure.get("/ui/sign-in").headers["Set-Cookie"]


@pytest.mark.parametrize(
    "where", ["https://evil.example/", "//evil.example", "/\\evil.example", "", "//[", "/x[\n"]
)
def test_nobody_is_led_elsewhere(shared, where):
    browser = shared()
    form = {"csrf": own(browser)["X-CSRF-Token"], "key": KEY, "to": where}
    answer = browser.post("/ui/sign-in", data=form, follow_redirects=False)
    assert answer.headers["Location"] == "/"


def test_a_wrong_key_says_so_and_too_many_are_held_up(service):
    browser = service()
    token = own(browser)["X-CSRF-Token"]
    answers = [
        browser.post("/ui/sign-in", data={"csrf": token, "key": f"wrong {i}"})
        for i in range(int(auth.WRONG_KEYS) + 1)
    ]
    assert answers[0].status_code == 401
    assert "no valid key" in answers[0].text
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers.get("Retry-After", "1")) >= 1
    # Also over the API.
    refused = browser.get("/studies", headers={"Authorization": "Bearer wrong"})
    assert (refused.status_code, refused.json()["code"]) == (429, "too-many-wrong-keys")
    assert int(refused.headers["Retry-After"]) >= 1


@in_sql
def test_a_right_key_is_taken_whatever_came_from_its_address_before(service, database):
    with database.write() as at:
        key = keys.create(at, "fleet", "worker")
    client = service()
    statuses = {
        client.get("/studies", headers={"Authorization": f"Bearer wrong-{i}"}).status_code
        for i in range(int(auth.WRONG_KEYS) + 5)
    }
    assert statuses == {401, 429}
    for right in (key, KEY):
        answer = client.get("/studies", headers={"Authorization": f"Bearer {right}"})
        assert answer.status_code == 200
    assert sign_in(service(), KEY).get("/ui/workers").status_code == 200


@pytest.mark.parametrize("where", ["//[", "http://[", "/\\["])
def test_an_address_that_is_none_is_not_gone_to(shared, where):
    assert shared().get("/ui/sign-in", params={"to": where}).status_code == 200


def test_a_form_of_endless_fields_is_refused(shared):
    browser = shared()
    own(browser)
    answer = browser.post(
        "/ui/sign-in",
        content="a=b&" * 10_000,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")


def test_signing_in_needs_the_forms_own_token(shared):
    assert shared().post("/ui/sign-in", data={"key": KEY}).status_code == 403


@in_sql
def test_signing_out_ends_the_session_and_every_copy_of_its_cookie(service):
    browser, other = sign_in(service(), KEY), sign_in(service(), KEY)
    copy = service()
    copy.cookies.update(browser.cookies)
    assert copy.get("/ui/workers").status_code == 200
    assert browser.post("/ui/sign-out", headers=own(browser)).status_code == 200
    assert browser.get("/ui/workers").status_code == 401
    assert copy.get("/ui/workers").status_code == 401
    assert other.get("/ui/workers").status_code == 200


@in_sql
def test_what_the_database_holds_makes_no_cookie(service, database):
    browser = sign_in(service(), KEY)
    with database.read() as at:
        (row,) = at.scalars(select(SignIn)).all()
    cookie = browser.cookies[session.COOKIE]
    assert row.cookie_hash == keys.hash_of(cookie)
    for word in (row.cookie_hash, row.bound, f"{auth.SIGNED_IN}{row.cookie_hash}"):
        assert cookie != word
        sent = {"Cookie": f"{session.COOKIE}={word}"}
        assert service().get("/ui/workers", headers=sent).status_code == 401


@in_sql
def test_every_replica_takes_the_cookie(service, database_url):
    browser = sign_in(service(), KEY)
    other = in_process(
        Settings(database_url=database_url, upkeep_every_s=3600.0, api_key=KEY), Inline()
    )
    with TestClient(other, base_url="http://127.0.0.1", cookies=browser.cookies) as replica:
        assert replica.get("/ui/workers").status_code == 200


@in_sql
def test_a_session_ends_with_its_key(service, database):
    cache_no_keys(service().app, database)
    with database.write() as at:
        key = keys.create(at, "looker", "read")
    browser = sign_in(service(), key)
    assert browser.get("/ui/workers").status_code == 200
    with database.write() as at:
        keys.revoke(at, "looker")
    assert browser.get("/ui/workers").status_code == 401


@in_sql
def test_a_session_ends_when_the_operators_own_key_is_another(service, database_url):
    browser = sign_in(service(), KEY)
    settings = Settings(database_url=database_url, upkeep_every_s=3600.0, api_key=KEY[::-1])
    with TestClient(
        in_process(settings, Inline()), base_url="http://127.0.0.1", cookies=browser.cookies
    ) as changed:
        assert changed.get("/ui/workers").status_code == 401


@in_sql
def test_a_session_ends_in_time_and_is_then_forgotten(service, database):
    cache_no_keys(service().app, database)
    browser = sign_in(service(), KEY)
    assert browser.get("/ui/workers").status_code == 200
    with database.write() as at:
        at.execute(update(SignIn).values(expires_at=after(-1.0)))
    assert browser.get("/ui/workers").status_code == 401
    sign_in(service(), KEY)
    with database.read() as at:
        assert at.scalar(select(func.count()).select_from(SignIn)) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda cookie: cookie[:-1] + ("0" if cookie[-1] != "0" else "1"),
        lambda cookie: cookie + "0",
        lambda cookie: cookie.removeprefix(auth.SIGNED_IN),
        lambda cookie: auth.SIGNED_IN,
        lambda cookie: "....",
        lambda cookie: "ü",
    ],
)
def test_a_cookie_that_was_changed_opens_nothing(shared, change):
    browser = sign_in(shared(), KEY)
    cookie = change(browser.cookies[session.COOKIE])
    stranger = shared()
    sent = {"Cookie": f"{session.COOKIE}={cookie}".encode("latin-1")}
    assert stranger.get("/ui/workers", headers=sent).status_code == 401


def test_a_session_is_no_key_for_the_api(shared):
    browser = sign_in(shared(), KEY)
    assert browser.get("/studies").status_code == 401
    assert browser.post("/studies", json=body()).status_code == 401


@in_sql
def test_scopes_hold_for_sessions(service, database):
    with database.write() as at:
        key = keys.create(at, "looker", "read")
    bearer = {"Authorization": f"Bearer {KEY}"}
    admin, looker = sign_in(service(), KEY), sign_in(service(), key)
    assert admin.post("/studies", json=body(), headers=bearer).status_code == 201
    queue = {"mixture": {"coco": 0.5, "lisa": 0.5}}
    number = admin.post("/studies/vlm/trials", json=queue, headers=bearer).json()["number"]
    address = f"/ui/studies/vlm/trials/{number}/cancel"
    assert looker.get("/ui/studies/vlm").status_code == 200
    assert looker.post(address, headers=own(looker)).status_code == 403
    assert admin.post(address).status_code == 403
    assert admin.post(address, headers=own(admin)).status_code == 200


def test_without_keys_nobody_signs_in(api):
    led = api.get("/ui/sign-in?to=/ui/workers", follow_redirects=False)
    assert (led.status_code, led.headers["Location"]) == (303, "/ui/workers")
    assert "Sign out" not in api.get("/ui/workers").text
