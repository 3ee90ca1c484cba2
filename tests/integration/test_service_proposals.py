"""Stored trials meet the engine: what is proposed, when, and that it is never too much."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from datetime import timedelta

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from db import clock, leases, models, proposal_needs, proposers, steering, studies, trials
from db.clock import after
from db.sessions import Database
from db.trials import NewTrial
from service.executor.process import Inline
from service.proposing import proposer
from service.proposing.proposer import Proposer
from service.schemas import Measurement, StudySpec
from service.search.situation import Proposed
from service.study import views, waiting
from tests.support.bodies import scores, study_body
from tests.support.serving import in_process

pytestmark = pytest.mark.backends("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))

SCORES = views.readings([Measurement.model_validate(item) for item in scores()])


class Desk:
    """A study and a proposer that only acts when told."""

    def __init__(self, database, **changes):
        self.database = database
        self.proposer = Proposer(database, "this-replica")
        body = StudySpec.model_validate(study_body(**changes)).model_dump(mode="json")
        with database.write() as session:
            studies.create(session, body, "user")

    def queued(self):
        return [trial for trial in self.all() if trial.state == "queued"]

    def all(self):
        with self.database.read() as session:
            study = studies.get(session, "vlm")
            rows, _ = trials.page(session, study, limit=500)
            return sorted(rows, key=lambda trial: trial.number)

    def claim(self, worker="w"):
        with self.database.write() as session:
            attempt = leases.claim(session, worker, None, f"token-of-{worker}")
            return attempt and attempt.trial_id

    def finish(self, trial, worker="w", value=0.5):
        readings = views.readings([Measurement.model_validate(item) for item in scores(value)])
        with self.database.write() as session:
            assert leases.finish(session, trial, f"token-of-{worker}", readings) is None

    def standing(self):
        with self.database.read() as session:
            return proposal_needs.standing(session, studies.get(session, "vlm"))

    def know(self, n):
        """Adds so many finished runs."""
        rng = np.random.default_rng(0)
        with self.database.write() as session:
            study = studies.get(session, "vlm")
            for weights in rng.dirichlet(np.ones(3), n):
                mixture = dict(zip(("coco", "lisa", "sat"), map(float, weights), strict=True))
                measured = views.readings(
                    [Measurement.model_validate(s) for s in scores(rng.uniform(0.2, 0.8))]
                )
                new = NewTrial(mixture, "attached", readings=measured)
                trials.add(session, study, new, "user")

    def work_off(self, n, value=lambda trial: 0.5):
        for _ in range(n):
            self.proposer.turn()
            trial = self.claim()
            self.finish(trial, value=value(trial))


def test_as_many_proposals_are_kept_ready_as_the_study_asks_for(database):
    desk = Desk(database, lookahead=3)
    assert desk.proposer.turn() == 3
    assert desk.proposer.turn() == 0
    desk.claim()
    assert desk.proposer.turn() == 1
    assert len(desk.queued()) == 3


def test_the_budget_is_never_overshot(database):
    desk = Desk(database, budget=5, lookahead=4)
    for worker in ("w1", "w2", "w3"):
        desk.proposer.turn()
        desk.claim(worker)
    desk.proposer.turn()
    assert len(desk.all()) == 5
    assert desk.standing().room == 0
    while desk.queued():
        desk.claim(f"more-{len(desk.queued())}")
        desk.proposer.turn()
    assert len(desk.all()) == 5


def test_failed_trials_do_not_use_the_budget(database):
    desk = Desk(database, budget=1, lookahead=1)
    desk.proposer.turn()
    trial = desk.claim()
    assert desk.proposer.turn() == 0
    with database.write() as session:
        leases.fail(session, trial, "token-of-w", "broke", is_retryable=False)
    assert desk.proposer.turn() == 1
    mixtures = [trial.mixture for trial in desk.all()]
    assert mixtures[0] != mixtures[1], "what failed for good is not proposed again"


def test_many_failures_in_a_row_stop_the_proposing_until_someone_resumes(database):
    desk = Desk(database, lookahead=1)
    for _ in range(proposal_needs.FAILURES_IN_A_ROW):
        assert desk.proposer.turn() == 1
        trial = desk.claim()
        with database.write() as session:
            leases.fail(session, trial, "token-of-w", "no such file", is_retryable=False)
    assert desk.proposer.turn() == 0
    with database.read() as session:
        reason, retry_after_s = waiting.for_a_trial(session, "vlm")
    assert "the last 5 trials failed" in reason
    assert retry_after_s is None, "nothing comes by itself"
    with database.write() as session:
        studies.patch(session, "vlm", "user", state="paused")
    with database.write() as session:
        studies.patch(session, "vlm", "user", state="active")
    assert desk.proposer.turn() == 1


def test_a_strategy_that_has_nothing_more_to_propose_is_told_as_the_end(database, monkeypatch):
    desk = Desk(database, lookahead=2, budget=50)
    desk.proposer.turn()
    monkeypatch.setattr(proposer, "compute", lambda task, strategy: [])
    running = {worker: desk.claim(worker) for worker in ("w1", "w2")}

    def said():
        desk.proposer.turn()
        with database.read() as session:
            return waiting.for_a_trial(session, "vlm")

    assert said()[1] is not None, "their scores may change its mind"
    for worker, trial in running.items():
        desk.finish(trial, worker)
    reason, retry_after_s = said()
    assert "nothing more to propose; 2 of the budget's 50 trials are done" in reason
    assert retry_after_s is None
    with database.write() as session:
        studies.patch(session, "vlm", "user", budget=60)
    with database.read() as session:
        assert waiting.for_a_trial(session, "vlm")[1] is not None, "it is asked once more"


def test_a_fleet_asking_together_gets_different_mixtures(database):
    desk = Desk(database, strategy="quadsurface", lookahead=2, budget=12)
    for i in range(12):
        desk.proposer.turn()
        assert desk.claim(f"w{i}") is not None
    mixtures = [tuple(trial.mixture.values()) for trial in desk.all()]
    assert len(set(mixtures)) == 12


def test_the_pipeline_waits_for_its_seeds_and_goes_on_when_the_last_is_scored_or_lost(database):
    desk = Desk(database, strategy="modomodo", lookahead=2, budget=12)
    seeds = []
    while desk.proposer.turn():
        seeds += [(desk.claim(f"w{n}"), f"w{n}") for n in range(len(seeds), len(desk.all()))]
    assert {trial.proposal["strategy"] for trial in desk.all()} == {"seed"}
    assert desk.claim() is None
    with database.read() as session:
        reason, retry_after_s = waiting.for_a_trial(session, "vlm")
    assert f"wait for the scores of {len(seeds)} running trials" in reason
    assert retry_after_s == 1.0
    lost, holder = seeds.pop()
    for trial, worker in seeds:
        desk.finish(trial, worker, value=0.4 + 0.01 * trial)
        assert desk.proposer.turn() == 0
    with database.write() as session:
        leases.fail(session, lost, f"token-of-{holder}", "broke", is_retryable=False)
    assert desk.proposer.turn() == 2
    assert "seed" not in {trial.proposal["strategy"] for trial in desk.queued()}


def test_every_proposal_says_strategy_seed_and_reason(database):
    desk = Desk(database, strategy="seed")
    desk.proposer.turn()
    first = desk.all()[0]
    assert first.proposal["strategy"] == "seed"
    assert "equal weights" in first.proposal["reason"]
    assert isinstance(first.proposal["seed"], int)
    assert (first.origin, first.proposed_at_results) == ("proposed", 0)


def test_new_results_replace_queued_proposals_that_nobody_started(database):
    desk = Desk(database, strategy="quadsurface", budget=30, lookahead=3)
    desk.know(8)
    desk.proposer.turn()
    before = {trial.id: trial.mixture for trial in desk.queued()}
    assert {trial.proposal["strategy"] for trial in desk.queued()} == {"quadsurface"}
    desk.finish(desk.claim(), value=0.9)
    desk.proposer.turn()
    after = {trial.id: trial for trial in desk.queued()}
    kept = set(before) & set(after)
    assert kept
    assert all(after[i].mixture != before[i] for i in kept)
    assert {trial.proposed_at_results for trial in after.values()} == {9}


@pytest.mark.parametrize("strategy", ["random", "seed", "lattice", "d-optimal"])
def test_what_was_chosen_without_a_look_at_scores_stays_whatever_the_results(database, strategy):
    desk = Desk(database, strategy=strategy, budget=30, lookahead=4)
    desk.proposer.turn()
    before = {trial.id: (trial.mixture, trial.revision) for trial in desk.queued()}
    for n in range(3):
        desk.finish(desk.claim(), value=0.3 + n / 10)
        assert desk.proposer.turn() == 1, "only what is missing"
        with database.read() as session:
            assert proposal_needs.in_need(session) == [], "and then there is rest"
    after = {trial.id: (trial.mixture, trial.revision) for trial in desk.all()}
    assert list(before) == [1, 2, 3, 4]
    assert after[4] == before[4]
    with database.read() as session:
        happened = session.scalars(select(models.Event.what)).all()
    assert "proposal-replaced" not in happened
    assert happened.count("proposed") == 7


def test_the_points_of_an_opening_stay_until_it_is_over(database):
    desk = Desk(database, strategy="bayes-quadratic", budget=30, lookahead=3)
    desk.proposer.turn()
    before = {trial.id: trial.mixture for trial in desk.queued()}
    desk.finish(desk.claim(), value=0.4)
    assert desk.proposer.turn() == 1, "only what is missing"
    assert all(trial.mixture == before.get(trial.id, trial.mixture) for trial in desk.queued())
    for share in np.linspace(0.1, 0.9, 8):
        mixture = {"coco": float(share), "lisa": float(1 - share), "sat": 0.0}
        with database.write() as session:
            study = studies.get(session, "vlm")
            trials.add(session, study, NewTrial(mixture, "attached", readings=SCORES), "user")
    assert desk.proposer.turn() == 3, "enough is known: now the surrogate chooses"
    assert "opening" not in {trial.proposal["strategy"] for trial in desk.queued()}


def test_a_proposal_that_would_be_made_again_is_kept_and_told_as_it_is_foreseen_now(
    database, monkeypatch
):
    desk = Desk(database, strategy="quadsurface", budget=30, lookahead=3)
    corners = np.eye(3)

    def said(*points):
        foreseen = [Proposed(x, mean, 0.1, "because", "quadsurface") for x, mean in points]
        monkeypatch.setattr(proposer, "compute", lambda task, strategy: foreseen[: task.n])

    said(*((x, 0.5) for x in corners))
    desk.proposer.turn()
    before = {trial.id: trial.mixture for trial in desk.queued()}
    desk.finish(desk.claim(), value=0.9)
    half = np.array([0.5, 0.5, 0.0])
    said((corners[2], 0.7), (half, 0.6), (np.array([0.0, 0.5, 0.5]), 0.6))
    assert desk.proposer.turn() == 3
    second, third, fourth = desk.queued()
    assert third.mixture == before[3]
    assert third.proposal["mean"] == 0.7
    assert list(second.mixture.values()) == [0.5, 0.5, 0.0]
    assert (second.number, fourth.number) == (2, 4)
    with database.read() as session:
        replaced = select(models.Event.trial_id).where(models.Event.what == "proposal-replaced")
        assert session.scalars(replaced).all() == [second.id]


def test_what_a_person_queued_is_never_replaced(database):
    desk = Desk(database, strategy="quadsurface", budget=30, lookahead=3)
    desk.know(8)
    with database.write() as session:
        study = studies.get(session, "vlm")
        mine, _ = trials.add(session, study, NewTrial({"coco": 1.0}, "queued"), "user")
        trials.add(session, study, NewTrial({"sat": 1.0}, "attached", readings=SCORES), "user")
    desk.proposer.turn()
    assert next(t for t in desk.queued() if t.id == mine.id).mixture == {"coco": 1.0}


def test_the_same_study_in_the_same_state_proposes_the_same(new_database):
    mixtures = []
    for url in (new_database(), new_database()):
        database = Database(url)
        desk = Desk(database, strategy="modomodo", budget=20, seed=3)
        desk.work_off(10, value=lambda trial: 0.3 + trial / 50)
        desk.proposer.turn()
        mixtures.append([(t.mixture, t.seed, t.proposal["seed"]) for t in desk.all()])
        database.close()
    assert mixtures[0] == mixtures[1]


def test_training_seeds_differ_between_trials_and_between_studies():
    seeds = [trials.training_seed(study, number) for study in range(20) for number in range(20)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_paused_study_gets_no_proposals(database):
    desk = Desk(database)
    with database.write() as session:
        studies.patch(session, "vlm", "user", state="paused")
    assert desk.proposer.turn() == 0


def test_only_one_replica_proposes_for_a_study_at_a_time(database):
    desk = Desk(database)
    study_id = desk.standing().study_id
    with database.write() as session:
        assert proposers.take(session, study_id, "other-replica", proposer.LEASE_S)
    assert desk.proposer.turn() == 0
    with database.write() as session:
        proposers.give_back(session, study_id, "other-replica")
    assert desk.proposer.turn() == 2


def test_a_replica_that_died_is_replaced_when_its_lease_ends(database):
    desk = Desk(database)
    with database.write() as session:
        assert proposers.take(session, desk.standing().study_id, "dead-replica", -1)
    assert desk.proposer.turn() == 2


@pytest.fixture
def during_the_fit(monkeypatch):
    """Has something happen once, after the question to the engine and before its answer."""

    def arrange(happens):
        waiting = [happens]

        def slow(task, strategy, compute=proposer.compute):
            while waiting:
                waiting.pop()()
            return compute(task, strategy)

        monkeypatch.setattr(proposer, "compute", slow)

    return arrange


def test_a_trial_taken_during_the_fit_is_left_alone(database, during_the_fit):
    desk = Desk(database, strategy="quadsurface", budget=30, lookahead=2)
    desk.know(8)
    desk.proposer.turn()
    desk.finish(desk.claim(), value=0.9)
    before = {trial.id: trial.mixture for trial in desk.all()}
    taken = []
    during_the_fit(lambda: taken.append(desk.claim("quick")))
    assert desk.proposer.turn() > 0
    after = {trial.id: trial for trial in desk.all()}
    assert after[taken[0]].mixture == before[taken[0]]
    assert len({tuple(trial.mixture.values()) for trial in after.values()}) == len(after)


def test_results_that_come_during_the_fit_do_not_keep_proposals_from_coming(
    database, during_the_fit
):
    desk = Desk(database, strategy="quadsurface", budget=30, lookahead=2)
    desk.know(8)
    desk.proposer.turn()
    first, second = desk.claim("w1"), desk.claim("w2")
    desk.finish(first, "w1", 0.7)
    during_the_fit(lambda: desk.finish(second, "w2", 0.8))
    assert desk.proposer.turn() == 2
    assert desk.standing().stale == 2, "made anew in the next turn"
    assert desk.proposer.turn() == 2
    assert desk.standing().stale == 0


def test_the_budget_holds_when_someone_queues_trials_during_the_fit(database, during_the_fit):
    desk = Desk(database, budget=2, lookahead=2)

    def queue_by_hand():
        with database.write() as session:
            study = studies.get(session, "vlm")
            trials.add(session, study, NewTrial({"coco": 1.0}, "queued"), "user")

    during_the_fit(queue_by_hand)
    assert desk.proposer.turn() == 1
    assert len(desk.all()) == 2


@pytest.mark.backends("postgresql")
def test_the_budget_holds_when_a_trial_ends_while_proposals_are_stored(
    database, database_url, during_the_fit, monkeypatch
):
    desk = Desk(database, budget=2, lookahead=2)
    desk.proposer.turn()
    running, other = desk.claim("w1"), desk.queued()[0].id
    with database.write() as session:
        steering.cancel(session, other, "user")
    impatient = Database(f"{database_url}?options=-c%20lock_timeout%3D100ms")
    count = proposal_needs.standing

    def meanwhile_it_ends(session, study):
        # It ends now, or when the proposals are stored: not counted before, nor after.
        with suppress(OperationalError), impatient.write() as beside:
            leases.finish(beside, running, "token-of-w1", SCORES)
        return count(session, study)

    def queue_by_hand_and_watch():
        with database.write() as session:
            study = studies.get(session, "vlm")
            trials.add(session, study, NewTrial({"coco": 1.0}, "queued"), "user")
        monkeypatch.setattr(proposal_needs, "standing", meanwhile_it_ends)

    during_the_fit(queue_by_hand_and_watch)
    assert desk.proposer.turn() == 0
    impatient.close()
    assert desk.standing().committed == 2


def test_a_replica_that_lost_the_study_to_another_stores_nothing(database, during_the_fit):
    desk = Desk(database)

    def another_takes_over():
        with database.write() as session:
            session.execute(update(models.Study).values(proposer="another-replica"))

    during_the_fit(another_takes_over)
    assert desk.proposer.turn() == 0
    assert desk.all() == []
    with database.read() as session:
        assert studies.get(session, "vlm").proposer == "another-replica", "nor does it take it away"


class SlowEngine(Inline):
    """Begins, and answers when it is let go."""

    def __init__(self):
        self.began, self.let_go = threading.Event(), threading.Event()

    def ask(self, function, *args, **kwargs):
        self.began.set()
        assert self.let_go.wait(60)
        return super().ask(function, *args, **kwargs)


def test_a_long_fit_keeps_its_study_from_other_replicas(database, app_settings):
    engine = SlowEngine()
    settings = app_settings.model_copy(update={"upkeep_every_s": 0.02})

    def until():
        with database.read() as session:
            return studies.get(session, "vlm").proposer_until

    with TestClient(in_process(settings, engine), base_url="http://127.0.0.1") as api:
        api.post("/studies", json=study_body())
        try:
            assert engine.began.wait(30)
            first, deadline = until(), time.monotonic() + 30
            while until() <= first:
                assert time.monotonic() < deadline, "its lease is made longer all the while"
                time.sleep(0.01)
        finally:
            engine.let_go.set()


@pytest.fixture
def broken(monkeypatch):
    """Has every strategy fail but the one that stands in; returns those that were tried."""
    tried = []

    def compute(task, strategy, really=proposer.compute):
        tried.append(strategy)
        if strategy != proposer.FALLBACK:
            raise RuntimeError("singular matrix")
        return really(task, strategy)

    monkeypatch.setattr(proposer, "compute", compute)
    return tried


def rested(desk, again_in_s=-1.0):
    """Lets the pause after an error be over, or last."""
    with desk.database.write() as session:
        assert session.scalar(select(models.Study.propose_again_at)) is not None
        session.execute(update(models.Study).values(propose_again_at=after(again_in_s)))


def test_seeds_keep_workers_busy_while_the_strategy_fails_and_it_rests_in_between(database, broken):
    desk = Desk(database, lookahead=2, budget=30)
    assert desk.proposer.turn() == 2
    assert {trial.proposal["strategy"] for trial in desk.all()} == {"seed"}
    assert all("singular matrix" in trial.proposal["reason"] for trial in desk.all())
    rested(desk, again_in_s=60.0)  # as long as this test, however slow the machine
    for n in range(12):
        assert desk.claim(f"w{n}") is not None, "seeds, and when they are used up, random mixtures"
        desk.proposer.turn()
    assert broken.count("random") == 1, "not again at once"
    with database.read() as session:
        study = studies.get(session, "vlm")
        assert "singular matrix" in study.proposer_error
        assert study.proposer is None
        assert proposers.failing(session) == 1
    rested(desk)
    desk.claim("late")
    desk.proposer.turn()
    assert broken.count("random") == 2


def test_gaps_are_filled_before_a_strategy_that_failed_is_tried_again(database, monkeypatch):
    ready = []

    def compute(task, strategy, really=proposer.compute):
        if strategy != proposer.FALLBACK:
            ready.append(len(desk.queued()))
            raise RuntimeError("singular matrix")
        return really(task, strategy)

    monkeypatch.setattr(proposer, "compute", compute)
    desk = Desk(database, lookahead=2)
    desk.proposer.turn()
    assert ready == [0]
    desk.claim()
    desk.claim()
    rested(desk)
    desk.proposer.turn()
    assert ready == [0, 2], "a try that hangs keeps no worker waiting"


def test_what_stood_in_gives_way_to_a_strategy_that_works_again(database, broken, monkeypatch):
    desk = Desk(database, lookahead=3)
    assert desk.proposer.turn() == 3
    stood_in = {trial.id for trial in desk.queued()}
    taken = desk.claim()
    monkeypatch.undo()
    rested(desk)
    assert desk.proposer.turn() == 1 + 3, "the gap is filled first, and that gives way at once too"
    now = {trial.id: trial.proposal["strategy"] for trial in desk.queued()}
    assert stood_in - {taken} < set(now), "the trials stay, their mixtures change"
    assert set(now.values()) == {"random"}
    assert desk.proposer.turn() == 0
    with database.read() as session:
        assert studies.get(session, "vlm").proposer_error is None


def test_a_strategy_that_has_failed_for_days_rests_no_longer_and_is_tried_again(database, broken):
    desk = Desk(database, lookahead=2)
    with database.write() as session:
        studies.get(session, "vlm").proposer_errors = 2000
    assert desk.proposer.turn() == 2, "seeds stand in"
    with database.read() as session:
        study = studies.get(session, "vlm")
        assert study.proposer_errors == 2001
        rest = study.propose_again_at - clock.read(session)
    assert timedelta(0) < rest <= timedelta(seconds=proposers.LONGEST_REST_S)


def test_a_study_that_cannot_be_read_does_not_keep_others_from_their_proposals(database):
    broken, _ = Desk(database, name="broken"), Desk(database, name="whole", lookahead=2)
    with database.write() as session:
        study = studies.get(session, "broken")
        study.spec = study.spec | {"domains": []}
    assert broken.proposer.turn() == 2
    assert broken.proposer.turn() == 0
    with database.read() as session:
        assert "domains" in studies.get(session, "broken").proposer_error
        assert studies.get(session, "broken").proposer_errors == 1, "it rests"
        assert "domains" in waiting.for_a_trial(session, "broken")[0]
        assert proposers.failing(session) == 1


def test_studies_whose_strategy_fails_are_served_last(database):
    for name in ("first", "second"):
        Desk(database, name=name)
    with database.write() as session:
        studies.get(session, "first").proposer_errors = 3
    with database.read() as session:
        assert proposal_needs.in_need(session) == ["second", "first"]


def test_proposals_in_the_queue_outlive_a_failing_strategy_and_it_recovers(database, monkeypatch):
    desk = Desk(database, strategy="quadsurface", budget=30, lookahead=3)
    desk.know(8)
    desk.proposer.turn()
    before = {trial.id: trial.mixture for trial in desk.queued()}
    really = proposer.compute

    def compute(task, strategy):
        if strategy != proposer.FALLBACK:
            raise RuntimeError("singular matrix")
        return really(task, strategy)

    monkeypatch.setattr(proposer, "compute", compute)
    taken = desk.claim()
    desk.finish(taken, value=0.9)
    desk.proposer.turn()
    after_error = {trial.id: trial.mixture for trial in desk.queued()}
    assert all(after_error[i] == before[i] for i in before if i != taken)
    assert len(after_error) == 3
    monkeypatch.undo()
    rested(desk)
    assert desk.proposer.turn() > 0
    with database.read() as session:
        assert studies.get(session, "vlm").proposer_error is None


@pytest.mark.usefixtures("quick_fits")
@pytest.mark.backends("sqlite")
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_best_prediction_follows_the_direction(api, direction):
    objective = {"name": "own", "weights": {"chart": 1}, "direction": direction}
    api.post("/studies", json=study_body(objective=objective, budget=1))
    for i, coco in enumerate((0.0, 0.25, 0.5, 0.75, 1.0)):
        mixture = {"coco": coco, "lisa": 1 - coco}
        body = {"mixture": mixture, "measurements": scores(0.2 + 0.15 * i)}
        assert api.post("/studies/vlm/trials", json=body).status_code == 201
    predicted = api.get("/studies/vlm/best").json()["predicted"]
    assert (predicted["mean"] > 0.6) == (direction == "maximize")


@pytest.mark.usefixtures("quick_fits")
@pytest.mark.backends("sqlite")
@pytest.mark.parametrize("surrogate", ["quadsurface", "gp"])
def test_a_surrogate_shows_what_it_learned_and_predicts(api, surrogate):
    api.post("/studies", json=study_body(budget=1))
    path = f"/studies/vlm/surrogates/{surrogate}"
    early = api.get(path)
    assert (early.status_code, early.json()["code"]) == (409, "too-few-results")
    rng = np.random.default_rng(0)
    for weights in rng.dirichlet(np.ones(3), size=12):
        mixture = dict(zip(("coco", "lisa", "sat"), map(float, weights), strict=True))
        value = 0.2 + 0.5 * mixture["coco"] + float(rng.normal(0, 0.01))
        body = {"mixture": mixture, "measurements": scores(value)}
        assert api.post("/studies/vlm/trials", json=body).status_code == 201
    fit = api.get(path).json()
    assert fit["n"] == len(fit["points"]) == 12
    assert fit["loo"]["r2"] > 0.5
    assert fit["best"]["weights"]["coco"] > 0.6
    assert set(fit["effects"]["alone"]) == {"coco", "lisa", "sat"}
    assert set(fit["effects"]["synergy"]) == {"coco*lisa", "coco*sat", "lisa*sat"}
    answer = api.post(
        f"{path}/predict", json={"mixtures": [{"coco": 1.0}, {"lisa": 0.5, "sat": 0.5}]}
    ).json()
    means = [item["mean"] for item in answer["predictions"]]
    assert means[0] > means[1] + 0.2
