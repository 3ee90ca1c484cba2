"""The table of trials: what its address asks for is what it shows, and what its file has."""

from __future__ import annotations

import csv
import io
import re

import pytest

from db import models
from tests.support.dashboard import (
    HOSTILE,
    create,
    finish,
    lease,
    page,
    scores,
    store,
    store_many,
)

pytestmark = pytest.mark.backends("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))

UNIFORM = [0.2] * 5


def numbers(api, study: str, query: str = "") -> list[int]:
    """The trials of a view, in its order."""
    html = page(api, f"/ui/studies/{study}/trials{query}")
    return [int(n) for n in re.findall(r'<th scope="row"><a [^>]*>(\d+)</a>', html)]


def records(api, study: str, query: str = "") -> list[dict[str, str]]:
    answer = api.get(f"/ui/studies/{study}/trials.csv{query}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


@pytest.fixture
def mixed(api) -> str:
    """Three finished runs, the second of which is best; a proposal may be queued beside them."""
    study = create(api, max_attempts=1)
    for weights, value, note in (
        ([0.6, 0.1, 0.1, 0.1, 0.1], 0.30, "the old base model"),
        ([0.1, 0.6, 0.1, 0.1, 0.1], 0.50, ""),
        (UNIFORM, 0.40, ""),
    ):
        finish(api, study, weights, value, note=note)
    return study


def test_rows_come_in_the_order_of_a_column_and_the_other_way_round(api, mixed):
    finished = [row["trial"] for row in records(api, mixed, "?state=completed")]
    first, second, third = sorted(map(int, finished))
    by = "?state=completed&sort={}"
    assert numbers(api, mixed, by.format("objective")) == [second, third, first]
    assert numbers(api, mixed, by.format("objective") + "&rising=true") == [first, third, second]
    assert numbers(api, mixed, by.format("s_chart")) == [second, third, first]
    assert numbers(api, mixed, by.format("w_coco")) == [first, third, second]
    assert numbers(api, mixed, by.format("trial")) == [third, second, first]


def test_the_order_by_the_objective_is_that_of_the_scores_shown(api, database):
    study = store(database, 12)
    rows = records(api, study, "?sort=objective&column=objective&column=in_score")
    values = [float(row["out_score"]) for row in rows]
    assert values == sorted(values, reverse=True)
    by_in = records(api, study, "?sort=in_score&column=in_score")
    assert [float(r["in_score"]) for r in by_in] == sorted(
        (float(r["in_score"]) for r in by_in), reverse=True
    )


@pytest.mark.parametrize("rising", ["true", "false"])
def test_trials_without_a_value_come_last_either_way(api, mixed, rising):
    lease(api, mixed)
    shown = records(api, mixed, f"?sort=objective&rising={rising}")
    assert [row["out_score"] == "" for row in shown] == sorted(
        row["out_score"] == "" for row in shown
    )


def test_rows_are_filtered_by_state_origin_and_text(api, mixed):
    trial, token = lease(api, mixed, "gpu-node-7")
    failure = {"token": token, "error": "Traceback\nRuntimeError: out of memory"}
    api.post(f"/trials/{trial}/failure", json=failure)
    failed = api.get(f"/trials/{trial}").json()["number"]
    assert numbers(api, mixed, "?state=failed") == [failed]
    assert numbers(api, mixed, "?origin=queued") == [failed]
    assert len(numbers(api, mixed, "?origin=attached")) == 3
    assert numbers(api, mixed, "?text=OUT+OF+MEMORY") == [failed]
    assert numbers(api, mixed, "?text=gpu-node-7") == [failed]
    assert len(numbers(api, mixed, "?text=old+base")) == 1
    assert numbers(api, mixed, "?text=%25") == [], "a percent sign stands for itself"
    nothing = page(api, f"/ui/studies/{mixed}/trials?text=nothing+of+that+kind")
    assert re.search(r"No trial of \d", nothing)
    assert "Show all" in nothing


def test_opening_search_and_confirmations_are_told_apart(api, database):
    study = store(database, 3)
    with database.write() as session:
        for row, strategy in zip(
            session.query(models.Trial).order_by(models.Trial.id),
            ("seed", "auto", "confirm"),
            strict=True,
        ):
            row.origin = "proposed"
            row.proposal = {"strategy": strategy, "seed": 1, "reason": "so", "mean": None}
    for origin, number in (("opening", 1), ("search", 2), ("confirmation", 3)):
        assert numbers(api, study, f"?origin={origin}") == [number]
        (row,) = records(api, study, f"?origin={origin}")
        assert row["origin"] == origin


def test_fields_of_the_form_that_are_left_empty_ask_for_nothing(api, mixed):
    empty = "?state=&origin=&channel=&text=&sort=trial&rising=false"
    assert set(numbers(api, mixed, empty)) >= set(numbers(api, mixed, "?state=completed"))
    assert api.get(f"/ui/studies/{mixed}/trials/found{empty}").json()["query"] == ""


def test_columns_are_chosen_and_the_address_keeps_them(api, mixed):
    html = page(api, f"/ui/studies/{mixed}/trials?column=w_coco&column=worker")
    heads = re.findall(r'<a data-key="([^"]+)"', html.partition("<thead>")[2])
    assert heads == ["trial", "w_coco", "worker"]
    assert "column=w_coco&amp;column=worker" in html.partition("<thead>")[2]
    usual = re.findall(r'name="column" value="([^"]+)" data-usual="yes"', html)
    every = "&".join(f"column={key}" for key in usual)
    found = api.get(f"/ui/studies/{mixed}/trials/found?{every}&state=completed").json()
    assert found["query"] == "state=completed", "the usual ones need not be named"


def test_the_file_has_what_is_shown_in_its_order_under_the_names_of_an_export(api, mixed):
    rows = records(api, mixed, "?state=completed&sort=objective")
    exported = api.get(f"/studies/{mixed}/export").text.partition("\n")[0].split(",")
    assert set(rows[0]) - set(exported) == {"origin", "finished_at", "note"}
    assert {"trial", "state", "w_coco", "out_score", "chart", "gpu_hours"} <= set(rows[0])
    assert float(rows[0]["out_score"]) == pytest.approx(0.525)
    assert float(rows[0]["w_lisa"]) == pytest.approx(0.6)
    few = records(api, mixed, "?column=state")
    assert list(few[0]) == ["trial", "state"]


def test_many_come_a_hundred_at_a_time_and_the_file_has_all(api, database):
    store_many(database, 220)
    assert numbers(api, "long") == list(range(220, 120, -1))
    assert numbers(api, "long", "?page=3") == list(range(20, 0, -1))
    assert numbers(api, "long", "?page=99") == list(range(20, 0, -1))
    assert len(records(api, "long")) == 220
    assert "page 1 of 3" in page(api, "/ui/studies/long/trials")


def test_forty_domains_have_a_column_each_with_their_names_elided_in_the_middle(api):
    domains = [f"a-domain-with-a-long-name-{place:02}" for place in range(40)]
    study = create(api, domains=domains)
    finish(api, study, [1 / 40] * 40, 0.3)
    head = page(api, f"/ui/studies/{study}/trials").partition("<thead>")[2].partition("</thead>")[0]
    assert head.count('data-key="w_') == 40
    assert 'title="a-domain-with-a-long-name-07">a-domai…ame-07<' in head


def test_a_view_that_the_study_does_not_have_is_refused_with_what_it_has(api, mixed):
    for query in ("?sort=w_nothing", "?column=nothing", "?sort=mixture"):
        for part in ("trials", "trials/found", "trials.csv"):
            assert api.get(f"/ui/studies/{mixed}/{part}{query}").status_code == 422, query
    assert "w_coco" in api.get(f"/ui/studies/{mixed}/trials?sort=w_nothing").text
    for query in ("?state=nothing", "?page=0", "?unknown=1", "?text=%00", "?text=" + "a" * 201):
        assert api.get(f"/ui/studies/{mixed}/trials{query}").status_code == 422, query
    assert api.get("/ui/studies/nothing/trials").status_code == 404


def test_notes_and_errors_never_become_markup(api):
    study = create(api, max_attempts=1)
    finish(api, study, UNIFORM, 0.3, note=HOSTILE)
    trial, token = lease(api, study, worker=HOSTILE)
    api.post(f"/trials/{trial}/failure", json={"token": token, "error": HOSTILE})
    html = page(api, f"/ui/studies/{study}/trials?column=note&column=worker")
    assert html.count("&lt;script&gt;") >= 3
    assert "<script>document" not in html


def test_a_study_without_trials_says_what_happens_next(api, database):
    assert "No trial yet" in page(api, f"/ui/studies/{store(database, 0)}/trials")


def test_the_last_score_of_several_steps_is_the_one_that_counts(api):
    study = create(api)
    trial, token = lease(api, study)
    early = [score | {"step": 10, "score": 0.9} for score in scores(0.3)]
    late = [score | {"step": 20} for score in scores(0.3)]
    api.post(f"/trials/{trial}/result", json={"token": token, "measurements": early + late})
    (best, *_) = records(api, study, "?sort=objective")
    assert float(best["chart"]) == pytest.approx(0.32)


def test_no_two_columns_of_a_file_have_one_name(api):
    benchmarks = [{"name": name, "group": "out", "samples": 400} for name in ("note", "origin")]
    study = create(api, benchmarks=benchmarks, baseline=[])
    measured = [{"benchmark": b["name"], "score": 0.3, "samples": 400} for b in benchmarks]
    share = dict.fromkeys(("coco", "lisa", "geoqav", "sat", "scienceqa"), 0.2)
    api.post(f"/studies/{study}/trials", json={"mixture": share, "measurements": measured})
    (row, *_) = records(api, study, "?state=completed")
    assert (row["benchmark_origin"], row["origin"]) == ("0.3", "attached")
    assert row["note"] == "0.3"
    assert row["note_note"] == ""
