"""What matters: what more of each domain does to the objective and to every benchmark."""

from __future__ import annotations

import numpy as np
import pytest

from service.fitting import questions
from service.search.runs import Runs
from service.search.space import MixtureSpace
from tests.support.dashboard import BENCHMARKS, DOMAINS, body, create, finish, page, store

BY = "bayes-quadratic"


def told(api, study: str, query: str = "") -> dict:
    answer = api.get(f"/ui/studies/{study}/effects{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def predicted(api, study: str, mixture: dict[str, float]) -> float:
    asked = {"mixtures": [mixture]}
    answer = api.post(f"/studies/{study}/surrogates/{BY}/predict", json=asked)
    return answer.json()["predictions"][0]["mean"]


def bounded(api, bounds: dict[str, dict[str, float]]) -> str:
    asked = body() | {"domains": [{"name": name, **own} for name, own in bounds.items()]}
    created = api.post("/studies", json=asked)
    assert created.status_code == 201, created.text
    return created.json()["name"]


def test_an_effect_is_the_difference_of_two_predictions_the_greatest_first(api, database):
    study = store(database, 12)
    found = api.get(f"/studies/{study}/effects").json()
    assert set(found["objective"]) == set(DOMAINS)
    assert list(found["benchmarks"]) == list(BENCHMARKS)
    sizes = [abs(change["mean"]) for change in found["objective"].values()]
    assert sizes == sorted(sizes, reverse=True)
    start = found["start"]
    best = api.get(f"/studies/{study}/best?surrogate={BY}").json()
    assert found["trials"] == best["train"]["trials"]
    rest = (1 - start["sat"] - 0.1) / (1 - start["sat"])
    more = {name: w * rest for name, w in start.items()} | {"sat": start["sat"] + 0.1}
    expected = predicted(api, study, more) - predicted(api, study, start)
    change = found["objective"]["sat"]
    assert change["mean"] == pytest.approx(expected, abs=1e-9)
    assert change["sd"] > 0


def test_a_lower_objective_that_is_better_has_its_effects_in_its_own_direction(api, database):
    objective = {"name": "cost", "weights": {"chart": 1.0}, "direction": "minimize"}
    study = store(database, 12, objective=objective)
    found = api.get(f"/studies/{study}/effects").json()
    for domain in DOMAINS:
        own, alone = found["objective"][domain], found["benchmarks"]["chart"][domain]
        assert own["mean"] == pytest.approx(alone["mean"], abs=0.02)


def test_a_domain_that_has_nearly_all_is_told_by_its_last_tenth(api):
    study = create(api, domains=("coco", "lisa"))
    for weight in (1.0, 0.5, 0.0, 0.25):
        finish(api, study, [weight, 1 - weight], 0.2 + 0.4 * weight)
    found = api.get(f"/studies/{study}/effects").json()
    assert found["start"] == {"coco": 1.0, "lisa": 0.0}
    up, down = found["objective"]["coco"], found["objective"]["lisa"]
    assert up["mean"] == pytest.approx(0.04, abs=0.02)
    assert down["mean"] == pytest.approx(-up["mean"], abs=1e-9)


def test_effects_are_of_what_the_study_allows_counted_up_to_a_tenth(api):
    upper = {"coco": 0.24, "lisa": 0.2}
    study = bounded(api, {name: {"upper": upper.get(name, 1.0)} for name in DOMAINS})
    start = dict.fromkeys(DOMAINS, 0.2)
    finish(api, study, list(start.values()), 0.5)
    for weights in ([0.0, 0.1, 0.5, 0.2, 0.2], [0.1, 0.0, 0.1, 0.4, 0.4], [0.2, 0.1, 0.2, 0.5, 0]):
        finish(api, study, weights, 0.3 + 0.3 * weights[0])
    found = api.get(f"/studies/{study}/effects").json()
    assert found["start"] == start
    assert found["room"] == dict.fromkeys(DOMAINS, 0.1) | {"coco": 0.04, "lisa": 0.0}

    def at(domain: str, weight: float) -> float:
        others = dict.fromkeys(DOMAINS, (1 - weight) / 4)
        return predicted(api, study, others | {domain: weight})

    changes = {name: change["mean"] for name, change in found["objective"].items()}
    assert changes["coco"] == pytest.approx(2.5 * (at("coco", 0.24) - at("coco", 0.2)), abs=1e-9)
    assert changes["lisa"] == pytest.approx(at("lisa", 0.2) - at("lisa", 0.1), abs=1e-9)
    (dots,) = told(api, study)["figure"]["data"]
    symbols = dict(zip(dots["y"], dots["marker"]["symbol"], strict=True))
    assert {name for name, symbol in symbols.items() if symbol.endswith("-open")} == set(upper)
    assert any(said.endswith("(the study allows at most +4)") for said in dots["text"])
    html = api.get(f"/ui/studies/{study}/effects/all").json()["html"]
    assert "(at most +4)" in html
    assert "(no more)" in html


def test_where_no_weight_can_change_effects_are_told_as_if_it_could(api):
    study = bounded(api, {name: {"lower": 0.5, "upper": 0.5} for name in ("coco", "lisa")})
    for value in (0.3, 0.31):
        finish(api, study, [0.5, 0.5], value)
    found = api.get(f"/studies/{study}/effects").json()
    assert found["room"] == {"coco": 0.0, "lisa": 0.0}
    assert all(change["sd"] > 0 for change in found["objective"].values())


def test_without_a_run_or_by_one_that_knows_no_doubt_there_are_none(api):
    study = create(api)
    assert api.get(f"/studies/{study}/effects").json()["code"] == "too-few-results"
    assert "no completed run yet" in told(api, study)["trouble"]
    assert "no completed run yet" in api.get(f"/ui/studies/{study}/effects/all").json()["html"]
    refused = api.get(f"/studies/{study}/effects?surrogate=quadsurface")
    assert (refused.status_code, refused.json()["code"]) == (404, "surrogate-not-found")
    assert 'id="effects"' not in page(api, f"/ui/studies/{study}/surfaces")


def test_the_chart_ranks_domains_and_the_table_has_all_scores(api, database):
    study = store(database, 12)
    found = api.get(f"/studies/{study}/effects").json()
    drawn = told(api, study)
    (dots,) = drawn["figure"]["data"]
    assert dots["y"][::-1] == list(found["objective"])
    top = next(iter(found["objective"].values()))
    assert dots["x"][-1] == pytest.approx(100 * top["mean"], abs=0.001)
    assert dots["customdata"][-1] == pytest.approx(195.9964 * top["sd"], abs=0.001)
    html = api.get(f"/ui/studies/{study}/effects/all").json()["html"]
    assert all(name in html for name in (*BENCHMARKS, *DOMAINS))
    (dots,) = told(api, study, "?benchmark=chart")["figure"]["data"]
    sizes = [abs(x) for x in dots["x"]]
    assert sizes == sorted(sizes), "the greatest on top"
    assert api.get(f"/ui/studies/{study}/effects?benchmark=mars").status_code == 422
    assert 'id="effects"' in page(api, f"/ui/studies/{study}/surfaces")


def test_a_benchmark_that_hardly_a_run_has_says_so(api):
    study = create(api)
    for value in (0.3, 0.4, 0.5, 0.35):
        some = [{"benchmark": name, "score": value, "samples": 400} for name in ("chart", "info")]
        finish(api, study, [value, 1 - value, 0.0, 0.0, 0.0], value, measurements=some)
    assert told(api, study, "?benchmark=sat_test")["trouble"].startswith(
        "sat_test was not measured"
    )
    assert told(api, study, "?benchmark=chart")["figure"]


def test_the_interval_of_a_difference_is_by_the_joint_belief():
    space = MixtureSpace(("a", "b"), np.zeros(2), np.ones(2))
    X = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.25, 0.75]])
    nan = np.full(4, np.nan)
    runs = Runs(X, X[:, 0] * 0.4 + 0.1, np.full(4, 0.01), nan, nan)
    ((mean, sd),) = questions.differences(BY, space, runs, [], "maximize", X[:1], X[:1])
    assert mean == pytest.approx([0.0])
    assert sd == pytest.approx([0.0], abs=1e-7)
