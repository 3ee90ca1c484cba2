"""Runs that the search trains in part: to a step, paused where others teach more, continued."""

from __future__ import annotations

import numpy as np
import pytest

from db import archive, cost, events, proposal_needs, studies
from service.proposing import stopping, task
from service.proposing.proposer import Proposer
from service.proposing.question import judge
from service.search.runs import TARGET
from service.search.situation import Proposed
from service.search.stopping import Verdict
from tests.support.bodies import study_body

DOMAINS = ("coco", "lisa", "sat")
RECIPE = {
    "backend": "command",
    "command": {"script": "train"},
    "steps": 20,
    "evaluation": {"at": [5, 10]},
}
BY_COST = {"strategy": "bayes-quadratic", "recipe": RECIPE}
STEP_5 = {"channels": ["full", "step-5"]}
STOPPING = {"early_stopping": True}


def at_step(value, step):
    return [
        {"benchmark": name, "score": value, "samples": 100, "step": step}
        for name in ("lisa_test", "chart", "info")
    ]


class Engine:
    """Answers in place of the one that fits: with mixtures to the channel that is wanted, and with
    the verdicts that are."""

    def __init__(self):
        self.channel, self.continues, self.verdict = TARGET, False, "continue"
        self.goes_on_to = TARGET
        self.strategy, self.judged, self.count = "bayes-quadratic", [], 0

    def ask(self, function, question, strategy, *more):
        if function is judge:
            self.judged.append(more[0].run)
            return [Verdict(run, self.verdict, f"{self.verdict}: why") for run in more[0].run]
        found = []
        if self.continues and question.n_continued:
            found = [self._rest(question, i) for i in range(len(question.begun))]
        return (found + [self._new(question) for _ in range(question.n)])[: question.n]

    def _rest(self, question, i):
        begun = question.begun
        to, run, why = self.goes_on_to, begun.run[i], "the rest teaches most"
        cost = {TARGET: float(begun.cost[i]), **begun.steps_of(i)}[to]
        return Proposed(begun.weights[i], 0.5, 0.1, why, "x", True, to, cost, run=run)

    def _new(self, question):
        self.count += 1
        weights = question.space.sample(1, np.random.default_rng(self.count))[0]
        cost = question.costs[self.channel]
        return Proposed(weights, 0.5, 0.1, "new", self.strategy, channel=self.channel, cost=cost)

    def stop(self):
        pass


class Lab:
    """A study whose proposals are made when it is told so, and workers that score by a formula."""

    def __init__(self, api, database, **changes):
        self.api, self.database = api, database
        api.app.state.context.proposer.stop()
        body = study_body(**BY_COST | {"budget": 12, "lookahead": 1} | changes)
        created = api.post("/studies", json=body)
        assert created.status_code == 201, created.text
        self.engine = Engine()
        self.proposer = Proposer(database, "this-replica", self.engine)
        self.tokens = {}

    def score(self, mixture, step):
        weights = {name: mixture.get(name, 0.0) for name in DOMAINS}
        full = 0.3 + 0.4 * weights["coco"] ** 0.5 + 0.1 * weights["lisa"] ** 0.5
        return round(full * {5: 0.6, 10: 0.8, 20: 1.0}[step], 4)

    def take(self):
        self.proposer.turn()
        return self.claim()

    def claim(self):
        body = {"worker": f"w{len(self.tokens)}", "study": "vlm"}
        answer = self.api.post("/trials/next", json=body).json()
        trial = answer["trial"]
        if trial is not None:
            self.tokens[trial["id"]] = answer["lease"]["token"]
        return trial

    def measure(self, trial, step, value=None):
        score = self.score(trial["mixture"], step) if value is None else value
        body = {"token": self.tokens[trial["id"]], "measurements": at_step(score, step)}
        assert self.api.post(f"/trials/{trial['id']}/measurements", json=body).is_success

    def pause(self, trial, step):
        self.beat(trial, step)
        score = self.score(trial["mixture"], step)
        body = {"token": self.tokens[trial["id"]], "step": step}
        body["measurements"] = at_step(score, step)
        paused = self.api.post(f"/trials/{trial['id']}/partial", json=body)
        assert paused.is_success, paused.text
        return paused.json()

    def finish(self, trial):
        scores = [
            m for step in (5, 10, 20) for m in at_step(self.score(trial["mixture"], step), step)
        ]
        body = {"token": self.tokens[trial["id"]], "measurements": scores}
        assert self.api.post(f"/trials/{trial['id']}/result", json=body).is_success

    def beat(self, trial, step=6):
        body = {"token": self.tokens[trial["id"]], "step": step, "total_steps": 20, "metrics": {}}
        return self.api.post(f"/trials/{trial['id']}/heartbeat", json=body).json()

    def to_a_step(self):
        """A trial that is to pause at step 5, with a worker."""
        self.engine.channel = "step-5"
        trial = self.take()
        self.engine.channel = TARGET
        return trial

    def trials(self, state, **more):
        found = self.api.get("/studies/vlm/trials", params={"state": state}).json()["trials"]
        return [t for t in found if all(t[name] == value for name, value in more.items())]

    def one(self, trial):
        return self.api.get(f"/trials/{trial['id']}").json()

    def study(self):
        return self.api.get("/studies/vlm").json()

    def spent(self):
        return self.api.get("/studies/vlm/cost").json()["channels"]

    def standing(self):
        with self.database.read() as session:
            return proposal_needs.standing(session, studies.get(session, "vlm"))

    def asked(self, **changes):
        with self.database.read() as session:
            return task.read_task(session, "vlm", **changes)


