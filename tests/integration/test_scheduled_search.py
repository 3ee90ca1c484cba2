"""Studies whose search proposes mixtures that change on the way.

No model is trained: scores are made up.
"""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
import yaml

from db import archive, studies
from db.errors import BadArchive
from modomodo.runs_options import case_of, layout_of, score_columns
from modomodo.space_options import SpaceOptions
from service.proposing.question import compute
from service.proposing.storing import store
from service.proposing.task import read_task
from service.schemas import StudySpec
from service.search.schedules import ScheduleSpace
from service.study import archive_checks, engine_terms, evidence, run_table, schedules, views
from tests.support.bodies import scores, study_body
from tests.support.dashboard import own

TWO = {"schedule": {"phases": 2}}
EASY_FIRST = [
    {"share": 0.5, "mixture": {"coco": 1.0}},
    {"share": 0.5, "mixture": {"coco": 0.2, "sat": 0.8}},
]
LATE = EASY_FIRST[::-1]
UNEVEN = [{**EASY_FIRST[0], "share": 0.25}, {**EASY_FIRST[1], "share": 0.75}]


def study(api, **changes):
    changes = {"recipe": {"steps": 24}, "strategy": "bayes-quadratic", "search": TWO} | changes
    return api.post("/studies", json=study_body(**changes))


def add(api, **body):
    answer = api.post("/studies/vlm/trials", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.fixture
def here(api):
    """A study whose proposals wait until they are asked for."""
    api.app.state.context.proposer.stop()
    made = study(api)
    assert made.status_code == 201, made.text
    return api


def known(database):
    with database.read() as session:
        return evidence.named(session, "vlm")


def told(api):
    """Four plain runs and three schedules: an early sat is better."""
    for mixture, score in (
        ({"coco": 1.0}, 0.40),
        ({"lisa": 1.0}, 0.42),
        ({"sat": 1.0}, 0.44),
        ({"coco": 1 / 3, "lisa": 1 / 3, "sat": 1 / 3}, 0.45),
    ):
        add(api, mixture=mixture, measurements=scores(score))
    for schedule, score in ((EASY_FIRST, 0.41), (LATE, 0.55), (LATE, 0.54)):
        add(api, schedule=schedule, measurements=scores(score))


def proposed(database, api):
    """What the search puts into the queue now."""
    with database.write() as session:
        studies.get(session, "vlm").proposer = "here"
    with database.read() as session:
        task = read_task(session, "vlm")
    found = compute(task.question, "bayes-quadratic")
    with database.write() as session:
        store(session, task, found, "here")
    trials = api.get("/studies/vlm/trials").json()["trials"]
    return task, [trial for trial in trials if trial["origin"] == "proposed"]


# --- what is asked for ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"search": {"schedule": {}}}, "either `phases`, how many, or `shares`"),
        ({"search": {"schedule": {"phases": 1}}}, "phases"),
        (
            {"search": {"schedule": {"shares": [0.5, 0.4]}}},
            "shares of the phases sum to 0.9, not 1",
        ),
        ({"search": {"schedule": {"phases": 2, "shares": [0.5, 0.5]}}}, "either `phases`"),
        (
            {"strategy": "gp"},
            "strategy 'gp' proposes mixtures alone; auto, bayes-quadratic, seed, random",
        ),
        ({"strategy": "modomodo"}, "strategy 'modomodo' proposes mixtures alone"),
        ({"search": TWO | {"channels": ["full", "merged"]}}, "leave search.channels at [full]"),
        ({"search": TWO | {"early_stopping": True}}, "leave search.early_stopping out"),
        ({"max_active": 1}, "leave max_active out"),
        (
            {"domains": [{"name": "coco", "zero_or_at_least": 0.1}, {"name": "sat"}]},
            "leave zero_or_at_least out",
        ),
        (
            {"constraints": [{"benchmark": "chart", "at_least": 0.1}]},
            "leave objectives, constraints",
        ),
        ({"evidence": [{"study": "other"}]}, "leave evidence out"),
        ({"search": {"schedule": {"shares": [0.99, 0.01]}}}, "phase 2 of the schedule has no step"),
        (
            {"recipe": {"backend": "command", "steps": 24, "command": {"script": "train"}}},
            "set recipe.command.schedules: true",
        ),
    ],
)
def test_what_does_not_go_with_schedules_is_refused_with_what_would_be_right(api, changes, said):
    refused = study(api, **changes)
    assert refused.status_code == 422
    assert said in refused.text


