"""Runs of earlier studies as evidence: which count, as what, and what is said of the others."""

from __future__ import annotations

import numpy as np
import pytest

from db import studies
from service.study import evidence
from tests.support.bodies import scores, study_body
from tests.support.fits import few_settings

TRUTH = np.array([[0.2, 0.3, 0.1], [0.0, 0.1, 0.2], [0.0, 0.0, 0.15]])


@pytest.fixture(autouse=True)
def _quick_fits(monkeypatch):
    few_settings(monkeypatch)


def quality(x):
    x = np.asarray(x)
    return float(0.3 + x @ TRUTH @ x)


def add(api, study, mixture, value):
    body = {"mixture": mixture, "measurements": scores(value)}
    answer = api.post(f"/studies/{study}/trials", json=body)
    assert answer.status_code == 201, answer.text


def fill(api, study, names, n, seed):
    for x in np.random.default_rng(seed).dirichlet(np.ones(len(names)), n):
        add(api, study, dict(zip(names, map(float, x), strict=True)), quality(x))


def create(api, name, *domains, **changes):
    body = study_body(name, **changes)
    if domains:
        body["domains"] = [{"name": domain} for domain in domains]
    return api.post("/studies", json=body)


def known(database, name):
    with database.read() as session:
        return evidence.named(session, name)


def test_runs_of_an_earlier_study_are_a_channel_of_its_name(api, database):
    create(api, "old")
    fill(api, "old", ("coco", "lisa", "sat"), 7, 0)
    assert create(api, "new", evidence=[{"study": "old"}]).status_code == 201
    found = known(database, "new")
    assert len(found.completed) == 0
    assert list(found.runs.channels) == ["study-old"]
    theirs = known(database, "old")
    np.testing.assert_array_equal(found.runs.channels["study-old"].weights, theirs.runs.weights)
    np.testing.assert_array_equal(found.runs.channels["study-old"].score, theirs.runs.score)
    assert found.notes == ()


def test_domains_are_matched_by_name_and_what_is_missing_is_told(api, database):
    create(api, "old", "sat", "coco", "poems")
    add(api, "old", {"sat": 0.6, "coco": 0.2, "poems": 0.2}, 0.5)
    add(api, "old", {"sat": 0.1, "coco": 0.1, "poems": 0.8}, 0.4)
    create(api, "new", evidence=[{"study": "old"}])
    found = known(database, "new")
    np.testing.assert_allclose(found.runs.channels["study-old"].weights, [[0.25, 0.0, 0.75]])
    first, second, third = found.notes
    assert first == "study 'old': domains poems are not in this study: their weight is left out"
    assert second == "study 'old': domains lisa are not in it: its runs have weight 0 there"
    assert "1 run had most of the weight on domains that are not in this study" in third


def test_a_run_that_lacks_a_benchmark_of_the_objective_is_left_out_and_told(api, database):
    create(api, "old", objective={"name": "own", "weights": {"chart": 1.0}})
    add(api, "old", {"coco": 1.0}, 0.5)
    body = {"mixture": {"sat": 1.0}, "measurements": scores(0.4)[1:2]}
    assert api.post("/studies/old/trials", json=body).status_code == 201
    create(api, "new", evidence=[{"study": "old"}])
    found = known(database, "new")
    assert len(found.runs.channels["study-old"]) == 1
    assert found.notes == (
        "study 'old': 1 of 2 runs lack a score of chart, info, and are not taken",
    )


def test_a_fit_says_what_the_earlier_study_was_worth_and_knows_its_new_runs(api, database):
    create(api, "old")
    fill(api, "old", ("coco", "lisa", "sat"), 12, 0)
    create(api, "new", evidence=[{"study": "old"}])
    fill(api, "new", ("coco", "lisa", "sat"), 9, 1)
    fit = api.get("/studies/new/surrogates/bayes-quadratic").json()
    told = fit["channels"]["study-old"]
    assert told["n"] == 12
    assert told["rho"] > 0.2
    assert told["worth_in_runs"] > 0.2
    page = api.get("/ui/studies/new/fits/bayes-quadratic").json()["html"]
    assert "12 scores of study-old: worth about" in page
    assert "carries over (correlation " in page or "carry over is" in page
    fill(api, "old", ("coco", "lisa", "sat"), 1, 2)
    again = api.get("/studies/new/surrogates/bayes-quadratic").json()
    assert again["channels"]["study-old"]["n"] == 13


