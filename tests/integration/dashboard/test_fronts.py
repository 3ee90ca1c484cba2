"""The panel of floors and fronts on the Benchmarks page."""

from __future__ import annotations

import re

from tests.integration.test_goals import FLOOR, MIXTURES, study
from tests.support.bodies import study_body


def panel(api):
    answer = api.get("/ui/studies/vlm/front?surrogate=bayes-quadratic")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_slider_moves_along_the_front_from_the_choice_and_names_each_mixture(api):
    study(api, objectives=["out_score", "in_score"], constraints=[FLOOR])
    shown = panel(api)
    n = len(re.findall("data-point", shown["html"]))
    assert f'max="{n - 1}"' in shown["html"]
    assert shown["html"].count("hidden>") == n - 1  # all but the chosen one
    assert "Most per point given up" in shown["html"]
    assert "lisa_test at least" in shown["html"]
    front, chosen = (
        next(t for t in shown["figure"]["data"] if t["name"] == name)
        for name in ("front", "chosen")
    )
    assert len(front["x"]) == n
    at = int(re.search(r'value="(\d+)"', shown["html"]).group(1))
    assert (chosen["x"], chosen["y"]) == ([front["x"][at]], [front["y"][at]])
    assert len(shown["figure"]["data"][0]["ids"]) == len(MIXTURES)


def test_with_one_objective_the_recommended_mixture_stands_alone(api):
    study(api, constraints=[FLOOR])
    shown = panel(api)
    assert shown["figure"] is None
    assert "slider" not in shown["html"]
    assert "all floors hold with" in shown["html"]


def test_what_is_impossible_is_said(api):
    study(api, constraints=[FLOOR | {"at_least": 0.9}])
    assert "These floors look impossible" in panel(api)["html"]


def test_before_the_runs_there_is_a_sentence(api):
    study(api, runs=[], constraints=[FLOOR])
    assert "needs at least" in panel(api)["html"]


def test_the_panel_is_on_the_page_of_studies_that_have_a_goal_alone(api):
    study(api, constraints=[FLOOR])
    assert 'id="goal-panel"' in api.get("/ui/studies/vlm/benchmarks").text
    assert api.post("/studies", json=study_body("plain")).status_code == 201
    assert 'id="goal-panel"' not in api.get("/ui/studies/plain/benchmarks").text


def test_the_study_page_leads_to_the_panel(api):
    study(api, constraints=[FLOOR])
    assert "what they allow" in api.get("/ui/studies/vlm").text