def test_phases_cannot_change_later_but_by_a_clone_and_other_edits_leave_them(here):
    refused = here.patch("/studies/vlm", json={"search": {"schedule": {"phases": 3}}})
    assert refused.status_code == 422
    assert "search.schedule cannot change" in refused.text
    kept = here.patch("/studies/vlm", json={"search": {"channels": ["full"]}, "budget": 30})
    assert kept.json()["search"]["schedule"] == {"phases": 2, "shares": None}
    clone = {"name": "three", "search": {"schedule": {"shares": [0.2, 0.3, 0.5]}}}
    cloned = here.post("/studies/vlm/clone", json=clone)
    assert cloned.is_success, cloned.text
    assert cloned.json()["search"]["schedule"]["shares"] == [0.2, 0.3, 0.5]


# --- what counts ----------------------------------------------------------------------------------


def test_runs_with_the_studys_phases_count_as_runs_and_others_are_left_out_in_words(here, database):
    add(here, mixture={"coco": 1.0}, measurements=scores(0.4))
    add(here, schedule=EASY_FIRST, measurements=scores(0.6))
    add(here, schedule=UNEVEN, measurements=scores(0.9))
    now = known(database)
    assert [run.number for run in now.completed] == [1, 2]
    assert not now.runs.channels
    assert np.allclose(now.runs.schedules[1], [0.5, 0, 0, 0.1, 0, 0.4])
    assert now.notes == (
        "1 run that ended on the way, or had other phases than the search proposes, is not taken",
    )


@pytest.mark.usefixtures("quick_fits")
def test_a_schedule_may_be_what_to_train_and_says_its_phases(here):
    told(here)
    best = here.get("/studies/vlm/best?surrogate=bayes-quadratic").json()
    assert best["train"]["trials"] == [6, 7]
    assert best["best"]["schedule"][0]["mixture"]["sat"] == 0.8
    assert "Train this: the schedule of trials 6 and 7" in best["message"]
    assert (
        "phase 1 (50% of the steps): 80% sat, 20% coco; phase 2 (50%): 100% coco"
        in (best["message"])
    )
    assert best["train"]["predicted_gain"]["mean"] > 0
    file = yaml.safe_load(here.get("/studies/vlm/export?format=yaml").text)
    assert [phase["share"] for phase in file["schedule"]] == [0.5, 0.5]
    html = here.get("/ui/studies/vlm").text
    assert "50% of its steps, phase 1" in html


def test_an_export_has_the_phases_and_a_file_of_it_is_fitted_as_the_study_is(here, tmp_path):
    told(here)
    add(here, schedule=UNEVEN, measurements=scores(0.9))
    text = here.get("/studies/vlm/export").text
    table = list(csv.DictReader(io.StringIO(text)))
    assert [table[5][f"w{p}_sat"] for p in (1, 2)] == ["0.8", "0.0"]
    assert [table[i]["w1_sat"] for i in (0, 7)] == ["", ""]
    assert [row["channel"] for row in table] == [""] * 4 + ["scheduled"] * 4
    file = tmp_path / "runs.csv"
    file.write_text(text)
    columns = score_columns("out_score", None, "out_score_se")
    case = case_of(file, columns, SpaceOptions(), layout_of(None, False))
    assert case.shares == (0.5, 0.5)
    assert case.beside == 1
    study = known(here.app.state.context.database).runs
    assert np.allclose(case.runs.schedules, study.schedules)
    assert np.allclose(case.runs.score, study.score)


def test_lines_of_schedules_are_not_imported_as_runs_of_their_mean(here):
    told(here)
    text = here.get("/studies/vlm/export").text.replace("scheduled", "")
    spec = StudySpec.model_validate(study_body(recipe={"steps": 24}, search=TWO))
    read = run_table.read(spec, text.encode(), "runs.csv")
    assert len(read.runs) == 4
    assert "its mixture changed on the way" in read.left_out[0].why


def test_a_fit_says_what_the_best_schedule_gains(here):
    told(here)
    fit = here.get("/studies/vlm/surrogates/bayes-quadratic").json()
    assert fit["n"] == len(fit["points"]) == 7
    assert any("The best schedule is predicted +" in said for said in fit["messages"])
    refused = here.get("/studies/vlm/surrogates/quadsurface")
    assert (refused.status_code, refused.json()["code"]) == (409, "surrogate-unsuited")
    assert "auto and bayes-quadratic take schedules" in refused.json()["detail"]


