"""Trials of channel `merged`: who may be given one and when, what it is made of, what it counts as.

No model is trained or merged: workers here say that they did.
"""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from db import archive, proposal_needs, studies, trials
from service.proposing import task
from service.study import archive_checks, evidence, merge_readiness, views
from service.study.runs import scored
from tests.support.bodies import scores, study_body

MERGING = {"channels": ["full", "merged"]}
DOMAINS = ("coco", "lisa", "sat")
UNIFORM = dict.fromkeys(DOMAINS, 1 / 3)


def store(trial):
    return f"file:///store/vlm/trial-{trial}/final"


def study(api, **changes):
    changes = {"recipe": {}, "search": MERGING, "strategy": "random"} | changes
    return api.post("/studies", json=study_body(**changes))


@pytest.fixture
def desk(api, database):
    """A study whose proposals wait until it is told to make some."""
    api.app.state.context.proposer.stop()
    assert study(api).status_code == 201
    return Desk(api, database)


class Desk:
    def __init__(self, api, database):
        self.api, self.database = api, database

    def queue(self, mixture, channel="full"):
        body = {"mixture": mixture, "channel": channel}
        added = self.api.post("/studies/vlm/trials", json=body)
        assert added.status_code == 201, added.text
        return added.json()["id"]

    def ask(self, worker, channels=("full", "merged")):
        body = {"worker": worker, "study": "vlm", "channels": list(channels)}
        return self.api.post("/trials/next", json=body).json()

    def finish(self, answer, value=0.5, **artifacts):
        body = {
            "token": answer["lease"]["token"],
            "measurements": scores(value),
            "artifacts": artifacts,
        }
        trial = answer["trial"]["id"]
        assert self.api.post(f"/trials/{trial}/result", json=body).is_success
        return trial

    def run(self, mixture, value=0.5, **artifacts):
        """Queues a run and has it done, its weights kept unless told otherwise."""
        trial = self.queue(mixture)
        answer = self.ask(f"worker-of-{trial}")
        assert answer["trial"]["id"] == trial
        kept = {"store": store(trial), "keeps_weights": True, "steps": 24}
        return self.finish(answer, value, **kept | artifacts)

    def experts(self):
        return {name: self.run({name: 1.0}) for name in DOMAINS}

    def calibrate(self, scale=1.75):
        """All that is needed before other mixtures can be merged."""
        experts = self.experts()
        self.run(UNIFORM, 0.6)
        trial = self.queue(UNIFORM, "merged")
        answer = self.ask("calibrator")
        assert answer["trial"]["id"] == trial
        self.finish(answer, 0.6, scale_at_uniform=scale)
        return experts

    def propose_merged(self, mixture):
        """As a strategy does."""
        with self.database.write() as session:
            row = studies.get(session, "vlm")
            proposal = {"strategy": "opening", "seed": 1, "reason": "a price"}
            whole = dict.fromkeys(DOMAINS, 0.0) | mixture
            new = trials.NewTrial(whole, "proposed", proposal, row.results, channel="merged")
            return trials.add(session, row, new, actor="proposer")[0].id

    def turn(self):
        """What the service queues by itself, without a strategy's proposals."""
        before = {trial["id"] for trial in self.trials()}
        self.api.app.state.context.proposer.turn()
        return [trial for trial in self.trials() if trial["id"] not in before]

    def trials(self):
        found = self.api.get("/studies/vlm/trials").json()["trials"]
        return sorted(found, key=lambda trial: trial["number"])

    def study(self):
        return self.api.get("/studies/vlm").json()

    def known(self):
        with self.database.read() as session:
            return evidence.named(session, "vlm")


