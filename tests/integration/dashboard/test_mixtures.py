"""Looking through mixtures: order, filters, and what the charts of many show."""

from __future__ import annotations

import json
import math
import re

import pytest

from service.dashboard.charts import mixtures as mixture_charts
from service.dashboard.queries.mixtures import Item
from service.schemas import Score, StudySpec
from tests.support.dashboard import DOMAINS, body, create, finish, lease, page, store_many


@pytest.fixture
def study(api):
    """Four runs, of which the third is best, and one that waits or runs."""
    name = create(api)
    for first, value in ((0.2, 0.3), (0.6, 0.4), (0.4, 0.5), (0.0, 0.2)):
        finish(api, name, [first, *[(1 - first) / 4] * 4], value)
    return name


def numbers(api, study, **wanted) -> list[int]:
    answer = api.get(f"/ui/studies/{study}/mixtures/found", params=wanted)
    assert answer.status_code == 200, answer.text
    return [
        int(number) for number in re.findall(r'aria-label="Trial (\d+)"', answer.json()["html"])
    ]


def by(api, study, key) -> list[int]:
    trials = api.get(f"/studies/{study}/trials?state=completed").json()["trials"]
    return [trial["number"] for trial in sorted(trials, key=key, reverse=True)]


def test_trials_are_sorted_by_number_score_or_weight(api, study):
    done = {"state": "completed"}
    score = by(api, study, lambda trial: trial["scores"]["objective"]["value"])
    coco = by(api, study, lambda trial: trial["mixture"]["coco"])
    assert numbers(api, study, sort="score", **done) == score
    assert numbers(api, study, sort="score", rising=True, **done) == score[::-1]
    assert numbers(api, study, sort="coco", **done) == coco
    assert numbers(api, study, **done) == sorted(score, reverse=True)


def test_trials_without_a_score_come_last_and_are_found_by_state(api, study):
    trial, _ = lease(api, study)
    number = api.get(f"/trials/{trial}").json()["number"]
    for rising in (True, False):
        assert number in numbers(api, study, sort="score", rising=rising)[4:]
    assert numbers(api, study, state="running") == [number]


def test_trials_are_filtered_by_score_and_weight(api, study):
    best_two = by(api, study, lambda trial: trial["scores"]["objective"]["value"])[:2]
    assert set(numbers(api, study, least=42.5)) == set(best_two)
    heavy = {"domain": "coco", "weight": 40, "state": "completed"}
    assert len(numbers(api, study, **heavy)) == 2


def test_a_domain_nobody_knows_is_refused(api, study):
    for wanted in ({"sort": "mars"}, {"domain": "mars"}):
        refused = api.get(f"/ui/studies/{study}/mixtures/found", params=wanted)
        assert refused.status_code == 422
        assert "mars" in refused.json()["detail"]
    same = {"a": "coco", "b": "coco", "c": "lisa"}
    refused = api.get(f"/ui/studies/{study}/mixtures/figures", params=same)
    assert refused.status_code == 422


def test_the_triangle_starts_with_the_heaviest_domains_of_the_best_run(api, study):
    html = page(api, f"/ui/studies/{study}/mixtures")
    corners = html.partition('id="corners"')[2].partition("</form>")[0]
    chosen = re.findall(r'value="(\w+)" selected', corners)
    assert len(chosen) == 3
    assert "coco" in chosen
    drawn = dict(zip("abc", chosen, strict=True))
    figures = api.get(f"/ui/studies/{study}/mixtures/figures", params=drawn).json()
    dots = figures["ternary"]["data"][0]
    assert len(dots["ids"]) == 4
    for sides in zip(dots["a"], dots["b"], dots["c"], strict=True):
        assert sum(sides) == pytest.approx(100, abs=0.1)


def test_two_domains_make_no_triangle(api):
    study = create(api, domains=["coco", "lisa"])
    finish(api, study, [0.5, 0.5], 0.3)
    assert "A triangle needs three domains" in page(api, f"/ui/studies/{study}/mixtures")
    figures = api.get(f"/ui/studies/{study}/mixtures/figures").json()
    assert figures["ternary"] is None
    assert figures["parallel"]["data"][0]["x"] == ["coco", "lisa", None]


def test_without_a_run_there_is_nothing_to_draw_and_it_is_said(api):
    figures = api.get(f"/ui/studies/{create(api)}/mixtures/figures").json()
    assert (figures["parallel"], figures["ternary"]) == (None, None)
    assert "No completed run" in figures["said"]


def dots_of(*values: float) -> list[mixture_charts.Dot]:
    mixture = dict.fromkeys(DOMAINS, 0.2)
    return mixture_charts.dots(
        StudySpec.model_validate(body()),
        [
            Item(number, "completed", mixture, Score(value=value, se=0.01))
            for number, value in enumerate(values, 1)
        ],
    )


@pytest.mark.parametrize(("direction", "order"), [("maximize", "123"), ("minimize", "321")])
def test_the_best_lines_lie_on_top_in_the_last_colour(direction, order):
    objective = {"name": "out_score", "direction": direction}
    study = StudySpec.model_validate(body(objective=objective))
    *lines, _ = mixture_charts.parallel(study, dots_of(0.2, 0.3, 0.5))["data"]
    assert [line["ids"][0] for line in lines] == [f"{number}/0" for number in order]
    assert lines[-1]["line"]["color"] == "@s7"
    assert lines[0]["line"]["color"] == "@s0"


