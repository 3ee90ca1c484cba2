"""Trials whose mixture changes on the way: how they come to be, and what they count as.

No model is trained: workers here say that they did.
"""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from db import archive, studies
from service.proposing.task import question_of
from service.schemas import TrialCreate
from service.search.runs import TARGET
from service.study import archive_checks, evidence
from tests.support.bodies import scores, study_body

EASY_FIRST = [
    {"share": 0.25, "mixture": {"coco": 1.0}},
    {"share": 0.75, "mixture": {"coco": 0.2, "sat": 0.8}},
]
STORED = [
    {"share": 0.25, "mixture": {"coco": 1.0, "lisa": 0.0, "sat": 0.0}},
    {"share": 0.75, "mixture": {"coco": 0.2, "lisa": 0.0, "sat": 0.8}},
]
MEAN = {"coco": 0.4, "lisa": 0.0, "sat": 0.6}


def study(api, **changes):
    changes = {"recipe": {"steps": 24}, "strategy": "random"} | changes
    added = api.post("/studies", json=study_body(**changes))
    assert added.status_code == 201, added.text


def add(api, **body):
    return api.post("/studies/vlm/trials", json=body)


def added(api, **body):
    answer = add(api, **body)
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.fixture
def here(api):
    """A study whose proposals wait until it is told to make some."""
    api.app.state.context.proposer.stop()
    study(api)
    return api


def known(database):
    with database.read() as session:
        return evidence.named(session, "vlm")


# --- how they come to be --------------------------------------------------------------------------


def test_a_trial_with_a_schedule_is_given_to_a_worker_with_its_phases_and_their_mean(here):
    made = added(here, schedule=EASY_FIRST)
    assert made["schedule"] == STORED
    assert made["mixture"] == pytest.approx(MEAN)
    answer = here.post("/trials/next", json={"worker": "node", "study": "vlm"}).json()
    assert answer["trial"]["id"] == made["id"]
    assert answer["trial"]["schedule"] == STORED


def test_the_clients_own_body_is_taken(here):
    body = TrialCreate.model_validate({"schedule": EASY_FIRST}).model_dump(mode="json")
    assert added(here, **body)["schedule"] == STORED


def test_phases_of_one_mixture_are_no_schedule(here):
    mixture = {"coco": 0.3, "sat": 0.7}
    phases = [{"share": share, "mixture": mixture} for share in (0.3, 0.7)]
    made = added(here, schedule=phases)
    assert made["schedule"] is None
    assert made["mixture"] == {"coco": 0.3, "lisa": 0.0, "sat": 0.7}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "a mixture is needed, or a schedule"),
        ({"mixture": {"coco": 1.0}, "schedule": EASY_FIRST}, "not both"),
        ({"schedule": EASY_FIRST, "channel": "merged"}, "a merged model is not trained"),
        ({"schedule": []}, "schedule"),
        ({"schedule": EASY_FIRST[:1]}, "shares of the schedule sum to 0.25, not 1"),
        ({"schedule": [{"share": 0.0, "mixture": {"coco": 1.0}}]}, "share"),
        (
            {"schedule": [EASY_FIRST[0], {"share": 0.75, "mixture": {"coco": 0.9}}]},
            "phase 2 of the schedule: weights sum to 0.9, not 1",
        ),
        (
            {"schedule": [EASY_FIRST[0], {"share": 0.75, "mixture": {"geo": 1.0}}]},
            "phase 2 of the schedule: unknown domain 'geo'",
        ),
        (
            {
                "schedule": [
                    {"share": 0.99, "mixture": {"coco": 1.0}},
                    {"share": 0.01, "mixture": {"sat": 1.0}},
                ]
            },
            "phase 2 of the schedule has no step: 0.01 of 24",
        ),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_with_the_reason(here, body, said):
    refused = add(here, **body)
    assert refused.status_code == 422
    assert said in refused.text