# --- what a study may say -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({"channels": ["full", "early"]}, "unknown channel 'early'; there are full, merged and"),
        ({"channels": ["full", "step-0"]}, "unknown channel 'step-0'"),
        ({"channels": ["merged"]}, "channels lack 'full'"),
        ({"channels": []}, "channels"),
        ({"channels": ["full"], "early_stopping": True}, "early_stopping needs a strategy that"),
    ],
)
def test_channels_that_cannot_be_searched_are_refused_with_those_that_can(api, search, said):
    refused = study(api, search=search)
    assert refused.status_code == 422
    assert said in refused.text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"domains": [{"name": "coco"}]}, "needs two domains in use or more"),
        (
            {"domains": [{"name": "coco", "upper": 0.5}, {"name": "lisa"}, {"name": "sat"}]},
            "needs a run of 'coco' alone, which this study does not allow: weight of 'coco' is 1",
        ),
        ({"max_active": 2}, "needs a run of all domains equally"),
        (
            {"recipe": {"backend": "command", "command": {"script": "train"}}},
            "those of back end 'command' are its trainer's own",
        ),
    ],
)
def test_a_study_that_can_have_no_experts_cannot_have_the_channel(api, changes, said):
    refused = study(api, **changes)
    assert refused.status_code == 422
    assert said in refused.json()["detail"]
    assert study(api, **changes, search={"channels": ["full"]}).status_code == 201


def test_the_channel_can_be_turned_on_and_off_later_and_the_same_body_is_still_the_same_study(api):
    assert study(api, search={"channels": ["full"]}).status_code == 201
    changed = api.patch("/studies/vlm", json={"search": MERGING})
    assert changed.json()["search"] == MERGING | {"early_stopping": False, "schedule": None}
    assert study(api, search={"channels": ["full"]}).status_code == 200
    assert api.get("/studies/vlm").json()["search"]["channels"] == ["full", "merged"]
    api.patch("/studies/vlm", json={"search": {"channels": ["full"]}})
    body = {"mixture": UNIFORM, "channel": "merged"}
    refused = api.post("/studies/vlm/trials", json=body)
    assert (refused.status_code, refused.json()["detail"]) == (
        422,
        "study 'vlm' has no channel 'merged', but full; change its search.channels first",
    )


def test_the_channel_cannot_be_turned_on_where_there_can_be_no_experts(api):
    study(api, max_active=2, search={"channels": ["full"]})
    assert api.patch("/studies/vlm", json={"search": MERGING}).status_code == 422


def test_a_merged_model_has_no_step_to_pause_at(desk):
    body = {"mixture": UNIFORM, "channel": "merged", "stop_at": 5}
    refused = desk.api.post("/studies/vlm/trials", json=body)
    assert (refused.status_code, "is not trained" in refused.text) == (422, True)


# --- who is given one, and when -----------------------------------------------------------------


def test_a_merged_model_waits_for_the_experts_of_its_domains(desk):
    desk.queue(UNIFORM, "merged")
    assert "'coco' has no expert yet (no run of it was queued)" in desk.ask("w")["reason"]
    desk.run({"coco": 1.0})
    queued = desk.queue({"lisa": 1.0})
    number = desk.api.get(f"/trials/{queued}").json()["number"]
    running = desk.ask("x")
    assert f"'lisa' has no expert yet (trial {number} is running)" in desk.ask("w")["reason"]
    desk.finish(running, store=store(queued), keeps_weights=True, steps=24)
    desk.run({"sat": 1.0})
    assert "the uniform mixture has no run yet" in desk.ask("w")["reason"]
    desk.run(UNIFORM)
    assert desk.ask("w")["trial"]["channel"] == "merged"


def test_the_first_merged_model_is_the_uniform_one_and_finds_the_scale_for_the_others(desk):
    experts = desk.experts()
    desk.run(UNIFORM, 0.6)
    other = desk.queue({"coco": 0.5, "lisa": 0.5}, "merged")
    assert "none of them is of the uniform mixture" in desk.ask("w")["reason"]
    uniform = desk.queue(UNIFORM, "merged")
    first = desk.ask("w1")
    assert first["trial"]["id"] == uniform
    assert first["merge"] == {
        "experts": [
            {"domain": name, "trial": trial, "run": store(trial), "steps": 24}
            for name, trial in experts.items()
        ],
        "scale_at_uniform": None,
        "calibrate": {"score": 0.6, "weights": {"chart": 200.0, "info": 300.0}},
    }
    assert "the uniform mixture is merged first" in desk.ask("w2")["reason"]
    desk.finish(first, 0.6, scale_at_uniform=1.75)
    second = desk.ask("w2")
    assert second["trial"]["id"] == other
    assert (second["merge"]["scale_at_uniform"], second["merge"]["calibrate"]) == (1.75, None)
    # Domains without weight need no expert.
    assert [one["domain"] for one in second["merge"]["experts"]] == ["coco", "lisa"]