def test_ten_thousand_trials_come_in_small_pieces(api, database):
    store_many(database, 10_000)
    found = api.get("/ui/studies/long/mixtures/found?sort=score")
    assert found.json()["n"] == 10_000
    assert found.json()["more"]
    assert len(found.content) < 2**20
    last = api.get("/ui/studies/long/mixtures/found?sort=score&offset=9950").json()
    assert not last["more"]
    assert last["html"].count('class="failed"') == 50
    figures = api.get("/ui/studies/long/mixtures/figures?a=coco&b=lisa&c=sat")
    assert len(figures.content) < 2**20
    assert "An even selection" in figures.json()["said"]
    json.loads(figures.content, parse_constant=pytest.fail)


def plane_of(*mixtures: dict[str, float]):
    study = StudySpec.model_validate(body())
    items = [
        Item(number, "completed", dict.fromkeys(DOMAINS, 0.0) | mixture, Score(value=0.3, se=0.01))
        for number, mixture in enumerate(mixtures, 1)
    ]
    return mixture_charts.distance_map(study, mixture_charts.dots(study, items))


def test_on_a_map_like_mixtures_lie_near_each_other_and_the_share_shown_is_told():
    mixtures = ({"coco": 1.0}, {"coco": 0.9, "lisa": 0.1}, {"sat": 1.0}, {"sat": 0.5, "lisa": 0.5})
    drawn = plane_of(*mixtures)
    run = next(trace for trace in drawn["data"] if trace["name"] == "run")
    at = list(zip(run["x"], run["y"], strict=True))
    assert math.dist(at[0], at[1]) < math.dist(at[2], at[3]) < math.dist(at[0], at[2])
    assert math.dist(at[0], at[2]) == pytest.approx(1.0, abs=0.05), "no domain in common"
    assert run["ids"] == ["1", "2", "3", "4"]
    shown = drawn["layout"]["meta"]["explained"]
    assert 0.5 < shown < 1
    assert f"{100 * shown:.0f}% of the squared distances" in mixture_charts.map_aid(drawn)


def test_a_map_of_three_mixtures_is_exact_and_marks_uniform_and_the_best():
    drawn = plane_of({"coco": 1.0}, {"lisa": 1.0}, dict.fromkeys(DOMAINS, 0.2))
    assert drawn["layout"]["meta"] == {"explained": 1.0, "stress": 0.0}
    marks = {trace["name"]: (trace["x"][0], trace["y"][0]) for trace in drawn["data"]}
    run = next(trace for trace in drawn["data"] if trace["name"] == "run")
    assert marks["uniform mixture"] == (run["x"][2], run["y"][2])
    assert marks["best of these, trial 1"] == (run["x"][0], run["y"][0])


def test_two_mixtures_make_no_map():
    assert plane_of({"coco": 1.0}, {"lisa": 1.0}) is None
    assert plane_of() is None


def test_the_map_says_what_it_needs_or_shows(api):
    study = create(api)
    for weights in ([1.0, 0.0, 0.0, 0.0, 0.0], [0.2] * 5):
        finish(api, study, weights, 0.3)
    figures = api.get(f"/ui/studies/{study}/mixtures/figures").json()
    assert figures["map"] is None
    assert figures["map_said"] == "A map needs three mixtures that differ."
    finish(api, study, [0.1, 0.6, 0.1, 0.1, 0.1], 0.3)
    figures = api.get(f"/ui/studies/{study}/mixtures/figures").json()
    assert "of the squared distances" in figures["map_said"]


def test_of_ten_thousand_runs_the_best_is_always_drawn():
    values = [0.3] * 10_000
    values[4321] = 0.5
    drawn = dots_of(*values)
    assert len(drawn) <= mixture_charts.DRAWN + 1
    assert mixture_charts.best(StudySpec.model_validate(body()), drawn).number == 4322


def test_where_charts_do_not_tell_many_domains_apart_tables_stand_with_them(api, database):
    store_many(database, 60, domains=[f"domain-{place:02}" for place in range(40)])
    figures = api.get("/ui/studies/long/mixtures/figures").json()
    assert figures["instead"].keys() == {"parallel", "map"}
    assert "Lines over 40 domains cannot be followed." in figures["instead"]["parallel"]
    assert figures["instead"]["parallel"].count('<th scope="row">') == 40
    assert "too little to go by" in figures["instead"]["map"]
    assert figures["parallel"] is not None, "still to be had"
    assert "40 domains and their colours" in page(api, "/ui/studies/long/mixtures")


def test_few_domains_need_no_table(api, study):
    assert api.get(f"/ui/studies/{study}/mixtures/figures").json()["instead"] == {}


def test_the_others_of_a_long_mixture_are_one_step_away(api, database):
    store_many(database, 3, domains=[f"domain-{place:02}" for place in range(40)])
    row = api.get("/ui/studies/long/mixtures/found").json()["html"]
    assert re.search(r'<a href="/ui/studies/long/trials/3">and \d\d more, \d+%</a>', row)
    whole = page(api, "/ui/studies/long/trials/3")
    rest = re.search(r"<summary>and (\d+) more, \d+%</summary>(.*?)</details>", whole, re.DOTALL)
    assert rest
    assert rest[2].count("<li>") == int(rest[1])
