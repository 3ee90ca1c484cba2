"""Studies with floors, several objectives, or the worst benchmark, over HTTP."""

from __future__ import annotations

import numpy as np
import pytest

from service.proposing.question import Question, compute
from service.search.situation import FULL_RUNS
from service.study import engine_terms, evidence
from tests.support.bodies import study_body

SLOPES = {
    "lisa_test": (0.6, 0.2, 0.3),
    "chart": (0.2, 0.6, 0.3),
    "info": (0.3, 0.5, 0.4),
}
"""Scores of each benchmark on each domain alone."""
MIXTURES = [
    (1 / 3, 1 / 3, 1 / 3),
    *((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    *((0.5, 0.5, 0.0), (0.2, 0.7, 0.1), (0.6, 0.2, 0.2)),
]
FLOOR = {"benchmark": "lisa_test", "at_least": "uniform - 0.02"}


def study(api, runs=MIXTURES, **changes):
    """A study with finished runs."""
    body = study_body(**{"strategy": "bayes-quadratic", "budget": 20} | changes)
    created = api.post("/studies", json=body)
    assert created.status_code == 201, created.text
    for mixture in runs:
        added = api.post(
            "/studies/vlm/trials",
            json={
                "mixture": dict(zip(("coco", "lisa", "sat"), mixture, strict=True)),
                "measurements": [
                    {
                        "benchmark": name,
                        "score": sum(s * w for s, w in zip(slopes, mixture, strict=True)),
                        "samples": 2000,
                    }
                    for name, slopes in SLOPES.items()
                ],
            },
        )
        assert added.status_code == 201, added.text
    return created.json()


def asked(api, what, **params):
    answer = api.get(f"/studies/vlm/{what}", params={"surrogate": "bayes-quadratic", **params})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_what_is_recommended_says_how_likely_each_floor_is_to_hold(api):
    study(api, constraints=[FLOOR])
    best = asked(api, "best")
    trained = tuple(best["train"]["mixture"].values())
    assert trained == pytest.approx((0.5, 0.5, 0.0))  # the best Out-Score that keeps the floor
    assert "Floors hold with: lisa_test at least 34." in best["message"]
    assert "(uniform - 0.02): " in best["message"]
    assert best["goal"]["floors"][0] > 0.9
    recommended = asked(api, "front")
    assert recommended["verdict"] == "kept"
    assert recommended["front"] == []
    assert recommended["recommended"]["together"] >= 0.9
    assert recommended["train"] == best["goal"]


def test_floors_that_nothing_keeps_are_called_impossible(api):
    study(api, constraints=[FLOOR | {"at_least": 0.9}])
    best = asked(api, "best")
    assert "These floors look impossible: lisa_test at least 0.9 is beyond" in best["message"]
    assert tuple(best["train"]["mixture"].values()) == (1.0, 0.0, 0.0)  # the least short
    assert asked(api, "front")["verdict"] == "impossible"


def test_two_objectives_have_a_front_with_a_choice_on_it(api):
    study(api, objectives=["out_score", "in_score"])
    found = asked(api, "front")
    ends = found["front"][0], found["front"][-1]
    assert ends[0]["values"]["in_score"]["mean"] > ends[1]["values"]["in_score"]["mean"]
    assert ends[0]["values"]["out_score"]["mean"] < ends[1]["values"]["out_score"]["mean"]
    assert found["front"][found["choice"]]["weights"] == found["recommended"]["weights"]
    assert "On the front: out_score" in found["message"]


def test_the_worst_benchmark_is_told_against_equal_weights(api):
    study(api, objective={"worst": True})
    best = asked(api, "best")
    assert "Worst benchmark: " in best["message"]
    assert list(best["goal"]["values"]) == ["worst"]
    lowest = min(best["train"]["mixture"].values())
    assert lowest > 0.1  # no benchmark is given up


def test_a_plain_study_has_no_front_and_says_what_would_give_it_one(api):
    study(api, runs=MIXTURES[:2])
    refused = api.get("/studies/vlm/front")
    assert refused.status_code == 409
    assert refused.json()["code"] == "no-goal"
    assert "`constraints`" in refused.json()["detail"]
    assert asked(api, "best")["goal"] is None


def test_a_surrogate_of_one_number_is_refused_a_goal(api):
    study(api, constraints=[FLOOR])
    refused = api.get("/studies/vlm/front", params={"surrogate": "quadsurface"})
    assert (refused.status_code, refused.json()["code"]) == (409, "surrogate-unsuited")
    assert "bayes-quadratic" in refused.json()["detail"]
    assert "`auto`" in refused.json()["hint"]
    said = asked(api, "best", surrogate="quadsurface")["message"]
    assert "Nothing is known of the floors" in said


def test_with_too_few_runs_floors_are_judged_by_what_was_scored(api):
    study(api, runs=MIXTURES[1:2], constraints=[FLOOR | {"at_least": 0.5}])
    best = asked(api, "best")
    assert tuple(best["train"]["mixture"].values()) == (1.0, 0.0, 0.0)
    assert best["goal"] is None
    refused = api.get("/studies/vlm/front?surrogate=bayes-quadratic")
    assert refused.json()["code"] == "too-few-results"


def test_a_run_counts_when_it_is_scored_on_all_that_is_constrained(api):
    study(api, runs=[], constraints=[FLOOR])
    refused = api.post(
        "/studies/vlm/trials",
        json={
            "mixture": {"coco": 1.0},
            "measurements": [
                {"benchmark": name, "score": 0.5, "samples": 100} for name in ("chart", "info")
            ],
        },
    )
    assert refused.status_code == 422
    assert "lisa_test" in refused.json()["detail"]
    assert "objectives and constraints need" in refused.json()["detail"]


def test_pages_and_exports_choose_as_the_answer_does(api, database):
    study(api, constraints=[FLOOR])
    best = asked(api, "best")["train"]["trials"]
    assert f"trials:\n- {best[0]}\n" in api.get("/studies/vlm/export?format=yaml").text
    with database.read() as session:
        known = evidence.named(session, "vlm")
    assert known.train_this().numbers == best


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        ({"constraints": [FLOOR]}, "where all floors hold"),
        ({"objectives": ["out_score", "in_score"]}, "front of out_score, in_score"),
    ],
)
def test_proposals_are_for_the_goal_once_enough_runs_are_scored(api, database, goal, said):
    study(api, budget=4, lookahead=2, **goal)
    with database.read() as session:
        question = read_question(session)
    proposed = compute(question, "bayes-quadratic")
    assert proposed
    assert all(said in item.reason for item in proposed)


def read_question(session):
    """What the engine is asked for the study now."""
    known = evidence.named(session, "vlm")
    nothing = np.empty((0, 3))
    return Question(
        space=known.space,
        runs=known.measured,
        pending=nothing,
        avoid=nothing,
        n=2,
        seed=1,
        direction="maximize",
        budget=11,
        opening="optimal",
        heuristics=engine_terms.heuristics(known.spec),
        costs=FULL_RUNS,
        pending_in={},
        goal=known.goal,
    )
