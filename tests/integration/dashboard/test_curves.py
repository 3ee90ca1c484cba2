"""Charts over training steps: what a run reports, and how runs came to their scores."""

from __future__ import annotations

import re

import pytest

from service.dashboard.charts import curves as curve_charts
from service.dashboard.charts import overlay as overlay_charts
from service.dashboard.queries import overlay
from service.schemas import Curve, Score, StudySpec
from service.study import learned
from tests.support.dashboard import body, create, finish, lease, page, scores


def curve_of(attempts=None, **metrics) -> Curve:
    n = len(next(iter(metrics.values())))
    named = {name.replace("__", "/"): values for name, values in metrics.items()}
    return Curve(
        trial=1,
        steps=list(range(1, n + 1)),
        attempts=attempts or [1] * n,
        metrics=named,
        names=sorted(named),
    )


def charts(**metrics) -> dict[str, curve_charts.Chart]:
    study = StudySpec.model_validate(body())
    return {chart.title: chart for chart in curve_charts.training(study, curve_of(**metrics))}


def beat(api, trial, token, step, **metrics):
    report = {"token": token, "step": step, "total_steps": 20, "metrics": metrics}
    answer = api.post(f"/trials/{trial}/heartbeat", json=report)
    assert answer.status_code == 200, answer.text


def test_metrics_come_in_charts_of_their_kind_and_unknown_ones_on_their_own():
    found = charts(
        reward=[0.1, 0.2], reward__coco=[0.1, 0.3], rule__format=[0.5, 0.6], kl=[0.0, 0.01],
        completions__mean_length=[90, 95], completions__clipped_ratio=[0.25, 0.5],
        my_own=[1, 2], samples__coco=[8, 16],
    )  # fmt: skip
    assert list(found) == [
        "Reward", "Reward by rule", "KL to the base model", "Length", "Clipped", "my_own",
    ]  # fmt: skip
    rewards = {trace["name"]: trace for trace in found["Reward"].figure["data"]}
    assert rewards["coco"]["line"]["color"] == "@d0", "a domain's own colour"
    assert rewards["all"]["y"] == [0.1, 0.2]
    assert found["Clipped"].figure["data"][0]["y"] == [25.0, 50.0], "in percent, as its unit says"
    assert found["Clipped"].unit == "% of completions"


def test_the_weights_of_an_adaptive_run_are_drawn_by_step_in_the_domains_colours():
    found = charts(reward=[0.1, 0.2], weight__coco=[0.5, 0.25], weight__elsewhere=[0.1, 0.1])
    chart = found["Weights of the draw"]
    (line,) = chart.figure["data"]
    assert (line["name"], line["line"]["color"], line["y"]) == ("coco", "@d0", [50.0, 25.0])
    assert chart.unit == "% of the samples"


def test_steps_that_say_nothing_of_a_metric_are_left_out():
    (trace,) = charts(kl=[0.1, None, 0.3])["KL to the base model"].figure["data"]
    assert trace["x"] == [1, 3]


def test_of_many_steps_a_moving_mean_is_drawn_over_the_single_ones():
    single, mean = charts(kl=[float(k % 2) for k in range(90)])["KL to the base model"].figure[
        "data"
    ]
    assert set(single["y"]) == {0.0, 1.0}
    assert "mean of 7 points" in mean["hovertemplate"]
    assert all(value == pytest.approx(0.5, abs=0.08) for value in mean["y"][3:-3])


def test_the_ends_of_a_moving_mean_take_what_there_is():
    assert curve_charts.smoothed([2.0, 4.0, 6.0, 8.0], 3) == [3.0, 4.0, 6.0, 7.0]


def test_where_another_attempt_went_on_is_marked():
    chart = charts(kl=[0.1, 0.2, 0.3, 0.4], attempts=[1, 1, 2, 2])["KL to the base model"]
    (mark,) = chart.figure["layout"]["annotations"]
    assert (mark["x"], mark["text"]) == (3, "attempt 2")


def test_the_page_of_a_trial_draws_what_its_worker_reports(api):
    study = create(api)
    trial, token = lease(api, study)
    number = api.get(f"/trials/{trial}").json()["number"]
    address = f"/ui/studies/{study}/trials/{number}"
    assert api.get(f"{address}/curves").json()["figures"] == []
    for step in (1, 2, 3):
        beat(api, trial, token, step, reward=0.1 * step, kl=0.01)
    drawn = api.get(f"{address}/curves").json()
    assert drawn["titles"] == ["Reward", "KL to the base model"]
    assert drawn["figures"][0]["data"][0]["y"] == [0.1, 0.2, 0.3]
    assert drawn["html"].count('role="img"') == 2
    assert 'id="training"' in page(api, address)
    assert api.get(f"/ui/studies/{study}/trials/99/curves").status_code == 404


def test_a_name_that_looks_like_html_stays_text(api):
    study = create(api)
    trial, token = lease(api, study)
    beat(api, trial, token, 1, **{"<img src=x>": 1.0})
    number = api.get(f"/trials/{trial}").json()["number"]
    drawn = api.get(f"/ui/studies/{study}/trials/{number}/curves").json()
    assert "<img" not in drawn["html"] + str(drawn["figures"])
    assert drawn["titles"] == ["‹img src=x›"]


