"""The short form of `python -m bench.chaos`: kills and lost answers lose and double nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.chaos import Plan, examine, run, study
from bench.chaos_proxy import Weather
from db import leases, studies, trials
from db.measurements import Reading
from db.sessions import Database
from db.trials import NewTrial
from tests.support.postgres import programs
from tests.support.warm import Command


def start(module: Sequence[str], log: Path) -> Command:
    name, *arguments = module
    with log.open("ab") as out:
        return Command(*arguments, module=name, stdout=out, stderr=out)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_nothing_is_lost_or_doubled_while_everything_is_killed(database):
    if database == "postgresql" and programs() is None:
        pytest.skip("NOT RUN on PostgreSQL: there are no programs of it")
    plan = Plan(
        trials=40,
        workers=4,
        database=database,
        seed=1,
        lease_s=1.5,
        limit_s=50.0,
        weather=Weather(refuse=0.1, lose_answer=0.05, delay=0.05, delay_s=0.2),
        kills={"service": 2, "worker": 6} | ({"database": 2} if database == "postgresql" else {}),
    )
    verdict = run(plan, start)
    assert verdict.is_sound, verdict
    assert verdict.faults | plan.kills == verdict.faults, "each was there, so each was survived"
    assert {"lose_answer", "delay", "refuse"} <= verdict.faults.keys()
    assert verdict.told["attempts"] >= plan.trials


def test_what_is_lost_or_stuck_would_be_noticed(database, database_url):
    plan = Plan(trials=3)
    with database.write() as session:
        made, _ = studies.create(session, study(plan).model_dump(mode="json"), "user")
        for _ in range(2):
            trials.add(session, made, NewTrial({"a": 1.0}, "queued"), "user")
        for number in (1, 2):
            leases.claim(session, f"w{number}", None, f"token-{number}")
        leases.finish(session, 1, "token-1", [Reading("score", 0.25, 100)])
    sound, told = examine(Database(database_url), plan, "1 0.25\n")
    assert sound["results lost"] == sound["results doubled"] == 0
    assert told["results that a worker saw answered"] == 1
    assert (sound["trials lost"], sound["trials stuck"]) == (2, 2), "state and lease, one each"
    broken, _ = examine(Database(database_url), plan, "1 0.25\n1 0.5\n2 0.75\n")
    assert broken["results lost"] == 2
    assert broken["results doubled"] == 1
