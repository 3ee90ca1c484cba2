"""Kills services, workers and the database, loses answers, and counts what got lost.

Faults come by the work that is done, not by the clock: a slow machine sees as many as a fast one.

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
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import func, select

from bench.chaos_proxy import CALM, Proxy, Weather
from bench.chaos_worker import BENCHMARK, STUDY
from bench.report import read_results, table, write_results, write_section
from db import upgrade
from db.models import Attempt, Event, Measurement, Trial
from db.sessions import Database
from modomodo.local import free_port
from service.client import Client
from service.schemas import StudySpec
from tests.support.postgres import Server

ROOT = Path(__file__).parents[1]
START_S = 60.0
LOOK_EVERY_S = 0.05


class Process(Protocol):
    """What a run needs of a process that it started."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self) -> int: ...


Start = Callable[[Sequence[str], Path], Process]
"""Starts a module with arguments; what it prints goes on at the end of a file."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do to whom.

    Attributes:
        kills: how many of each kind, spread evenly over the trials.
        limit_s: the run is given up after so long.
    """

    trials: int = 2000
    workers: int = 20
    database: str = "postgresql"
    seed: int = 0
    lease_s: float = 3.0
    limit_s: float = 1800.0
    kills: dict[str, int] = field(
        default_factory=lambda: {"service": 30, "worker": 150, "database": 10}
    )
    weather: Weather = field(default_factory=Weather)

    def due(self) -> list[tuple[float, str]]:
        """After how many finished trials which kind is killed, in order."""
        chance = random.Random(self.seed + 1)
        times = [
            ((number + chance.random()) / n * self.trials, what)
            for what, n in self.kills.items()
            for number in range(n)
        ]
        return sorted(times)


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

    def __init__(self, plan: Plan, folder: Path, stack: ExitStack, start: Start) -> None:
        self._plan, self._folder, self._start = plan, folder, start
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
        self._workers: dict[str, Process] = {}
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
                    self._folder / "workers.log",
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

    @property
    def finished(self) -> int:
        """Results that workers saw answered."""
        return self.ledger.read_bytes().count(b"\n")

    def _serve(self, port: int) -> Process:
        command = ["modomodo", "serve", "--port", str(port), "--database", self.url]
        return self._start(command, self._folder / "services.log")

    def _end(self) -> None:
        for process in (*self._workers.values(), *self._services.values()):
            kill(process)


def start_process(module: Sequence[str], log: Path) -> Process:
    """Starts a module in a Python of its own."""
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", *module], cwd=ROOT, stdout=out, stderr=out,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip


def run(plan: Plan, start: Start = start_process) -> Verdict:
    """Carries out a plan, and looks at what is stored afterwards."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        began = time.monotonic()
        fleet = Fleet(plan, folder, stack, start)
        with Client(fleet.direct(), patience_s=START_S) as client:
            client.create_study(study(plan))
        fleet.hire()
        deadline = began + plan.limit_s
        _rage(plan, fleet, deadline)
        _calm_down(fleet, deadline)
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
            "lease_s": plan.lease_s,
            "max_attempts": 100,
            "recipe": {},
        }
    )


def _rage(plan: Plan, fleet: Fleet, deadline: float) -> None:
    for finished, what in plan.due():
        while fleet.finished < finished and not fleet.is_done:
            if time.monotonic() > deadline:
                return
            fleet.keep_serving()
            time.sleep(LOOK_EVERY_S)
        fleet.strike(what)


def _calm_down(fleet: Fleet, deadline: float) -> None:
    fleet.proxy.weather = CALM
    while not fleet.is_done and time.monotonic() < deadline:
        fleet.keep_serving()
        fleet.hire()
        time.sleep(LOOK_EVERY_S)


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


def kill(process: Process) -> None:
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
