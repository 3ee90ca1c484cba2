"""Many trials in one call: finished runs from elsewhere, tags, and changes of a choice."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from db import archive, studies
from db.sessions import Database
from db.trials import NewTrial, add
from modomodo.cli import app
from service.study import archive_checks, run_outcome, run_table
from service.study.views import spec as spec_of
from tests.support.bodies import scores, study_body

pytestmark = pytest.mark.backends("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))

SCORES = {"lisa_test": 0.4, "chart": 0.5, "info": 0.6}


@pytest.fixture
def study(api) -> str:
    # One proposal would be withdrawn beside others; none is made while it is paused.
    assert api.post("/studies", json=study_body()).status_code == 201
    assert api.patch("/studies/vlm", json={"state": "paused"}).status_code == 200
    return "vlm"


def run(coco=0.25, **changes):
    return {"mixture": {"coco": coco, "lisa": 1 - coco}, "scores": SCORES} | changes


def send(api, runs, **more):
    return api.post("/studies/vlm/trials/import", json={"runs": runs} | more)


def change(api, action, numbers, **more):
    answer = api.post(
        "/studies/vlm/trials/bulk", json={"action": action, "numbers": numbers} | more
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def trials(api, state=None):
    found = api.get("/studies/vlm/trials", params={"state": state} if state else {}).json()
    return found["trials"]


def queued(api, n=1):
    body = {"mixture": {"coco": 1.0}}
    return [api.post("/studies/vlm/trials", json=body).json()["number"] for _ in range(n)]


def test_imported_runs_are_as_if_each_had_been_added(api, study):
    before = api.get("/studies/vlm").json()
    answer = send(api, [run(0.25, tags=["old"], note="n", wall_s=3.0), run(0.5)]).json()
    first, second = (api.get(f"/studies/vlm/trials/{n}").json() for n in answer["numbers"])
    alone = {"mixture": run(0.5)["mixture"], "measurements": scores(0.5)}
    added = api.post("/studies/vlm/trials", json=alone).json()
    assert (first["state"], first["origin"], first["tags"]) == ("completed", "attached", ["old"])
    assert (first["note"], first["wall_s"]) == ("n", 3.0)
    assert [m["samples"] for m in first["measurements"]] == [100, 200, 300]
    assert first["revision"] < second["revision"] < added["revision"]
    assert second["seed"] != first["seed"]
    after = api.get("/studies/vlm").json()
    assert after["attached"] - before["attached"] == 3
    assert after["planned"] == before["planned"]
    assert [t["number"] for t in api.get("/studies/vlm/trials?after=0&limit=1").json()["trials"]]


def test_the_same_runs_again_add_nothing(api, study):
    runs = [run(0.25), run(0.5), run(0.5)]
    first = send(api, runs).json()
    assert first["n_new"] == 3, "two runs of one mixture may score the same"
    again = send(api, [*runs, run(0.75)]).json()
    assert (again["n_new"], again["known"]) == (1, [0, 1, 2])
    assert again["known_numbers"] == first["numbers"]
    more = send(api, [run(0.5), run(0.5), run(0.5)]).json()
    assert (more["n_new"], more["known"]) == (1, [0, 1])
    assert len(trials(api, "completed")) == 5


def test_a_dry_run_says_what_would_become_of_runs_and_changes_nothing(api, study):
    send(api, [run(0.25)])
    before = trials(api)
    off = run(scores=SCORES | {"other": 0.1})
    answer = send(api, [run(0.25), run(0.5), off, run(mixture={"coco": 0.9})], dry_run=True)
    said = answer.json()
    assert (said["n_new"], said["known"], said["n_refused"]) == (1, [0], 2)
    assert [item["run"] for item in said["refused"]] == [2, 3]
    assert "unknown benchmark 'other'" in said["refused"][0]["why"]
    assert trials(api) == before


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (run(mixture={"coco": 0.5}), "weights sum to 0.5, not 1"),
        (run(mixture={"mars": 1.0}), "unknown domain 'mars'"),
        (run(scores={"chart": 0.5}), "no score of info"),
        (run(scores={"chart": 0.5, "info": 0.5, "x": 0.1}), "unknown benchmark 'x'"),
    ],
)
def test_where_one_run_cannot_be_had_none_is_added(api, study, wrong, why):
    answer = send(api, [run(0.5), wrong])
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["errors"][0]["where"] == "runs.1"
    assert why in problem["errors"][0]["what"]
    assert "none of the 2 runs was added" in problem["detail"]
    assert trials(api) == []


def test_a_run_outside_the_bounds_cannot_be_had(api):
    bounded = [{"name": "coco", "upper": 0.5}, {"name": "lisa"}, {"name": "sat"}]
    api.post("/studies", json=study_body(domains=bounded))
    assert "outside its bounds 0 to 0.5" in send(api, [run(0.75)]).json()["detail"]


def test_an_export_imported_into_its_own_study_is_known(api, study):
    body = {"mixture": {"coco": 1 / 3, "lisa": 2 / 3}, "measurements": scores(0.1 + 0.2)}
    api.post("/studies/vlm/trials", json=body)
    text = api.get("/studies/vlm/export?format=csv").content
    with api.app.state.context.database.read() as session:
        spec = spec_of(studies.get(session, "vlm"))
    table = run_table.read(spec, text, "runs.csv")
    assert len(table.runs) == 1
    sent = [item.model_dump() for item in table.runs]
    assert send(api, sent).json()["known"] == [0]


def test_a_thousand_runs_come_in_one_call(api, study):
    runs = [run(round(i / 1000, 6)) for i in range(1000)]
    assert send(api, runs).json()["n_new"] == 1000
    assert api.get("/studies/vlm").json()["trials"]["completed"] == 1000
    event = api.get("/ui/studies/vlm/trials/1000/story").json()["html"]
    assert "Trial 1000" in event


def test_a_choice_of_trials_is_cancelled_and_the_cancel_undone(api, study):
    done = send(api, [run()]).json()["numbers"]
    waiting = queued(api, 2)
    said = change(api, "cancel", [*waiting, *done, 99])
    assert [t["done"] for t in said["trials"]] == [True, True, False, False]
    assert said["n_done"] == 2
    assert "is completed; only queued, running and paused" in said["trials"][2]["why"]
    assert said["trials"][3]["why"] == "study 'vlm' has no trial 99"
    again = change(api, "cancel", waiting)
    assert [(t["done"], t["changed"]) for t in again["trials"]] == [(True, False)] * 2
    back = change(api, "retry", waiting)
    assert [(t["number"], t["state"]) for t in back["trials"]] == [(n, "queued") for n in waiting]
    api.patch("/studies/vlm", json={"state": "active"})
    taken = api.post("/trials/next", json={"worker": "w", "study": "vlm"}).json()["trial"]
    assert taken["number"] == waiting[0], "in its old place of the queue"


def test_proposals_that_are_retried_together_all_stay(api, study):
    proposed = []
    with api.app.state.context.database.write() as session:
        row = studies.get(session, study)
        for coco in (0.25, 0.75):
            mixture = {"coco": coco, "lisa": 1 - coco, "sat": 0.0}
            new = NewTrial(mixture, "proposed", {"strategy": "random", "seed": 1, "reason": "so"})
            proposed.append(add(session, row, new, "proposer")[0].number)
    change(api, "cancel", proposed)
    assert api.patch("/studies/vlm", json={"budget": 1}).status_code == 200
    back = change(api, "retry", proposed)
    assert [t["state"] for t in back["trials"]] == ["queued", "queued"]
    assert {t["number"] for t in trials(api, "queued")} == set(proposed)


def test_tags_are_given_and_taken_and_noted(api, study):
    numbers = send(api, [run(0.25, tags=["old"]), run(0.5)]).json()["numbers"]
    change(api, "tag", numbers, tags=["second look", "old"])
    first = api.get(f"/studies/vlm/trials/{numbers[0]}").json()
    assert first["tags"] == ["old", "second look"]
    change(api, "untag", numbers, tags=["old"])
    said = change(api, "untag", numbers, tags=["old"])
    assert [t["changed"] for t in said["trials"]] == [False, False]
    assert [t["tags"] for t in said["trials"]] == [["second look"]] * 2
    changed = api.patch(f"/trials/{first['id']}", json={"tags": ["a", "b", "a"]}).json()
    assert (changed["tags"], changed["note"]) == (["a", "b"], "")
    story = api.get(f"/ui/studies/vlm/trials/{numbers[0]}/story").json()["rest"]
    assert "tagged" in story
    exported = api.get("/studies/vlm/export?format=csv").text.splitlines()
    assert [line.rsplit(",", 1)[1] for line in exported] == ["tags", "a;b", "second look"]


def test_no_trial_has_more_than_twenty_tags(api, study):
    (number,) = queued(api)
    change(api, "tag", [number], tags=[str(i) for i in range(20)])
    (said,) = change(api, "tag", [number], tags=["one more"])["trials"]
    assert (said["done"], len(said["tags"])) == (False, 20)
    assert "would have 21 tags, more than 20" in said["why"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/studies/vlm/trials/bulk", {"action": "tag", "numbers": [1]}),
        ("/studies/vlm/trials/bulk", {"action": "cancel", "numbers": [1], "tags": ["a"]}),
        ("/studies/vlm/trials/bulk", {"action": "cancel", "numbers": []}),
        ("/studies/vlm/trials/bulk", {"action": "cancel", "numbers": [2**31]}),
        ("/studies/vlm/trials/bulk", {"action": "cancel", "numbers": list(range(1, 1002))}),
        ("/studies/vlm/trials/bulk", {"action": "burn", "numbers": [1]}),
        ("/studies/vlm/trials/bulk", {"action": "tag", "numbers": [1], "tags": ["=1"]}),
        ("/studies/vlm/trials/bulk", {"action": "tag", "numbers": [1], "tags": ["a|b"]}),
        ("/studies/vlm/trials/import", {"runs": []}),
        ("/studies/vlm/trials/import", {"runs": [run(tags=["x" * 41])]}),
        ("/studies/vlm/trials/import", {"runs": [run(scores={})]}),
        ("/studies/vlm/trials/import", {"runs": [run(scores={"chart": 50.0})]}),
    ],
)
def test_bodies_that_make_no_sense_are_refused(api, study, path, body):
    answer = api.post(path, json=body)
    assert answer.status_code == 422, answer.text
    assert trials(api) == []


def test_a_patch_of_nothing_is_refused(api, study):
    (number,) = queued(api)
    trial = api.get(f"/studies/vlm/trials/{number}").json()["id"]
    assert api.patch(f"/trials/{trial}", json={}).status_code == 422


def test_tags_are_archived_and_checked_when_they_come_in(api, study, new_database):
    send(api, [run(tags=["a", "second look"])])
    with api.app.state.context.database.read() as session:
        kept = archive.dump(session, "vlm")
    document = archive.Archive.model_validate(kept)
    other = Database(new_database())
    with other.write() as session:
        archive.load(session, document, archive_checks.check(document).model_dump(mode="json"))
        assert archive.dump(session, "vlm")["trials"] == kept["trials"]
    other.close()
    kept["trials"][0]["tags"] = "|=1|"
    with pytest.raises(ValueError, match="is no tag"):
        archive_checks.check(archive.Archive.model_validate(kept))
    del kept["trials"][0]["tags"]
    assert archive.Archive.model_validate(kept | {"version": 8}).trials[0].tags == ""


@pytest.fixture
def call(service_url, monkeypatch):
    monkeypatch.setenv("MODOMODO_URL", service_url)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments, stdin=None: CliRunner().invoke(app, list(arguments), input=stdin)


@pytest.mark.backends("sqlite")
def test_a_file_is_looked_at_imported_and_known_from_the_command_line(call, tmp_path):
    body = tmp_path / "study.json"
    body.write_text(json.dumps(study_body(budget=1)))
    assert call("study", "create", str(body)).exit_code == 0
    file = tmp_path / "runs.csv"
    file.write_text(
        "state,w_coco,w_lisa,chart,info,tags\nfailed,1,0,,,\n"
        "completed,0.25,0.75,0.5,0.6,old\ncompleted,0.5,0.5,50%,60%,\n"
    )
    dry = call("trial", "import", "vlm", str(file), "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert "2 runs would be added to study 'vlm'" in dry.output
    assert "line 2: its run is failed, and only completed ones are taken" in dry.output
    done = json.loads(call("trial", "import", "vlm", str(file), "--tag", "mine", "--json").stdout)
    first, second = done["trials"]
    assert (done["new"], done["left_out_by_kind"]) == (2, {run_outcome.NOT_COMPLETED: 1})
    again = call("trial", "import", "vlm", "-", stdin=file.read_text())
    there = f"2 runs in study 'vlm' already, as trials {first} to {second}; nothing is added"
    assert there in again.output
    file.write_text("w_coco,chart,info\n=1,0.5,0.5\n1,0.5,0.5\n")
    wrong = call("trial", "import", "vlm", str(file))
    assert wrong.exit_code == 1
    assert "line 2: column 'w_coco': '=1' is not a number" in wrong.output
    tagged = call("trial", "list", "vlm", "--tag", "old", "--json")
    assert [t["number"] for t in json.loads(tagged.stdout)] == [first]
    said = call("trial", "tag", "vlm", f"{first}-{second}", "--add", "look again")
    assert f"trial {second}: completed, tags: mine, look again" in said.output
    refused = call("trial", "cancel", "vlm", str(first), str(second))
    assert refused.exit_code == 1
    assert "not done: trial" in refused.output
    assert call("trial", "tag", "vlm", str(first), "--remove", "old").exit_code == 0
    assert call("trial", "tag", "vlm", "a-b", "--add", "x").exit_code == 2
