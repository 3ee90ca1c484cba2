"""A study as a file that holds all of it, to keep and to move between databases."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from db import leases, studies, trials
from db.measurements import Reading
from db.sessions import Database
from db.trials import NewTrial
from modomodo.cli import app
from modomodo.errors import CommandFailed
from service.schemas import StudySpec
from tests.bodies import study_body

SCORES = [Reading(name, 1 / 3, 100, se=0.1) for name in ("lisa_test", "chart", "info")]
WORSE = [Reading(name, 0.1, 100) for name in ("lisa_test", "chart", "info")]


def run(*arguments):
    return CliRunner().invoke(app, ["study", *arguments], env={"COLUMNS": "200"})


def fill(url, name="vlm", worker="w1"):
    """A study with a trial in every state, a replicate, expired leases and events of all kinds."""
    database = Database(url)
    body = StudySpec.model_validate(study_body(name, note="ä ☃", budget=50)).model_dump(mode="json")
    with database.write() as session:
        study, _ = studies.create(session, body, "user")
        for share in (0.1, 0.2, 0.3, 0.4, 0.5):
            mixture = {"coco": share, "lisa": 1 - share, "sat": 0.0}
            trials.add(session, study, NewTrial(mixture, "queued", note="x\ny"), "user")
        proposal = {"strategy": "seed", "seed": 1, "reason": "a", "mean": 1 / 3, "sd": None}
        trials.add(session, study, NewTrial({"coco": 1.0}, "proposed", proposal, 0), "proposer")
    with database.write() as session:
        leases.seen(session, worker, {"gpu": "H100"})
    held = {}
    for number in range(4):
        with database.write() as session:
            attempt = leases.claim(session, worker, name, f"{name}-token-{number}")
            held[number] = attempt.trial_id
    with database.write() as session:
        artifacts = {"model": {"uri": "s3://bucket", "n": [1, None]}}
        leases.finish(session, held[0], f"{name}-token-0", SCORES, artifacts=artifacts, wall_s=1.5)
        leases.finish(session, held[0], f"{name}-token-0", WORSE)
        leases.fail(session, held[1], f"{name}-token-1", "out of memory", is_retryable=False)
        trials.cancel(session, held[2], "user")
        leases.heartbeat(session, held[3], f"{name}-token-3", step=7, metrics={"loss": 0.1})
    database.close()
    return held


def export(url, file, name="vlm"):
    result = run("export", name, "--format", "archive", "--out", str(file), "--database", url)
    assert result.exit_code == 0, result.exception
    return file.read_text()


@pytest.fixture
def elsewhere(backend, request, tmp_path):
    """An empty database of the other kind."""
    if backend == "postgresql":
        yield f"sqlite:///{tmp_path}/elsewhere.db"
        return
    server = request.getfixturevalue("postgres")
    url = server.create(request.getfixturevalue("migrated_database"))
    yield url
    server.drop(url)


pytestmark = pytest.mark.backends("sqlite", "postgresql")


def test_a_study_moved_to_the_other_kind_of_database_and_back_is_identical(
    database_url, new_database, elsewhere, tmp_path
):
    fill(database_url)
    first = export(database_url, tmp_path / "first.json")
    assert run("import", str(tmp_path / "first.json"), "--database", elsewhere).exit_code == 0
    second = export(elsewhere, tmp_path / "second.json")
    back = new_database()
    assert run("import", str(tmp_path / "second.json"), "--database", back).exit_code == 0
    assert first == second == export(back, tmp_path / "third.json")
    states = {trial["state"] for trial in json.loads(first)["trials"]}
    assert states == {"completed", "failed", "cancelled", "running", "queued"}
    assert [len(t["curve"]) for t in json.loads(first)["trials"] if t["state"] == "running"] == [1]
    assert any(m["replicate"] for t in json.loads(first)["trials"] for m in t["measurements"])
    assert len(json.loads(first)["events"]) > 10


def test_workers_carry_on_with_a_moved_study_and_new_trials_follow_its_own(
    database_url, elsewhere, tmp_path
):
    held = fill(database_url)
    export(database_url, tmp_path / "study.json")
    run("import", str(tmp_path / "study.json"), "--database", elsewhere)
    database = Database(elsewhere)
    with database.write() as session:
        leases.heartbeat(session, held[3], "vlm-token-3", step=8)
        assert leases.finish(session, held[3], "vlm-token-3", SCORES) is None
        assert leases.finish(session, held[0], "vlm-token-0", SCORES, wall_s=9.0) is not None
        study = studies.get(session, "vlm")
        added, _ = trials.add(session, study, NewTrial({"coco": 1.0}, "queued"), "user")
        assert (added.number, added.id) == (7, 7)
    database.close()


def test_beside_another_study_trials_get_new_ids_and_nothing_else_changes(
    database_url, new_database, tmp_path
):
    fill(database_url)
    before = json.loads(export(database_url, tmp_path / "study.json"))
    there = new_database()
    fill(there, "other", "w2")
    kept = export(there, tmp_path / "other.json", "other")
    result = run("import", str(tmp_path / "study.json"), "--database", there, "--as", "copy")
    assert "6 with another id" in result.stdout
    after = json.loads(export(there, tmp_path / "copy.json", "copy"))
    assert [trial.pop("id") for trial in after["trials"]] == list(range(7, 13))
    for trial in before["trials"]:
        trial.pop("id")
    before["study"]["name"] = before["study"]["spec"]["name"] = "copy"
    assert after == before
    assert export(there, tmp_path / "again.json", "other") == kept
    database = Database(there)
    with database.write() as session:
        study = studies.get(session, "other")
        assert trials.add(session, study, NewTrial({"a": 1.0}, "queued"), "user")[0].id == 13
    database.close()


def test_an_import_twice_is_refused_and_changes_nothing(database_url, tmp_path):
    fill(database_url)
    before = export(database_url, tmp_path / "study.json")
    result = run("import", str(tmp_path / "study.json"), "--database", database_url)
    assert isinstance(result.exception, CommandFailed)
    assert "another name" in str(result.exception)
    assert export(database_url, tmp_path / "again.json") == before


def spoil(document, what):
    if what == "a column too few":
        del document["trials"][2]["seed"]
        return "trials.2.seed: Field required"
    if what == "a wrong type":
        document["trials"][0]["attempts"][0]["until"] = "tomorrow"
        return "trials.0.attempts.0.until"
    if what == "a mixture that is none":
        document["trials"][0]["mixture"] = [1.0]
        return "trials.0.mixture"
    if what == "an unknown state":
        document["trials"][1]["state"] = "sleeping"
        return "contradict"
    if what == "the same number twice":
        document["trials"][1]["number"] = 1
        return "contradict"
    if what == "an event of no trial":
        document["events"][3]["trial"] = 99
        return "99"
    if what == "a later version":
        document["version"] = 3
        return "version"
    document["study"]["spec"]["domains"] = []
    return "domains"


@pytest.mark.parametrize(
    "what",
    [
        "a column too few",
        "a wrong type",
        "a mixture that is none",
        "an unknown state",
        "the same number twice",
        "an event of no trial",
        "a later version",
        "no domains",
    ],
)
def test_a_file_that_is_no_archive_is_refused_with_the_place_and_nothing_is_stored(
    database_url, new_database, tmp_path, what
):
    fill(database_url)
    file = tmp_path / "study.json"
    document = json.loads(export(database_url, file))
    words = spoil(document, what)
    file.write_text(json.dumps(document))
    there = new_database()
    result = run("import", str(file), "--database", there)
    assert isinstance(result.exception, CommandFailed), result.exception
    assert words in str(result.exception)
    database = Database(there)
    with database.read() as session:
        assert studies.everyone(session) == []
    database.close()


@pytest.mark.parametrize("content", ["", "{", "[]", "trial,state\n"])
def test_other_files_are_refused(tmp_path, database_url, content):
    file = tmp_path / "study.json"
    file.write_text(content)
    result = run("import", str(file), "--database", database_url)
    assert isinstance(result.exception, CommandFailed)
    assert "no archive of a study" in str(result.exception)


def test_an_archive_of_the_first_version_has_no_curves_and_still_comes_in(
    database_url, new_database, tmp_path
):
    fill(database_url)
    old = json.loads(export(database_url, tmp_path / "new.json")) | {"version": 1}
    for trial in old["trials"]:
        del trial["curve"]
    (tmp_path / "old.json").write_text(json.dumps(old))
    back = new_database()
    assert run("import", str(tmp_path / "old.json"), "--database", back).exit_code == 0
    again = json.loads(export(back, tmp_path / "again.json"))
    assert [trial["curve"] for trial in again["trials"]] == [[] for _ in old["trials"]]
    assert again["events"] == old["events"]
