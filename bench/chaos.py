"""Kills services, workers and the database at random, loses answers, and counts what got lost.

`python -m bench.chaos [--trials 2000] [--workers 20] [--databases sqlite,postgresql]`
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from bench.chaos_proxy import CALM, Proxy, Weather
from bench.chaos_worker import BENCHMARK, STUDY
from bench.report import read_results, table, write_results, write_section
from db import upgrade
from db.models import Attempt, Event, Measurement, Trial
from db.sessions import Database
from modomodo.local import free_port
from service.schemas import StudySpec
from tests.postgres import Server
from trainer.client import Client

ROOT = Path(__file__).parents[1]
LEASE_S = 3.0
START_S = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do to whom.

    Attributes:
        pauses: seconds between two kills of one kind, on average; the first of each kind comes
            in the first quarter of it, however short the run is.
        faults_s: after so long only calm follows, so that it comes to an end.
    """

    trials: int = 2000
    workers: int = 20
    database: str = "postgresql"
    seed: int = 0
    faults_s: float = 600.0
    end_s: float = 300.0
    pauses: dict[str, float] = field(
        default_factory=lambda: {"service": 15.0, "worker": 3.0, "database": 20.0}
    )
    weather: Weather = field(default_factory=Weather)


@dataclass(slots=True)
class Verdict:
    """What was done, and what of the promises did not hold: all of `broken` must be 0."""

    seconds: float
    faults: dict[str, int]
    broken: dict[str, int]
    told: dict[str, int]

    @property
    def is_sound(self) -> bool:
        return not any(self.broken.values())


