"""Studies that share workers: whose turn it is, and whom a worker is fit for."""

from __future__ import annotations

from collections import Counter

import pytest

from db.sharing import Ability, lacking
from tests.support.bodies import scores, study_body

pytestmark = pytest.mark.backends("sqlite", "postgresql")


def create(api, name, trials=6, **changes):
    """A study whose trials were all queued by hand."""
    body = study_body(name, budget=trials, **changes)
    assert api.post("/studies", json=body).status_code == 201
    for _ in range(trials):
        queued = api.post(f"/studies/{name}/trials", json={"mixture": {"coco": 1.0}})
        assert queued.status_code == 201


def ask(api, worker, **more):
    answer = api.post("/trials/next", json={"worker": worker} | more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def given(api, n, first=0, **more):
    """Of which studies so many workers get a trial."""
    return Counter(ask(api, f"w{i}", **more)["trial"]["study"] for i in range(first, first + n))


def test_workers_are_shared_by_weight_and_not_by_the_age_of_trials(api):
    create(api, "old", trials=3)
    create(api, "new", trials=3)
    create(api, "heavy", trials=5, weight=2)
    assert given(api, 8) == {"old": 2, "new": 2, "heavy": 4}


def test_what_a_study_leaves_goes_to_the_others(api):
    create(api, "short", trials=1, weight=10)
    create(api, "long", trials=4)
    assert given(api, 4) == {"short": 1, "long": 3}


def test_gpus_are_shared_and_not_trials(api):
    create(api, "a", trials=3)
    create(api, "b", trials=3)
    assert given(api, 1, gpus=4) == {"a": 1}
    assert given(api, 2, first=1, gpus=1) == {"b": 2}


def test_a_weight_may_be_changed_while_workers_are_at_it(api):
    create(api, "a", trials=3)
    create(api, "b", trials=6)
    assert given(api, 4) == {"a": 2, "b": 2}
    changed = api.patch("/studies/b", json={"weight": 3})
    assert changed.json()["weight"] == 3
    assert given(api, 4, first=4) == {"b": 4}


def test_a_worker_that_asks_for_one_study_gets_that(api):
    create(api, "a", trials=2)
    create(api, "b", trials=2)
    assert given(api, 2, study="b") == {"b": 2}
    assert ask(api, "w9", study="b")["trial"] is None


BIG = {"gpus": 4, "gpu_memory_gb": 80, "labels": {"pool": "a100"}}
FIT = {"gpus": 4, "capabilities": {"gpu_memory_gb": 85.1, "labels": {"pool": "a100", "rack": "7"}}}


@pytest.mark.backends("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"gpus": 2}, "4 GPUs a trial (it has 2)"),
        (
            {"capabilities": FIT["capabilities"] | {"gpu_memory_gb": 42}},
            "GPUs of 80 GB (it has 42)",
        ),
        (
            {"capabilities": FIT["capabilities"] | {"labels": {"pool": "old"}}},
            "label pool=a100",
        ),
        ({"capabilities": {}}, "GPUs of 80 GB (it did not say), label pool=a100"),
        ({"capabilities": {"gpu_memory_gb": "much", "labels": 3}}, "GPUs of 80 GB"),
    ],
)
def test_a_worker_that_lacks_what_a_study_requires_is_given_none_and_told_why(api, changes, says):
    create(api, "big", trials=1, requires=BIG)
    answer = ask(api, "small", **FIT | changes)
    assert answer["trial"] is None
    assert says in answer["reason"]
    assert answer["retry_after_s"] is None
    assert ask(api, "small", study="big", **FIT | changes)["trial"] is None
    assert ask(api, "fit", **FIT)["trial"]["study"] == "big"


def test_a_worker_gets_trials_of_what_it_is_fit_for_and_waits_for_more_of_these(api):
    create(api, "big", trials=2, requires=BIG)
    create(api, "small", trials=1)
    answer = ask(api, "w1")
    assert answer["trial"]["study"] == "small"
    waiting = ask(api, "w2")
    assert waiting["trial"] is None
    assert "'small'" in waiting["reason"]
    path = f"/trials/{answer['trial']['id']}/result"
    body = {"token": answer["lease"]["token"], "measurements": scores(0.5)}
    assert api.post(path, json=body).status_code == 200
    assert "requires 4 GPUs" in ask(api, "w2", study="big")["reason"]


@pytest.mark.backends("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))
@pytest.mark.parametrize(
    "changes",
    [{"weight": 0}, {"weight": "2"}, {"requires": {"gpu": 1}}, {"requires": {"labels": {"": "a"}}}],
)
def test_what_is_no_weight_and_no_requirement_is_refused(api, changes):
    assert api.post("/studies", json=study_body(**changes)).status_code == 422


@pytest.mark.backends("sqlite")
def test_a_study_of_before_requires_nothing():
    assert lacking(None, Ability()) == []
    assert lacking({}, Ability()) == []