def test_a_study_whose_weights_follow_the_rewards_takes_mixtures_and_no_schedule(api):
    study(api, recipe={"steps": 24, "adaptive": {}})
    refused = add(api, schedule=EASY_FIRST)
    assert refused.status_code == 422
    assert "goes with one mixture, not with a schedule" in refused.text
    added(api, mixture={"coco": 1.0})
    searched = study_body(
        name="searched",
        recipe={"steps": 24, "adaptive": {}},
        strategy="random",
        search={"schedule": {"phases": 2}},
    )
    refused = api.post("/studies", json=searched)
    assert refused.status_code == 422
    assert "goes with one mixture" in refused.text


def test_bounds_are_for_the_mean_of_the_phases(api):
    study(api, domains=[{"name": "coco", "upper": 0.5}, {"name": "lisa"}, {"name": "sat"}])
    added(api, schedule=EASY_FIRST)
    refused = add(
        api, schedule=[{**EASY_FIRST[0], "share": 0.75}, {**EASY_FIRST[1], "share": 0.25}]
    )
    assert refused.status_code == 422
    assert "weight of 'coco' is 0.8, outside its bounds 0 to 0.5" in refused.text


def test_a_trainer_of_the_users_gets_a_schedule_only_where_its_recipe_says_that_it_can(api):
    recipe = {"backend": "command", "steps": 24, "command": {"script": "train"}}
    study(api, recipe=recipe)
    refused = add(api, schedule=EASY_FIRST)
    assert refused.status_code == 422
    assert "set recipe.command.schedules: true" in refused.text
    able = recipe | {"command": {"script": "train", "schedules": True}}
    study(api, name="able", recipe=able)
    assert api.post("/studies/able/trials", json={"schedule": EASY_FIRST}).status_code == 201


