"""Bad input at every edge: the right status and code, a message that says what to do, and nothing
lost or changed."""

from __future__ import annotations

import json

import pytest

from tests.integration.test_api_calls import finish, lease
from tests.support.bodies import scores, study_body

HEADERS = {"Content-Type": "application/json"}

# What is refused is refused before a database hears of it. Tests that leave nothing share one.
pytestmark = pytest.mark.backends("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))


@pytest.fixture
def study(api):
    assert api.post("/studies", json=study_body()).status_code == 201
    return "vlm"


@pytest.fixture
def held(api, study):
    """A leased trial and its token."""
    return lease(api)


def refused(answer, status, code, *words):
    """The problem, after checking its form."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code), (
        problem
    )
    for word in words:
        assert word in problem["detail"], problem["detail"]
    return problem


def snapshot(api):
    """Everything stored, but for proposals made meanwhile."""
    trials = api.get("/studies/vlm/trials").json()["trials"]
    return [trial for trial in trials if trial["state"] != "queued"]


@pytest.mark.parametrize(
    ("mixture", "words"),
    [
        ({"coco": 0.5, "lisa": 0.4}, ["sum to 0.9, not 1", "vlm"]),
        ({"coco": 0.5, "nope": 0.5}, ["unknown domain 'nope'", "coco, lisa, sat"]),
        ({"coco": 1.5, "lisa": -0.5}, ["'lisa'", "-0.5"]),
        ({}, ["sum to 0, not 1"]),
    ],
)
def test_a_mixture_that_is_none_is_refused(api, study, mixture, words):
    problem = api.post("/studies/vlm/trials", json={"mixture": mixture})
    refused(problem, 422, "invalid-request", *words)
    predict = api.post("/studies/vlm/surrogates/quadsurface/predict", json={"mixtures": [mixture]})
    refused(predict, 422, "invalid-request", *words)


def test_a_mixture_outside_its_bounds_is_refused(api):
    domains = [{"name": "coco", "upper": 0.5}, {"name": "lisa"}]
    api.post("/studies", json=study_body(domains=domains))
    answer = api.post("/studies/vlm/trials", json={"mixture": {"coco": 0.6, "lisa": 0.4}})
    refused(answer, 422, "invalid-request", "bounds 0 to 0.5")


@pytest.mark.parametrize("score", [3.0, -0.1, "NaN", "Infinity", None, "good", [0.5], 1e400])
def test_a_score_that_is_none_is_refused_and_the_lease_goes_on(api, held, score):
    trial, token = held
    body = {"token": token, "measurements": [*scores()[1:], scores()[0] | {"score": score}]}
    content = json.dumps(body)
    answer = api.post(f"/trials/{trial['id']}/result", content=content, headers=HEADERS)
    problem = refused(answer, 422, "invalid-request", "body.measurements.2.score")
    assert problem["errors"][0]["where"] == "body.measurements.2.score"
    assert api.get(f"/trials/{trial['id']}").json()["state"] == "running"
    assert finish(api, trial, token).status_code == 200


def test_a_bare_nan_is_refused_where_it_stands(api, held):
    trial, token = held
    content = json.dumps({"token": token, "measurements": scores(float("nan"))})
    assert "NaN" in content
    answer = api.post(f"/trials/{trial['id']}/result", content=content, headers=HEADERS)
    refused(answer, 422, "invalid-request", "body.measurements.0.score")
    beat = json.dumps({"token": token, "metrics": {"loss": float("nan")}})
    answer = api.post(f"/trials/{trial['id']}/heartbeat", content=beat, headers=HEADERS)
    refused(answer, 422, "invalid-request", "body.metrics.loss")
    recipe = json.dumps(study_body("other", recipe={"lr": [float("inf")]}))
    answer = api.post("/studies", content=recipe, headers=HEADERS)
    refused(answer, 422, "invalid-request", "body.recipe")


@pytest.mark.parametrize(
    ("measurements", "word"),
    [
        (scores()[:2], "info"),
        ([*scores(), {"benchmark": "mmlu", "score": 0.5, "samples": 9}], "unknown benchmark"),
        ([*scores(), scores()[0]], "twice"),
        ([], "at least 1"),
    ],
)
def test_a_result_that_does_not_fit_the_study_is_refused(api, held, measurements, word):
    trial, token = held
    body = {"token": token, "measurements": measurements}
    answer = api.post(f"/trials/{trial['id']}/result", json=body)
    refused(answer, 422, "invalid-request", word)
    assert finish(api, trial, token).status_code == 200


@pytest.mark.parametrize("call", ["heartbeat", "measurements", "result", "failure", "release"])
def test_a_token_that_is_not_the_leases_changes_nothing(api, held, call):
    trial, token = held
    more = {
        "measurements": {"measurements": scores()},
        "result": {"measurements": scores(0.9)},
        "failure": {"error": "broke"},
    }.get(call, {})
    body = {"token": "x" * 43} | more
    answer = api.post(f"/trials/{trial['id']}/{call}", json=body)
    refused(answer, 409, "lease-lost", "ask for the next trial")
    shown = api.get(f"/trials/{trial['id']}").json()
    assert (shown["state"], shown["measurements"]) == ("running", [])
    assert bool(shown["replicates"]) == (call == "result"), "scores are never lost"
    assert finish(api, trial, token).status_code == 200


@pytest.mark.parametrize(
    "content",
    [b"{", b'{"name": "x",}', b"\xff\xfe", b"[" * 100_000, b'{"budget": ' + b"9" * 5000 + b"}"],
)
def test_what_is_not_json_is_refused(untouched, content):
    answer = untouched.post("/studies", content=content, headers=HEADERS)
    assert refused(answer, 400, answer.json()["code"])["code"].startswith("malformed")
    assert untouched.get("/studies").json() == {"studies": [], "more": False}


@pytest.mark.parametrize("body", ["[]", '"text"', "null", "3", "{}"])
def test_json_of_another_shape_is_refused(untouched, body):
    for path in ("/studies", "/trials/next"):
        answer = untouched.post(path, content=body, headers=HEADERS)
        refused(answer, 422, "invalid-request")


def test_a_body_without_its_content_type_is_refused(untouched):
    answer = untouched.post("/studies", content=json.dumps(study_body()))
    refused(answer, 422, "invalid-request")


def test_a_body_that_is_too_large_is_refused(untouched):
    big = study_body(note="x" * 9_000_000)
    refused(untouched.post("/studies", json=big), 413, "body-too-large", "send less")

    def pieces():
        for _ in range(10):
            yield b" " * 1_000_000

    answer = untouched.post("/studies", content=pieces(), headers=HEADERS)
    refused(answer, 413, "body-too-large")


def test_a_study_that_exists_with_another_body_is_refused_and_stays(api, study):
    answer = api.post("/studies", json=study_body(budget=9, strategy="seed"))
    refused(answer, 409, "study-exists", "budget, strategy")
    assert api.get("/studies/vlm").json()["budget"] == 8


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "../etc"}, ["body.name"]),
        ({"strategy": "magic"}, ["unknown strategy 'magic'", "random"]),
        ({"domains": []}, ["body.domains"]),
        ({"domains": [{"name": "a"}, {"name": "a"}]}, ["'a' is listed more than once"]),
        ({"domains": [{"name": "a", "upper": 0.5}]}, ["upper weights sum to 0.5"]),
        ({"objective": {"name": "own"}}, ["needs `weights`"]),
        ({"objective": {"name": "own", "weights": {"zzz": 1}}}, ["unknown benchmark 'zzz'"]),
        ({"surprise": 1}, ["body.surprise"]),
        ({"note": "a\x00b"}, ["U+0000"]),
        ({"budget": 0}, ["body.budget"]),
        ({"baseline": [{"benchmark": "zzz", "score": 0.5, "samples": 1}]}, ["'zzz'"]),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(untouched, changes, words):
    refused(untouched.post("/studies", json=study_body(**changes)), 422, "invalid-request", *words)
    assert untouched.get("/studies").json() == {"studies": [], "more": False}


def test_half_a_character_is_refused(api, held):
    trial, token = held
    content = json.dumps({"token": token, "error": "\ud800"})
    answer = api.post(f"/trials/{trial['id']}/failure", content=content, headers=HEADERS)
    refused(answer, 422, "invalid-request", "body.error")
    content = json.dumps(study_body("other") | {"\ud800": 1})
    refused(api.post("/studies", content=content, headers=HEADERS), 422, "invalid-request")


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/studies/nope", "study-not-found"),
        ("PATCH", "/studies/nope", "study-not-found"),
        ("GET", "/studies/nope/trials", "study-not-found"),
        ("GET", "/studies/nope/best", "study-not-found"),
        ("GET", "/studies/nope/export", "study-not-found"),
        ("GET", "/studies/nope/surrogates/quadsurface", "study-not-found"),
        ("GET", "/studies/nope/surrogates/nope", "surrogate-not-found"),
        ("GET", "/trials/99", "trial-not-found"),
        ("POST", "/trials/99/cancel", "trial-not-found"),
        ("POST", "/trials/99/retry", "trial-not-found"),
        ("GET", "/nothing/here", "not-found"),
    ],
)
def test_what_is_not_there_is_said_to_be_missing(untouched, method, path, code):
    body = {"json": {"note": "x"}} if method == "PATCH" else {}
    refused(untouched.request(method, path, **body), 404, code)


def test_asking_for_trials_of_an_unknown_study_is_refused(untouched):
    answer = untouched.post("/trials/next", json={"worker": "w1", "study": "nope"})
    refused(answer, 404, "study-not-found", "nope")


@pytest.mark.parametrize(
    "path",
    [
        "/trials/0",
        "/trials/99999999999999999999999999",
        "/studies/x/trials?after=-1",
        "/studies/x/trials?after=99999999999999999999999",
        "/studies/x/trials?limit=0",
        "/studies/x/trials?state=sleeping",
        "/studies/x/export?format=xlsx",
    ],
)
def test_parameters_out_of_range_are_refused(untouched, path):
    refused(untouched.get(path), 422, "invalid-request")


def test_a_method_that_is_not_offered_is_refused(untouched):
    answer = untouched.put("/studies/vlm/trials")
    refused(answer, 405, "method-not-allowed", "PUT")
    assert answer.headers["allow"] == "GET, POST"


def test_an_empty_change_is_refused(api, study):
    said = "nothing to change: give state, name"
    refused(api.patch("/studies/vlm", json={}), 422, "invalid-request", said)


def test_a_completed_trial_is_not_cancelled_or_retried(api, held):
    trial, token = held
    finish(api, trial, token)
    before = snapshot(api)
    for call in ("cancel", "retry"):
        refused(api.post(f"/trials/{trial['id']}/{call}"), 409, "wrong-state", "completed")
    assert snapshot(api) == before


def test_hostile_names_are_only_text(api, study):
    worker = "<script>alert(1)</script>'; DROP TABLE trials; --"
    trial, token = lease(api, worker)
    assert trial["worker"] == worker
    api.post(f"/trials/{trial['id']}/failure", json={"token": token, "error": worker})
    assert api.get(f"/trials/{trial['id']}").json()["error"] == worker


@pytest.mark.parametrize("path", ["/trials/-1", "/trials/abc", "/trials/next"])
def test_what_is_no_trial_is_not_found_there(untouched, path):
    answer = untouched.get(path)
    assert answer.status_code == (405 if path.endswith("next") else 404)
    assert answer.headers.get("Allow") == ("POST" if path.endswith("next") else None)


FRACTIONS = "is not a number from 0 to 1: give fractions, 0.412 for 41.2%"


@pytest.mark.parametrize("given", [41.2, 100, 1.0000001, "41.2%"])
@pytest.mark.parametrize("key", ["score", "se"])
@pytest.mark.parametrize("door", ["result", "measurements", "trial", "baseline"])
def test_scores_out_of_a_hundred_are_refused_with_what_is_meant(untouched, key, given, door):
    measured = [item | {key: given} for item in scores()]
    if door == "baseline":
        answer = untouched.post("/studies", json=study_body(baseline=measured))
    elif door == "trial":
        body = {"mixture": {"coco": 1.0}, "measurements": measured}
        answer = untouched.post("/studies/vlm/trials", json=body)
    else:
        answer = untouched.post(
            f"/trials/1/{door}", json={"token": "t" * 32, "measurements": measured}
        )
    refused(answer, 422, "invalid-request", str(given), FRACTIONS, f"0.{key}")


@pytest.mark.parametrize("given", [-0.1, 1e6, 10**400, "0.5", True, None])
def test_other_numbers_that_are_no_scores_are_refused_as_such(untouched, given):
    body = {"token": "t" * 32, "measurements": [scores()[0] | {"score": given}]}
    answer = untouched.post("/trials/1/result", json=body)
    refused(answer, 422, "invalid-request", "measurements.0.score")
    assert "fractions" not in answer.text
