"""Scores of trials that paused or were stopped early: evidence of their step, no whole run's."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from db import studies
from service.dashboard.queries import history
from service.schemas import Measurement, StudySpec
from service.study import evidence, views
from service.study.runs import so_far
from tests.support.bodies import study_body
from tests.support.fits import few_settings

NAMES = ("lisa_test", "chart", "info")


@pytest.fixture(autouse=True)
def _quick_fits(monkeypatch):
    few_settings(monkeypatch)


def at_step(value, step):
    return [{"benchmark": name, "score": value, "samples": 100, "step": step} for name in NAMES]


def run(api, worker, mixture, early, full=None):
    """A trial scored at step 5, and at 20 unless it is stopped there."""
    queued = api.post("/studies/vlm/trials", json={"mixture": mixture}).json()["id"]
    taken = api.post("/trials/next", json={"worker": worker, "study": "vlm"}).json()
    assert taken["trial"]["id"] == queued
    body = {"token": taken["lease"]["token"], "measurements": at_step(early, 5)}
    assert api.post(f"/trials/{queued}/measurements", json=body).is_success
    if full is None:
        assert api.post(f"/trials/{queued}/early-stop").is_success
    else:
        body["measurements"] = at_step(full, 20)
        assert api.post(f"/trials/{queued}/result", json=body).is_success
    return queued


def number_of(api, trial):
    return api.get(f"/trials/{trial}").json()["number"]


def study(api, **changes):
    """Two whole runs, and a third that looked best of all when it was stopped."""
    api.post("/studies", json=study_body(**changes))
    return [
        run(api, "w1", {"coco": 1.0}, 0.30, 0.50),
        run(api, "w2", {"lisa": 1.0}, 0.35, 0.60),
        run(api, "w3", {"sat": 1.0}, 0.90),
    ]


def known(database):
    with database.read() as session:
        return evidence.named(session, "vlm")


def test_a_partial_score_is_a_row_of_its_step_with_those_of_whole_runs_there(api, database):
    first, second, stopped = study(api)
    found = known(database)
    assert [item.id for item in found.completed] == [first, second]
    np.testing.assert_allclose(found.runs.score, [0.5, 0.6])
    assert found.runs.run.tolist() == [first, second]
    early = found.runs.channels["step-5"]
    assert early.run.tolist() == [stopped, first, second]
    np.testing.assert_allclose(early.score, [0.9, 0.3, 0.35])


@pytest.mark.usefixtures("quick_fits")
def test_it_is_not_the_best_however_high_it_is(api, database):
    first, second, _ = study(api)
    best = api.get("/studies/vlm/best").json()
    assert best["train"]["trials"] == [number_of(api, second)]
    with database.read() as session:
        row = studies.get(session, "vlm")
        shown = history.Histories().of(session, row, views.spec(row))
    assert [item.id for item in shown.runs] == [first, second]


def test_it_uses_the_budget_as_before(api):
    ran = study(api, budget=3)
    found = api.get("/studies/vlm").json()
    assert (found["trials"]["early_stopped"], found["state"]) == (1, "finished")
    numbers = {str(number_of(api, trial)) for trial in ran}
    assert api.get("/studies/vlm/cost").json()["trials"].keys() == numbers


def test_without_one_that_was_stopped_there_is_no_channel(api, database):
    api.post("/studies", json=study_body())
    run(api, "w1", {"coco": 1.0}, 0.30, 0.50)
    found = known(database)
    assert dict(found.runs.channels) == {}
    assert found.runs.run.tolist() == [-1]


def test_an_export_names_the_channel(api):
    ran = study(api)
    rows = list(csv.DictReader(io.StringIO(api.get("/studies/vlm/export?format=csv").text)))
    told = {int(row["trial"]): row["channel"] for row in rows if row["out_score"]}
    assert told == dict(zip((number_of(api, one) for one in ran), ("", "", "step-5"), strict=True))


@pytest.mark.usefixtures("quick_fits")
def test_a_fit_learns_from_it_and_says_so(api):
    study(api)
    for worker, weight in (("w4", 0.2), ("w5", 0.5), ("w6", 0.7)):
        run(api, worker, {"coco": weight, "lisa": 1 - weight}, 0.3, 0.5 + weight / 10)
    fit = api.get("/studies/vlm/surrogates/bayes-quadratic").json()
    assert fit["n"] == 5
    assert fit["channels"]["step-5"]["n"] == 6


def pause(api, worker, mixture, early):
    """A trial that pauses at step 5, with its scores there."""
    queued = api.post("/studies/vlm/trials", json={"mixture": mixture, "stop_at": 5}).json()["id"]
    token = leased(api, worker)
    body = {"token": token, "step": 5, "measurements": at_step(early, 5)}
    assert api.post(f"/trials/{queued}/partial", json=body).json()["state"] == "paused"
    return queued


def leased(api, worker):
    return api.post("/trials/next", json={"worker": worker, "study": "vlm"}).json()["lease"][
        "token"
    ]


def channel(database):
    return known(database).runs.channels.get("step-5")


def test_what_a_paused_trial_scored_is_evidence_of_its_step_until_the_trial_ends(api, database):
    api.post("/studies", json=study_body())
    whole = run(api, "w1", {"coco": 1.0}, 0.30, 0.50)
    paused = pause(api, "w2", {"sat": 1.0}, 0.90)
    assert channel(database).run.tolist() == [paused, whole]
    np.testing.assert_allclose(channel(database).score, [0.9, 0.3])
    assert [item.id for item in known(database).completed] == [whole]
    api.post(f"/trials/{paused}/continue")
    assert channel(database).run.tolist() == [paused, whole], "queued, it scored what it did"
    token = leased(api, "w3")
    later = {"token": token, "measurements": at_step(0.95, 10)}
    api.post(f"/trials/{paused}/measurements", json=later)
    np.testing.assert_allclose(channel(database).score, [0.9, 0.3])
    api.post(f"/trials/{paused}/result", json={"token": token, "measurements": at_step(0.6, 20)})
    assert channel(database) is None
    np.testing.assert_allclose(known(database).runs.score, [0.5, 0.6])


def test_a_trial_that_was_called_off_after_its_pause_is_no_evidence_and_a_stopped_one_is(
    api, database
):
    api.post("/studies", json=study_body())
    gone, stopped = (pause(api, f"w{w}", {"coco": w, "sat": 1 - w}, 0.4) for w in (0, 1))
    api.post(f"/trials/{gone}/cancel")
    api.post(f"/trials/{stopped}/stop")
    assert channel(database).run.tolist() == [stopped]


def test_a_pause_without_scores_is_no_evidence(api, database):
    api.post("/studies", json=study_body())
    queued = api.post("/studies/vlm/trials", json={"mixture": {"coco": 1}}).json()["id"]
    body = {"token": leased(api, "w1"), "step": 7, "measurements": []}
    assert api.post(f"/trials/{queued}/partial", json=body).json()["state"] == "paused"
    assert dict(known(database).runs.channels) == {}


@pytest.mark.usefixtures("quick_fits")
def test_a_fit_learns_of_a_pause_without_a_new_result(api):
    api.post("/studies", json=study_body())
    for place, weight in enumerate((0.2, 0.5, 0.7, 1.0)):
        mixture = {"coco": weight, "lisa": 1 - weight}
        run(api, f"w{place}", mixture, 0.3 + weight / 10, 0.5 + weight / 10)
    fitted = "/studies/vlm/surrogates/bayes-quadratic"
    assert api.get(fitted).json()["channels"] == {}
    pause(api, "w5", {"sat": 1.0}, 0.4)
    answer = api.get(fitted).json()
    assert answer["channels"]["step-5"]["n"] == 5


def test_an_export_has_a_paused_trials_scores_at_its_step(api):
    api.post("/studies", json=study_body())
    paused = pause(api, "w1", {"sat": 1.0}, 0.90)
    api.post(f"/trials/{paused}/continue")
    later = {"token": leased(api, "w2"), "measurements": at_step(0.95, 10)}
    api.post(f"/trials/{paused}/measurements", json=later)
    rows = csv.DictReader(io.StringIO(api.get("/studies/vlm/export?format=csv").text))
    [row] = [row for row in rows if row["trial"] == str(number_of(api, paused))]
    told = row["state"], f"{float(row['out_score']):.3f}", row["chart"], row["channel"]
    assert told == ("running", "0.900", "0.9", "step-5")


def test_scores_of_several_steps_are_of_the_last_step_that_has_them_all():
    spec = StudySpec.model_validate(study_body())
    both, later = at_step(0.3, 5), only(at_step(0.6, 10), "chart")
    found = so_far(spec, [Measurement.model_validate(m) for m in both + later])
    assert (found.step, {m.score for m in found.measurements}) == (5, {0.3})
    apart = [*only(both, "info"), *later]
    found = so_far(spec, [Measurement.model_validate(m) for m in apart])
    assert (found.step, len(found.measurements)) == (5, 2), "stopped between two benchmarks"


def taken(api):
    """A trial under a lease: where its calls go, and its token."""
    api.post("/studies", json=study_body())
    api.post("/studies/vlm/trials", json={"mixture": {"coco": 1.0}})
    taken = api.post("/trials/next", json={"worker": "w1", "study": "vlm"}).json()
    return f"/trials/{taken['trial']['id']}", taken["lease"]["token"]


def only(items, *names):
    return [item for item in items if item["benchmark"] in names]


@pytest.mark.parametrize("together", [False, True], ids=["on the way", "in the result"])
def test_an_earlier_steps_score_does_not_stand_in_for_one_that_the_last_step_lacks(api, together):
    trial, token = taken(api)
    early, late = at_step(0.3, 5), only(at_step(0.6, 20), "lisa_test", "chart")
    if not together:
        api.post(f"{trial}/measurements", json={"token": token, "measurements": early})
    body = {"token": token, "measurements": [*early, *late] if together else late}
    refused = api.post(f"{trial}/result", json=body)
    assert refused.status_code == 422
    assert "no score of info under rule 'paper' at step 20, its last one" in refused.text
    kept = api.get(trial).json()
    assert kept["state"] == "running"
    assert sorted((m["benchmark"], m["step"]) for m in kept["measurements"]) == [
        *(("chart", 5), ("chart", 20), ("info", 5), ("lisa_test", 5), ("lisa_test", 20)),
    ]
    rest = {"token": token, "measurements": only(at_step(0.6, 20), "info")}
    done = api.post(f"{trial}/result", json=rest).json()
    assert (done["state"], done["scores"]["objective"]["value"]) == ("completed", 0.6)


def test_the_rest_of_a_result_must_be_of_the_same_step(api):
    trial, token = taken(api)
    late = {"token": token, "measurements": only(at_step(0.6, 20), "chart")}
    assert api.post(f"{trial}/result", json=late).status_code == 422
    early = {"token": token, "measurements": only(at_step(0.3, 5), "info")}
    refused = api.post(f"{trial}/result", json=early)
    assert refused.status_code == 422
    assert "no score of chart under rule 'paper' at step 5" in refused.text


def test_a_finished_run_is_not_added_with_an_earlier_steps_score_for_its_last(api):
    api.post("/studies", json=study_body())
    mixed = [*only(at_step(0.3, 5), "info"), *only(at_step(0.6, 20), "chart")]
    refused = api.post("/studies/vlm/trials", json={"mixture": {"coco": 1}, "measurements": mixed})
    assert refused.status_code == 422
    assert "no score of info under rule 'paper' at step 20" in refused.text
    whole = [*at_step(0.3, 5), *at_step(0.6, 20)]
    added = api.post("/studies/vlm/trials", json={"mixture": {"coco": 1}, "measurements": whole})
    assert added.json()["scores"]["objective"]["value"] == 0.6


def test_what_an_earlier_attempt_scored_beyond_the_last_step_is_put_aside(api):
    trial, token = taken(api)
    beyond = {"token": token, "measurements": at_step(0.9, 30)}
    api.post(f"{trial}/measurements", json=beyond)
    ended = {"token": token, "measurements": only(at_step(0.6, 20), "chart", "info")}
    done = api.post(f"{trial}/result", json=ended).json()
    assert sorted((m["benchmark"], m["step"]) for m in done["measurements"]) == [
        *(("chart", 20), ("info", 20)),
    ]
