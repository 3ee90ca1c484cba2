"""What a study may want beside one objective, and what is refused of it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from service.schemas import StudySpec
from service.study import engine_terms
from tests.support.bodies import study_body


def spec(**changes):
    return StudySpec.model_validate(study_body(strategy="auto", **changes))


def test_a_plain_study_has_no_goal_beside_its_objective():
    assert not spec().has_goal
    assert engine_terms.goal(spec()) is None
    assert spec().needed_benchmarks() == ["chart", "info"]


def test_runs_are_listed_by_the_first_of_several_objectives():
    found = spec(objectives=["lisa_test", "out_score"])
    assert (found.objective.name, found.objective.weights) == ("lisa_test", {"lisa_test": 1.0})
    assert spec(objectives=["out_score", "in_score"]).objective.name == "out_score"
    chosen = spec(objectives=["out_score", "in_score"], objective={"name": "in_score"})
    assert chosen.objective.name == "in_score"


@pytest.mark.parametrize("level", ["uniform - 0.0000001", "uniform + 0.01234567891", 1e-7])
def test_a_level_is_stored_with_its_digits_so_that_it_can_be_read(level):
    found = spec(constraints=[FLOOR | {"at_least": level}])
    assert found.constraints[0].at_least == level
    assert StudySpec.model_validate(found.model_dump(mode="json")) == found


def test_a_stored_goal_is_read_as_it_was_written():
    found = spec(
        objectives=["lisa_test", "out_score"],
        constraints=[{"benchmark": "info", "at_least": "uniform-0.02"}, FLOOR],
    )
    assert found.constraints[0].at_least == "uniform - 0.02"
    assert StudySpec.model_validate(found.model_dump(mode="json")) == found


def test_a_goal_is_made_of_the_benchmarks_that_it_names():
    goal = engine_terms.goal(spec(constraints=[FLOOR]))
    assert goal.names == ("out_score", "lisa_test")
    assert goal.shares.tolist() == [[0.4, 0.6, 0.0], [0.0, 0.0, 1.0]]
    assert goal.score.tolist() == [1.0, 0.0]
    assert goal.said(goal.floors[0]) == "lisa_test at least 0.4"


def test_the_worst_of_all_benchmarks_or_of_those_with_a_weight():
    every = engine_terms.goal(spec(objective={"worst": True}))
    assert every.is_worst
    assert every.names == ("lisa_test", "chart", "info")
    some = spec(objective={"worst": True, "weights": {"chart": 1.0, "info": 3.0}})
    assert some.objective.name == "worst"
    goal = engine_terms.goal(some)
    assert (goal.names, goal.score.tolist()) == (("chart", "info"), [0.25, 0.75])


FLOOR = {"benchmark": "lisa_test", "at_least": 0.4, "probability": 0.8}
REFUSED = [
    ({"objectives": ["out_score"]}, "name two or three"),
    ({"objectives": ["out_score", "mars"]}, "no score of the study"),
    ({"objectives": ["info", "info"]}, "more than once"),
    (
        {"objectives": ["info", "chart"], "objective": {"name": "in_score"}},
        "none of the objectives",
    ),
    ({"objectives": ["info", "chart"], "objective": {"worst": True}}, "leave out `objectives`"),
    ({"objectives": ["info", "chart", "in_score", "out_score"]}, "at most 3"),
    ({"objective": {"worst": True, "name": "out_score"}}, "leave `name` out"),
    ({"objective": {"worst": True, "direction": "minimize"}}, "leave `direction` at maximize"),
    ({"constraints": [FLOOR], "objective": {"direction": "minimize"}}, "leave `direction`"),
    ({"constraints": [FLOOR, FLOOR]}, "more than once"),
    ({"constraints": [FLOOR], "strategy": "ax"}, "auto, bayes-quadratic and gp"),
    ({"constraints": [FLOOR], "search": {"channels": ["full", "merged"]}}, "leave 'merged' out"),
    ({"constraints": [FLOOR | {"benchmark": "mars"}]}, "no score of the study"),
    ({"constraints": [FLOOR | {"at_least": 40}]}, "0.412 for 41.2%"),
    ({"constraints": [FLOOR | {"at_least": "uniform - 2"}]}, "points of 100 are 0.02"),
    ({"constraints": [FLOOR | {"at_least": "0.4"}]}, "without quotes"),
    ({"constraints": [FLOOR | {"at_least": "uniform * 2"}]}, "`uniform - 0.02`"),
    ({"constraints": [FLOOR | {"at_least": "__import__('os')"}]}, "is not a level"),
    ({"constraints": [FLOOR | {"probability": 1.0}]}, "less than or equal to 0.999"),
]


@pytest.mark.parametrize(("changes", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_wishes_that_do_not_go_together_are_refused_with_what_would_be_right(changes, said):
    with pytest.raises(ValidationError) as refused:
        StudySpec.model_validate(study_body(**{"strategy": "auto"} | changes))
    assert said in str(refused.value)
