"""The search proposes merged models where they teach more for their cost than runs."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from db import clock, cost
from db.models import Attempt
from service.proposing import task
from service.proposing.proposer import Proposer
from tests.integration.test_merged_trials import MERGING, Desk, study
from tests.support.bodies import scores
from tests.support.fits import few_settings

MIXED = {"coco": 0.5, "lisa": 0.3, "sat": 0.2}


SPENT = {"full": 300.0, "merged": 15.0}
"""GPU-seconds of a result: here all take as long as a call."""


@pytest.fixture(autouse=True)
def _quick_fits(monkeypatch):
    few_settings(monkeypatch)


@pytest.fixture
def real_cost(monkeypatch):
    found = cost.of_a_result
    monkeypatch.setattr(cost, "of_a_result", lambda *_: SPENT)
    return found


@pytest.fixture
def desk(api, database, real_cost):
    api.app.state.context.proposer.stop()
    changes = {"strategy": "bayes-quadratic", "search": MERGING, "lookahead": 2, "budget": 20}
    assert study(api, **changes).status_code == 201
    found = Desk(api, database)
    found.proposer = Proposer(database, "this-replica")
    return found


def score_of(mixture):
    return 0.4 + 0.3 * mixture["coco"] ** 0.5 + 0.1 * mixture["lisa"] ** 0.5


def work(desk, until):
    """A worker takes what is queued and scores it, until `until` says of an answer to stop."""
    seen = []
    for _ in range(40):
        desk.proposer.turn()
        answer = desk.ask("worker")
        if answer["trial"] is None:
            break
        trial = answer["trial"]
        seen.append(trial)
        artifacts = {"store": f"file:///s/{trial['id']}", "keeps_weights": True, "steps": 24}
        if trial["channel"] == "merged":
            artifacts = {"scale_at_uniform": 1.75}
        mixture = dict.fromkeys(("coco", "lisa", "sat"), 0.0) | trial["mixture"]
        desk.finish(answer, score_of(mixture), **artifacts)
        if until(seen):
            return seen
    return seen


def test_after_the_experts_prices_are_proposed_and_count_as_no_runs(desk):
    seen = work(desk, lambda seen: sum(t["channel"] == "merged" for t in seen) == 4)
    runs = [trial for trial in seen if trial["channel"] == "full"]
    merged = [trial for trial in seen if trial["channel"] == "merged"]
    assert len(merged) == 4, "what is cheap comes before more runs"
    alone = [trial for trial in runs if max(trial["mixture"].values()) == 1]
    assert len(alone) == 3, "every domain alone, once"
    strategies = {trial["proposal"]["strategy"] for trial in merged}
    assert strategies <= {"experts", "opening", "bayes-quadratic"}
    assert len({tuple(sorted(trial["mixture"].items())) for trial in merged}) == 4
    study_now = desk.study()
    assert study_now["merged"] == 4
    assert len(desk.known().runs) == len(runs)
    assert len(desk.known().runs.channels["merged"]) == 4


def test_a_worker_that_is_free_while_experts_train_gets_a_run_of_the_openings_design(desk):
    taken = []
    for number in range(6):
        desk.proposer.turn()
        taken.append(desk.ask(f"worker-{number}")["trial"])
    by = [trial["proposal"]["strategy"] for trial in taken]
    assert by == ["experts"] * 4 + ["opening"] * 2
    for trial in taken[4:]:
        assert trial["channel"] == "full"
        assert max(trial["mixture"].values()) < 0.9, "a blend"


def test_nothing_is_merged_before_it_is_known_how_far_to_scale(desk):
    desk.experts()
    desk.run(dict.fromkeys(("coco", "lisa", "sat"), 1 / 3), 0.6)
    with desk.database.read() as session:
        asked = task.read_task(session, "vlm")
    assert asked is not None
    assert dict(asked.question.costs) == {"full": 1.0}


def test_what_a_merged_model_costs_is_learned_from_those_that_were_scored(desk):
    desk.calibrate()
    with desk.database.read() as session:
        costs = task.read_task(session, "vlm").question.costs
    assert costs == {"full": 1.0, "merged": 0.05}


def test_results_that_workers_gave_have_a_mean_cost_by_channel(desk, real_cost):
    assert mean_cost(desk, real_cost) == {}
    desk.run(MIXED)
    took(desk, desk.run(MIXED), 200.0)
    assert mean_cost(desk, real_cost) == pytest.approx({"full": 100.0}, abs=5.0)


@pytest.mark.backends("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))
def test_merged_models_that_find_the_scale_say_nothing_of_what_the_next_cost(desk, real_cost):
    desk.calibrate(1.75)
    (first,) = [trial["id"] for trial in desk.trials() if trial["channel"] == "merged"]
    took(desk, first, 1000.0)
    assert mean_cost(desk, real_cost).keys() == {"full"}
    price(desk, 10.0, scale=1.75)
    price(desk, 30.0, scale=1.75)
    assert mean_cost(desk, real_cost)["merged"] == pytest.approx(20.0, abs=5.0)
    price(desk, 1000.0, scale=2.25)  # as after a domain came, when it is found anew
    assert mean_cost(desk, real_cost)["merged"] == pytest.approx(20.0, abs=5.0)
    price(desk, 80.0, scale=2.25)
    assert mean_cost(desk, real_cost)["merged"] == pytest.approx(40.0, abs=5.0)


def price(desk, seconds, scale):
    """A merged model that took so long."""
    desk.queue(MIXED, "merged")
    took(desk, desk.finish(desk.ask("worker"), scale_at_uniform=scale), seconds)


def took(desk, trial, seconds):
    """Has a trial that is over have taken so long."""
    with desk.database.write() as session:
        began = update(Attempt).where(Attempt.trial_id == trial)
        session.execute(began.values(claimed_at=clock.after(-seconds)))


def mean_cost(desk, real_cost):
    with desk.database.read() as session:
        return real_cost(session, desk.known().version.study_id)


def test_queued_proposals_are_made_anew_in_either_channel_when_a_score_comes(desk):
    work(desk, lambda seen: sum(t["channel"] == "merged" for t in seen) == 5)
    desk.proposer.turn()
    before = [trial for trial in desk.trials() if trial["state"] == "queued"]
    assert len(before) == 2
    body = {
        "mixture": MIXED,
        "measurements": scores(0.9),
    }
    assert desk.api.post("/studies/vlm/trials", json=body).status_code == 201
    desk.proposer.turn()
    after = [trial for trial in desk.trials() if trial["state"] == "queued"]
    assert [trial["id"] for trial in after] == [trial["id"] for trial in before]
    made_anew = [one["proposal"] != old["proposal"] for one, old in zip(after, before, strict=True)]
    assert any(made_anew)
    places = {(trial["channel"], tuple(sorted(trial["mixture"].items()))) for trial in after}
    assert len(places) == 2
