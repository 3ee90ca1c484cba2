"""Mixtures tried out: the nearest that fits, what surrogates expect of it, and queueing it."""

from __future__ import annotations

import json
import re

import pytest

from service.dashboard import dependencies
from service.search.surrogates import SIDE_BY_SIDE
from tests.support.dashboard import (
    BENCHMARKS,
    DOMAINS,
    body,
    create,
    fill,
    finish,
    own,
    page,
    scores,
    store,
    store_many,
)

EVEN = dict.fromkeys(DOMAINS, 0.2)


def nearest(api, study, **weights):
    address = f"/ui/studies/{study}/what-if/feasible"
    answer = api.post(address, json={"weights": EVEN | weights}, headers=own(api))
    assert answer.status_code == 200, answer.text
    return answer.json()


def predicted(api, study, surrogate, mixture):
    address = f"/ui/studies/{study}/what-if/predictions/{surrogate}"
    return api.post(address, json={"mixture": mixture}, headers=own(api))


def test_a_mixture_that_fits_is_taken_as_it_is(api):
    study = create(api)
    found = nearest(api, study)
    assert found["mixture"] == pytest.approx(EVEN)
    assert "Moved" not in found["html"]


def test_bounds_and_limits_move_a_mixture_and_say_why(api):
    limit = {"weights": {"lisa": 1.0, "sat": 1.0}, "at_most": 0.5}
    wanted = body(limits=[limit])
    wanted["domains"][0]["upper"] = 0.3
    assert api.post("/studies", json=wanted).status_code == 201
    study = wanted["name"]
    found = nearest(api, study, coco=0.6, lisa=0.4, geoqav=0.0, sat=0.0, scienceqa=0.0)
    mixture = found["mixture"]
    assert mixture["coco"] == pytest.approx(0.3)
    assert sum(mixture.values()) == pytest.approx(1.0)
    assert mixture["lisa"] + mixture["sat"] <= 0.5 + 1e-9
    assert "coco may have 0% to 30%" in found["html"]
    # What it was moved to is taken as it is, and by the queue too.
    again = nearest(api, study, **mixture)
    assert again["mixture"] == pytest.approx(mixture)
    assert "Moved" not in again["html"]


def test_both_surrogates_say_what_the_api_says(api, database):
    study = store(database, 12)
    mixture = EVEN | {"coco": 0.4, "lisa": 0.0}
    for surrogate in dependencies.SIDE_BY_SIDE:
        html = predicted(api, study, surrogate, mixture).json()["html"]
        address = f"/studies/{study}/surrogates/{surrogate}/predict"
        own = api.post(address, json={"mixtures": [mixture]}).json()["predictions"][0]
        assert f"<b>{100 * own['mean']:.1f}</b>" in html
        assert f"± {100 * 1.959964 * own['sd']:.1f}</span>" in html
        assert "against the mixture to train" in html


def test_with_too_few_runs_the_reason_stands_in_place_of_a_number(api):
    study = create(api)
    html = predicted(api, study, "gp", EVEN).json()["html"]
    assert "callout" in html
    assert "at least" in html


def test_what_cannot_be_predicted_is_refused_with_the_reason(api, database):
    study = store(database, 6)
    assert predicted(api, study, "oracle", EVEN).status_code == 404
    wrong = predicted(api, study, "bayes-quadratic", EVEN | {"coco": 0.5})
    assert wrong.status_code == 422
    assert "sum to 1.3, not 1" in wrong.json()["detail"]


def by_benchmark(api, study, surrogate, mixture):
    address = f"/ui/studies/{study}/what-if/benchmarks/{surrogate}"
    return api.post(address, json={"mixture": mixture}, headers=own(api))


def test_each_benchmark_is_predicted_as_if_it_were_the_objective(api, database):
    study = store(database, 8)
    html = by_benchmark(api, study, "bayes-quadratic", EVEN).json()["html"]
    rows = re.findall(r'<tr><th scope="row">(\w+) .*?<b>([\d.]+)</b>.*?± ([\d.]+)', html, re.S)
    assert [name for name, _, _ in rows] == list(BENCHMARKS)
    mine = {"name": "mine", "weights": {"lisa_test": 1.0}}
    alone = store(database, 8, name="alone", objective=mine)
    asked = {"mixtures": [EVEN]}
    answer = api.post(f"/studies/{alone}/surrogates/bayes-quadratic/predict", json=asked).json()
    expected = answer["predictions"][0]
    _, mean, margin = rows[0]
    assert float(mean) == pytest.approx(100 * expected["mean"], abs=0.051)
    assert float(margin) == pytest.approx(196 * expected["sd"], abs=0.06)


