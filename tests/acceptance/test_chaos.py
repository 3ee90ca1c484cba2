"""The short form of `python -m bench.chaos`: kills and lost answers lose and double nothing, while
trials pause, go on and are stopped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.chaos import Plan, run, study
from bench.chaos_ledger import examine, given_away
from bench.chaos_proxy import Weather
from bench.chaos_worker import STEPS
from db import leases, studies, trials
from db.measurements import Reading
from db.sessions import Database
from db.trials import NewTrial
from tests.support import LONG_S
from tests.support.postgres import programs
from tests.support.warm import Command

pytestmark = pytest.mark.timeout(LONG_S)


def start(module: Sequence[str], log: Path) -> Command:
    name, *arguments = module
    with log.open("ab") as out:
        return Command(*arguments, module=name, stdout=out, stderr=out)


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_nothing_is_lost_or_doubled_while_everything_is_killed(database):
    if database == "postgresql" and programs() is None:
        pytest.skip("NOT RUN on PostgreSQL: there are no programs of it")
    plan = Plan(
        trials=24,
        workers=3,
        database=database,
        seed=1,
        lease_s=1.5,
        limit_s=120.0,
        weather=Weather(refuse=0.1, lose_answer=0.05, delay=0.05, delay_s=0.2),
        acts={"pause": 8, "stop": 3},
        kills={"service": 2, "worker": 4, "run": 3}
        | ({"database": 1} if database == "postgresql" else {}),
    )
    verdict = run(plan, start)
    assert verdict.is_sound, verdict
    assert verdict.faults | plan.kills == verdict.faults, "each was there, so each was survived"
    assert {"lose_answer", "delay", "refuse"} <= verdict.faults.keys()
    assert verdict.told["attempts"] >= plan.trials
    for what in ("pauses", "continued", "stopped for good", "runs that died"):
        assert verdict.told[what], what


def test_what_is_lost_or_stuck_would_be_noticed(database, database_url):
    plan = Plan(trials=3)
    with database.write() as session:
        made, _ = studies.create(session, study(plan).model_dump(mode="json"), "user")
        for _ in range(2):
            trials.add(session, made, NewTrial({"a": 1.0}, "queued"), "user")
        for number in (1, 2):
            leases.claim(session, f"w{number}", None, f"token-{number}")
        leases.finish(session, 1, "token-1", [Reading("score", 0.25, 100, STEPS)])
    sound, told = examine(Database(database_url), plan.trials, f"completed 1 {STEPS} 0.25\n")
    assert sound["results lost"] == sound["results doubled"] == sound["results miscounted"] == 0
    assert told["results that a worker saw answered"] == 1
    assert (sound["trials lost"], sound["trials stuck"]) == (2, 2), "state and lease, one each"
    ended = (f"1 {STEPS} 0.25", f"1 {STEPS} 0.5", f"2 {STEPS} 0.75")
    ledger = "".join(f"completed {line}\n" for line in ended)
    broken, _ = examine(Database(database_url), plan.trials, ledger)
    assert broken["results lost"] == 2
    assert broken["results doubled"] == 1


def test_pauses_that_are_lost_or_doubled_would_be_noticed(database, database_url):
    with database.write() as session:
        made, _ = studies.create(session, study(Plan()).model_dump(mode="json"), "user")
        for number in (1, 2):
            trials.add(session, made, NewTrial({"a": 1.0}, "queued"), "user")
            leases.claim(session, f"w{number}", None, f"token-{number}")
        leases.leave(session, 1, "token-1", 2, [Reading("score", 0.25, 100, 2)])
        leases.finish(session, 2, "token-2", [Reading("score", 0.25, 100, 2)])
    sound, told = examine(Database(database_url), 2, "paused 1 2 0.25\n")
    assert (sound["pauses lost"], sound["pauses doubled"], told["pauses"]) == (0, 0, 1)
    assert sound["parts taken for whole runs"] == 1, "trial 2 ended with scores of step 2"
    broken, _ = examine(Database(database_url), 2, "paused 1 2 0.5\npaused 2 2 0.25\n")
    assert broken["pauses lost"] == 2, "another score, and a pause that is in no log"
    assert given_away(["claimed", "paused", "continued", "claimed", "paused"]) == 0
    assert given_away(["claimed", "paused", "claimed"]) == 1
