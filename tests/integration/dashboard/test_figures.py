"""The charts: what is drawn, in which unit, and that wild fits stay readable."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from db import studies
from service.dashboard import colours, fit_words, words
from service.dashboard.charts import fits as fit_charts
from service.dashboard.charts import progress as progress_charts
from service.dashboard.queries import history
from service.dashboard.queries.progress import Progress, Stopped
from service.schemas import (
    Effects,
    FitPoint,
    LeaveOneOut,
    Prediction,
    Score,
    Scores,
    Study,
    StudySpec,
    SurrogateFit,
)
from service.study import evidence, views
from service.study.runs import Run, scored
from tests.support.dashboard import DOMAINS, body, create, fill, finish, store

SOME_DAY = datetime(2026, 11, 23, 7, tzinfo=UTC)


def study_of(direction="maximize", domains=DOMAINS) -> StudySpec:
    objective = {"name": "out_score", "direction": direction}
    return StudySpec.model_validate(body(domains=domains, objective=objective))


def runs_of(*values: float) -> list[Run]:
    """Of as many mixtures."""
    rows = np.random.default_rng(0).dirichlet(np.ones(len(DOMAINS)), len(values))
    return [
        Run(10 + n, n, dict(zip(DOMAINS, row, strict=True)), Score(value=value, se=0.01))
        for n, (row, value) in enumerate(zip(rows.tolist(), values, strict=True), 1)
    ]


def points_of(*pairs: tuple[float, float], sd: float = 0.02) -> list[FitPoint]:
    return [
        FitPoint(trial=n, number=n, actual=actual, se=0.01, mean=mean, sd=sd)
        for n, (actual, mean) in enumerate(pairs, 1)
    ]


def fit_of(points: list[FitPoint], **changes) -> SurrogateFit:
    loo = LeaveOneOut(r2=0.61, spearman=-0.2, rmse=0.031, nlpd=-2.0, coverage_90=0.75)
    return SurrogateFit(
        surrogate="gp",
        kind="gp: linear trend on raw weights",
        n=len(points),
        noise_sd=0.01,
        loo=loo,
        points=points,
        best=None,
        effects=None,
        lessons=[],
        margin=0.01,
        chance_of_better=0.2,
        confirmations=[],
        messages=[],
    ).model_copy(update=changes)


def trace(figure, name):
    return next(trace for trace in figure["data"] if trace.get("name") == name)


@pytest.mark.parametrize(("direction", "leads"), [("maximize", [1, 2, 5]), ("minimize", [1, 3])])
def test_the_best_so_far_follows_the_direction_of_the_objective(direction, leads):
    found = history.of(runs_of(0.3, 0.4, 0.2, 0.4, 0.5), direction)
    assert [run.number for run in found.leads] == leads


def test_a_gain_is_positive_when_the_best_is_better_whatever_the_direction():
    uniform = Run(1, 1, {"coco": 0.5, "lisa": 0.5}, Score(value=0.4, se=0.03))
    better = runs_of(0.3)[0]
    found = history.of([uniform, better], "minimize")
    assert found.gain is not None
    assert found.gain.value == pytest.approx(0.1)
    assert found.gain.se == pytest.approx(np.hypot(0.03, 0.01))


def test_a_curve_is_of_the_runs_that_a_fit_sees(database):
    name = store(database, 6)
    with database.read() as session:
        row = studies.get(session, name)
        known, (runs, numbers) = (
            evidence.read(session, row),
            scored(session, row, views.spec(row)),
        )
    assert len(runs) == 6
    assert numbers >= {run.number for run in runs}
    shown = [(run.id, run.number, run.mixture, run.score) for run in runs]
    assert shown == [(run.id, run.number, run.mixture, run.score) for run in known.completed]
    standing, found = known.standing(), history.of(runs, known.spec.objective.direction)
    assert (standing.gain, len(standing.mixtures)) == (found.gain, found.n_mixtures)


def test_what_is_read_bit_by_bit_is_what_is_read_at_once(api, database):
    name = create(api)
    histories = history.Histories()

    def look(known):
        with database.read() as session:
            row = studies.get(session, name)
            return known.of(session, row, views.spec(row))

    assert look(histories).best is None
    fill(api, name, 3)
    look(histories)
    finish(api, name, [0.5, 0.0, 0.0, 0.0, 0.5], 0.9)
    assert look(histories) == look(history.Histories())
    assert look(histories).best.score.value == pytest.approx(0.925)


def test_a_progress_chart_of_ten_thousand_trials_is_less_than_a_megabyte():
    rng = np.random.default_rng(0)
    found = history.of(runs_of(*rng.uniform(0.2, 0.5, 10_000)), "maximize")
    study = Study.model_validate(
        study_of().model_dump()
        | {
            "state": "active",
            "planned": 32,
            "gpu_hours_used": 0.0,
            "created_at": SOME_DAY,
            "updated_at": SOME_DAY,
            "trials": {},
            "baseline_scores": Scores(),
        }
    )
    figure = progress_charts.progress(study, found)
    text = json.dumps(figure, allow_nan=False)
    assert len(text) < 2**20
    assert len(trace(figure, "run")["x"]) == 10_000
    best = trace(figure, "best mixture so far")
    assert best["y"] == sorted(best["y"])
    assert best["x"][-1] == 10_000


def test_runs_outside_their_interval_stand_out():
    points = points_of((0.30, 0.31), (0.35, 0.34), (0.40, 0.30))
    figure = fit_charts.predicted_against_actual(study_of(), points)
    assert trace(figure, "inside its 95% interval")["x"] == [30.0, 35.0]
    outside = trace(figure, "outside")
    assert outside["x"] == [40.0]
    assert outside["y"] == [30.0]
    assert outside["error_y"]["array"] == [pytest.approx(100 * 1.959964 * 0.02, abs=0.001)]


def test_a_prediction_far_off_does_not_squeeze_the_rest():
    points = points_of((0.30, 0.31), (0.35, 0.34), (0.40, 5.0), (0.36, -3.0))
    figure = fit_charts.predicted_against_actual(study_of(), points)
    low, high = figure["layout"]["yaxis"]["range"]
    assert high - low < 40
    beyond = [trace for trace in figure["data"] if trace["name"] == "beyond the chart"]
    assert [trace["y"] for trace in beyond] == [[high], [low]]
    assert [trace["customdata"][0][1] for trace in beyond] == [500.0, -300.0]


def test_of_very_many_runs_an_even_selection_is_drawn_and_said_so():
    fit = fit_of(points_of(*[(0.3 + i / 1e5, 0.3) for i in range(3000)]))
    assert len(fit_charts.drawn(fit.points)) <= fit_charts.DRAWN_POINTS
    assert "3,000 runs" in fit_words.reading_aid(fit)


def test_synergy_is_what_an_equal_blend_gains_over_the_mean_of_the_two():
    effects = Effects(alone={}, synergy={"coco*lisa": Prediction(mean=0.4, sd=0.04)})
    drawn = fit_charts.synergies(study_of(), effects)["data"][0]
    assert drawn["x"] == [10.0]
    assert drawn["y"] == ["coco × lisa"]
    assert drawn["error_x"]["array"] == [pytest.approx(1.96, abs=0.001)]


def test_of_many_pairs_the_clearest_are_drawn():
    names = [f"d{place:02}" for place in range(20)]
    pairs = [f"{a}*{b}" for i, a in enumerate(names) for b in names[i + 1 :]]
    synergy = {pair: Prediction(mean=0.001, sd=1.0) for pair in pairs}
    synergy["d03*d17"] = Prediction(mean=-0.5, sd=0.1)
    fit = fit_of([], effects=Effects(alone={}, synergy=synergy))
    drawn = fit_charts.synergies(study_of(domains=names), fit.effects)["data"][0]
    assert len(drawn["y"]) == fit_charts.DRAWN_PAIRS
    assert "d03 × d17" in drawn["y"]
    assert "clearest of 190 pairs" in fit_words.synergy_aid(fit)


def test_a_domain_has_the_same_colour_in_bars_and_charts():
    effects = Effects(alone={name: Prediction(mean=0.3, sd=0.01) for name in DOMAINS}, synergy={})
    drawn = fit_charts.own_values(study_of(), effects)["data"][0]
    charts = dict(zip(drawn["y"], drawn["marker"]["color"], strict=True))
    bars = colours.segments(DOMAINS, dict.fromkeys(DOMAINS, 0.2))
    assert charts == {part.domain: f"@d{part.look.colour}" for part in bars}


def test_figures_are_put_in_words():
    points = points_of(*[(0.3, 0.3)] * 6, (0.3, 0.4), (0.3, 0.2))
    said = {figure.name: figure for figure in fit_words.figures(fit_of(points))}
    assert said["R²"].value == "0.61"
    assert "61%" in said["R²"].meaning
    assert said["Spearman"].value == "\N{MINUS SIGN}0.20"
    assert said["RMSE"].value == "3.1 points"
    assert said["Coverage"].meaning.startswith("6 of 8 runs lie inside their 95%")


def test_undefined_figures_are_left_out():
    nothing = LeaveOneOut(r2=None, spearman=None, rmse=None, nlpd=None, coverage_90=None)
    assert fit_words.figures(fit_of([], loo=nothing)) == []


@pytest.mark.parametrize("surrogate", ["quadsurface", "gp"])
def test_a_fit_of_the_engine_comes_with_all_its_charts(api, database, surrogate):
    study = store(database, 24)
    answer = api.get(f"/ui/studies/{study}/fits/{surrogate}").json()
    assert set(answer["figures"]) == {"loo", "alone", "synergy"}
    for said in ("Predicted against actual", "R²", "RMSE", "Coverage", "Synergy of pairs"):
        assert said in answer["html"]
    assert "of 24 runs lie inside" in answer["html"]


def test_a_surrogate_nobody_knows_is_refused(api):
    study = create(api)
    assert api.get(f"/ui/studies/{study}/fits/oracle").status_code == 404


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (42, "42 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (3599.7, "1 h 0 min")],
)
def test_durations_are_said_in_their_two_largest_units(seconds, said):
    assert words.duration(seconds) == said


def test_stacked_bars_fill_their_length_in_the_order_of_the_study():
    parts = colours.segments(DOMAINS, {"sat": 0.25, "coco": 0.5, "scienceqa": 0.25})
    assert [(part.domain, part.start) for part in parts] == [
        ("coco", 0.0),
        ("sat", 0.5),
        ("scienceqa", 0.75),
    ]


def test_the_stylesheet_has_the_colours_of_the_palette():
    from service.dashboard.assets import STATIC

    css = (STATIC / "style.css").read_text()
    for place, colour in enumerate(colours.OKABE_ITO):
        assert f"--d{place}: {colour};" in css


def told_of(**changes) -> Progress:
    """Of trials 1 to 6: the fourth failed, the fifth was stopped early, each took an hour on 2
    GPUs; the sixth ended before the third."""
    hours = {1: 1, 2: 2, 3: 6, 4: 3, 5: 4, 6: 5}
    return Progress(
        origins={1: "opening", 2: "attached", 3: "search", 6: "confirmation"},
        ended={number: SOME_DAY + timedelta(hours=h) for number, h in hours.items()},
        gpu_hours=dict.fromkeys((1, 3, 4, 5, 6), 2.0),
        failed=[4],
        stopped=[Stopped(5, 12, Score(value=0.2, se=0.01))],
    )


@pytest.fixture
def six() -> tuple[Study, history.History]:
    made = [run for run in runs_of(0.3, 0.4, 0.5, 0.0, 0.0, 0.45) if run.number not in (4, 5)]
    more = {
        "state": "active",
        "created_at": SOME_DAY,
        "updated_at": SOME_DAY,
        "trials": {"completed": 4},
        "planned": 12,
        "gpu_hours_used": 10.0,
        "baseline_scores": Scores(),
    }
    return Study.model_validate(study_of().model_dump() | more), history.of(made, "maximize")


def test_runs_are_drawn_by_their_origin_and_failed_and_stopped_ones_are_marked(six):
    figure = progress_charts.progress(*six, told_of())
    marks = {t["name"]: t["x"] for t in figure["data"] if t["mode"] == "markers"}
    assert marks == {
        "opening": [1.0],
        "added finished": [2.0],
        "search": [3.0],
        "confirmation": [6.0],
        "stopped early": [5.0],
        "failed": [4.0],
    }
    symbols = [t["marker"]["symbol"] for t in figure["data"] if t["mode"] == "markers"]
    assert len(set(symbols)) == len(symbols), "told apart without colour"
    assert trace(figure, "stopped early")["y"] == [20.0]
    assert trace(figure, "best mixture so far")["y"][-1] == 50.0


def test_along_gpu_hours_a_trial_stands_at_what_all_up_to_it_have_cost(six):
    figure = progress_charts.progress(*six, told_of(), "gpu_hours")
    marks = {t["name"]: t["x"] for t in figure["data"] if t["mode"] == "markers"}
    assert [marks[name] for name in ("opening", "added finished", "search")] == [[2], [2], [4]]
    assert marks["failed"] == [6.0]
    assert marks["confirmation"] == [10.0]


def test_along_time_the_best_is_known_once_all_up_to_its_number_have_ended(six):
    figure = progress_charts.progress(*six, told_of(), "time")
    assert trace(figure, "confirmation")["x"] == ["2026-11-23 12:00:00"]
    assert trace(figure, "search")["x"] == ["2026-11-23 13:00:00"]
    line = trace(figure, "best mixture so far")["x"]
    assert line == sorted(line)
    assert line[-1] == "2026-11-23 13:00:00"


def test_of_thousands_of_runs_only_the_best_has_its_interval(six):
    study, _ = six
    few, many = (
        progress_charts.progress(study, history.of(runs_of(*np.linspace(0.2, 0.4, n)), "maximize"))
        for n in (300, 301)
    )
    assert any(t.get("name") == "95% interval" for t in few["data"])
    assert not any(t.get("name") == "95% interval" for t in many["data"])
    assert trace(many, "run")["marker"]["size"] < trace(few, "run")["marker"]["size"]


@pytest.mark.parametrize("by", ["trial", "time", "gpu_hours"])
def test_progress_of_a_stored_study_is_drawn_along_each(api, database, by):
    name = store(database, 4)
    figure = api.get(f"/ui/studies/{name}/progress?by={by}").json()["figure"]
    assert len(trace(figure, "queued by hand")["x"]) == 4
    assert api.get(f"/ui/studies/{name}/progress?by=nothing").status_code == 422