def test_a_schedule_of_equal_mean_is_not_the_uniform_run(here, database):
    phases = [{"coco": 2 / 3, "lisa": 1 / 3}, {"lisa": 1 / 3, "sat": 2 / 3}]
    add(
        here,
        schedule=[{"share": 0.5, "mixture": mixture} for mixture in phases],
        measurements=scores(0.5),
    )
    standing = known(database).standing()
    assert standing.uniform is None
    assert standing.best.number == 1


# --- what is proposed -----------------------------------------------------------------------------


def test_the_opening_is_of_plain_mixtures(here, database):
    task, queued = proposed(database, here)
    assert isinstance(task.question.space, ScheduleSpace)
    assert [trial["schedule"] for trial in queued] == [None] * len(queued)


def test_schedules_are_proposed_with_their_phases_in_words(here, database):
    told(here)
    _, queued = proposed(database, here)
    changing = [trial for trial in queued if trial["schedule"]]
    assert changing
    for trial in changing:
        assert "; phase 1 (50% of the steps): " in trial["proposal"]["reason"]
        assert [phase["share"] for phase in trial["schedule"]] == [0.5, 0.5]
        first, last = (phase["mixture"] for phase in trial["schedule"])
        for domain, weight in trial["mixture"].items():
            assert weight == pytest.approx((first[domain] + last[domain]) / 2)


def test_what_is_on_its_way_is_known_with_its_phases_and_made_anew_after_results(here, database):
    told(here)
    add(here, schedule=EASY_FIRST[::-1])
    task, before = proposed(database, here)
    assert np.allclose(task.question.pending, [[0.1, 0, 0.4, 0.5, 0, 0]])
    add(here, schedule=EASY_FIRST, measurements=scores(0.9))
    _, after = proposed(database, here)
    assert [trial["number"] for trial in after] == [trial["number"] for trial in before]
    assert after != before


def test_what_is_on_its_way_with_other_phases_is_no_score_that_is_waited_for(here, database):
    told(here)
    add(here, schedule=UNEVEN)
    task, _ = proposed(database, here)
    assert len(task.question.pending) == 0


def test_a_schedule_as_good_as_one_mixture_is_that_mixture():
    spec = StudySpec.model_validate(study_body(recipe={"steps": 24}, search=TWO))
    within = ScheduleSpace(engine_terms.space(spec), [0.5, 0.5])
    nearly = within.unchanging(np.array([[0.2, 0.3, 0.5]]))[0] + 0.001 * np.array(
        [1, -1, 0, -1, 1, 0]
    )
    mixture, phases = schedules.of_point(spec, within, nearly)
    assert phases is None
    assert mixture == pytest.approx({"coco": 0.2, "lisa": 0.3, "sat": 0.5})


def test_an_archive_of_a_strategy_that_proposes_no_schedules_is_refused(here, database):
    with database.read() as session:
        document = archive.dump(session, "vlm")
    document["study"]["spec"]["strategy"] = "lattice"
    with pytest.raises(BadArchive, match="strategy 'lattice' proposes mixtures alone"):
        archive_checks.check(archive.Archive.model_validate(document))


def test_an_archive_brings_back_that_schedules_are_proposed(here, database):
    told(here)
    with database.write() as session:
        document = archive.dump(session, "vlm")
        document["study"]["name"] = "again"
        read = archive.Archive.model_validate(document)
        archive.load(session, read, archive_checks.check(read).model_dump(mode="json"))
    with database.read() as session:
        spec = views.spec(studies.get(session, "again"))
        assert spec.search.schedule.of_each == [0.5, 0.5]
        assert len(evidence.named(session, "again").completed) == 7


def test_an_archive_of_a_search_that_could_propose_no_schedule_is_refused(here, database):
    told(here)
    with database.read() as session:
        document = archive.dump(session, "vlm")
    document["study"]["spec"]["strategy"] = "lattice"
    with pytest.raises(archive_checks.BadArchive, match="proposes mixtures alone"):
        archive_checks.check(archive.Archive.model_validate(document))


def test_what_if_says_that_it_starts_at_the_mean_of_a_schedule(here):
    page = "/ui/studies/vlm/what-if"
    add(here, mixture={"coco": 0.5, "lisa": 0.5}, measurements=scores(0.4))
    assert "Mixture to train</button>" in here.get(page).text
    add(here, schedule=LATE, measurements=scores(0.9))
    shown = here.get(page).text
    assert "Mean of the schedule to train</button>" in shown
    assert "Mixture to train</button>" not in shown


# --- what would a schedule score? -----------------------------------------------------------------