def test_a_key_with_another_schedule_is_another_trial(here):
    headers = {"Idempotency-Key": "one"}
    first = here.post("/studies/vlm/trials", json={"schedule": EASY_FIRST}, headers=headers)
    again = here.post("/studies/vlm/trials", json={"schedule": EASY_FIRST}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    other = here.post("/studies/vlm/trials", json={"mixture": MEAN}, headers=headers)
    assert other.status_code == 409


# --- what they count as ---------------------------------------------------------------------------


def test_a_run_with_a_schedule_is_evidence_of_a_channel_and_no_run_of_its_mean(here, database):
    added(here, mixture={"coco": 1.0}, measurements=scores(0.4))
    added(here, schedule=EASY_FIRST, measurements=scores(0.9))
    now = known(database)
    assert [run.mixture["coco"] for run in now.completed] == [1.0]
    told = now.runs.channels["scheduled"]
    assert np.allclose(told.weights, [[0.4, 0.0, 0.6]])
    assert np.allclose(told.score, [0.9])
    assert here.get("/studies/vlm/best").json()["train"]["trials"] == [1]
    assert here.get("/ui/studies/vlm").status_code == 200


def test_its_mean_may_still_be_proposed_whatever_became_of_it(here, database):
    running = added(here, schedule=EASY_FIRST)
    failed = added(here, schedule=EASY_FIRST[::-1])
    assert here.post(f"/trials/{failed['id']}/cancel").is_success
    with database.read() as session:
        row = studies.get(session, "vlm")
        now = evidence.read(session, row)
        question, _ = question_of(session, row, now, n=1, first=3)
    assert len(question.pending) == 0
    assert len(question.avoid) == 0
    assert running["state"] == "queued"
    assert set(question.costs) == {TARGET}


def test_what_is_left_of_the_budget_knows_of_runs_that_are_no_evidence(here, database):
    added(here, mixture={"coco": 1.0}, measurements=scores(0.5))
    added(here, schedule=EASY_FIRST, measurements=scores(0.9))
    added(here, schedule=EASY_FIRST)
    added(here, mixture={"sat": 1.0})
    answer = here.post("/trials/next", json={"worker": "node", "study": "vlm"}).json()
    body = {"token": answer["lease"]["token"], "measurements": scores(0.7)}
    assert here.post(f"/trials/{answer['trial']['id']}/result", json=body).is_success
    with database.read() as session:
        row = studies.get(session, "vlm")
        question, _ = question_of(session, row, evidence.read(session, row), n=1, first=5)
    assert (len(question.runs), len(question.pending), question.budget) == (1, 1, 10)
    assert question.spent == 2  # one was added, and so is in the budget, too; one has a worker run


def test_a_part_of_one_is_evidence_of_nothing(here, database):
    made = added(here, schedule=EASY_FIRST)
    answer = here.post("/trials/next", json={"worker": "node", "study": "vlm"}).json()
    on_the_way = [{**item, "step": 6} for item in scores(0.7)]
    body = {"token": answer["lease"]["token"], "step": 6, "measurements": on_the_way}
    here.post(f"/trials/{made['id']}/stop")
    assert here.post(f"/trials/{made['id']}/partial", json=body).is_success
    now = known(database)
    assert now.completed == ()
    assert not now.runs.channels
    assert [row["channel"] for row in rows(here)] == ["scheduled-step-6"]


def rows(api):
    text = api.get("/studies/vlm/export", params={"format": "csv"}).text
    return list(csv.DictReader(io.StringIO(text)))


def test_exports_name_the_channel_and_hold_the_phases(here):
    added(here, schedule=EASY_FIRST, measurements=scores(0.9))
    added(here, mixture=MEAN, measurements=scores(0.4))
    assert [(row["channel"], row["w_coco"]) for row in rows(here)] == [
        ("scheduled", "0.4"),
        ("", "0.4"),
    ]
    whole = here.get("/studies/vlm/export", params={"format": "json"}).json()
    assert [trial["schedule"] for trial in whole["trials"]] == [STORED, None]


def test_an_archive_brings_the_phases_back(here, database):
    added(here, schedule=EASY_FIRST, measurements=scores(0.9))
    with database.write() as session:
        document = archive.dump(session, "vlm")
        document["study"]["name"] = "again"
        read = archive.Archive.model_validate(document)
        archive.load(session, read, archive_checks.check(read).model_dump(mode="json"))
    (trial,) = here.get("/studies/again/trials").json()["trials"]
    assert trial["schedule"] == STORED


def test_an_archive_whose_phases_have_another_mean_is_refused(here, database):
    added(here, schedule=EASY_FIRST, measurements=scores(0.9))
    with database.read() as session:
        document = archive.dump(session, "vlm")
    document["trials"][0]["mixture"] = {"coco": 1.0, "lisa": 0.0, "sat": 0.0}
    with pytest.raises(archive_checks.BadArchive, match=r"trials\.0\.schedule: the mean over"):
        archive_checks.check(archive.Archive.model_validate(document))


def test_phases_follow_when_a_domain_is_split(here):
    made = added(here, schedule=EASY_FIRST)
    changed = here.patch("/studies/vlm", json={"spread": {"coco": {"indoor": 0.5, "outdoor": 0.5}}})
    assert changed.status_code == 200, changed.text
    phases = here.get(f"/trials/{made['id']}").json()["schedule"]
    assert phases[0]["mixture"] == {"indoor": 0.5, "outdoor": 0.5, "lisa": 0.0, "sat": 0.0}


def test_the_table_of_trials_names_the_channel_too(here):
    added(here, mixture=MEAN)
    added(here, schedule=EASY_FIRST)
    table = "/ui/studies/vlm/trials.csv?column=channel&sort=channel&rising=true"
    found = list(csv.DictReader(io.StringIO(here.get(table).text)))
    assert [(row["trial"], row["channel"]) for row in found] == [("1", "full"), ("2", "scheduled")]


def test_a_trials_page_shows_each_phase(here):
    added(here, schedule=EASY_FIRST)
    html = here.get("/ui/studies/vlm/trials/1").text
    assert "25% of its steps, phase 1" in html
    assert "75% of its steps, phase 2" in html
    assert "mean of 2 phases" in here.get("/ui/studies/vlm").text
