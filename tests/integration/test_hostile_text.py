"""Text from outside, through every door: stored as it is, or refused; never a fault."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DataError

from service.study import checks
from tests.integration.test_api_calls import finish, lease
from tests.support.bodies import scores, study_body
from tests.support.dashboard import Markup, own

pytestmark = pytest.mark.backends("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))

REFUSED = ["a\x00b", "\ud800", "a\udfffb"]
"""What databases or JSON writers cannot hold."""

KEPT = [
    "<script>alert(1)</script>",
    "'; DROP TABLE trials; --",
    "\u202eright to left",
    "\U0001f600\U0001d54f",
    "{{ 7 * 7 }} ${x} %s %n",
    "line\r\nbreak\ttab\x1b[31m",
    "../../etc/passwd",
    "a\u0301\ufeff\u200b",
]


@pytest.fixture
def study(api):
    assert api.post("/studies", json=study_body()).status_code == 201
    return "vlm"


def send(api, method, path, body, **headers):
    """As JSON that may hold what no encoder makes of text."""
    content = json.dumps(body)  # escapes halves of surrogate pairs
    headers = {"Content-Type": "application/json"} | headers
    return api.request(method, path, content=content, headers=headers)


def bodies(word, token):
    """Calls that take text, by method and path."""
    measured = {"token": token, "measurements": scores()}
    return [
        ("POST", "/studies", study_body("other", note=word)),
        ("POST", "/studies", study_body("deep", recipe={"a": [{word: [word]}]})),
        ("PATCH", "/studies/vlm", {"note": word}),
        ("POST", "/studies/vlm/trials", {"mixture": {"coco": 1.0}, "note": word}),
        ("PATCH", "/trials/1", {"note": word}),
        ("POST", "/trials/next", {"worker": f"w{word}", "capabilities": {word: word}}),
        ("POST", "/trials/1/heartbeat", {"token": token, "step": 1, "metrics": {word: 1.0}}),
        (
            "POST",
            "/trials/1/heartbeat",
            {"token": token, "points": [{"step": 2, "metrics": {word: 1.0}}]},
        ),
        ("POST", "/trials/1/result", measured | {"artifacts": {word: {word: word}}}),
        ("POST", "/trials/2/release", {"token": token, "reason": word}),
        ("POST", "/trials/2/failure", {"token": token, "error": word, "retryable": True}),
    ]


@pytest.mark.parametrize("word", REFUSED, ids=ascii)
def test_text_that_cannot_be_stored_is_refused_with_its_place(api, study, word):
    _, token = lease(api)
    for method, path, body in bodies(word, token):
        answer = send(api, method, path, body)
        assert answer.status_code == 422, (path, answer.text)
        assert answer.json()["errors"][0]["where"].startswith("body")


def check_is_kept(api, word):
    trial, token = lease(api)
    path = f"/trials/{trial['id']}"
    for method, where, body in bodies(word, token)[:8]:
        answer = send(api, method, where.replace("/trials/1", path), body)
        assert answer.is_success, (where, answer.text)
    assert api.get("/studies/other").json()["note"] == word
    assert api.get("/studies/deep").json()["recipe"] == {"a": [{word: [word]}]}
    assert word in api.get(f"{path}/curve").json()["names"]
    second, its_token = lease(api, worker=f"v{word}")
    ended = {"token": its_token, "error": word, "retryable": False}
    there = f"/trials/{second['id']}"
    assert send(api, "POST", f"{there}/failure", ended).json()["error"] == word
    assert finish(api, trial, token, artifacts={word: word}).json()["artifacts"] == {word: word}
    assert api.get(path).json()["note"] == word
    number = second["number"]
    for page in ("/ui/workers", "/ui/studies/vlm", f"/ui/studies/vlm/trials/{number}", "/"):
        markup = Markup(api.get(page).text)
        assert (markup.handlers, markup.inline) == ([], "")


@pytest.mark.parametrize(
    "word",
    # The others are so in the next test, together.
    [KEPT[0], *(pytest.param(word, marks=pytest.mark.slow) for word in KEPT[1:])],
    ids=ascii,
)
def test_any_other_text_is_kept_as_it_is_and_never_shown_as_html(api, study, word):
    check_is_kept(api, word)


@pytest.mark.backends("sqlite", "postgresql")
@pytest.mark.parametrize("words", [KEPT[::2], KEPT[1::2]], ids=["odd", "even"])
def test_so_is_much_of_it_together(api, study, words):
    check_is_kept(api, " ".join(words))


JUNK = [
    "%00",
    "a%00b",
    "%ff%fe",
    "%F0%9F%98%80",
    "x" * 5000,
    "..%5Cx",
    "a%0Ab",
    "%22%27%3C",
    "*",
]


@pytest.fixture(scope="module")
def busy(untouched):
    """A service with a study whose first trial is running, and the token of that."""
    assert untouched.post("/studies", json=study_body()).status_code == 201
    return untouched, lease(untouched)[1]


@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: junk[:12])
def test_addresses_of_junk_name_nothing(busy, junk):
    api, token = busy
    paths = [
        f"/studies/{junk}",
        f"/studies/{junk}/trials",
        f"/studies/{junk}/best",
        f"/studies/{junk}/export",
        f"/studies/{junk}/surrogates/auto",
        f"/studies/vlm/surrogates/{junk}",
        f"/studies/vlm/best?surrogate={junk}",
        f"/studies/vlm/trials?state={junk}",
        f"/studies/vlm/trials?after={junk}",
        f"/studies/vlm/export?trainer={junk}",
        f"/trials/{junk}",
        f"/ui/studies/{junk}",
        f"/ui/studies/{junk}/changes?after=0",
        f"/ui/studies/{junk}/trials/1",
        f"/ui/studies/vlm/fits/{junk}",
        f"/ui/new?preset={junk}",
        f"/ui/static/x/{junk}",
        f"/ui/static/{junk}/{junk}",
    ]
    for path in paths:
        assert 400 <= api.get(path).status_code < 500, path
    assert api.get(f"/trials/1/curve?names={junk}").status_code in (200, 422)
    assert api.get(f"/ui/sign-in?to={junk}", follow_redirects=False).status_code in (303, 422)
    for path in (f"/trials/{junk}/heartbeat", f"/studies/{junk}/trials"):
        assert 400 <= api.post(path, json={"token": token}).status_code < 500, path
    assert 400 <= api.post(f"/ui/studies/{junk}/predict", headers=own(api)).status_code < 500


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(word=st.text(min_size=1, max_size=70))
def test_what_may_be_anything_never_makes_a_fault(api, word):
    api.post("/studies", json=study_body())
    study = quote(word, safe="", errors="replace")
    answers = [
        send(api, "PATCH", "/studies/vlm", {"note": word}),
        send(api, "POST", "/trials/next", {"worker": word, "study": word}),
        send(api, "POST", "/studies/vlm/trials", {"mixture": {word: 1.0}}),
        api.get(f"/studies/{study}"),
        api.get("/studies/vlm/best", params={"surrogate": word.encode("utf-8", "replace")}),
    ]
    assert all(answer.status_code < 500 for answer in answers)


NUMBERS = ["1e400", "-1e400", "1" + "0" * 30, "1e308", "NaN", "-0.0", "1.5", "9" * 5000]


@pytest.mark.backends("sqlite", "postgresql")
def test_numbers_of_any_size_are_taken_or_refused(api):
    json_ = {"Content-Type": "application/json"}
    api.post("/studies", json=study_body(budget=len(NUMBERS)))
    for n, number in enumerate(NUMBERS):
        trial, token = lease(api, study="vlm")
        path = f"/trials/{trial['id']}"
        body = {"token": token, "measurements": scores()}
        calls = [
            (f"{path}/heartbeat", f'{{"token": "{token}", "step": {number}}}'),
            (
                f"{path}/heartbeat",
                f'{{"token": "{token}", "step": 1, "metrics": {{"m": {number}}}}}',
            ),
            ("/studies/vlm/trials", f'{{"mixture": {{"coco": {number}}}}}'),
            (f"{path}/result", json.dumps(body)[:-1] + f', "wall_s": {number}}}'),
            (f"{path}/result", json.dumps(body)[:-1] + f', "artifacts": {{"n": {number}}}}}'),
            ("/studies", json.dumps(study_body(f"n{n}"))[:-1] + f', "seed": {number}}}'),
            ("/studies", json.dumps(study_body(f"r{n}"))[:-1] + f', "lease_s": {number}}}'),
        ]
        for where, content in calls:
            answer = api.post(where, content=content, headers=json_)
            assert answer.status_code < 500, (number[:8], where, answer.text)
        assert api.get(path).status_code == 200, number[:8]
    assert api.get("/ui/studies/vlm").status_code == 200


def test_a_key_said_twice_and_endless_nesting_are_no_fault(api, study):
    headers = {"Content-Type": "application/json"}
    twice = '{"note": "first", "note": "second"}'
    assert api.patch("/studies/vlm", content=twice, headers=headers).json()["note"] == "second"
    deep = '{"worker": "w", "capabilities": {"a": ' + "[" * 100_000 + "]" * 100_000 + "}}"
    assert api.post("/trials/next", content=deep, headers=headers).status_code in (400, 413, 422)


def test_what_only_the_database_finds_out_is_refused_too(api, study, monkeypatch):
    def finds_out(spec, mixture):
        raise DataError("INSERT", {}, ValueError("out of range"))

    monkeypatch.setattr(checks, "mixture", finds_out)
    answer = api.post("/studies/vlm/trials", json={"mixture": {"coco": 1.0}})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert "out of range" not in answer.text
