"""Scores of trials that were stopped early: evidence of their step, and never a whole run's."""

from __future__ import annotations

import csv
import io

import numpy as np

from db import studies
from service.dashboard.queries import history
from service.study import evidence, views
from tests.support.bodies import study_body

NAMES = ("lisa_test", "chart", "info")


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


def test_a_fit_learns_from_it_and_says_so(api):
    study(api)
    for worker, weight in (("w4", 0.2), ("w5", 0.5), ("w6", 0.7)):
        run(api, worker, {"coco": weight, "lisa": 1 - weight}, 0.3, 0.5 + weight / 10)
    fit = api.get("/studies/vlm/surrogates/bayes-quadratic").json()
    assert fit["n"] == 5
    assert fit["channels"]["step-5"]["n"] == 6
