"""Benchmarks side by side: the heat map, trade-offs, and who is on the front."""

from __future__ import annotations

import pytest

from service.dashboard.charts import benchmarks as benchmark_charts
from service.dashboard.charts.benchmarks import Scored
from service.schemas import Score
from tests.support.dashboard import BENCHMARKS, create, finish, page, store_many

UNIFORM = [0.2] * 5


def drawn(api, study, **axes):
    answer = api.get(f"/ui/studies/{study}/benchmarks/figures", params=axes)
    assert answer.status_code == 200, answer.text
    return answer.json()


def measured(**changes: float) -> list[dict[str, object]]:
    return [
        {"benchmark": name, "score": changes.get(name, 0.3), "samples": 400} for name in BENCHMARKS
    ]


@pytest.fixture
def study(api):
    """Uniform, one better In, one better Out, and one worse than all."""
    name = create(api)
    for first, scores in (
        (0.2, measured()),
        (0.3, measured(lisa_test=0.6, sat_test=0.6)),
        (0.4, measured(chart=0.6, info=0.6)),
        (0.1, measured(lisa_test=0.1, chart=0.1)),
    ):
        weights = [first, 0.2, 0.2, 0.2, 0.4 - first]
        finish(api, name, weights, 0.3, measurements=scores)
    return name


def test_the_front_has_the_runs_that_nobody_beats_on_both(api, study):
    figures = drawn(api, study)
    front = next(t for t in figures["trade"]["data"] if t["name"] == "Pareto front")
    assert sorted(zip(front["x"], front["y"], strict=True)) == [(30.0, 60.0), (60.0, 30.0)]
    assert figures["front"].count('<th scope="row">') == 2
    assert "2 runs of 4" in figures["front"]
    assert all(margin > 0 for margin in front["error_x"]["array"])


def test_any_two_scores_can_be_compared(api, study):
    figures = drawn(api, study, x="chart", y="sat_test")
    assert figures["trade"]["layout"]["xaxis"]["title"]["text"].startswith("chart")
    base = next(t for t in figures["trade"]["data"] if t["name"].startswith("base model"))
    assert base["y"] == [21.0]
    refused = api.get(f"/ui/studies/{study}/benchmarks/figures", params={"x": "mars"})
    assert refused.status_code == 422
    assert "lisa_test" in refused.json()["detail"]


def test_the_heat_map_tells_each_score_from_the_median(api, study):
    heat = drawn(api, study)["heat"]["data"][0]
    best = api.get(f"/studies/{study}/best").json()["best"]["number"]
    assert heat["y"][-1] == str(best)
    column = heat["x"].index("chart")
    assert heat["z"][-1][column] == 30.0
    assert heat["text"][-1][column] == "60.0"
    assert heat["customdata"][-1][column] == f"trial {best}, chart: 60.0 ± 4.8 (+30.0)"


def test_the_heat_map_marks_uniform_and_has_the_base_model_below(api, study):
    figure = drawn(api, study)["heat"]
    heat, axis = figure["data"][0], figure["layout"]["yaxis"]
    assert heat["y"][0] == benchmark_charts.BASE
    column = heat["x"].index("chart")
    assert heat["customdata"][0][column].startswith("base model, chart: 22.0 ± ")
    uniform = [name for name in axis["ticktext"] if name.startswith("uniform ")]
    (number,) = [name.removeprefix("uniform ") for name in uniform]
    assert api.get(f"/studies/{study}/trials/{number}").json()["mixture"]["coco"] == 0.2
    assert number in heat["y"]


def test_a_uniform_run_that_is_not_among_the_best_stands_below_them():
    runs = [scored(n, 1 / n, 0.1) for n in range(1, benchmark_charts.ROWS + 10)]
    runs[-1] = Scored(runs[-1].number, runs[-1].scores, is_uniform=True)
    figure = benchmark_charts.heat_map(runs, {"x": "x"}, {})
    rows = figure["data"][0]["y"]
    assert len(rows) == benchmark_charts.ROWS + 1
    assert rows[0] == str(runs[-1].number)


def scored(number: int, x: float, y: float) -> Scored:
    scores = {"x": Score(value=x, se=0.01), "y": Score(value=y, se=0.01)}
    return Scored(number, scores, is_uniform=False)


@pytest.mark.parametrize(("is_maximized", "best"), [(True, [3, 2]), (False, [1])])
def test_the_front_follows_the_direction(is_maximized, best):
    runs = [scored(1, 0.1, 0.1), scored(2, 0.5, 0.2), scored(3, 0.2, 0.5), scored(4, 0.2, 0.2)]
    front = benchmark_charts.front(runs, "x", "y", is_maximized=is_maximized)
    assert [run.number for run in front] == best


def test_runs_that_lack_a_score_are_left_out_of_a_trade_off(api):
    study = create(api)
    only_out = [item for item in measured() if BENCHMARKS[item["benchmark"]] == "out"]
    finish(api, study, UNIFORM, 0.3, measurements=only_out)
    figures = drawn(api, study, x="in_score", y="out_score")
    assert figures["trade"] is None
    assert "No run has both scores" in figures["front"]
    assert figures["heat"]["data"][0]["x"] == ["Out-Score", "chart", "info"]


def test_without_a_run_there_is_nothing_to_compare(api):
    study = create(api)
    assert drawn(api, study) == {"heat": None, "trade": None, "paths": None, "front": ""}
    assert "No run is completed yet" in page(api, f"/ui/studies/{study}/benchmarks")
    assert api.get("/ui/studies/nothing/benchmarks").status_code == 404


def test_of_thousands_of_runs_a_selection_is_drawn(api, database):
    store_many(database, 2_000)
    figures = drawn(api, "long")
    runs = next(trace for trace in figures["trade"]["data"] if trace["name"] == "run")
    assert len(runs["x"]) <= benchmark_charts.DRAWN
    assert "error_x" not in runs
    assert benchmark_charts.ROWS < len(figures["heat"]["data"][0]["y"]) <= benchmark_charts.ROWS + 2
    assert "(drawn for the front only" in page(api, "/ui/studies/long/benchmarks")