def test_runs_that_were_scored_on_the_way_are_drawn_over_steps(api):
    study = create(api)
    figures = f"/ui/studies/{study}/benchmarks/figures"
    finish(api, study, [0.2] * 5, 0.3)
    assert api.get(figures).json()["paths"] is None, "scored at one step only"
    trial, token = lease(api, study)
    early = [score | {"step": 10} for score in scores(0.3)]
    api.post(f"/trials/{trial}/measurements", json={"token": token, "measurements": early})
    result = {"token": token, "measurements": [s | {"step": 20} for s in scores(0.5)]}
    assert api.post(f"/trials/{trial}/result", json=result).status_code == 200
    (line,) = api.get(figures).json()["paths"]["data"]
    assert line["x"] == [0, 10, 20], "from the base model on"
    assert line["y"] == [22.5, 32.5, 52.5]
    assert len(line["error_y"]["array"]) == 3
    (line,) = api.get(figures, params={"path": "chart"}).json()["paths"]["data"]
    assert line["y"] == [22.0, 32.0, 52.0]
    assert api.get(figures, params={"path": "mars"}).status_code == 422


def test_of_many_runs_the_best_are_drawn_and_the_best_of_all_lies_on_top():
    paths = [
        curve_charts.path(n, {5: Score(value=0.1, se=0.01), 9: Score(value=1 / n, se=0.01)})
        for n in range(1, 80)
    ]
    drawn = curve_charts.over_steps(paths, "Out-Score", base=None)["data"]
    assert len(drawn) == curve_charts.RUNS
    assert drawn[-1]["name"] == "trial 1, best"


def told(api, study, query: str) -> dict:
    answer = api.get(f"/ui/studies/{study}/curves/drawn{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def two(api) -> tuple[str, int, int]:
    """A study with two running trials: the first spoke of its reward twice and was scored twice,
    the second of its reward and KL once."""
    study = create(api)
    (first, token), (second, other) = lease(api, study), lease(api, study, "worker-2")
    beat(api, first, token, 10, reward=0.1)
    beat(api, first, token, 20, reward=0.3)
    for step in (10, 20):
        measured = [score | {"step": step} for score in scores(0.02 * step)]
        api.post(f"/trials/{first}/measurements", json={"token": token, "measurements": measured})
    beat(api, second, other, 10, reward=0.2, kl=0.01)
    numbers = [api.get(f"/trials/{trial}").json()["number"] for trial in (first, second)]
    return study, *numbers


def test_curves_of_chosen_trials_lie_over_each_other_no_two_alike(api, two):
    study, first, second = two
    drawn = told(api, study, f"?trial={first}&trial={second}&trial={first}")
    lines = drawn["metric"]["data"]
    assert [(line["name"], line["y"]) for line in lines] == [
        (f"trial {first}", [0.1, 0.3]),
        (f"trial {second}", [0.2]),
    ]
    assert lines[0]["line"] != lines[1]["line"]
    assert "coco 20%<br>lisa 20%" in lines[0]["hovertemplate"]
    (scored,) = drawn["scores"]["data"]
    assert (scored["x"], scored["y"]) == ([10, 20], [22.5, 42.5])
    kl = told(api, study, f"?trial={first}&trial={second}&metric=kl")["metric"]["data"]
    assert [line["name"] for line in kl] == [f"trial {second}"]


def test_a_dozen_lines_differ_in_colour_or_dash():
    looks = {overlay_charts.look(place) for place in range(overlay.MOST)}
    assert len(looks) == overlay.MOST


def test_the_table_has_the_same_in_numbers_and_ways_to_add_and_leave_out(api, two):
    study, first, second = two
    html = page(api, f"/ui/studies/{study}/curves?trial={first}&trial={second}")
    row = html[html.index(f">trial {first}</a>") :]
    assert re.findall(r'class="num">([\d.]+)<', row)[:4] == ["0.1", "0.3", "0.3", "20"]
    assert f'/curves?trial={second}&amp;metric=reward" aria-label="Leave trial {first} out"' in html
    assert f'<input type="hidden" name="trial" value="{second}">' in html
    assert "<option>kl</option>" in html


def test_curves_of_none_ask_for_some_and_of_too_many_or_strangers_are_refused(api, two):
    study, first, _ = two
    address = f"/ui/studies/{study}/curves"
    assert "No trial is chosen" in page(api, address)
    assert api.get(f"{address}?trial={first}&trial=99").status_code == 404
    assert api.get(f"{address}?trial=0").status_code == 422
    for _ in range(overlay.MOST + 1 - 2):
        finish(api, study, [0.2] * 5, 0.3)
    trials = api.get(f"/studies/{study}/trials").json()["trials"]
    every = "&".join(f"trial={trial['number']}" for trial in trials)
    refused = api.get(f"{address}/drawn?{every}")
    assert refused.status_code == 422
    assert f"curves of {overlay.MOST} trials" in refused.json()["detail"]
    assert told(api, study, f"?trial={first}&metric=<img>")["metric"] is None
    assert "<img>" not in page(api, f"{address}?trial={first}&metric=<img>")


def test_a_curve_in_numbers_has_the_mean_of_its_last_tenth():
    curve = curve_of(kl=[None, *range(1, 41)])
    found = learned.learned(curve, "kl")
    assert (found.first, found.last, found.late, found.step) == (1, 40, 38.5, 41)
    assert learned.learned(curve, "reward") is None