def test_a_study_by_two_names_is_evidence_once_and_its_own_never(api, database):
    create(api, "old")
    add(api, "old", {"coco": 1.0}, 0.5)
    create(api, "new")
    add(api, "new", {"sat": 1.0}, 0.5)
    for study in ("old", "new"):
        assert api.patch(f"/studies/{study}", json={"name": f"{study}-2"}).is_success
    twice = [{"study": "old"}, {"study": "old-2"}]
    for listed, said in (
        (twice, "evidence: study 'old' is called 'old-2' now (study 'new-2'); name it so"),
        ([{"study": "new"}], "names this very study, 'new-2', by its former name 'new'"),
    ):
        refused = api.patch("/studies/new-2", json={"evidence": listed})
        assert (refused.status_code, said in refused.json()["detail"]) == (422, True)
    # What was another study's name when it was listed may be a former one later.
    create(api, "new")
    create(api, "old")
    listed = [*twice, {"study": "new"}]
    assert api.patch("/studies/new-2", json={"evidence": listed}).is_success
    for study in ("old", "new"):
        assert api.delete(f"/studies/{study}", params={"confirm": study}).is_success
    assert list(known(database, "new-2").runs.channels) == ["study-old-2"]


def test_evidence_is_the_study_that_was_named_whatever_is_called_so_later(api, database):
    create(api, "old")
    add(api, "old", {"coco": 1.0}, 0.5)
    create(api, "new", evidence=[{"study": "old"}])
    assert api.patch("/studies/old", json={"name": "older"}).is_success
    create(api, "old")
    add(api, "old", {"sat": 1.0}, 0.1)
    # 1. It goes by its new name, which is an event, and no other body of the study's.
    assert api.get("/studies/new").json()["evidence"] == [{"study": "older"}]
    (change,) = api.get("/studies/new/changes").json()["changes"]
    assert change["changes"] == {"evidence": [[{"study": "old"}], [{"study": "older"}]]}
    assert create(api, "new", evidence=[{"study": "old"}]).status_code == 200
    found = known(database, "new").runs.channels
    assert (list(found), list(found["study-older"].score)) == (["study-older"], [0.5])
    # 2. Once it is deleted, a study that is called so since is another one, until it is named.
    assert api.delete("/studies/older", params={"confirm": "older"}).is_success
    create(api, "older")
    add(api, "older", {"sat": 1.0}, 0.2)
    gone = known(database, "new")
    assert gone.runs.channels == {}
    assert "named as evidence, is not there any more: what is called so now" in gone.notes[0]
    for listed in ([], [{"study": "older"}]):
        assert api.patch("/studies/new", json={"evidence": listed}).is_success
    assert list(known(database, "new").runs.channels["study-older"].score) == [0.2]


def test_a_study_whose_evidence_is_gone_says_so_and_can_still_be_changed(api, database):
    create(api, "old")
    add(api, "old", {"coco": 1.0}, 0.5)
    create(api, "new", evidence=[{"study": "old"}])
    assert api.delete("/studies/old", params={"confirm": "old"}).is_success
    found = known(database, "new")
    assert found.runs.channels == {}
    assert found.notes == ("study 'old', named as evidence, is not there any more",)
    assert api.patch("/studies/new", json={"strategy": "bayes-quadratic"}).status_code == 200
    assert api.post("/studies/new/clone", json={"name": "newer"}).status_code == 422
    cloned = api.post("/studies/new/clone", json={"name": "newer", "evidence": []})
    assert cloned.status_code == 201


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ([{"study": "nowhere"}], "there is no study 'nowhere'"),
        ([{"study": "new"}], "names this very study, 'new'"),
        ([{"study": "old"}, {"study": "old"}], "'old' is listed more than once"),
    ],
)
def test_evidence_that_cannot_be_is_refused_in_words(api, database, listed, said):
    create(api, "old")
    answer = create(api, "new", evidence=listed)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    with database.read() as session:
        assert studies.find(session, "new") is None
