"""Every call of the HTTP interface, as it is meant to be used."""

from __future__ import annotations

import csv
import io
import json
import time

import pytest
import yaml

from service.proposing.proposer import Proposer
from tests.support.bodies import scores, study_body
from tests.support.polling import until

pytestmark = pytest.mark.backends("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))
in_sql = pytest.mark.backends("sqlite", "postgresql")
"""What is stored, locked or sorted by the database; the rest is the same whatever keeps it."""


@pytest.fixture
def study(api):
    assert api.post("/studies", json=study_body()).status_code == 201
    return "vlm"


def lease(api, worker="w1", study=None):
    """The next trial and its token; proposals come within moments."""
    asked = {"worker": worker, "study": study}
    answer = until(
        lambda: api.post("/trials/next", json=asked).json(), lambda answer: answer["trial"]
    )
    return answer["trial"], answer["lease"]["token"]


def finish(api, trial, token, value=0.5, **more):
    body = {"token": token, "measurements": scores(value)} | more
    return api.post(f"/trials/{trial['id']}/result", json=body)


def attach(api, mixture, value):
    body = {"mixture": mixture, "measurements": scores(value)}
    answer = api.post("/studies/vlm/trials", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def queue_is_filled(api, n):
    until(lambda: api.get("/studies/vlm").json()["trials"]["queued"] >= n)


def test_probes_answer(api):
    assert api.get("/healthz").json() == {"status": "ok"}
    assert api.get("/readyz").json() == {"status": "ok", "proposing": "ok"}


@in_sql
def test_a_learning_curve_is_sent_with_heartbeats_and_read_in_columns(api, study):
    trial, token = lease(api)
    path = f"/trials/{trial['id']}"
    points = [{"step": step, "metrics": {"loss": 1 / step, "kl": 0.5}} for step in (1, 2)]
    beat = {"token": token, "step": 3, "metrics": {"loss": 0.25}, "points": points}
    assert api.post(f"{path}/heartbeat", json=beat).status_code == 200
    assert api.get(f"{path}/curve").json() == {
        "trial": trial["id"],
        "steps": [1, 2, 3],
        "attempts": [1, 1, 1],
        "metrics": {"kl": [0.5, 0.5, None], "loss": [1.0, 0.5, 0.25]},
        "names": ["kl", "loss"],
    }
    some = api.get(f"{path}/curve", params={"names": "loss", "max_points": 2}).json()
    assert (some["steps"], some["metrics"]) == ([1, 3], {"loss": [1.0, 0.25]})
    assert some["names"] == ["kl", "loss"]


def test_a_curve_of_very_many_metrics_stays_below_a_megabyte(api, study):
    trial, token = lease(api)
    path = f"/trials/{trial['id']}"
    for start in range(0, 300, 50):
        points = [
            {"step": s, "metrics": {f"{'m' * 90}{i}": s / 3 for i in range(200)}}
            for s in range(start, start + 50)
        ]
        beat = {"token": token, "points": points}
        answer = api.post(f"{path}/heartbeat", json=beat)
        assert answer.status_code == 200, answer.text
    answer = api.get(f"{path}/curve")
    assert len(answer.content) < 1_000_000
    assert len(answer.json()["steps"]) == 250


@in_sql
def test_a_study_is_created_once_listed_and_read(api):
    created = api.post("/studies", json=study_body())
    again = api.post("/studies", json=study_body())
    assert (created.status_code, again.status_code) == (201, 200)
    read = api.get("/studies/vlm").json()
    assert read["state"] == "active"
    assert read["recipe"] == study_body()["recipe"]
    assert [s["name"] for s in api.get("/studies").json()["studies"]] == ["vlm"]


@in_sql
def test_a_study_is_paused_resumed_and_finished(api, study):
    queue_is_filled(api, 2)
    assert api.patch("/studies/vlm", json={"state": "paused"}).json()["state"] == "paused"
    answer = api.post("/trials/next", json={"worker": "w1"}).json()
    assert answer["trial"] is None
    assert "paused" in answer["reason"]
    assert answer["retry_after_s"] > 0
    api.patch("/studies/vlm", json={"state": "active", "note": "again"})
    lease(api)
    api.patch("/studies/vlm", json={"state": "finished"})
    answer = api.post("/trials/next", json={"worker": "w2"}).json()
    assert answer["retry_after_s"] is None, "nothing more will come"
    assert api.get("/studies/vlm").json()["note"] == "again"


@in_sql
def test_a_trial_is_leased_trained_and_finished(api, study):
    trial, token = lease(api)
    assert trial["state"] == "running"
    assert trial["attempts"] == 1
    assert trial["worker"] == "w1"
    assert sum(trial["mixture"].values()) == pytest.approx(1)
    assert list(trial["mixture"]) == ["coco", "lisa", "sat"]
    pulse = api.post(
        f"/trials/{trial['id']}/heartbeat",
        json={"token": token, "step": 1, "total_steps": 3, "metrics": {"reward": 0.5}},
    ).json()
    assert pulse["cancel"] is False
    on_the_way = [{"benchmark": "chart", "score": 0.1, "samples": 10, "step": 1}]
    answer = api.post(
        f"/trials/{trial['id']}/measurements", json={"token": token, "measurements": on_the_way}
    )
    assert answer.json()["scores"]["objective"] is None
    done = finish(api, trial, token, 0.5, wall_s=3.5, artifacts={"checkpoint": "/x"})
    assert done.status_code == 200
    shown = api.get(f"/trials/{trial['id']}").json()
    assert shown == done.json()
    assert (shown["state"], shown["wall_s"]) == ("completed", 3.5)
    assert shown["artifacts"] == {"checkpoint": "/x"}
    assert shown["scores"]["out_score"]["value"] == pytest.approx(0.5, abs=1e-9)
    assert (shown["step"], shown["metrics"]) == (1, {"reward": 0.5})
    assert shown["attempts"] == 1


@in_sql
def test_the_same_result_twice_is_one_and_another_is_a_replicate(api, study):
    trial, token = lease(api)
    first, second = (finish(api, trial, token) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json()
    refused = finish(api, trial, token, 0.9)
    assert refused.status_code == 409
    assert refused.json()["code"] == "result-conflict"
    assert "replicate" in refused.json()["detail"]
    shown = api.get(f"/trials/{trial['id']}").json()
    assert {m["score"] for m in shown["measurements"]} == {0.5}
    assert {m["score"] for m in shown["replicates"]} == {0.9}


def test_scores_under_official_rules_are_kept_beside_the_papers_and_do_not_count(api, study):
    trial, token = lease(api)
    official = {"benchmark": "chart", "score": 0.9, "samples": 100, "rule": "chartqa-relaxed"}
    done = finish(api, trial, token, measurements=[*scores(0.5), official])
    assert done.status_code == 200, done.text
    shown = api.get(f"/trials/{trial['id']}").json()
    chart = {m["rule"]: m["score"] for m in shown["measurements"] if m["benchmark"] == "chart"}
    assert chart == {"paper": 0.5, "chartqa-relaxed": 0.9}
    assert shown["scores"]["out_score"]["value"] == pytest.approx(0.5)


def test_a_result_of_official_rules_alone_is_not_complete(api, study):
    trial, token = lease(api)
    only = [score | {"rule": "official"} for score in scores(0.5)]
    refused = finish(api, trial, token, measurements=only)
    assert refused.status_code == 422
    assert "chart" in refused.json()["detail"]


def test_the_recipe_comes_with_the_lease(api, study):
    queue_is_filled(api, 1)
    answer = api.post("/trials/next", json={"worker": "w1"}).json()
    assert answer["recipe"] == study_body()["recipe"]
    assert 0 < answer["lease"]["duration_s"] <= 120


@in_sql
def test_a_worker_whose_answer_was_lost_gets_the_same_trial(api, study):
    trial, old = lease(api)
    again, token = lease(api)
    assert again["id"] == trial["id"]
    assert api.get("/studies/vlm").json()["trials"]["running"] == 1
    stale = api.post(f"/trials/{trial['id']}/heartbeat", json={"token": old})
    assert (stale.status_code, stale.json()["code"]) == (409, "lease-lost")
    assert finish(api, trial, token).status_code == 200


@in_sql
def test_failures_releases_and_retries(api, study):
    trial, token = lease(api)
    path = f"/trials/{trial['id']}"
    released = api.post(f"{path}/release", json={"token": token, "reason": "preempted"}).json()
    assert (released["state"], released["attempts"], released["worker"]) == ("queued", 0, None)
    for attempt in (1, 2, 3):
        again, token = lease(api)
        assert again["id"] == trial["id"], "older trials go first"
        failed = api.post(f"{path}/failure", json={"token": token, "error": "oom"}).json()
        assert failed["attempts"] == attempt
    assert (failed["state"], failed["error"]) == ("failed", "oom")
    assert api.post(f"{path}/retry").json()["state"] == "queued"
    assert api.post(f"{path}/cancel").json()["state"] == "cancelled"
    assert api.post(f"{path}/cancel").status_code == 200


@in_sql
def test_cancelling_a_running_trial_reaches_its_worker(api, study):
    trial, token = lease(api)
    api.post(f"/trials/{trial['id']}/cancel")
    pulse = api.post(f"/trials/{trial['id']}/heartbeat", json={"token": token}).json()
    assert pulse["cancel"] is True
    assert finish(api, trial, token).status_code == 409
    shown = api.get(f"/trials/{trial['id']}").json()
    assert shown["state"] == "cancelled"
    assert shown["replicates"], "the scores are not lost"


def test_a_trial_that_is_stopped_early_ends_with_the_scores_it_has(api, study):
    trial, token = lease(api)
    path = f"/trials/{trial['id']}"
    too_soon = api.post(f"{path}/early-stop")
    assert (too_soon.status_code, too_soon.json()["code"]) == (409, "wrong-state")
    assert "no score of chart, info yet" in too_soon.json()["detail"]
    assert api.get(path).json()["state"] == "running"
    body = {"token": token, "measurements": [s | {"step": 10} for s in scores(0.2)]}
    api.post(f"{path}/measurements", json=body)
    stopped = api.post(f"{path}/early-stop").json()
    assert stopped["state"] == "early_stopped"
    assert stopped["scores"]["objective"]["value"] == pytest.approx(0.2)
    assert api.post(f"{path}/early-stop").json() == stopped, "twice is once"
    assert api.post(f"{path}/heartbeat", json={"token": token}).json()["cancel"] is True
    assert finish(api, trial, token).status_code == 409
    for call in ("cancel", "retry"):
        assert api.post(f"{path}/{call}").status_code == 409
    assert api.get("/studies/vlm/best").json()["best"] is None, "it is no whole run"


@in_sql
def test_a_trial_pauses_where_it_is_to_goes_on_and_is_stopped(api, study):
    body = {"mixture": {"coco": 1.0}, "stop_at": 2}
    added = api.post("/studies/vlm/trials", json=body).json()
    path = f"/trials/{added['id']}"
    trial, token = lease(api)
    assert (trial["id"], trial["stop_at"]) == (added["id"], 2)
    measured = [score | {"step": 2} for score in scores(0.2)]
    body = {"token": token, "step": 2, "measurements": measured}
    paused = api.post(f"{path}/partial", json=body).json()
    assert (paused["state"], paused["step"], paused["worker"]) == ("paused", 2, None)
    assert api.post(f"{path}/partial", json=body).json() == paused, "twice is once"
    assert api.get("/studies/vlm").json()["trials"]["paused"] == 1
    refused = api.post(f"{path}/retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "wrong-state")
    assert "continue it" in refused.json()["detail"]
    assert api.post(f"{path}/continue", json={"stop_at": 2}).status_code == 409
    assert api.post(f"{path}/continue").json()["state"] == "queued"
    again, token = lease(api)
    assert (again["id"], again["stop_at"]) == (added["id"], None)
    assert api.post(f"{path}/pause").json()["asked"] == "pause"
    assert api.post(f"{path}/stop").json()["asked"] == "stop"
    pulse = api.post(f"{path}/heartbeat", json={"token": token}).json()
    assert (pulse["action"], pulse["cancel"]) == ("stop", False)
    assert "asked to stop it" in pulse["reason"]
    ended = api.post(f"{path}/partial", json={"token": token, "step": 20}).json()
    assert (ended["state"], ended["asked"]) == ("early_stopped", None)


def test_a_trial_is_not_to_pause_where_its_run_has_ended(api):
    api.post("/studies", json=study_body(recipe={"steps": 20, "evaluation": {"at": [10]}}))
    path = "/studies/vlm/trials"
    for step in (20, 10**9):
        refused = api.post(path, json={"mixture": {"coco": 1.0}, "stop_at": step})
        said = f"stop_at {step} is not before the last step of the recipe, 20"
        assert (refused.status_code, said in refused.json()["detail"]) == (422, True)
    # Where it pauses it is scored, whether whole runs are or not.
    added = api.post(path, json={"mixture": {"coco": 1.0}, "stop_at": 7}).json()
    trial, token = lease(api)
    api.post(f"/trials/{trial['id']}/partial", json={"token": token, "step": 7})
    assert trial["id"] == added["id"]
    refused = api.post(f"/trials/{trial['id']}/continue", json={"stop_at": 20})
    assert (refused.status_code, "stop_at 20 is not" in refused.json()["detail"]) == (422, True)
    went_on = api.post(f"/trials/{trial['id']}/continue", json={"stop_at": 19})
    assert went_on.json()["state"] == "queued"


def test_a_finished_run_that_is_added_does_not_pause(api, study):
    body = {"mixture": {"coco": 1.0}, "stop_at": 10, "measurements": scores(0.5)}
    assert "stop_at is for a trial" in api.post("/studies/vlm/trials", json=body).text


@in_sql
def test_a_mixture_queued_by_hand_goes_before_proposals(api, study):
    queue_is_filled(api, 1)
    body = {"mixture": {"coco": 0.25, "lisa": 0.75}, "note": "my idea"}
    added = api.post("/studies/vlm/trials", json=body)
    assert added.status_code == 201
    assert added.json()["mixture"] == {"coco": 0.25, "lisa": 0.75, "sat": 0.0}
    trial, _ = lease(api)
    assert trial["id"] == added.json()["id"]
    assert (trial["origin"], trial["note"]) == ("queued", "my idea")


@in_sql
def test_an_idempotency_key_adds_one_trial(api, study):
    body = {"mixture": {"coco": 1.0}}
    headers = {"Idempotency-Key": "mine"}
    first, again = (api.post("/studies/vlm/trials", json=body, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    other = api.post("/studies/vlm/trials", json={"mixture": {"sat": 1.0}}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency-key-reused")


@in_sql
def test_an_idempotency_key_knows_its_body_again_whatever_became_of_the_trial(api, study):
    headers = {"Idempotency-Key": "mine"}
    body = {"mixture": {"coco": 0.25, "sat": 0.75}, "note": "by hand"}
    sent = api.post("/studies/vlm/trials", json=body, headers=headers).json()
    trial, token = lease(api)
    assert trial["id"] == sent["id"], "what a person queues goes first"
    api.patch(f"/trials/{trial['id']}", json={"note": "changed"})
    finish(api, trial, token)
    again = api.post("/studies/vlm/trials", json=body, headers=headers)
    assert (again.status_code, again.json()["id"]) == (200, sent["id"])
    for change in ({"note": "changed"}, {"wall_s": 1.0}, {"measurements": scores()}):
        other = api.post("/studies/vlm/trials", json=body | change, headers=headers)
        assert other.json()["code"] == "idempotency-key-reused", change


@in_sql
def test_pages_of_trials_give_only_what_changed(api, study):
    api.patch("/studies/vlm", json={"state": "paused"})
    for value in (0.1, 0.2, 0.3):
        attach(api, {"coco": 1.0}, value)
    first = api.get("/studies/vlm/trials", params={"limit": 2}).json()
    assert first["more"] is True
    rest = api.get("/studies/vlm/trials", params={"after": first["after"]}).json()
    numbers = [trial["number"] for trial in first["trials"] + rest["trials"]]
    assert len(numbers) == len(set(numbers))
    assert rest["more"] is False
    news = api.get("/studies/vlm/trials", params={"after": rest["after"]}).json()
    assert news == {"trials": [], "after": rest["after"], "more": False}
    completed = api.get("/studies/vlm/trials", params={"state": "completed"}).json()
    assert [trial["state"] for trial in completed["trials"]] == ["completed"] * 3


@pytest.mark.usefixtures("quick_fits")
@pytest.mark.backends("sqlite")
def test_the_best_trial_is_given_beside_uniform_weights(api, study):
    assert api.get("/studies/vlm/best").json()["best"] is None
    attach(api, {"coco": 1 / 3, "lisa": 1 / 3, "sat": 1 / 3}, 0.4)
    best = attach(api, {"coco": 0.5, "lisa": 0.5}, 0.7)
    answer = api.get("/studies/vlm/best").json()
    assert answer["best"]["id"] == best["id"]
    assert answer["gain"] == pytest.approx(0.3)
    assert 0 < answer["gain_se"] < 0.1
    assert answer["train"]["trials"] == [best["number"]]
    assert answer["train"]["gain"]["value"] == pytest.approx(0.3)
    said = answer["message"]
    assert f"Train this: the mixture of trial {best['number']}, out_score 70.0 ± " in said
    assert ", +30.0 ± " in said


@pytest.mark.usefixtures("quick_fits")
@pytest.mark.backends("sqlite")
def test_minimising_takes_the_smallest(api):
    objective = {"name": "loss", "weights": {"chart": 1}, "direction": "minimize"}
    api.post("/studies", json=study_body(objective=objective))
    attach(api, {"coco": 1 / 3, "lisa": 1 / 3, "sat": 1 / 3}, 0.6)
    best = attach(api, {"coco": 1.0}, 0.2)
    answer = api.get("/studies/vlm/best").json()
    assert answer["best"]["id"] == best["id"]
    assert answer["gain"] == pytest.approx(0.4), "a gain is for the better, whatever the direction"


def test_exports_are_files_that_other_programs_read(api):
    api.post("/studies", json=study_body(budget=1))
    queue_is_filled(api, 1)
    refused = api.get("/studies/vlm/export", params={"format": "yaml"})
    assert (refused.status_code, refused.json()["code"]) == (409, "no-result")
    attach(api, {"coco": 0.2, "lisa": 0.8}, 0.7)
    answer = api.get("/studies/vlm/export", params={"format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    row = next(row for row in rows if row["state"] == "completed")
    assert (float(row["w_coco"]), float(row["w_lisa"]), float(row["w_sat"])) == (0.2, 0.8, 0.0)
    assert float(row["out_score"]) == pytest.approx(0.7)
    best = yaml.safe_load(api.get("/studies/vlm/export", params={"format": "yaml"}).text)
    assert best["mixture"] == {"coco": 0.2, "lisa": 0.8, "sat": 0.0}
    whole = json.loads(api.get("/studies/vlm/export", params={"format": "json"}).text)
    assert whole["study"]["name"] == "vlm"
    assert len(whole["trials"]) == len(rows)


def test_openapi_describes_every_status_of_every_call(api):
    paths = api.get("/openapi.json").json()["paths"]
    for path, calls in paths.items():
        for method, call in calls.items():
            if path in ("/healthz", "/readyz"):
                continue
            described = set(call["responses"])
            assert {"401", "422", "503"} <= described, f"{method} {path}"
            makes_it = f"{method} {path}" == "put /owners/{owner}"
            assert "404" in described or "{" not in path or makes_it, f"{method} {path}"
            problem = call["responses"]["422"]["content"]
            assert list(problem) == ["application/problem+json"]


def test_faults_of_a_strategy_show_and_do_not_end_the_proposer(api, monkeypatch):
    from service.proposing import proposer

    api.post("/studies", json=study_body())
    queue_is_filled(api, 2)

    def broken(task, strategy):
        raise RuntimeError("singular matrix")

    monkeypatch.setattr(proposer, "compute", broken)
    for worker in ("w1", "w2"):
        lease(api, worker)
    deadline = time.monotonic() + 30
    while True:
        answer = api.post("/trials/next", json={"worker": "w3"}).json()
        if "singular matrix" in (answer["reason"] or ""):
            break
        assert time.monotonic() < deadline, answer
    assert answer["retry_after_s"] > 0
    assert api.get("/readyz").json()["proposing"] == "failing for 1 study"
    assert "singular matrix" in api.get("/ui/studies/vlm").text
    monkeypatch.undo()
    api.patch("/studies/vlm", json={"state": "paused"})
    api.patch("/studies/vlm", json={"state": "active"})
    lease(api, "w3")
    assert api.get("/readyz").json()["proposing"] == "ok"


def test_next_never_fits_a_model(api, monkeypatch):
    monkeypatch.setattr(Proposer, "turn", lambda self: 0)
    api.post("/studies", json=study_body())
    answer = api.post("/trials/next", json={"worker": "w1"}).json()
    assert answer["trial"] is None
    assert "being made" in answer["reason"]
    assert answer["retry_after_s"] <= 2


@in_sql
def test_a_proposal_that_was_called_off_is_queued_again_in_the_place_of_another(api):
    assert api.post("/studies", json=study_body(budget=2, lookahead=2)).status_code == 201
    queue_is_filled(api, 2)
    first, second = api.get("/studies/vlm/trials").json()["trials"]
    assert api.post(f"/trials/{second['id']}/cancel").json()["state"] == "cancelled"
    queue_is_filled(api, 2)
    again = api.post(f"/trials/{second['id']}/retry")
    assert (again.status_code, again.json()["state"]) == (200, "queued")
    counts = api.get("/studies/vlm").json()["trials"]
    assert counts["queued"] == 2
    assert api.get(f"/trials/{first['id']}").json()["state"] == "queued"


@in_sql
def test_a_trial_is_queued_again_also_where_the_budget_is_used_up(api):
    assert api.post("/studies", json=study_body(budget=1, lookahead=1)).status_code == 201
    queue_is_filled(api, 1)
    (proposed,) = api.get("/studies/vlm/trials").json()["trials"]
    assert api.post(f"/trials/{proposed['id']}/cancel").is_success
    attach(api, {"coco": 1.0}, 0.5)
    again = api.post(f"/trials/{proposed['id']}/retry")
    assert (again.status_code, again.json()["state"]) == (200, "queued")