def test_a_merged_model_is_not_paused_or_stopped_at_a_step(desk):
    desk.calibrate()
    desk.queue({"coco": 0.5, "sat": 0.5}, "merged")
    trial = desk.ask("w")["trial"]["id"]
    for action in ("pause", "stop"):
        refused = desk.api.post(f"/trials/{trial}/{action}")
        assert (refused.status_code, "trains nothing" in refused.json()["detail"]) == (409, True)


def test_a_merged_model_cannot_be_left_at_a_step(desk):
    desk.calibrate()
    desk.queue({"coco": 0.5, "sat": 0.5}, "merged")
    given = desk.ask("w")
    left = {"token": given["lease"]["token"], "step": 1}
    refused = desk.api.post(f"/trials/{given['trial']['id']}/partial", json=left)
    assert (refused.status_code, refused.json()["code"]) == (409, "wrong-state")
    assert "trains nothing" in refused.json()["detail"]


def test_a_second_model_of_the_uniform_mixture_waits_for_the_first_one_to_find_the_scale(desk):
    desk.experts()
    desk.run(UNIFORM)
    first, second = (desk.queue(UNIFORM, "merged") for _ in range(2))
    taken = desk.ask("w1")
    assert (taken["trial"]["id"], desk.ask("w2")["trial"]) == (first, None)
    desk.finish(taken)  # and does not say what it found
    again = desk.ask("w2")
    assert (again["trial"]["id"], again["merge"]["calibrate"] is None) == (second, False)


@pytest.mark.parametrize(
    "artifacts",
    [
        {"keeps_weights": False},
        {"store": None},
        {"steps": 0},
        {"steps": "24"},
    ],
)
def test_a_run_without_weights_in_the_store_is_no_expert(desk, artifacts):
    desk.run({"coco": 1.0}, **artifacts)
    desk.queue(UNIFORM, "merged")
    said = desk.ask("w")["reason"]
    assert "trial 1 is completed, and its weights are in no store" in said


def test_of_several_runs_of_a_domain_the_earliest_with_weights_is_its_expert(desk):
    desk.run({"coco": 1.0}, keeps_weights=False)
    second = desk.run({"coco": 1.0}, steps=8)
    desk.run({"coco": 1.0})
    desk.calibrate()
    desk.queue({"coco": 1.0}, "merged")
    (expert,) = desk.ask("w")["merge"]["experts"]
    assert (expert["trial"], expert["steps"]) == (second, 8)


def test_only_workers_that_say_so_are_given_merged_models(desk):
    desk.calibrate()
    merged = desk.queue({"coco": 0.5, "sat": 0.5}, "merged")
    run = desk.queue({"coco": 0.5, "sat": 0.5})
    old = desk.api.post("/trials/next", json={"worker": "old", "study": "vlm"}).json()
    assert (old["trial"]["id"], old["merge"]) == (run, None)
    assert desk.ask("new")["trial"]["id"] == merged


def test_a_worker_that_asks_again_for_its_merged_model_hears_again_what_it_is_made_of(desk):
    desk.calibrate()
    desk.queue({"coco": 0.5, "sat": 0.5}, "merged")
    first, again = desk.ask("w"), desk.ask("w")
    assert first["trial"]["id"] == again["trial"]["id"]
    assert first["merge"] == again["merge"] != None  # noqa: E711


def test_runs_of_single_domains_are_told_to_keep_their_weights(desk):
    for mixture, keeps in (({"coco": 1.0}, True), (UNIFORM, False)):
        trial = desk.queue(mixture)
        answer = desk.ask(f"w{trial}")
        assert (answer["trial"]["id"], answer["keeps_weights"]) == (trial, keeps)


# --- what it counts as --------------------------------------------------------------------------