class Fleet:
    """Services, workers, proxy and database of one run."""

    def __init__(self, plan: Plan, folder: Path, stack: ExitStack) -> None:
        self._plan, self._folder = plan, folder
        self._chance = random.Random(plan.seed)
        self.faults: Counter[str] = Counter()
        self.server: Server | None = None
        if plan.database == "postgresql":
            self.server = stack.enter_context(Server())
            self.url = self.server.create()
        else:
            self.url = f"sqlite:///{folder}/modomodo.db"
        database = Database(self.url)
        upgrade.upgrade(database)
        database.close()
        # Several replicas need a server; SQLite is for one.
        self._ports = [free_port() for _ in range(2 if self.server else 1)]
        self._services = {port: self._serve(port) for port in self._ports}
        self.proxy = Proxy(self._ports, plan.weather, plan.seed)
        stack.callback(self.proxy.close)
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        stack.callback(self._end)
        self.ledger = folder / "ledger"
        self.ledger.touch()

    def direct(self) -> str:
        """A service's own address, without the proxy."""
        return f"http://127.0.0.1:{self._ports[0]}"

    def hire(self) -> None:
        """Has all workers at work."""
        for number in range(self._plan.workers):
            name = f"worker-{number}"
            process = self._workers.get(name)
            # One that ended by itself found no more to do.
            if process is None or process.poll() not in (None, 0):
                self._workers[name] = self._start(
                    [
                        "bench.chaos_worker",
                        f"http://127.0.0.1:{self.proxy.port}",
                        name,
                        str(self.ledger),
                        str(self._chance.randrange(2**31)),
                    ],
                    "workers.log",
                )

    def keep_serving(self) -> None:
        """Starts services that died."""
        for port, process in self._services.items():
            if process.poll() is not None:
                self._services[port] = self._serve(port)

    def strike(self, what: str) -> None:
        """Kills one of a kind with -9; it comes back at once, as under a supervisor."""
        if what == "database":
            if self.server is None:
                return
            self.server.kill()
            self.server.start()
        elif what == "service":
            kill(self._services[self._chance.choice(self._ports)])
            self.keep_serving()
        else:
            living = [p for p in self._workers.values() if p.poll() is None]
            if not living:
                return
            kill(self._chance.choice(living))
            self.hire()
        self.faults[what] += 1

    @property
    def is_done(self) -> bool:
        return all(process.poll() == 0 for process in self._workers.values())

    def _serve(self, port: int) -> subprocess.Popen[bytes]:
        command = ["modomodo", "serve", "--port", str(port), "--database", self.url]
        return self._start(command, "services.log")

    def _start(self, module: list[str], log: str) -> subprocess.Popen[bytes]:
        with (self._folder / log).open("ab") as out:
            return subprocess.Popen(
                [sys.executable, "-m", *module], cwd=ROOT, stdout=out, stderr=out,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def _end(self) -> None:
        for process in (*self._workers.values(), *self._services.values()):
            kill(process)


def run(plan: Plan) -> Verdict:
    """Carries out a plan, and looks at what is stored afterwards."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        began = time.monotonic()
        fleet = Fleet(plan, folder, stack)
        with Client(fleet.direct(), patience_s=START_S) as client:
            client.create_study(study(plan))
        fleet.hire()
        _rage(plan, fleet)
        _calm_down(plan, fleet)
        faults = dict(fleet.faults + fleet.proxy.faults)
        broken, told = examine(Database(fleet.url), plan, fleet.ledger.read_text())
        broken["workers that did not come to an end"] = int(not fleet.is_done)
        return Verdict(time.monotonic() - began, faults, broken, told)


def study(plan: Plan) -> StudySpec:
    """Proposes at random; attempts are plenty, since every kill uses one."""
    return StudySpec.model_validate(
        {
            "name": STUDY,
            "domains": [{"name": "a"}, {"name": "b"}],
            "benchmarks": [{"name": BENCHMARK, "group": "out", "samples": 100}],
            "strategy": "random",
            "budget": plan.trials,
            "lookahead": 2 * plan.workers,
            "lease_s": LEASE_S,
            "max_attempts": 100,
            "recipe": {},
        }
    )


def _rage(plan: Plan, fleet: Fleet) -> None:
    chance = random.Random(plan.seed + 1)
    started = time.monotonic()
    due = {what: started + chance.uniform(0, s / 4) for what, s in plan.pauses.items()}
    while time.monotonic() - started < plan.faults_s and not fleet.is_done:
        what = min(due, key=lambda key: due[key])
        time.sleep(max(0.0, min(0.5, due[what] - time.monotonic())))
        if time.monotonic() >= due[what]:
            fleet.strike(what)
            due[what] = time.monotonic() + chance.expovariate(1 / plan.pauses[what])


def _calm_down(plan: Plan, fleet: Fleet) -> None:
    fleet.proxy.weather = CALM
    deadline = time.monotonic() + plan.end_s
    while not fleet.is_done and time.monotonic() < deadline:
        fleet.keep_serving()
        fleet.hire()
        time.sleep(0.2)


def examine(database: Database, plan: Plan, ledger: str) -> tuple[dict[str, int], dict[str, int]]:
    """Promises that were broken, how often each, and what else there is to tell."""
    answered: dict[int, list[float]] = {}
    for line in ledger.splitlines():
        trial, score = line.split()
        answered.setdefault(int(trial), []).append(float(score))
    with database.read() as session:
        states = dict(session.execute(select(Trial.id, Trial.state)).all())
        own: dict[int, list[float]] = {}
        for trial_id, score_ in session.execute(
            select(Measurement.trial_id, Measurement.score).where(Measurement.replicate == "")
        ):
            own.setdefault(trial_id, []).append(score_)
        completions = Counter(
            session.scalars(select(Event.trial_id).where(Event.what == "completed"))
        )

        def count(query: Any) -> int:
            return session.execute(select(func.count()).select_from(query.subquery())).scalar_one()

        live = count(select(Attempt.id).where(Attempt.state == "live"))
        replicates = count(select(Measurement.id).where(Measurement.replicate != ""))
        attempts = count(select(Attempt.id))
        expired = count(select(Attempt.id).where(Attempt.state == "expired"))
    database.close()
    completed = [trial for trial, state in states.items() if state == "completed"]
    broken = {
        "trials lost": plan.trials - len(completed),
        "trials too many": max(0, len(states) - plan.trials),
        "trials stuck": sum(state == "running" for state in states.values()) + live,
        "results lost": sum(
            score not in own.get(trial, [])
            for trial, scores in answered.items()
            for score in scores
        ),
        "results doubled": sum(len(own.get(trial, [])) != 1 for trial in completed)
        + sum(n > 1 for n in completions.values())
        + sum(len(set(scores)) > 1 for scores in answered.values()),
    }
    told = {
        "results that a worker saw answered": sum(map(len, answered.values())),
        "attempts": attempts,
        "leases that ran out": expired,
        "replicates kept": replicates,
    }
    return broken, told


def kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()


def main(show: Callable[[str], None] = print) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=20)
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    verdicts: dict[str, Verdict] = {}
    for database in given.databases.split(","):
        plan = Plan(given.trials, given.workers, database, given.seed)
        verdicts[database] = run(plan)
        show(f"{database}: {verdicts[database]}")
    # A database that was not asked for keeps the figures of its last run.
    kept = {name: Verdict(**found) for name, found in read_results("chaos").items()}
    verdicts = kept | verdicts
    write_results("chaos", {name: asdict(verdict) for name, verdict in verdicts.items()})
    parts: dict[str, str] = {"faults": "", "told": "", "broken": "**"}
    rows = [
        [f"{bold}{what}{bold}", *(str(getattr(v, part).get(what, 0)) for v in verdicts.values())]
        for part, bold in parts.items()
        for what in sorted({key for v in verdicts.values() for key in getattr(v, part)})
    ]
    rows.append(["seconds", *(f"{v.seconds:.0f}" for v in verdicts.values())])
    told = f"{given.trials} short trials by {given.workers} workers; bold must be 0."
    write_section("chaos", f"{told}\n\n{table(['what', *verdicts], rows)}")
    if not all(verdict.is_sound for verdict in verdicts.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