@pytest.fixture
def lab(api, database):
    return lambda **changes: Lab(api, database, **changes)


# --- what a study may say -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"strategy": "random"}, "needs a strategy that chooses by cost"),
        ({"recipe": RECIPE | {"evaluation": {"at": [10]}}}, "scored at step 5, too"),
        ({"recipe": RECIPE | {"evaluation": {"at": []}}}, "needs scores on the way"),
        ({"recipe": {}}, "needs the recipe's number of steps"),
    ],
)
def test_a_channel_of_a_step_needs_what_it_is_compared_with(api, changes, said):
    body = study_body(**BY_COST | {"search": {"channels": ["full", "step-5"]}} | changes)
    refused = api.post("/studies", json=body)
    assert refused.status_code == 422
    assert said in refused.json()["detail"]


def test_channels_are_kept_in_order_of_their_cost_and_can_be_changed(api):
    search = {"channels": ["step-10", "full", "step-5"]}
    made = api.post("/studies", json=study_body(**BY_COST | {"search": search})).json()
    assert made["search"]["channels"] == ["full", "step-5", "step-10"]
    changed = api.patch("/studies/vlm", json={"search": {"early_stopping": True}}).json()
    assert changed["search"] == {"channels": ["full"], "early_stopping": True, "schedule": None}
    refused = api.patch("/studies/vlm", json={"search": {"channels": ["full", "step-7"]}})
    assert refused.status_code == 422


# --- runs to a step -----------------------------------------------------------------------------


def test_a_run_to_a_step_pauses_there_and_uses_its_part_of_the_budget(lab):
    desk = lab(search=STEP_5)
    trial = desk.to_a_step()
    assert (trial["stop_at"], trial["channel"]) == (5, "full")
    asked = desk.asked().question
    assert (len(asked.pending_in["step-5"]), len(asked.pending)) == (1, 0)
    desk.finish(desk.take())
    assert desk.pause(trial, 5)["state"] == "paused"
    assert desk.standing().committed == 1.25
    assert desk.asked().question.spent == 0.25


def test_a_run_to_a_step_that_is_trained_to_its_end_all_the_same_uses_all_of_a_run(lab):
    here = lab(search=STEP_5)
    here.finish(here.to_a_step())
    assert (here.study()["unspent"], here.standing().completed) == (0.0, 1.0)


def test_before_its_cost_is_known_it_is_the_part_of_the_steps(lab):
    assert lab(search=STEP_5).asked().question.costs == {"full": 1.0, "step-5": 0.25}


def test_what_it_takes_to_a_step_is_learned_from_those_that_paused(lab, monkeypatch):
    desk = lab(search=STEP_5)
    desk.pause(desk.to_a_step(), 5)
    with desk.database.read() as session:
        found = cost.to_a_step(session, studies.get(session, "vlm").id)
    assert found.keys() == {5}
    monkeypatch.setattr(cost, "of_a_result", lambda *_: {"full": 100.0})
    monkeypatch.setattr(cost, "to_a_step", lambda *_: {5: 40.0})
    asked = desk.asked().question
    assert asked.costs["step-5"] == 0.4
    assert asked.begun.cost == pytest.approx([0.6])


def test_whole_runs_scores_at_the_step_tell_how_far_it_carries_over(lab):
    desk = lab(search=STEP_5)
    desk.finish(desk.take())
    known = desk.asked().known
    assert known.runs.channels["step-5"].run.tolist() == known.runs.run.tolist()


def test_a_queued_run_to_a_step_may_become_a_whole_one(lab):
    desk = lab(search=STEP_5, lookahead=2)
    whole = desk.take()
    desk.engine.channel = "step-5"
    desk.proposer.turn()
    [queued] = desk.trials("queued", stop_at=5)
    assert desk.standing().runs == 1 + 1 + 0.25
    desk.engine.channel = TARGET
    desk.finish(whole)
    desk.proposer.turn()
    assert desk.one(queued)["stop_at"] is None
    assert desk.standing().runs == 2