def test_merged_models_use_none_of_the_budget_and_are_never_taken_for_runs(desk):
    desk.calibrate()
    for value in (0.9, 0.95):
        desk.queue({"coco": 0.5, "sat": 0.5}, "merged")
        desk.finish(desk.ask(f"w{value}"), value)
    study = desk.study()
    assert (study["trials"]["completed"], study["merged"], study["budget"]) == (7, 3, 8)
    found = desk.known()
    best = found.train_this()
    assert best is not None
    assert best.score.value == pytest.approx(0.6)
    assert len(found.completed) == 4
    np.testing.assert_allclose(found.runs.channels["merged"].score, [0.6, 0.9, 0.95])
    with desk.database.read() as session:
        row = studies.get(session, "vlm")
        assert (row.results, row.completed) == (7, 4)
        runs, _ = scored(session, row, views.spec(row))
        assert len(runs) == 4


def test_merged_models_that_people_queued_do_not_keep_runs_from_being_proposed(desk, database):
    for _ in range(3):
        desk.queue({"coco": 0.5, "sat": 0.5}, "merged")
    with database.read() as session:
        now = proposal_needs.standing(session, studies.get(session, "vlm"))
        assert (now.queued, now.runs, now.missing) == (3, 0, 2)
        assert proposal_needs.in_need(session) == ["vlm"]
    for _ in range(2):
        desk.queue({"coco": 0.5, "sat": 0.5})
    with database.read() as session:
        now = proposal_needs.standing(session, studies.get(session, "vlm"))
        assert (now.queued, now.runs, now.missing, now.room) == (5, 2, 0, 6)
        assert proposal_needs.in_need(session) == []


def test_what_a_merged_model_had_scored_when_it_was_killed_is_shown_and_is_no_evidence(desk):
    desk.calibrate()
    desk.queue({"coco": 0.5, "sat": 0.5}, "merged")
    given = desk.ask("w")
    trial, token = f"/trials/{given['trial']['id']}", given["lease"]["token"]
    first = {"token": token, "measurements": scores(0.9)[:1]}
    assert desk.api.post(f"{trial}/measurements", json=first).is_success
    failed = {"token": token, "error": "killed", "retryable": True}
    assert desk.api.post(f"{trial}/failure", json=failed).is_success
    shown = desk.api.get(trial).json()
    assert (shown["state"], len(shown["measurements"])) == ("queued", 1)
    np.testing.assert_allclose(desk.known().runs.channels["merged"].score, [0.6])
    again = desk.ask("other")
    desk.finish(again, 0.9)
    np.testing.assert_allclose(desk.known().runs.channels["merged"].score, [0.6, 0.9])


def test_an_export_says_which_trials_are_merged(desk):
    desk.calibrate()
    text = desk.api.get("/studies/vlm/export?format=csv").text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["channel"] for row in rows] == ["", "", "", "", "merged"]


def test_an_archive_holds_channels_and_counts_them_again(desk, database):
    desk.calibrate()
    with database.read() as session:
        kept = archive.dump(session, "vlm")
    assert "merged" not in kept["study"]
    checked = archive.Archive.model_validate(kept)
    spec = archive_checks.check(checked, "copy").model_dump(mode="json")
    with database.write() as session:
        archive.load(session, checked, spec)
        row = studies.get(session, "copy")
        assert (row.merged, row.completed, row.channels) == (1, 4, "full,merged")


def test_an_archive_made_before_there_were_channels_is_of_full_runs(desk, database):
    desk.run({"coco": 1.0})
    with database.read() as session:
        kept = archive.dump(session, "vlm")
    kept["version"] = 6
    for row in (kept["study"], *kept["trials"]):
        row.pop("channels", None), row.pop("channel", None)
    del kept["study"]["spec"]["search"]
    checked = archive.Archive.model_validate(kept)
    spec = archive_checks.check(checked, "copy").model_dump(mode="json")
    with database.write() as session:
        archive.load(session, checked, spec)
        row = studies.get(session, "copy")
        assert (row.merged, row.completed, row.channels) == (0, 1, "full")


def test_a_finished_merged_model_can_be_added(desk):
    body = {"mixture": UNIFORM, "channel": "merged", "measurements": scores(0.7)}
    assert desk.api.post("/studies/vlm/trials", json=body).json()["channel"] == "merged"
    study = desk.study()
    assert (study["merged"], study["attached"]) == (1, 0)
    assert list(desk.known().runs.channels) == ["merged"]


