"""The list of studies: found, sorted, and what each does in a word."""

from __future__ import annotations

import re

import pytest

from db import models
from tests.support.dashboard import HOSTILE, create, finish, lease, page, store

UNIFORM = [0.2] * 5


def names(api, query: str = "") -> list[str]:
    html = page(api, f"/{query}")
    return re.findall(r'<input type="checkbox" name="study" value="([^"]+)"', html)


def condition(api, study: str) -> str:
    row = page(api, f"/?text={study}").partition("<tbody>")[2]
    found = re.search(r'class="pill ([a-z]+)"', row)
    assert found
    return found[1]


@pytest.fixture
def three(api) -> None:
    """Studies `low`, `high` and `none`, made in this order; the last has no run."""
    for name, value in (("low", 0.3), ("high", 0.5), ("none", None)):
        create(api, name=name, note=f"the {name} one")
        if value is not None:
            finish(api, name, UNIFORM, value)


@pytest.mark.usefixtures("three")
def test_studies_come_in_the_order_of_a_column_those_without_a_value_last(api):
    assert names(api) == ["none", "high", "low"]
    assert names(api, "?rising=true") == ["low", "high", "none"]
    assert names(api, "?sort=best") == ["high", "low", "none"]
    assert names(api, "?sort=best&rising=true") == ["low", "high", "none"]
    assert names(api, "?sort=name&rising=true") == ["high", "low", "none"]
    assert api.get("/?sort=nothing").status_code == 422


@pytest.mark.usefixtures("three")
def test_studies_are_found_by_name_note_and_domain(api):
    create(api, name="other", domains=["charts", "maps"])
    assert names(api, "?text=HIGH") == ["high"]
    assert names(api, "?text=the+low") == ["low"]
    assert names(api, "?text=charts") == ["other"]
    nothing = page(api, "/?text=nothing+like+it&condition=")
    assert "0 studies of 4" in nothing
    assert "No study yet" not in nothing


def test_a_word_says_what_a_study_does(api, database):
    study = create(api, name="word", max_attempts=1)
    assert condition(api, study) == "waiting"
    trial, token = lease(api, study)
    assert condition(api, study) == "active"
    api.post(f"/trials/{trial}/failure", json={"token": token, "error": "no"})
    api.patch(f"/studies/{study}", json={"state": "paused"})
    assert condition(api, study) == "paused"
    assert names(api, "?condition=paused") == [study]
    assert names(api, "?condition=stuck") == []
    api.patch(f"/studies/{study}", json={"state": "active"})
    with database.write() as session:
        session.query(models.Study).one().failing = 5
    assert condition(api, study) == "stuck"
    api.patch(f"/studies/{study}", json={"state": "finished"})
    assert condition(api, study) == "finished"


def test_the_link_of_a_long_name_says_all_of_it(api):
    long = "a-study-with-a-name-that-no-column-has-room-for-0123456789"
    create(api, name=long, note=HOSTILE)
    html = page(api, "/")
    assert f'<span class="unseen">{long}</span>' in html
    assert "<script>document" not in html


def test_two_studies_are_compared_by_their_figures_and_mixtures(api, database):
    store(database, 6, name="a")
    store(database, 6, seed=1, name="b", budget=20)
    html = page(api, "/compare?study=a&study=b")
    for study in ("a", "b"):
        best = re.search(r'href="/ui/studies/\w+/trials/\d+"', page(api, f"/ui/studies/{study}"))
        assert best
        assert best[0] in html
    assert '<span class="pm">of 20</span>' in html
    for by, last in (("run", 6.0), ("gpu_hours", 0.0)):
        drawn = api.get(f"/ui/compare/progress?study=a&study=b&by={by}").json()["figure"]
        lines = [trace for trace in drawn["data"] if trace.get("showlegend")]
        assert [line["name"] for line in lines] == ["a", "b"]
        assert lines[0]["x"][-1] == last
        assert lines[0]["y"] != lines[1]["y"]


def test_what_surrogates_have_learned_is_compared_domain_by_domain(api, database):
    store(database, 9, name="a")
    store(database, 9, seed=1, name="b")
    store(database, 0, name="none")
    found = api.get("/ui/compare/fits?study=a&study=b&study=none").json()
    drawn = found["figure"]["data"]
    assert [trace["name"] for trace in drawn] == ["a", "b"]
    assert all(len(trace["x"]) == 5 for trace in drawn)
    assert "R²" in found["html"]
    assert "bayes-quadratic needs at least 2 completed runs" in found["html"]


def test_studies_of_different_objectives_are_not_compared_in_silence(api):
    create(api, name="a")
    create(api, name="b", objective={"name": "mine", "weights": {"chart": 1.0}})
    html = page(api, "/compare?study=a&study=b")
    assert "Their objectives differ: Out-Score, mine" in html
    assert api.get("/ui/compare/progress?study=a&study=b").json()["figure"] is None


def test_domains_of_either_study_are_told(api):
    create(api, name="a", domains=["coco", "lisa"])
    create(api, name="b", domains=["lisa", "sat"])
    html = page(api, "/compare?study=a&study=b")
    assert html.count("not in it") == 2


def test_fewer_than_two_or_more_than_five_are_not_compared(api):
    for place in range(6):
        create(api, name=f"s{place}")
    assert "Choose two to five studies" in page(api, "/compare")
    assert "A second one is needed" in page(api, "/compare?study=s1&study=s1")
    six = "&".join(f"study=s{place}" for place in range(6))
    refused = api.get(f"/compare?{six}")
    assert refused.status_code == 422
    assert "5 studies are compared at most, not 6" in refused.text
    assert api.get("/compare?study=s1&study=nothing").status_code == 404
