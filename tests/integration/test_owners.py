"""Owners: whose studies a key may change and its workers serve, and the hours that a team has."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import event, text, update
from typer.testing import CliRunner

from db import archive, keys, owners, studies
from db.clock import HOUR_S, after
from db.errors import BadKey
from db.models import Attempt, Study
from modomodo.cli import app
from service.http import auth
from service.study import archive_checks
from tests.integration.test_api_keys import ADMINISTERING, READING, WORKING, call
from tests.support.bodies import scores, study_body
from tests.support.polling import WITHIN_S, until

pytestmark = pytest.mark.backends("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))

EVERYONES = {"POST /studies", "POST /studies/vlm/clone"}
"""Calls of scope admin that change no study."""


@pytest.fixture(autouse=True)
def made(api, app_settings, database):
    """Keys of two owners by `OWNER-SCOPE`, and `operator`, which belongs to none."""
    gate = auth.Gate(app_settings, database, cache_ttl_s=-1.0)
    api.app.state.context = replace(api.app.state.context, gate=gate)
    with database.write() as session:
        named = {
            f"{owner}-{scope}": keys.create(session, f"{owner}-{scope}", scope, owner)
            for owner in ("vision", "nlp")
            for scope in auth.SCOPES
        }
        return named | {"operator": keys.create(session, "operator", "admin")}


def create(api, key, name="vlm", n=2, **changes):
    """A study with so many trials queued by hand, none of them proposed."""
    body = study_body(name, budget=n, **changes)
    assert call(api, key, "POST", "/studies", body).status_code == 201
    for _ in range(n):
        queued = {"mixture": {"coco": 1.0}}
        assert call(api, key, "POST", f"/studies/{name}/trials", queued).status_code == 201


def read(api, key, path):
    answer = call(api, key, "GET", path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ask(api, key, worker="w", **more):
    answer = call(api, key, "POST", "/trials/next", {"worker": worker} | more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def has_run(database, study, hours):
    """Notes what attempts of a study have cost."""
    with database.write() as session:
        session.execute(update(Study).where(Study.name == study).values(gpu_s=hours * HOUR_S))


def limit(database, owner, hours):
    with database.write() as session:
        owners.limit(session, owner, hours)


def test_a_study_belongs_to_the_owner_of_the_key_that_made_it(api, made):
    create(api, made["vision-admin"])
    create(api, made["operator"], "free")
    assert read(api, made["nlp-read"], "/studies/vlm")["owner"] == "vision"
    assert read(api, made["nlp-read"], "/studies/free")["owner"] is None


@pytest.mark.parametrize("whose", ["vision-admin", "operator"])
def test_a_key_of_another_owner_reads_all_and_changes_nothing(api, made, whose):
    create(api, made[whose])
    call(api, made[whose], "POST", "/trials/next", {"worker": "w"})
    before = read(api, made["operator"], "/studies/vlm")
    for method, path, body in READING:
        assert call(api, made["nlp-read"], method, path, body).status_code != 403, path
    for method, path, body in ADMINISTERING:
        answer = call(api, made["nlp-admin"], method, path, body)
        if f"{method} {path}" in EVERYONES:
            assert answer.status_code == 201, answer.text
            assert answer.json()["owner"] == "nlp"
            continue
        assert (answer.status_code, answer.json()["code"]) == (403, "not-owner"), path
        assert "'nlp'" in answer.json()["detail"]
    assert read(api, made["operator"], "/studies/vlm") == before


@pytest.mark.parametrize("key", ["vision-admin", "operator"])
def test_a_key_of_the_owner_or_of_none_changes_the_study_and_its_trials(api, made, key):
    create(api, made["vision-admin"])
    of_owners = ("PUT /owners/o", "PUT /studies/vlm/owner")
    for method, path, body in ADMINISTERING:
        refused = key != "operator" and f"{method} {path}" in of_owners
        answer = call(api, made[key], method, path, body)
        assert (answer.status_code == 403) == refused, (path, answer.text)


@pytest.mark.parametrize("path", ["/studies/none", "/studies/%00", "/studies/a%20b"])
def test_what_is_not_there_is_not_there_for_a_key_of_an_owner_either(api, made, path):
    answers = [call(api, made[k], "PATCH", path, {}) for k in ("vision-admin", "operator")]
    assert answers[0].status_code in (404, 422)
    missing = call(api, made["vision-admin"], "POST", "/trials/9/cancel")
    assert missing.json()["code"] == "trial-not-found"
    assert call(api, made["vision-admin"], "POST", f"/trials/{2**40}/cancel").status_code == 422


def test_a_study_is_its_owners_under_its_former_name_too(api, made):
    create(api, made["vision-admin"])
    call(api, made["vision-admin"], "PATCH", "/studies/vlm", {"name": "new"})
    answer = call(api, made["nlp-admin"], "PATCH", "/studies/vlm", {"state": "paused"})
    assert "'new' belongs to owner 'vision'" in answer.json()["detail"]


@pytest.mark.backends("sqlite", "postgresql")
def test_workers_serve_the_studies_of_their_keys_owner_and_those_of_none_serve_all(api, made):
    create(api, made["vision-admin"], n=1)
    create(api, made["operator"], "free", n=1)
    answer = ask(api, made["nlp-worker"])
    assert answer["trial"] is None
    assert "owner 'nlp' has no study yet" in answer["reason"]
    answer = ask(api, made["nlp-worker"], study="vlm")
    assert (answer["trial"], answer["retry_after_s"]) == (None, None)
    assert "belongs to owner 'vision'" in answer["reason"]
    assert "belongs to no owner" in ask(api, made["vision-worker"], study="free")["reason"]
    assert ask(api, made["vision-worker"])["trial"]["study"] == "vlm"
    assert ask(api, made["vision-worker"], "w2")["trial"] is None
    assert ask(api, made["operator"], "w3")["trial"]["study"] == "free"


def test_a_lease_whose_answer_was_lost_is_not_given_to_a_key_of_another_owner(api, made):
    create(api, made["vision-admin"], n=1)
    given = ask(api, made["vision-worker"])
    assert ask(api, made["nlp-worker"])["trial"] is None
    again = ask(api, made["vision-worker"])
    assert again["trial"]["id"] == given["trial"]["id"]


def test_results_for_a_trial_of_another_owner_are_not_kept(api, made):
    create(api, made["vision-admin"], n=1)
    trial = ask(api, made["vision-worker"])["trial"]["id"]
    body = {"token": "x" * 20, "measurements": scores(0.9)}
    for key, status in (("nlp-worker", 403), ("vision-worker", 409)):
        answer = call(api, made[key], "POST", f"/trials/{trial}/result", body)
        assert answer.status_code == status, answer.text
        kept = read(api, made["nlp-read"], f"/trials/{trial}")["replicates"]
        assert len(kept) == (0 if status == 403 else 3)
    for method, path, sent in WORKING[1:]:
        answer = call(api, made["nlp-worker"], method, path.replace("1", str(trial)), sent)
        refused = answer.json()
        if path == "/heartbeats":
            [refused] = refused["beats"]
        assert refused["status"] in (403, 409, 422), path


def test_a_run_goes_on_when_its_study_is_given_to_another_owner(api, made):
    create(api, made["vision-admin"], n=1)
    given = ask(api, made["vision-worker"])
    token, path = given["lease"]["token"], f"/trials/{given['trial']['id']}"
    to_nlp = {"owner": "nlp"}
    answer = call(api, made["operator"], "PUT", "/studies/vlm/owner", to_nlp)
    assert answer.json()["owner"] == "nlp"
    beat = call(api, made["vision-worker"], "POST", f"{path}/heartbeat", {"token": token})
    assert beat.status_code == 200
    body = {"token": token, "measurements": scores(0.5)}
    for _ in range(2):
        assert call(api, made["vision-worker"], "POST", f"{path}/result", body).status_code == 200
    assert call(api, made["vision-admin"], "PATCH", "/studies/vlm", {}).status_code == 403
    (change,) = read(api, made["nlp-read"], "/studies/vlm/changes")["changes"]
    assert change["changes"] == {"owner": ["vision", "nlp"]}


def test_a_study_is_given_to_owners_that_there_are(api, made):
    create(api, made["operator"])
    answer = call(api, made["operator"], "PUT", "/studies/vlm/owner", {"owner": "vison"})
    assert (answer.status_code, answer.json()["code"]) == (404, "owner-not-found")
    assert "there are nlp, vision" in answer.json()["detail"]


def test_a_machine_is_declared_gone_by_those_alone_whose_trials_it_holds(api, made):
    create(api, made["vision-admin"], n=1)
    ask(api, made["vision-worker"])
    assert call(api, made["nlp-admin"], "POST", "/workers/w/gone").status_code == 403
    assert call(api, made["vision-admin"], "POST", "/workers/w/gone").json()["trials"]
    assert call(api, made["nlp-admin"], "POST", "/workers/w/gone").json() == {"trials": []}


@pytest.mark.backends("sqlite", "postgresql")
def test_when_its_hours_are_used_none_of_an_owners_trials_is_given_out_and_it_says_why(
    api, made, database
):
    create(api, made["vision-admin"], n=3)
    create(api, made["operator"], "free", n=1)
    given = ask(api, made["vision-worker"])
    has_run(database, "vlm", 12.5)
    limit(database, "vision", 12.0)
    for study in (None, "vlm"):
        answer = ask(api, made["vision-worker"], "w2", study=study)
        assert (answer["trial"], answer["retry_after_s"]) == (None, None)
        assert "owner 'vision' has used 12.5 of its 12.0 GPU-hours" in answer["reason"]
    found = read(api, made["operator"], "/studies/vlm/demand")
    assert (found["claimable"], found["running"], found["left"]) == (0, 1, 3)
    assert "has used 12.5" in found["reason"]
    assert read(api, made["operator"], "/demand")["claimable"] == 1
    body = {"token": given["lease"]["token"], "measurements": scores(0.5)}
    path = f"/trials/{given['trial']['id']}/result"
    assert call(api, made["vision-worker"], "POST", path, body).status_code == 200
    assert "has used 12.5" in read(api, made["vision-read"], "/studies/vlm/best")["waiting"]
    assert ask(api, made["operator"], "w3")["trial"]["study"] == "free"
    more = call(api, made["operator"], "PUT", "/owners/vision", {"gpu_hours": 20.0})
    assert more.json()["used"] == pytest.approx(12.5, abs=0.1)
    assert ask(api, made["vision-worker"], "w2")["trial"]["study"] == "vlm"


def test_the_hours_of_a_finished_study_are_no_reason_to_wait(api, made, database):
    create(api, made["vision-admin"], n=1)
    given = ask(api, made["vision-worker"])
    body = {"token": given["lease"]["token"], "measurements": scores(0.5)}
    call(api, made["vision-worker"], "POST", f"/trials/{given['trial']['id']}/result", body)
    limit(database, "vision", 0.0)
    answer = ask(api, made["vision-worker"])
    assert answer["trial"] is None
    assert "finished" in answer["reason"]


def test_hours_are_those_of_all_its_studies_deleted_and_running_ones_too(api, made, database):
    create(api, made["vision-admin"], "gone", n=1)
    create(api, made["vision-admin"], n=1)
    has_run(database, "gone", 3.0)
    has_run(database, "vlm", 2.0)
    path = "/studies/gone?confirm=gone"
    assert call(api, made["vision-admin"], "DELETE", path).status_code == 204
    ask(api, made["vision-worker"], gpus=4)
    with database.write() as session:
        session.execute(update(Attempt).values(claimed_at=after(-HOUR_S)))
    nlp, vision = read(api, made["nlp-read"], "/owners")["owners"]
    assert nlp == {"name": "nlp", "gpu_hours": None, "used": 0.0, "running": 0.0, "studies": 0}
    assert (vision["name"], vision["studies"]) == ("vision", 1)
    assert vision["used"] == pytest.approx(9.0, abs=0.1)
    assert vision["running"] == pytest.approx(4.0, abs=0.1)


def test_demand_for_a_key_of_an_owner_is_what_its_workers_are_given(api, made):
    create(api, made["vision-admin"], n=1)
    create(api, made["operator"], "free", n=2)
    found = {key: read(api, made[key], "/demand")["claimable"] for key in made}
    assert (found["vision-worker"], found["nlp-worker"], found["operator"]) == (1, 0, 3)
    other = read(api, made["nlp-worker"], "/studies/vlm/demand")
    assert (other["claimable"], other["left"]) == (0, 0)
    assert "belongs to owner 'vision'" in other["reason"]


def test_where_there_is_no_owner_nothing_is_asked_about_owners(api, made, database):
    create(api, made["operator"], n=1)
    asked = []

    def note(_connection, _cursor, statement, *_):
        asked.append(statement)

    engine = api.app.state.context.database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        trial = ask(api, made["operator"])
        body = {"token": trial["lease"]["token"], "measurements": scores(0.5)}
        path = f"/trials/{trial['trial']['id']}"
        for call_, sent in (("heartbeat", {"token": body["token"]}), ("result", body)):
            answer = call(api, made["operator"], "POST", f"{path}/{call_}", sent)
            assert answer.status_code == 200
        assert ask(api, made["operator"])["trial"] is None
        read(api, made["operator"], "/demand")
        assert call(api, made["operator"], "PATCH", "/studies/vlm", {"note": "n"}).is_success
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert asked
    assert not [statement for statement in asked if "owners" in statement]


@pytest.mark.parametrize("hours", [-1.0, 1e10, "12"])
def test_what_is_no_limit_is_refused(api, made, hours):
    answer = call(api, made["operator"], "PUT", "/owners/vision", {"gpu_hours": hours})
    assert answer.status_code == 422


def test_pages_name_the_owner_and_change_only_what_the_key_may(api, made, database):
    create(api, made["vision-admin"])
    has_run(database, "vlm", 12.5)
    limit(database, "vision", 12.0)
    for owner in ("nlp", None, "vision"):
        call(api, made["operator"], "PUT", "/studies/vlm/owner", {"owner": owner})
    page = call(api, made["nlp-read"], "GET", "/ui/studies/vlm").text
    assert "nlp" in page, "whose it was"
    assert "owner vision" in page
    assert "12.5 of 12" in page
    assert "none of its trials is given out" in page.replace("&#39;", "'")
    assert "vision</span>" in call(api, made["nlp-read"], "GET", "/").text
    for path in ("state", "change", "delete", "trials/1/cancel", "what-if/queue"):
        answer = call(api, made["nlp-admin"], "POST", f"/ui/studies/vlm/{path}", {})
        assert answer.json()["code"] == "not-owner", path
        answer = call(api, made["vision-admin"], "POST", f"/ui/studies/vlm/{path}", {})
        assert answer.json()["code"] == "own-page-only", path


@pytest.mark.backends("sqlite", "postgresql")
def test_pages_of_its_studies_that_are_open_hear_of_an_owners_new_hours(api, made, database):
    create(api, made["vision-admin"])
    create(api, made["nlp-admin"], "other")

    def revisions():
        with database.read() as session:
            return [studies.get(session, name).revision for name in ("vlm", "other")]

    before = revisions()
    limit = call(api, made["operator"], "PUT", "/owners/vision", {"gpu_hours": 3.0})
    assert limit.status_code == 200
    assert revisions() == [before[0] + 1, before[1]]


@pytest.mark.backends("postgresql")
def test_an_owner_gets_new_hours_while_one_of_its_studies_is_deleted(api, made, database):
    create(api, made["vision-admin"])
    create(api, made["vision-admin"], "gone")
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            studies.get(session, "gone", for_update=True)
            limited = pool.submit(limit, database, "vision", 3.0)
            with database.read() as look:
                until(lambda: look.scalar(waiting) or look.rollback())
            studies.delete(session, "gone")
        limited.result(timeout=WITHIN_S)
    with database.read() as session:
        assert owners.usage(session, "vision").gpu_hours == 3.0


def test_an_archive_keeps_the_owner_and_older_ones_have_none(api, made, database, new_database):
    create(api, made["vision-admin"])
    with database.read() as session:
        document = archive.dump(session, "vlm")
    assert document["study"]["owner"] == "vision"
    older = json.loads(json.dumps(document)) | {"version": 8}
    del older["study"]["owner"]
    for name, content, owner in (("a", document, "vision"), ("b", older, None)):
        checked = archive.Archive.model_validate(content)
        spec = archive_checks.check(checked, name).model_dump(mode="json")
        with database.write() as session:
            archive.load(session, checked, spec)
            assert studies.get(session, name).owner == owner


def test_an_owner_has_a_name_like_a_key(database):
    with database.write() as session:
        for name in ("", "a b", "../x", "x" * 65):
            with pytest.raises(BadKey, match="no name for an owner"):
                keys.create(session, "new", "read", name)


def test_keys_of_owners_from_the_command_line(database_url):
    def run(*arguments):
        return CliRunner().invoke(app, ["key", *arguments, "--database", database_url])

    assert run("create", "ana", "--scope", "admin", "--owner", "speech").exit_code == 0
    listed = {row["name"]: row["owner"] for row in json.loads(run("list", "--json").stdout)}
    assert (listed["ana"], listed["operator"]) == ("speech", None)
