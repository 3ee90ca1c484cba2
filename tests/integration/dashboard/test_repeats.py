"""Trials of one mixture: linked on their pages, and found in the table."""

from __future__ import annotations

import csv
import io
import re

import pytest

from tests.support.dashboard import create, finish, lease, page

pytestmark = pytest.mark.backends("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))

UNIFORM = [0.2] * 5
ALMOST = [0.203, 0.199, 0.199, 0.1995, 0.1995]
OTHER = [0.22, 0.18, 0.2, 0.2, 0.2]


def story(api, study: str, number: int) -> str:
    html = page(api, f"/ui/studies/{study}/trials/{number}")
    text = html.partition('<section class="hero')[2].partition("</section>")[0]
    return " ".join(re.sub(r"<[^>]+>", "", text).split())


def shown(api, study: str, query: str) -> list[dict[str, str]]:
    answer = api.get(f"/ui/studies/{study}/trials.csv?{query}")
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


@pytest.fixture
def runs(api) -> tuple[str, list[int]]:
    """Two runs of the uniform mixture but for rounding, and one of another."""
    study = create(api)
    made = [(UNIFORM, 0.3), (ALMOST, 0.34), (OTHER, 0.5)]
    return study, [finish(api, study, weights, value) for weights, value in made]


def test_a_trial_says_as_which_others_it_was_run_and_how_far_they_spread(api, runs):
    study, (first, second, other) = runs
    said = story(api, study, first)
    assert f"Also run as trial {second} (36.5 ± " in said
    assert "2 runs of this mixture: mean 34.5" in said
    assert "spread 2.8 (standard deviation)" in said
    assert f"trials?same_as={first}" in page(api, f"/ui/studies/{study}/trials/{first}")
    assert "Also run as" not in story(api, study, other)


def test_one_that_still_runs_is_named_with_its_state_and_one_called_off_is_not(api, runs):
    study, (first, _, _) = runs
    running, _ = lease(api, study)
    number = api.get(f"/trials/{running}").json()["number"]
    assert f"trial {number} running." in story(api, study, first)
    api.post(f"/trials/{running}/cancel")
    assert f"trial {number}" not in story(api, study, first)


def test_the_table_shows_a_trial_with_those_of_its_mixture_and_names_them_in_a_column(api, runs):
    study, (first, second, other) = runs
    found = shown(api, study, f"same_as={second}&column=same&sort=trial")
    assert [(row["trial"], row["same_as"]) for row in found] == [
        (str(second), str(first)),
        (str(first), str(second)),
    ]
    assert [row["trial"] for row in shown(api, study, f"same_as={other}")] == [str(other)]
    assert shown(api, study, "same_as=999") == []
    html = page(api, f"/ui/studies/{study}/trials?same_as={first}&column=same")
    assert f"?same_as={first}" in html
    assert "2 trials" in html


def test_a_schedule_is_told_from_its_mean_and_from_other_schedules(api, runs):
    study, (first, _, _) = runs
    ends = [{"coco": 1.0}, {"lisa": 0.25, "geoqav": 0.25, "sat": 0.25, "scienceqa": 0.25}]

    def add(phases, shares):
        schedule = [{"share": s, "mixture": m} for s, m in zip(shares, phases, strict=True)]
        body = {"schedule": schedule, "note": "by hand"}
        answer = api.post(f"/studies/{study}/trials", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["number"]

    there, back, again = add(ends, (0.2, 0.8)), add(ends[::-1], (0.8, 0.2)), add(ends, (0.2, 0.8))
    assert f"Also run as trial {again}" in story(api, study, there)
    assert "Also run as" not in story(api, study, back)
    assert str(there) not in [row["trial"] for row in shown(api, study, f"same_as={first}")]