# --- continuing ---------------------------------------------------------------------------------


def test_a_paused_run_is_continued_by_the_search_and_says_why(lab, database):
    desk = lab(search=STEP_5)
    first = desk.to_a_step()
    desk.pause(first, 5)
    begun = desk.asked().question.begun
    assert (begun.run, begun.channel) == ((first["number"],), ("step-5",))
    assert begun.cost == pytest.approx([0.75])
    desk.engine.continues = True
    trial = desk.take()
    assert (trial["id"], trial["stop_at"]) == (first["id"], None)
    with database.read() as session:
        last = events.of_trial(session, first["id"])[-2]
    assert (last.what, last.actor, last.detail["why"]) == (
        *("continued", "search"),
        "the rest teaches most",
    )
    assert desk.standing().runs == 1.0, "now it uses a whole run of the budget"
    assert len(desk.asked().question.pending) == 1, "its last score is to come"
    desk.finish(trial)
    assert desk.one(trial)["state"] == "completed"


def test_a_paused_run_may_go_on_to_the_next_step_alone(lab, database):
    lab = lab(search={"channels": ["full", "step-5", "step-10"]})
    trial = lab.to_a_step()
    lab.pause(trial, 5)
    asked = lab.asked().question
    assert asked.begun.until == ({"step-10": 0.25},)
    lab.engine.continues, lab.engine.goes_on_to = True, "step-10"
    again = lab.take()
    assert (again["number"], again["stop_at"]) == (trial["number"], 10)
    assert lab.standing().runs == 0.5
    asked = lab.asked().question
    assert (len(asked.begun), len(asked.pending), asked.spent) == (0, 0, 0.5)
    np.testing.assert_allclose(asked.pending_in["step-10"].sum(axis=1), [1.0])
    lab.pause(again, 10)
    asked = lab.asked().question
    assert (asked.begun.until, asked.begun.channel) == (({},), ("step-10",))
    lab.engine.goes_on_to = TARGET
    assert (lab.take()["number"], lab.one(trial)["stop_at"]) == (trial["number"], None)
    assert lab.standing().runs == 1.0


def test_what_the_rest_of_a_run_costs_is_no_less_than_half_its_part_of_the_steps(lab, monkeypatch):
    """However dear the few attempts were that came to a step."""
    lab = lab(search={"channels": ["full", "step-5", "step-10"]})
    lab.pause(lab.to_a_step(), 5)
    lab.finish(lab.take())
    monkeypatch.setattr(cost, "of_a_result", lambda *_: {"full": 100.0})
    monkeypatch.setattr(cost, "to_a_step", lambda *_: {5: 99.0, 10: 98.0})
    begun = lab.asked().question.begun
    assert (begun.cost, begun.until) == (pytest.approx([0.375]), ({"step-10": 0.125},))


def test_gpu_hours_of_a_run_that_came_to_a_step_are_those_of_its_channel(lab):
    lab = lab(search=STEP_5)
    first = lab.to_a_step()
    assert list(lab.spent()) == ["full"]
    lab.pause(first, 5)
    lab.finish(lab.take())
    stopped = lab.take()
    lab.measure(stopped, 5)
    lab.beat(stopped, 7)
    assert lab.api.post(f"/trials/{stopped['id']}/early-stop").is_success
    spent = lab.spent()
    assert set(spent) == {"full", "step-5"}
    lab.engine.continues = True
    lab.finish(lab.take())
    assert lab.one(first)["state"] == "completed"
    assert lab.spent()["full"] > spent["full"], "the first, continued, is a whole run by now"


def test_no_more_are_continued_than_the_queue_wants(lab):
    desk = lab(search=STEP_5)
    for trial in [desk.to_a_step() for _ in range(3)]:
        desk.pause(trial, 5)
    desk.engine.continues = True
    desk.proposer.turn()
    assert len(desk.trials("queued")) == 1


@pytest.mark.parametrize("how", ["pause", "continue", "add"])
def test_a_run_whose_end_a_person_set_is_left_to_people(lab, how):
    desk = lab(search=STEP_5)
    if how == "add":
        desk.api.post("/studies/vlm/trials", json={"mixture": {"coco": 1.0}, "stop_at": 5})
        trial = desk.claim()
    else:
        trial = desk.take()
    if how == "pause":
        desk.api.post(f"/trials/{trial['id']}/pause")
    desk.pause(trial, 5)
    if how == "continue":
        desk.api.post(f"/trials/{trial['id']}/continue", json={"stop_at": 10})
        desk.pause(desk.claim(), 10)
    question = desk.asked().question
    assert (len(question.begun), len(question.pending)) == (0, 1)
    assert desk.standing().runs == 1.0, "it keeps its place in the budget"


