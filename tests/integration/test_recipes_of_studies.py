"""A study's recipe is checked when it is created, and an incomplete result is kept."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from modomodo import presets
from service.executor.process import Inline
from tests.support.bodies import study_body
from tests.support.serving import in_process

TINY = {
    "domains": [{"name": "coco", "samples": 300}, {"name": "sat", "samples": 750}],
    "benchmarks": [
        {"name": "sat", "group": "in", "samples": 1928},
        {"name": "chartqa", "group": "out", "samples": 2500},
    ],
}


@pytest.fixture
def offering(app_settings):
    app = in_process(app_settings, Inline(), presets.load())
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recipe": {"step": 5}}, "unknown key 'step'; did you mean 'steps'?"),
        ({"recipe": {"steps": -1}}, "recipe: steps"),
        ({"recipe": {"backend": "command"}}, "needs the section 'command' with its script"),
        ({"recipe": {"steps": 5}, "domains": [{"name": "mine"}]}, "has no domain 'mine'"),
        (
            {"recipe": {"steps": 5}, "benchmarks": [{"name": "x", "group": "out", "samples": 9}]},
            "scores no benchmark 'x', which the study's objective weighs",
        ),
        (
            {"recipe": {"data": {"domains": {"coco": "c"}, "benchmarks": {"chartqa": "q"}}}},
            "has no domain 'sat'; it has coco",
        ),
    ],
)
def test_a_recipe_that_no_worker_could_run_for_the_study_is_refused(offering, changes, said):
    answer = offering.post("/studies", json=study_body(**TINY) | changes)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert offering.get("/studies/vlm").status_code == 404


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"steps": 20},
        {"reward_weights": {"math": 1.0}},
        {"backend": "command", "command": {"script": "train"}},
        {
            "data": {
                "domains": {"coco": "c", "sat": "s", "more": "m"},
                "benchmarks": {"chartqa": "q", "mmmu": "m"},
            }
        },
    ],
)
def test_a_recipe_may_know_more_than_its_study_and_need_not_run_on_the_services_host(
    offering, recipe, monkeypatch
):
    monkeypatch.setattr("trainer.recipe.is_available", lambda: False)
    body = study_body(**TINY, recipe=recipe)
    assert offering.post("/studies", json=body).status_code == 201
    assert offering.post("/studies", json=body).status_code == 200


def test_an_incomplete_result_is_kept_and_says_what_is_missing(api):
    api.post("/studies", json=study_body())
    api.post("/studies/vlm/trials", json={"mixture": {"coco": 1.0}})
    given = api.post("/trials/next", json={"worker": "w"}).json()
    assert given["benchmarks"] == ["lisa_test", "chart", "info"]
    assert given["weighed"] == ["chart", "info"]
    path = f"/trials/{given['trial']['id']}"
    token = given["lease"]["token"]
    part = [{"benchmark": "chart", "score": 0.5, "samples": 9, "step": 3}]
    answer = api.post(f"{path}/result", json={"token": token, "measurements": part})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert "no score of info" in answer.json()["detail"]
    error = {"token": token, "error": answer.json()["detail"], "retryable": False}
    failed = api.post(f"{path}/failure", json=error).json()
    assert failed["state"] == "failed"
    assert [m["benchmark"] for m in failed["measurements"]] == ["chart"]
    assert "no score of info" in failed["error"]


def test_what_a_worker_cannot_run_is_asked_of_another_and_it_is_told_when_to_come_again(api):
    api.post("/studies", json=study_body(lookahead=1, budget=1))
    api.post("/studies/vlm/trials", json={"mixture": {"coco": 1.0}})
    ask = {"worker": "w1", "study": "vlm"}
    given = api.post("/trials/next", json=ask).json()
    path = f"/trials/{given['trial']['id']}"
    body = {"token": given["lease"]["token"], "reason": "no GPU", "cause": "environment"}
    released = api.post(f"{path}/release", json=body).json()
    assert (released["state"], released["attempts"], released["error"]) == ("queued", 0, "no GPU")
    again = api.post("/trials/next", json=ask).json()
    if again["trial"] is None:
        assert 0 < again["retry_after_s"] <= 10
    other = api.post("/trials/next", json=ask | {"worker": "w2"}).json()
    assert other["trial"]["id"] == given["trial"]["id"]