def predicted(api, **asked):
    return api.post("/studies/vlm/surrogates/bayes-quadratic/predict", json=asked)


def test_schedules_are_predicted_beside_mixtures(here):
    told(here)
    throughout = [{"share": 0.5, "mixture": {"coco": 0.6, "sat": 0.4}}] * 2
    asked = {"mixtures": [{"coco": 0.6, "sat": 0.4}], "schedules": [LATE, EASY_FIRST, throughout]}
    answer = predicted(here, **asked)
    assert answer.status_code == 200, answer.text
    mean = [item["mean"] for item in answer.json()["predictions"]]
    assert mean[1] > mean[0] > mean[2]
    assert mean[3] == pytest.approx(mean[0])
    for asked, why in (
        ({"schedules": [UNEVEN]}, "their shares of the steps are 0.5, 0.5"),
        ({}, "nothing to predict: give mixtures, or schedules"),
    ):
        refused = predicted(here, **asked)
        assert refused.status_code == 422
        assert why in refused.text


def test_a_study_of_mixtures_predicts_no_schedules(api):
    api.app.state.context.proposer.stop()
    assert study(api, search={}).is_success
    for score, name in ((0.4, "coco"), (0.5, "sat")):
        add(api, mixture={name: 1.0}, measurements=scores(score))
    refused = predicted(api, schedules=[LATE])
    assert refused.status_code == 422
    assert "proposes mixtures alone" in refused.json()["detail"]


def what_if(api, call, **body):
    return api.post(f"/ui/studies/vlm/what-if/{call}", json=body, headers=own(api))


def test_what_if_predicts_a_typed_schedule_against_its_mean_and_queues_it(here):
    told(here)
    page = here.get("/ui/studies/vlm/what-if").text
    assert 'data-phase="1" data-of="sat"' in page
    assert 'value="80.0" autocomplete="off" data-phase="0" data-of="sat"' in page
    found = what_if(here, "schedule", phases=[{"sat": 0.4, "coco": 0.1}, {"coco": 0.7}]).json()
    assert [phase["share"] for phase in found["schedule"]] == [0.5, 0.5]
    assert found["schedule"][0]["mixture"]["sat"] == pytest.approx(0.8)
    by_api = predicted(here, schedules=[LATE]).json()["predictions"][0]
    assert f"<b>{100 * by_api['mean']:.1f}</b>" in found["html"]
    assert "over its mean mixture throughout: what the order is worth" in found["html"]
    assert "Moved" not in found["html"]
    assert found["html"].count('<th scope="row">') == 3
    queued = what_if(here, "queue-schedule", schedule=found["schedule"]).json()
    trial = here.get("/studies/vlm/trials").json()["trials"][-1]
    assert trial["number"] == queued["number"]
    assert trial["schedule"][1]["mixture"]["coco"] == 1.0


def test_what_if_knows_schedules_before_any_was_run(here):
    add(here, mixture={"coco": 1.0}, measurements=scores(0.4))
    phases = [{"coco": 1.0}, {"sat": 1.0}]
    assert "callout" in what_if(here, "schedule", phases=phases).json()["html"]
    add(here, mixture={"sat": 1.0}, measurements=scores(0.5))
    assert "what the order is worth" in what_if(here, "schedule", phases=phases).json()["html"]


def test_what_if_moves_a_schedule_whose_mean_does_not_fit(api):
    api.app.state.context.proposer.stop()
    domains = [{"name": "coco", "upper": 0.3}, {"name": "lisa"}, {"name": "sat"}]
    assert study(api, domains=domains).is_success
    found = what_if(api, "schedule", phases=[{"coco": 1.0}, {"sat": 1.0}]).json()
    assert "coco may have 0% to 30%" in found["html"]
    first, last = (phase["mixture"] for phase in found["schedule"])
    assert first["coco"] + last["coco"] <= 0.6 + 1e-9
    empty = what_if(api, "schedule", phases=[{"coco": 0.0}, {"sat": 1.0}])
    assert empty.status_code == 422
    assert "phase 1 has no weight" in empty.json()["detail"]
    assert "no schedules" in what_if(api, "schedule", phases=[{"coco": 1}] * 3).json()["detail"]


def test_what_if_of_a_study_of_mixtures_has_no_phases(api):
    assert study(api, search={}).is_success
    assert 'id="phases"' not in api.get("/ui/studies/vlm/what-if").text
    refused = what_if(api, "schedule", phases=[{"coco": 1.0}] * 2)
    assert refused.status_code == 422
