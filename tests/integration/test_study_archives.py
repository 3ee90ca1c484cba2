"""A study as a file that holds all of it, to keep and to move between databases."""

from __future__ import annotations

import json
import secrets
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from db import archive, leases, steering, studies, trials
from db.measurements import Reading
from db.sessions import Database
from db.trials import NewTrial
from modomodo import archives
from modomodo.cli import app
from modomodo.errors import CommandFailed
from service.proposing import proposer
from service.proposing.proposer import Proposer
from service.schemas import StudySpec
from tests.support.bodies import study_body

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
        whole = {"coco": 1.0, "lisa": 0.0, "sat": 0.0}
        trials.add(session, study, NewTrial(whole, "proposed", proposal, 0), "proposer")
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
        steering.cancel(session, held[2], "user")
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
        return f"sqlite:///{tmp_path}/elsewhere.db"
    return request.getfixturevalue("new_on_postgresql")()


pytestmark = pytest.mark.backends("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))


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


def test_proposals_that_stand_in_for_a_failing_strategy_are_moved_too(
    database_url, database, elsewhere, tmp_path, monkeypatch
):
    def compute(task, strategy, really=proposer.compute):
        if strategy != proposer.FALLBACK:
            raise RuntimeError("singular matrix")
        return really(task, strategy)

    monkeypatch.setattr(proposer, "compute", compute)
    body = StudySpec.model_validate(study_body()).model_dump(mode="json")
    with database.write() as session:
        studies.create(session, body, "user")
    assert Proposer(database, "replica").turn() > 0
    first = export(database_url, tmp_path / "first.json")
    moved = run("import", str(tmp_path / "first.json"), "--database", elsewhere)
    assert moved.exit_code == 0, moved.exception
    assert export(elsewhere, tmp_path / "second.json") == first


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


@pytest.mark.backends("sqlite", "postgresql")
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


GONE = object()
MANY = 2**31 - 1

SPOILED = {
    "a column too few": ("trials.2.seed", GONE, "trials.2.seed: is missing"),
    "a wrong type": ("trials.0.attempts.0.until", "tomorrow", "trials.0.attempts.0.until"),
    "a moment of no calendar": ("trials.0.created_at", 1e300, "trials.0.created_at"),
    "text that a database refuses": ("trials.0.note", "a\x00b", "U+0000"),
    "text that no answer may hold": ("trials.0.note", "x" * 5000, "trials.0.note"),
    "an error that is none": ("events.3.detail.error", [1], "events.3.detail.error"),
    "an event of no trial": ("events.3.trial", 99, "events.3.trial: there is no trial 99"),
    "a worker without a name": ("workers.0.name", " ", "workers.0.name"),
    "a later version": ("version", archive.VERSION + 1, "version"),
    "a name that is none": ("study.name", "../vlm", "name"),
    "no domains": ("study.spec.domains", [], "domains"),
    "a strategy that is none": (
        "study.spec.strategy",
        "magic",
        "study.spec: unknown strategy 'magic'",
    ),
    "an endless budget": ("study.budget", 2**30, "budget"),
    "errors without end": ("study.proposer_errors", MANY, "study.proposer_errors"),
    "a result too many": ("study.results", 2, "study.results: 2, but 1 trials are completed"),
    "a trial too many": (
        "study.last_number",
        MANY,
        f"study.last_number: {MANY}, but there are 6 trials",
    ),
    "a revision to come": ("study.revision", 1, "study.revision: 1"),
    "a trial that never changed": ("trials.0.revision", 0, "trials.0.revision"),
    "an id beyond all": ("trials.0.id", MANY, "trials.0.id"),
    "the same number twice": ("trials.1.number", 1, "trials: two have number 1"),
    "a number left out": ("trials.1.number", 7, "one of the 6 has number 7"),
    "an unknown state": ("trials.4.state", "sleeping", "trials.4.state"),
    "an end that did not come": ("trials.4.finished_at", 1.7e9, "trials.4.finished_at"),
    "no end": ("trials.0.finished_at", None, "trials.0.finished_at: None, of a completed"),
    "no start": ("trials.3.started_at", None, "trials.3.started_at"),
    "a mixture that is none": ("trials.0.mixture", [1.0], "trials.0.mixture"),
    "a mixture of another study": (
        "trials.3.mixture",
        {"coco": 0.5, "mars": 0.5},
        "trials.3.mixture: unknown domain 'mars'",
    ),
    "a mixture with a hole": ("trials.5.mixture", {"coco": 1.0}, "no weight of 'lisa'"),
    "a prediction that is none": (
        "trials.5.proposal",
        {"strategy": "seed", "mean": "high"},
        "trials.5.proposal",
    ),
    "a time before it began": ("trials.0.wall_s", -1.0, "trials.0.wall_s"),
    "a score out of a hundred": (
        "trials.0.measurements.0.score",
        41.2,
        "trials.0.measurements.0.score: 41.2 is not a number from 0 to 1: give fractions, 0.412 "
        "for 41.2%",
    ),
    "a score above all": (
        "trials.0.measurements.0.score",
        1.5,
        "trials.0.measurements.0.score",
    ),
    "a benchmark of another study": (
        "trials.0.measurements.0.benchmark",
        "mars",
        "trials.0.measurements: unknown benchmark 'mars'",
    ),
    "a score of no attempt": (
        "trials.0.measurements.0.attempt_number",
        2,
        "trials.0: scores or a curve of attempt 2",
    ),
    "a curve of no attempt": (
        "trials.3.curve.0.attempt_number",
        2,
        "trials.3: scores or a curve of attempt 2",
    ),
    "two holders": (
        "trials.4",
        lambda whole: (
            whole["trials"][4] | {"attempts": whole["trials"][3]["attempts"], "attempt_number": 1}
        ),
        "trials.4.attempts: live [1], of a queued trial",
    ),
    "no holder": (
        "trials.3.attempts.0.state",
        "expired",
        "trials.3.attempts: live none, of a running trial",
    ),
    "an end of no attempt": (
        "trials.1.attempts.0.ended_at",
        None,
        "trials.1.attempts: number 1 is failed and ended at None",
    ),
    "attempts that are not there": (
        "trials.3.attempt_number",
        MANY,
        f"trials.3.attempts: numbers [1], but attempt_number is {MANY}",
    ),
    "failures that did not happen": (
        "trials.4.failures",
        1,
        "trials.4.failures: 1, but 0 attempts failed",
    ),
    "a token's hash that is none": (
        "trials.3.attempts.0.token_hash",
        "é" * 64,
        "trials.3.attempts.0.token_hash",
    ),
}
"""Where a file is changed, to what, and words of the refusal."""


def changed(document, place, value):
    """The document with something else in one place."""
    *way, last = (int(step) if step.isdecimal() else step for step in place.split("."))
    part = document
    for step in way:
        part = part[step]
    if value is GONE:
        del part[last]
    else:
        part[last] = value(document) if callable(value) else value
    return document


@pytest.fixture(scope="module")
def whole(migrated_file, tmp_path_factory):
    """Text of an archive, for tests that spoil it."""
    folder = tmp_path_factory.mktemp("whole")
    url = f"sqlite:///{shutil.copy(migrated_file, folder / 'modomodo.db')}"
    fill(url)
    return export(url, folder / "study.json")


@pytest.mark.backends("sqlite")
@pytest.mark.parametrize("what", SPOILED)
def test_a_file_that_is_no_archive_is_refused_with_the_place_and_nothing_is_stored(
    whole, new_database, tmp_path, what
):
    place, value, words = SPOILED[what]
    file = tmp_path / "study.json"
    file.write_text(json.dumps(changed(json.loads(whole), place, value)))
    there = new_database()
    result = run("import", str(file), "--database", there)
    assert isinstance(result.exception, CommandFailed), result.exception
    assert words in str(result.exception)
    database = Database(there)
    with database.read() as session:
        assert studies.everyone(session) == []
    database.close()


def places(value, before=""):
    """Where there is something in a document."""
    parts = {dict: dict.items, list: enumerate}.get(type(value))
    if parts is None:
        return [before[1:]]
    return [place for key, part in parts(value) for place in places(part, f"{before}.{key}")]


SOMETHING = st.one_of(
    st.sampled_from([None, True, -1, 0, 2**31 - 1, 2**31, 2**63, 1e308, -0.5, 253_402_300_799.0]),
    st.sampled_from(["", "live", "running", "completed", "\x00", "é" * 64, "x" * 5000]),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from([[], {}, [1], {"a": None}]),
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_file_with_anything_in_one_place_is_refused_or_breaks_nothing(
    api, whole, database_url, tmp_path, data
):
    file = tmp_path / "study.json"
    document = json.loads(whole)
    place = data.draw(st.sampled_from(places(document)))
    file.write_text(json.dumps(changed(document, place, data.draw(SOMETHING))))
    name = f"s{secrets.token_hex(6)}"
    try:
        archives.store(database_url, file, name)
    except CommandFailed as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert refused.startswith((f"{file} is no archive of a study: ", "its rows contradict"))
        return
    for path in (
        "/", "/studies", f"/studies/{name}", f"/studies/{name}/trials", f"/studies/{name}/best",
        f"/studies/{name}/export", f"/ui/studies/{name}", "/ui/workers", "/metrics", "/readyz",
        f"/studies/{name}/figures", *(f"/ui/studies/{name}/trials/{n}" for n in (1, 4)),
    ):  # fmt: skip
        assert api.get(path).status_code in (200, 404, 409), path
    for trial in api.get(f"/studies/{name}/trials").json()["trials"]:
        for path in (f"/trials/{trial['id']}", f"/trials/{trial['id']}/curve"):
            assert api.get(path).status_code == 200, path
        beat = api.post(f"/trials/{trial['id']}/heartbeat", json={"token": "nobody's-own-token"})
        assert beat.status_code == 409
    trial = api.post("/trials/next", json={"worker": "w", "study": name})
    assert trial.status_code == 200
    database = Database(database_url)
    assert Proposer(database, "another-replica").turn() >= 0
    with database.read() as session:
        assert studies.get(session, name).proposer_error is None
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
        del trial["curve"], trial["client_hash"]
    (tmp_path / "old.json").write_text(json.dumps(old))
    back = new_database()
    assert run("import", str(tmp_path / "old.json"), "--database", back).exit_code == 0
    again = json.loads(export(back, tmp_path / "again.json"))
    assert [trial["curve"] for trial in again["trials"]] == [[] for _ in old["trials"]]
    assert again["events"] == old["events"]