# --- what the service queues for it -------------------------------------------------------------


def told(trials):
    return [(trial["channel"], trial["mixture"], trial["proposal"]["strategy"]) for trial in trials]


def corner(name):
    return {domain: float(domain == name) for domain in DOMAINS}


def test_the_service_queues_the_runs_that_are_missing_the_uniform_one_first(desk):
    queued = desk.turn()
    assert told(queued) == [
        ("full", UNIFORM, "experts"),
        *(("full", corner(name), "experts") for name in DOMAINS),
        ("merged", UNIFORM, "experts"),
    ]
    assert queued[1]["proposal"]["reason"] == "the expert of 'coco', for merged models"
    assert desk.turn() == []


def test_trials_that_people_queued_or_that_are_done_are_not_queued_again(desk):
    desk.run({"coco": 1.0})
    desk.queue({"lisa": 1.0})
    desk.queue(UNIFORM)
    assert told(desk.turn()) == [
        ("full", corner("sat"), "experts"),
        ("merged", UNIFORM, "experts"),
    ]


def test_nothing_is_queued_once_all_is_there(desk):
    desk.calibrate()
    desk.run({"coco": 1.0}, keeps_weights=False)
    assert desk.turn() == []


def test_an_expert_that_lost_its_weights_is_queued_once(desk):
    desk.run({"coco": 1.0}, keeps_weights=False)
    queued = desk.turn()
    assert ("full", corner("coco"), "experts") in told(queued)
    while (answer := desk.ask("w"))["trial"] is not None:
        desk.finish(answer)  # none of them keeps weights
    assert desk.turn() == []
    assert "trial 3 is completed, and its weights are in no store" in answer["reason"]


def test_what_people_called_off_is_left_to_them(desk):
    for trial in desk.turn():
        assert desk.api.post(f"/trials/{trial['id']}/cancel").is_success
    assert desk.turn() == []


def cancel(desk, trial):
    assert desk.api.post(f"/trials/{trial}/cancel").is_success


def merged_states(desk):
    return [(t["state"], t["error"]) for t in desk.trials() if t["channel"] == "merged"]


def work_off(desk, **artifacts):
    kept = {"store": "file:///store/x", "keeps_weights": True, "steps": 24}
    while (answer := desk.ask("w"))["trial"] is not None:
        desk.finish(answer, **kept | artifacts)


def test_a_merged_model_whose_expert_was_called_off_is_withdrawn_and_the_study_ends(desk):
    desk.api.patch("/studies/vlm", json={"budget": 4})
    queued = desk.turn()
    cancel(desk, queued[1]["id"])
    assert desk.turn() == []
    assert merged_states(desk) == [
        (
            "cancelled",
            "withdrawn: domain 'coco' has no expert, and none is to come (trial 2 is cancelled)",
        )
    ]
    work_off(desk)
    desk.run({"coco": 0.5, "lisa": 0.5})
    assert desk.study()["state"] == "finished"


def test_it_is_queued_again_once_its_expert_is(desk):
    queued = desk.turn()
    cancel(desk, queued[1]["id"])
    desk.turn()
    assert desk.api.post(f"/trials/{queued[1]['id']}/retry").is_success
    assert told(desk.turn()) == [("merged", UNIFORM, "experts")]
    work_off(desk, scale_at_uniform=1.75)
    assert [state for state, _ in merged_states(desk)] == ["cancelled", "completed"]


def test_a_run_of_ones_own_stands_in_for_the_expert_that_was_called_off(desk):
    queued = desk.turn()
    desk.queue({"coco": 1.0})
    cancel(desk, queued[1]["id"])
    assert desk.turn() == []
    assert [state for state, _ in merged_states(desk)] == ["queued"]


