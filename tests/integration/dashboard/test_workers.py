"""The workers' page, and what a study hands out as files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import yaml
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from db import leases, models
from service.dashboard.queries import timeline, workers
from service.executor.process import Inline
from service.settings import Settings
from tests.support.dashboard import HOSTILE, body, create, finish, lease, page, scores, sign_in
from tests.support.serving import in_process

UNIFORM = [0.2] * 5


def test_without_a_worker_the_page_says_how_to_start_one(api):
    assert "modomodo worker --url" in page(api, "/ui/workers")


def test_the_page_tells_who_works_on_what_and_what_came_of_it(api):
    study = create(api, max_attempts=1)
    failed, token = lease(api, study, "node-1")
    failure = {"token": token, "error": "Traceback\nRuntimeError: out of memory"}
    api.post(f"/trials/{failed}/failure", json=failure)
    trial, token = lease(api, study, "node-2")
    beat = {"token": token, "step": 7, "total_steps": 24}
    api.post(f"/trials/{trial}/heartbeat", json=beat)
    number = api.get(f"/trials/{trial}").json()["number"]
    html = page(api, "/ui/workers")
    who, _, history = html.partition('id="history"')
    row = {name: who.partition(f">{name}</th>")[2].partition("</tr>")[0] for name in _nodes()}
    assert f'href="/ui/studies/{study}/trials/{number}"' in row["node-2"]
    assert "step 7 of 24" in row["node-2"]
    assert "nothing now" in row["node-1"]
    assert "1 failed" in row["node-1"]
    assert "RuntimeError: out of memory" in history
    assert history.index("node-2") < history.index("node-1")


def test_a_worker_that_is_not_heard_of_for_long_is_away(api, database):
    study = create(api)
    trial, token = lease(api, study, "node-1")
    api.post(f"/trials/{trial}/release", json={"token": token, "reason": "preempted"})
    assert "<b>0</b> at work, <b>1</b> waiting" in page(api, "/ui/workers")
    long_ago = datetime.now(UTC) - timedelta(seconds=2 * workers.AWAY_S)
    with database.write() as session:
        session.execute(update(models.Worker).values(last_seen_at=long_ago))
    assert "<b>1</b> waiting" in page(api, "/ui/workers"), "it handed a trial back a moment ago"
    with database.write() as session:
        session.execute(update(models.Attempt).values(heard_at=long_ago))
    html = page(api, "/ui/workers")
    assert "<b>0</b> waiting" in html
    assert '<span class="pill away">away</span>' in html


def _nodes() -> tuple[str, str]:
    return "node-1", "node-2"


def there(database, worker, node, engine=None, *, asked=0.0, tries=()):
    """A worker that asked for work so many hours ago, and its attempts: from and until how many
    hours ago, and their state."""
    now = datetime.now(UTC)

    def ago(hours):
        return None if hours is None else now - timedelta(hours=hours)

    labels = {} if engine is None else {"labels": {"engine": engine}}
    with database.write() as session:
        first = max([asked, *(began for began, _, _ in tries)])
        session.add(
            models.Worker(
                name=worker,
                capabilities={"host": node} | labels,
                first_seen_at=ago(first),
                last_seen_at=ago(asked),
            )
        )
        study = session.scalars(select(models.Study)).one()
        for began, ended, state in tries:
            study.last_number += 1
            trial = models.Trial(
                study_id=study.id,
                number=study.last_number,
                revision=study.last_number,
                state="running" if state == "live" else "completed",
                origin="queued",
                mixture={"coco": 1.0},
                seed=1,
            )
            session.add(trial)
            session.flush()
            session.add(
                models.Attempt(
                    trial_id=trial.id,
                    number=1,
                    worker=worker,
                    state=state,
                    token_hash=f"{trial.id}",
                    lease_s=60.0,
                    until=now,
                    claimed_at=ago(began),
                    ended_at=ago(ended),
                )
            )


def drawn(database):
    with database.read() as session:
        return timeline.read(session)


def test_machines_are_grouped_by_what_started_their_workers(api, database):
    create(api)
    there(database, "lab.1.a", "node-2", "ray", asked=4, tries=[(4, None, "live")])
    there(database, "lab.2.a", "node-1", "slurm", asked=4, tries=[(4, 1, "failed")])
    there(database, "mine", "node-1", tries=[(4, 2, "completed"), (2, 1, "expired")])
    found = drawn(database)
    assert [(node.engine, node.name) for node in found.nodes] == [
        ("by hand", "node-1"),
        ("ray", "node-2"),
        ("slurm", "node-1"),
    ]
    assert [node.n_failed for node in found.nodes] == [1, 0, 1]
    assert [node.n_working for node in found.nodes] == [0, 1, 0]
    assert [node.idle for node in found.nodes] == [["mine"], [], []]
    html = page(api, "/ui/workers")
    assert "<b>1</b> at work" in html
    assert "1 expired" in html
    assert "1 node, 0 at work, 1 idle, 1 attempt failed or ran out" in html
    assert "−2 h" in html


def test_workers_that_come_one_after_the_other_share_a_lane(database, api):
    create(api)
    for i, (began, ended) in enumerate([(6, 4), (4, 2), (5, 1), (1, None)]):
        tries = [(began, ended, "completed" if ended else "live")]
        there(database, f"lab.1.{i}", "node-1", "ray", asked=began, tries=tries)
    (node,) = drawn(database).nodes
    assert [lane.workers for lane in node.lanes] == [
        ["lab.1.0", "lab.1.1", "lab.1.3"],
        ["lab.1.2"],
    ]
    bar = node.lanes[0].bars[1]
    assert (bar.start, bar.length) == (
        pytest.approx(1 / 3, abs=1e-3),
        pytest.approx(1 / 3, abs=1e-3),
    )
    assert node.idle == [], "each ended with its trial"
    assert node.busy == pytest.approx(9 / 10, abs=1e-3)


def test_only_the_last_day_is_drawn(database, api):
    create(api)
    there(database, "old", "node-1", asked=50, tries=[(60, 50, "completed")])
    there(database, "long", "node-2", asked=30, tries=[(30, 12, "completed")])
    (node,) = drawn(database).nodes
    (bar,) = node.lanes[0].bars
    assert (node.name, bar.start, bar.length) == ("node-2", 0.0, pytest.approx(0.5, abs=1e-3))


def test_a_fleet_of_hundreds_is_one_page(database, api):
    create(api)
    with database.write() as session:
        for i in range(300):
            leases.seen(session, f"lab.{i}.0", {"host": f"node-{i % 40}"})
    html = page(api, "/ui/workers")
    assert html.count('class="lane"') == 300
    assert "40 nodes, 0 at work, 300 idle" in html


def test_what_a_worker_says_of_itself_is_shown_as_text(api):
    study = create(api)
    api.post(f"/studies/{study}/trials", json={"mixture": {"coco": 0.5, "lisa": 0.5}})
    asked = {"worker": HOSTILE, "study": study, "capabilities": {"host": "a1", "gpu": HOSTILE}}
    asked["capabilities"]["labels"] = {"engine": HOSTILE}
    assert api.post("/trials/next", json=asked).json()["trial"]
    for html in (page(api, "/ui/workers"), api.get("/ui/workers/list").json()["html"]):
        assert "host: a1" in html
        assert "&lt;script&gt;" in html
        assert "<script>document" not in html


def test_of_very_many_workers_those_heard_of_last_are_shown(api, database):
    with database.write() as session:
        for place in range(workers.SHOWN):
            leases.seen(session, f"old-{place}", {})
    study = create(api)
    trial, token = lease(api, study, "node-3")
    api.post(f"/trials/{trial}/result", json={"token": token, "measurements": scores(0.3)})
    html = page(api, "/ui/workers")
    assert f"The {workers.SHOWN} seen last" in html
    assert ">node-3</th>" in html


def test_a_study_is_exported_as_csv_json_and_its_best_mixture_as_yaml(api):
    study = create(api, budget=1)
    api.patch(f"/studies/{study}", json={"state": "paused"})  # nothing is proposed meanwhile
    html = page(api, f"/ui/studies/{study}")
    assert "format=csv" in html
    assert "format=yaml" not in html
    finish(api, study, UNIFORM, 0.3)
    assert "format=yaml" in page(api, f"/ui/studies/{study}")
    for form in ("csv", "json", "yaml"):
        ours = api.get(f"/ui/studies/{study}/export?format={form}")
        assert ours.content == api.get(f"/studies/{study}/export?format={form}").content
        assert f'filename="{study}.{form}"' in ours.headers["Content-Disposition"]
    best = yaml.safe_load(api.get(f"/ui/studies/{study}/export?format=yaml").text)
    assert best["mixture"]["coco"] == pytest.approx(0.2)
    assert api.get(f"/ui/studies/{study}/export?format=exe").status_code == 422


def test_with_a_key_exports_and_workers_are_for_its_holders(database_url):
    key = "a-key-of-thirty-two-or-more-chars"
    settings = Settings(database_url=database_url, upkeep_every_s=3600.0, api_key=key)
    with TestClient(in_process(settings, Inline()), base_url="http://127.0.0.1") as client:
        bearer = {"Authorization": f"Bearer {key}"}
        assert client.post("/studies", json=body(), headers=bearer).status_code == 201
        pages = [f"/ui/studies/vlm/{part}" for part in _parts()] + ["/ui/workers"]
        for address in pages:
            assert client.get(address).status_code == 401, address
        sign_in(client, key)
        for address in pages:
            assert client.get(address).status_code == 200, address


def _parts() -> list[str]:
    own = ["mixtures", "mixtures/found", "mixtures/figures", "benchmarks", "benchmarks/figures"]
    return [*own, "surfaces", "surfaces/gp", "what-if", "export?format=csv"]
