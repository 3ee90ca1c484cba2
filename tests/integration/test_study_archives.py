"""A study as a file that holds all of it, to keep and to move between databases."""

from __future__ import annotations

import json
import secrets

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from db import leases, studies, trials
from db.measurements import Reading
from db.sessions import Database
from db.trials import NewTrial
from modomodo import archives
from modomodo.cli import app
from modomodo.errors import CommandFailed
from service.proposals import Proposer
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
        document["trials"][4]["state"] = "sleeping"
        return "trials.4.state"
    if what == "the same number twice":
        document["trials"][1]["number"] = 1
        return "trials: two have number 1"
    if what == "an event of no trial":
        document["events"][3]["trial"] = 99
        return "events.3.trial: there is no trial 99"
    if what == "a later version":
        document["version"] = 4
        return "version"
    if what == "a mixture of another study":
        document["trials"][3]["mixture"] = {"coco": 0.5, "mars": 0.5}
        return "trials.3.mixture: unknown domain 'mars'"
    if what == "a score above all":
        document["trials"][0]["measurements"][0]["score"] = 1.5
        return "trials.0.measurements.0.score"
    if what == "a benchmark of another study":
        document["trials"][0]["measurements"][0]["benchmark"] = "mars"
        return "trials.0.measurements: unknown benchmark 'mars'"
    if what == "two holders":
        first = document["trials"][3]["attempts"][0]
        document["trials"][4] |= {"attempts": [first], "attempt_number": 1}
        return "trials.4.attempts: live [1], of a queued trial"
    if what == "no holder":
        document["trials"][3]["attempts"][0]["state"] = "expired"
        return "trials.3.attempts: live none, of a running trial"
    if what == "an attempt too few":
        document["trials"][3]["attempt_number"] = 2
        return "trials.3.attempts: numbers [1], but attempt_number is 2"
    if what == "a number to come":
        document["study"]["last_number"] = 3
        return "study.last_number: 3, but there is trial 6"
    if what == "a revision to come":
        document["study"]["revision"] = 1
        return "study.revision: 1"
    if what == "a moment of no calendar":
        document["trials"][0]["created_at"] = 1e300
        return "trials.0.created_at"
    if what == "text that a database refuses":
        document["trials"][0]["note"] = "a\x00b"
        return "U+0000"
    if what == "an id beyond all":
        document["trials"][0]["id"] = 2**31 - 1
        return "trials.0.id"
    if what == "a strategy that is none":
        document["study"]["spec"]["strategy"] = "magic"
        return "study.spec: unknown strategy 'magic'"
    if what == "a prediction that is none":
        document["trials"][5]["proposal"] = {"strategy": "seed", "mean": "high"}
        return "trials.5.proposal"
    if what == "a name that is none":
        document["study"]["name"] = "../vlm"
        return "name"
    if what == "an endless budget":
        document["study"]["budget"] = 2**30
        return "budget"
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
        "a mixture of another study",
        "a score above all",
        "a benchmark of another study",
        "two holders",
        "no holder",
        "an attempt too few",
        "a number to come",
        "a revision to come",
        "a moment of no calendar",
        "text that a database refuses",
        "an id beyond all",
        "a strategy that is none",
        "a prediction that is none",
        "a name that is none",
        "an endless budget",
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


def places(value, *before):
    """Where there is something in a document."""
    if isinstance(value, dict):
        return [place for key, part in value.items() for place in places(part, *before, key)]
    if isinstance(value, list):
        return [place for i, part in enumerate(value) for place in places(part, *before, i)]
    return [before]


SOMETHING = st.one_of(
    st.sampled_from(
        [None, True, -1, 0, 2**31, 2**63, 1e308, -0.5, "", "live", "running", "completed", "\x00"]
    ),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from([[], {}, [1], {"a": None}]),
)


@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_file_with_anything_in_one_place_is_refused_or_breaks_nothing(
    api, database_url, new_database, tmp_path, data
):
    file, of_another = tmp_path / "study.json", tmp_path / "whole.json"
    if not of_another.exists():
        url = new_database()
        fill(url)
        export(url, of_another)
    document = json.loads(of_another.read_text())
    *way, last = data.draw(st.sampled_from(places(document)))
    part = document
    for step in way:
        part = part[step]
    part[last] = data.draw(SOMETHING)
    file.write_text(json.dumps(document))
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