def test_merged_models_that_nobody_can_scale_are_withdrawn(desk):
    desk.turn()
    while (answer := desk.ask("w"))["trial"]["channel"] == "full":
        desk.finish(answer, store="file:///store/x", keeps_weights=True, steps=24)
    body = {"token": answer["lease"]["token"], "error": "no such file", "retryable": False}
    assert desk.api.post(f"/trials/{answer['trial']['id']}/failure", json=body).is_success
    others = [desk.propose_merged({"coco": 0.5, "sat": 0.5}), desk.queue(UNIFORM, "merged")]
    assert desk.turn() == []
    assert [state for state, _ in merged_states(desk)] == ["failed", "queued", "queued"]
    cancel(desk, others[1])
    assert desk.turn() == []
    assert merged_states(desk)[1] == (
        "cancelled",
        "withdrawn: how far the experts' changes are to be scaled is not known: of the merged "
        "model of the uniform mixture trial 7 is cancelled",
    )


def test_merged_models_without_weights_in_a_store_are_withdrawn(desk):
    desk.turn()
    work_off(desk, keeps_weights=False)
    assert desk.turn() == []
    [(state, why)] = merged_states(desk)
    assert state == "cancelled"
    assert "trial 2 is completed, and its weights are in no store" in why


def test_merged_models_that_the_budget_leaves_no_run_for_are_withdrawn_until_it_is_raised(desk):
    desk.turn()
    desk.api.patch("/studies/vlm", json={"budget": 3})
    desk.turn()
    assert [state for state, _ in merged_states(desk)] == ["queued"]
    work_off(desk)
    desk.turn()
    assert [state for state, _ in merged_states(desk)] == ["cancelled"]
    assert desk.study()["state"] == "finished"
    desk.api.patch("/studies/vlm", json={"budget": 4})
    assert told(desk.turn()) == [
        ("full", corner("sat"), "experts"),
        ("merged", UNIFORM, "experts"),
    ]


def test_merged_models_of_a_study_that_gave_the_channel_up_are_withdrawn_with_their_experts(desk):
    queued = desk.turn()
    assert desk.api.patch("/studies/vlm", json={"search": {"channels": ["full"]}}).is_success
    desk.turn()
    assert [state for state, _ in merged_states(desk)] == ["queued"], "its experts come still"
    cancel(desk, queued[1]["id"])
    desk.turn()
    assert [state for state, _ in merged_states(desk)] == ["cancelled"]


def test_merged_models_that_people_queued_are_not_withdrawn(desk):
    queued = desk.turn()
    desk.queue({"coco": 0.5, "sat": 0.5}, "merged")
    cancel(desk, queued[1]["id"])
    desk.turn()
    assert [state for state, _ in merged_states(desk)] == ["cancelled", "queued"]


def test_an_opening_proposes_no_merged_model_that_waits_in_vain(desk):
    queued = desk.turn()
    cancel(desk, queued[1]["id"])
    desk.turn()
    with desk.database.read() as session:
        row = studies.get(session, "vlm")
        costs = task._costs(session, row, views.spec(row), 0)
    assert dict(costs) == {"full": 1.0}


def test_no_merged_model_is_proposed_while_a_new_domain_has_no_expert_to_come(desk):
    desk.calibrate()
    new = [{"name": name} for name in (*DOMAINS, "new")]
    edited = desk.api.patch("/studies/vlm", json={"domains": new})
    assert edited.is_success, edited.text
    expert, *_ = [trial for trial in desk.turn() if trial["mixture"].get("new") == 1]

    def channels():
        with desk.database.read() as session:
            row = studies.get(session, "vlm")
            return set(task._costs(session, row, views.spec(row), 4))

    assert channels() == {"full", "merged"}
    cancel(desk, expert["id"])
    assert channels() == {"full"}


def test_of_a_large_study_only_trials_that_matter_are_read(desk):
    desk.calibrate()
    for share in (0.1, 0.2, 0.3):
        desk.run({"coco": share, "sat": 1 - share})
    desk.queue({"coco": 0.5, "sat": 0.5}, "merged")
    with desk.database.read() as session:
        row = studies.get(session, "vlm")
        now = merge_readiness.read(session, row, views.spec(row))
    assert [row.number for row in now.rows] == [1, 2, 3, 4, 5]


