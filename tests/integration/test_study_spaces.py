"""Studies with limits on their mixtures, and the search that a user gets by default."""

from __future__ import annotations

import numpy as np
import pytest

from db import leases, studies
from service.schemas import Measurement, StudySpec
from service.study import engine_terms, evidence, views
from tests.integration.test_service_proposals import Desk
from tests.support.bodies import scores, study_body

LIMITED = {
    "domains": [
        {"name": "coco", "lower": 0.1},
        {"name": "lisa", "upper": 0.6, "zero_or_at_least": 0.2},
        {"name": "sat"},
    ],
    "limits": [{"weights": {"coco": 1, "lisa": 2}, "at_most": 0.9}],
    "max_active": 2,
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"limits": [{"weights": {"coco": 1, "lisa": 1, "sat": 1}, "at_most": 0.5}]},
            "coco + lisa + sat <= 0.5",
        ),
        (
            {
                "domains": [{"name": "coco", "lower": 0.7}, {"name": "lisa"}],
                "limits": [{"weights": {"lisa": 1}, "at_least": 0.5}],
            },
            "coco",
        ),
        (
            {"max_active": 1, "limits": [{"weights": {"coco": 1, "lisa": 1}, "at_least": 2}]},
            "coco + lisa >= 2",
        ),
        ({"limits": [{"weights": {"mars": 1}, "at_most": 0.5}]}, "unknown domain 'mars'"),
        ({"limits": [{"weights": {"coco": 1}}]}, "either `at_most` or `at_least`"),
        ({"heuristics": {"leave_out": ["mars"]}}, "unknown domain 'mars'"),
        ({"heuristics": {"leave_out": ["coco", "lisa", "sat"]}}, "nothing is left to weigh"),
    ],
)
def test_a_study_that_no_mixture_satisfies_is_refused_by_what_contradicts(api, changes, said):
    answer = api.post("/studies", json=study_body(**changes))
    assert answer.status_code == 422
    assert said in answer.text


@pytest.mark.parametrize(
    ("mixture", "said"),
    [
        ({"coco": 0.5, "lisa": 0.5}, "coco + 2*lisa <= 0.9"),
        ({"coco": 0.3, "lisa": 0.2, "sat": 0.5}, "2"),
        ({"coco": 0.9, "lisa": 0.1}, "lisa"),
        ({"sat": 1.0}, "outside its bounds"),
    ],
)
def test_a_mixture_that_breaks_a_limit_is_refused_with_the_limit(api, mixture, said):
    assert api.post("/studies", json=study_body(**LIMITED)).status_code == 201
    answer = api.post("/studies/vlm/trials", json={"mixture": mixture})
    assert answer.status_code == 422
    assert said in answer.text
    fine = {"mixture": {"coco": 0.5, "sat": 0.5}, "measurements": scores()}
    assert api.post("/studies/vlm/trials", json=fine).status_code == 201


@pytest.mark.usefixtures("quick_fits")
def test_a_search_by_default_stays_in_its_space_from_the_opening_to_the_confirmations(database):
    desk = Desk(database, **LIMITED, strategy="auto", budget=12, lookahead=5)
    space = engine_terms.space(StudySpec.model_validate(study_body(**LIMITED)))

    def value(trial):
        w = next(t for t in desk.all() if t.id == trial).mixture
        return 0.4 + 0.2 * np.sqrt(w["coco"]) + 0.1 * w["sat"]

    while desk.proposer.turn():
        for _ in desk.queued():
            trial = desk.claim()
            desk.finish(trial, value=value(trial))
    trials = desk.all()
    order = ("coco", "lisa", "sat")
    X = np.array([[trial.mixture[name] for name in order] for trial in trials])
    assert np.all(space.contains(X, 1e-12))
    said = [trial.proposal["strategy"] for trial in trials]
    assert said[0] == "opening"
    assert said[-2:] == ["confirm", "confirm"]
    assert all(trial.proposal["reason"] for trial in trials)
    assert len(trials) == 12, "the budget is used up"


def test_a_domain_that_runs_out_is_named_with_the_step(database):
    desk = Desk(
        database,
        domains=[{"name": "coco", "samples": 60}, {"name": "lisa"}, {"name": "sat"}],
        reach={"steps": 100, "prompts_per_step": 2},
        strategy="seed",
        lookahead=8,
    )
    desk.proposer.turn()
    alone = next(t for t in desk.all() if t.mixture["coco"] == 1.0)
    assert alone.proposal["reason"].endswith("; coco runs out about step 30 of 100")
    without = next(t for t in desk.all() if t.mixture["coco"] == 0.0)
    assert "runs out" not in without.proposal["reason"]


def test_an_enforced_reach_keeps_mixtures_to_what_the_samples_allow(database):
    desk = Desk(
        database,
        domains=[{"name": "coco", "samples": 60}, {"name": "lisa"}, {"name": "sat"}],
        reach={"steps": 100, "prompts_per_step": 2, "enforce": True},
        lookahead=8,
    )
    desk.proposer.turn()
    assert max(trial.mixture["coco"] for trial in desk.all()) <= 0.3 + 1e-12


@pytest.mark.parametrize(("used", "value"), [("final", 0.6), ("averaged", 0.4)])
def test_heuristics_go_by_final_scores_or_by_their_mean_over_steps(database, used, value):
    desk = Desk(database, heuristics={"scores": used}, lookahead=1)
    desk.proposer.turn()
    at = {0: 0.1, 100: 0.2, 200: 0.6}  # the base model is not part of the run
    readings = [
        Measurement.model_validate(item | {"step": step})
        for step, score in at.items()
        for item in scores(score)
    ]
    with database.write() as session:
        trial = leases.claim(session, "w", None, "token").trial_id
        assert leases.finish(session, trial, "token", views.readings(readings)) is None
    with database.read() as session:
        runs = evidence.read(session, studies.get(session, "vlm")).runs
    assert runs.score == pytest.approx([0.6]), "what is searched for is the final score"
    assert runs.out_score == pytest.approx([value])
    assert runs.in_score == pytest.approx([value])


@pytest.mark.usefixtures("quick_fits")
def test_a_fit_tells_what_runs_would_teach_and_what_was_confirmed(api):
    api.post("/studies", json=study_body(budget=1))
    rng = np.random.default_rng(0)
    X = rng.dirichlet(np.ones(3), size=8)
    for weights in [*X, X[0]]:
        mixture = dict(zip(("coco", "lisa", "sat"), map(float, weights), strict=True))
        value = 0.3 + 0.2 * mixture["coco"] + float(rng.normal(0, 0.01))
        body = {"mixture": mixture, "measurements": scores(value)}
        assert api.post("/studies/vlm/trials", json=body).status_code == 201
    fit = api.get("/studies/vlm/surrogates/auto").json()
    assert fit["kind"]
    assert fit["noise_sd"] > 0
    assert 0 <= fit["chance_of_better"] <= 1
    assert len(fit["lessons"]) == 3
    assert [c["n"] for c in fit["confirmations"]] == [2]
    assert all(0 <= point["pit"] <= 1 for point in fit["points"])