def test_benchmarks_with_too_few_runs_are_left_out(api):
    study = create(api)
    assert by_benchmark(api, study, "gp", EVEN).json()["html"] == ""
    fill(api, study, 4)
    objective = ("chart", "info")
    finish(api, study, [0.2] * 5, 0.3)
    html = by_benchmark(api, study, "gp", EVEN).json()["html"]
    assert html.count('<th scope="row">') == len(BENCHMARKS)
    other = create(api, name="other")
    for value in (0.3, 0.4, 0.5):
        own_scores = [item for item in scores(value) if item["benchmark"] in objective]
        finish(api, other, [0.2] * 5, value, measurements=own_scores)
    html = by_benchmark(api, other, "bayes-quadratic", EVEN).json()["html"]
    assert re.findall(r'<th scope="row">(\w+)', html) == list(objective)
    assert by_benchmark(api, study, "quadsurface", EVEN).status_code == 422
    assert by_benchmark(api, study, "gp", EVEN | {"coco": 0.5}).status_code == 422


def test_gains_are_over_equal_weights_of_which_they_are_nothing(api, database):
    study = store(database, 8)
    html = by_benchmark(api, study, "bayes-quadratic", EVEN).json()["html"]
    assert html.count("<b>+0.0</b>") == len(BENCHMARKS)
    assert "<b>+0.0</b>" in predicted(api, study, "bayes-quadratic", EVEN).json()["html"]
    mixture = EVEN | {"coco": 0.4, "lisa": 0.0}
    html = by_benchmark(api, study, "bayes-quadratic", mixture).json()["html"]
    assert "<b>+0.0</b>" not in html


def test_one_may_go_back_to_the_mixture_to_train_to_uniform_and_to_the_predicted_best(
    api, database, monkeypatch
):
    monkeypatch.delitem(SIDE_BY_SIDE, "gp")  # quicker
    study = store(database, 8)
    html = page(api, f"/ui/studies/{study}/what-if")
    back = dict(re.findall(r"data-mixture='({[^']*})'>([^<]+)<", html))
    best = api.get(f"/studies/{study}/best").json()
    found = {title: json.loads(mixture) for mixture, title in back.items()}
    assert found["Mixture to train"] == pytest.approx(best["train"]["mixture"])
    assert found["Uniform"] == pytest.approx(EVEN)
    address = f"/ui/studies/{study}/what-if/predicted-best"
    expected = api.post(address, headers=own(api)).json()["mixture"]
    assert expected == pytest.approx(best["predicted"]["weights"])
    assert "data-mixture" in page(api, f"/ui/studies/{create(api, name='other')}/what-if")


def test_too_many_runs_are_not_fitted(api, database):
    store_many(database, 2100, "long")  # some of them failed
    assert "too many to fit here" in predicted(api, "long", "gp", EVEN).json()["html"]


def test_a_mixture_is_queued_as_by_hand(api):
    study = create(api)
    address = f"/ui/studies/{study}/what-if/queue"
    answer = api.post(address, json={"mixture": EVEN}, headers=own(api))
    trials = api.get(f"/studies/{study}/trials").json()["trials"]
    trial = next(trial for trial in trials if trial["number"] == answer.json()["number"])
    assert (trial["origin"], trial["state"]) == ("queued", "queued")
    assert trial["mixture"] == pytest.approx(EVEN)
    wrong = api.post(address, json={"mixture": {"coco": 0.5}}, headers=own(api))
    assert wrong.status_code == 422
    assert api.post(address, json={"mixture": EVEN}).status_code == 403


def test_sliders_start_at_the_best_run_or_at_a_trial(api):
    study = create(api)
    worse = finish(api, study, [0.2] * 5, 0.3)
    finish(api, study, [0.6, 0.1, 0.1, 0.1, 0.1], 0.5)
    assert _weights(page(api, f"/ui/studies/{study}/what-if"))["coco"] == pytest.approx(0.6)
    assert _weights(page(api, f"/ui/studies/{study}/what-if?trial={worse}"))[
        "coco"
    ] == pytest.approx(0.2)


def test_without_runs_sliders_start_at_a_mixture_that_fits(api):
    study = create(api)
    assert _weights(page(api, f"/ui/studies/{study}/what-if")) == pytest.approx(EVEN)
    assert api.get("/ui/studies/nothing/what-if").status_code == 404


def _weights(html: str) -> dict[str, float]:
    found = re.findall(r'data-domain="(\w+)" data-weight="([\d.]+)"', html)
    return {domain: float(weight) for domain, weight in found}