def test_no_more_runs_are_queued_than_the_budget_allows(desk):
    desk.api.patch("/studies/vlm", json={"budget": 2})
    assert [trial["channel"] for trial in desk.turn()] == ["full", "full"]
    desk.api.patch("/studies/vlm", json={"budget": 4})
    assert [trial["channel"] for trial in desk.turn()] == ["full", "full", "merged"]


def test_nothing_is_queued_for_a_study_without_the_channel(desk):
    desk.api.patch("/studies/vlm", json={"search": {"channels": ["full"]}})
    assert desk.turn() == []


def test_experts_stay_queued_when_results_come_in(desk):
    first, *rest = desk.turn()
    answer = desk.ask("w")
    assert answer["trial"]["id"] == first["id"]
    desk.finish(answer)
    assert desk.turn() == []
    assert [t["id"] for t in desk.trials() if t["state"] == "queued"] == [t["id"] for t in rest]


# --- what people see ----------------------------------------------------------------------------


def test_the_page_tells_merged_models_from_runs(desk):
    desk.calibrate()
    html = desk.api.get("/ui/studies/vlm").text
    assert html.count('<span class="quiet">merged</span>') == 1
    for channel, n in (("merged", 1), ("full", 4)):
        table = desk.api.get(f"/ui/studies/vlm/trials?channel={channel}").text
        assert table.count(f'<td class="text">{channel}</td>') == n
        assert f"{n} trial" in table
    assert "1 merged model scored, outside the budget" in html
    assert '<b>4</b> <span class="pm">of 8</span>' in html
    assert "merged of experts, not trained" in desk.api.get("/ui/studies/vlm/trials/5").text


def test_the_page_says_what_merged_models_wait_for(desk):
    for trial in desk.turn()[:-1]:
        desk.api.post(f"/trials/{trial['id']}/cancel")
    html = desk.api.get("/ui/studies/vlm").text
    assert "1 merged model cannot be made yet: domain &#39;coco&#39; has no expert yet" in html


PAIR = {"coco": 0.5, "lisa": 0.5, "sat": 0.0}
WITHOUT_SAT = [{"name": "coco"}, {"name": "lisa"}]


def edit(desk, **changes):
    answer = desk.api.patch("/studies/vlm", json=changes)
    assert answer.status_code == 200, answer.text


def test_a_study_with_a_dropped_domain_merges_those_in_use(desk):
    edit(desk, search={"channels": ["full"]})
    edit(desk, domains=WITHOUT_SAT)
    edit(desk, search=MERGING)
    assert [
        (channel, mixture) for channel, mixture, by in told(desk.turn()) if by == "experts"
    ] == [
        ("full", PAIR),
        ("full", {"coco": 1.0, "lisa": 0.0, "sat": 0.0}),
        ("full", {"coco": 0.0, "lisa": 1.0, "sat": 0.0}),
        ("merged", PAIR),
    ]
    work_off(desk, scale_at_uniform=1.8, scale=1.6)
    other = desk.queue({"coco": 0.3, "lisa": 0.7}, "merged")
    answer = desk.ask("w")
    assert answer["trial"]["id"] == other
    # What half of each was scaled by is in terms of all three, as a worker computes with them.
    assert answer["merge"]["scale_at_uniform"] == pytest.approx(1.8)
    assert [expert["domain"] for expert in answer["merge"]["experts"]] == ["coco", "lisa"]


def test_a_scale_that_was_found_holds_on_when_a_domain_is_dropped(desk):
    desk.calibrate(1.75)
    queued = desk.queue({"coco": 0.4, "sat": 0.6}, "merged")
    edit(desk, domains=WITHOUT_SAT)
    assert not [by for _, _, by in told(desk.turn()) if by == "experts"]
    answer = desk.ask("w")
    assert answer["trial"]["id"] == queued, "what a person queued stays"
    assert [expert["domain"] for expert in answer["merge"]["experts"]] == ["coco", "sat"]
    assert answer["merge"]["scale_at_uniform"] == 1.75
    edit(desk, domains=[*WITHOUT_SAT, {"name": "sat"}, {"name": "geo"}])
    wanted = [mixture for channel, mixture, _ in told(desk.turn()) if channel == "merged"]
    assert wanted == [dict.fromkeys([*DOMAINS, "geo"], 0.25)], "among four it is found anew"