def test_a_pause_has_queued_proposals_made_anew(lab):
    desk = lab(search=STEP_5, lookahead=2)
    first = desk.to_a_step()
    desk.proposer.turn()
    assert desk.standing().stale == 0
    desk.pause(first, 5)
    assert desk.standing().stale == desk.standing().queued == 2
    desk.proposer.turn()
    assert desk.standing().stale == 0


# --- early stopping -----------------------------------------------------------------------------


@pytest.mark.parametrize(("verdict", "state"), [("pause", "paused"), ("stop", "early_stopped")])
def test_a_run_that_others_beat_ends_at_its_next_evaluation_point_and_says_why(lab, verdict, state):
    desk = lab(search=STOPPING)
    trial = desk.take()
    assert desk.beat(trial)["action"] == "continue"
    desk.engine.verdict = verdict
    desk.measure(trial, 5)
    desk.proposer.turn()
    told = desk.beat(trial)
    assert (told["action"], told["reason"]) == (verdict, f"{verdict}: why")
    left = desk.pause(trial, 10)
    assert (left["state"], left["asked"]) == (state, None)
    assert desk.standing().committed == 0.5 + desk.standing().queued, "half of it was trained"


def test_a_run_that_goes_on_hears_why_and_is_judged_once_for_the_same_scores(lab):
    desk = lab(search=STOPPING)
    trial = desk.take()
    desk.measure(trial, 5)
    desk.proposer.turn()
    desk.proposer.turn()
    assert desk.engine.judged == [(trial["number"],)]
    told = desk.beat(trial)
    assert (told["action"], told["reason"]) == ("continue", "continue: why")
    page = desk.api.get(f"/ui/studies/vlm/trials/{trial['number']}").text
    assert "Judged by its scores so far, it continue: why." in page
    desk.measure(trial, 10)
    desk.proposer.turn()
    assert len(desk.engine.judged) == 2


def test_one_that_was_continued_is_not_judged_before_its_next_scores(lab, database):
    desk = lab(search=STOPPING)
    trial = desk.take()
    desk.engine.verdict = "pause"
    desk.measure(trial, 5)
    desk.proposer.turn()
    desk.claim()
    desk.pause(trial, 10)
    desk.engine.continues = True
    assert desk.take()["id"] == trial["id"]
    with database.read() as session:
        assert stopping.read(session, "vlm") is None
    assert desk.beat(trial, 11)["action"] == "continue"


def test_openings_repetitions_and_what_people_queued_are_never_judged(lab, database):
    desk = lab(search=STOPPING)
    desk.engine.strategy = "opening"
    opening = desk.take()
    desk.engine.strategy = "bayes-quadratic"
    first = desk.take()
    desk.api.post("/studies/vlm/trials", json={"mixture": {"coco": 1.0}})
    by_hand = desk.claim()
    desk.api.post("/studies/vlm/trials", json={"mixture": first["mixture"]})
    for trial in (opening, first, by_hand):
        desk.measure(trial, 5)
    with database.read() as session:
        assert stopping.read(session, "vlm").running.run == (first["number"],)


def test_what_a_person_asked_for_meanwhile_holds(lab, database):
    desk = lab(search=STOPPING)
    trial = desk.take()
    desk.measure(trial, 5)
    with database.read() as session:
        judging = stopping.read(session, "vlm")
    desk.api.post(f"/trials/{trial['id']}/stop")
    with database.write() as session:
        assert not stopping.store(session, judging, Verdict(trial["number"], "pause", "why"))
    assert desk.beat(trial)["action"] == "stop"


def test_without_it_nothing_is_judged(lab):
    desk = lab()
    desk.measure(desk.take(), 5)
    desk.proposer.turn()
    assert desk.engine.judged == []


# --- the budget ---------------------------------------------------------------------------------


def test_a_search_of_parts_ends_with_its_budget_and_what_stands_then_is_ended(lab):
    desk = lab(search=STEP_5, budget=3)
    n_paused = 0
    for turn in range(20):
        trial = desk.to_a_step() if turn % 2 else desk.take()
        if trial is None:
            break
        if trial["stop_at"]:
            desk.pause(trial, 5)
            n_paused += 1
        else:
            desk.finish(trial)
    study = desk.study()
    assert study["state"] == "finished"
    assert (study["trials"]["completed"], study["trials"]["early_stopped"]) == (3, n_paused)
    assert study["trials"]["paused"] == 0
    assert study["unspent"] == 0.75 * n_paused


def test_an_archive_has_the_parts(lab, database):
    desk = lab(search=STEP_5 | STOPPING)
    desk.pause(desk.to_a_step(), 5)
    with database.read() as session:
        kept = archive.dump(session, "vlm")
    assert kept["study"]["early_stopping"] is True
    [trial] = [trial for trial in kept["trials"] if trial["state"] == "paused"]
    assert (trial["share"], trial["by_hand"]) == (0.25, False)
