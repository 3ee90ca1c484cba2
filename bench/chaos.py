"""Kills services, workers, runs and the database, loses answers, has trials pause, go on and stop
meanwhile, and counts what got lost.

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
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bench import chaos_ledger
from bench.chaos_hand import Hand
from bench.chaos_ledger import Verdict
from bench.chaos_proxy import CALM, Proxy, Weather
from bench.chaos_worker import BENCHMARK, STUDY
from bench.report import read_results, table, write_results, write_section
from db import upgrade
from db.sessions import Database
from modomodo.local import free_port
from service.client import Client
from service.schemas import StudyPatch, StudySpec
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
        acts: how many trials are to pause, and to be stopped while they are paused.
        limit_s: the run is given up after so long.
    """

    trials: int = 2000
    workers: int = 20
    database: str = "postgresql"
    seed: int = 0
    lease_s: float = 3.0
    limit_s: float = 1800.0
    kills: dict[str, int] = field(
        default_factory=lambda: {"service": 30, "worker": 150, "run": 150, "database": 10}
    )
    acts: dict[str, int] = field(default_factory=lambda: {"pause": 600, "stop": 200})
    weather: Weather = field(default_factory=Weather)

    @classmethod
    def for_trials(cls, trials: int, **rest: Any) -> Plan:
        """As many faults and acts for each trial as the whole plan has."""
        whole = cls()
        kills, acts = (
            {what: max(1, round(n * trials / whole.trials)) for what, n in each.items()}
            for each in (whole.kills, whole.acts)
        )
        return cls(trials, kills=kills, acts=acts, **rest)

    def due(self) -> list[tuple[float, str]]:
        """After how many finished trials which kind is killed, in order."""
        chance = random.Random(self.seed + 1)
        times = [
            ((number + chance.random()) / n * self.trials, what)
            for what, n in self.kills.items()
            for number in range(n)
        ]
        return sorted(times)


class Fleet:
    """Services, workers, proxy and database of one run."""

    def __init__(self, plan: Plan, folder: Path, stack: ExitStack, start: Start) -> None:
        self._plan, self._folder, self._start = plan, folder, start
        self.trials = plan.trials
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
        self._runs = folder / "runs"
        self._runs.mkdir()

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

    def extend(self) -> None:
        """More trials, where a fault is still to come and all work is done: on a busy machine who
        looks for its turn may come late."""
        self.trials += self._plan.workers
        with Client(self.direct(), patience_s=START_S) as client:
            client.patch_study(STUDY, StudyPatch(budget=self.trials))
        self._workers.clear()
        self.hire()

    def strike(self, what: str) -> bool:
        """Kills one of a kind with -9; it comes back at once, as under a supervisor. False where
        none is at work any more."""
        if what == "database":
            if self.server is None:
                return True
            self.server.kill()
            self.server.start()
        elif what == "service":
            kill(self._services[self._chance.choice(self._ports)])
            self.keep_serving()
        elif what == "run":
            if not self._kill_a_run():
                return False
        else:
            living = [p for p in self._workers.values() if p.poll() is None]
            if not living:
                return False
            kill(self._chance.choice(living))
            self.hire()
        self.faults[what] += 1
        return True

    def _kill_a_run(self) -> bool:
        """Waits for one that is at work; False where all work is done."""
        while not self.is_done:
            pids = [int(text) for file in self._runs.glob("*.pid") if (text := file.read_text())]
            workers = {process.pid for process in self._workers.values()}
            living = [pid for pid in pids if _parent(pid) in workers]
            if living:
                with suppress(ProcessLookupError):  # it was quicker
                    os.kill(self._chance.choice(living), signal.SIGKILL)
                    return True
            self.keep_serving()
            time.sleep(LOOK_EVERY_S)
        return False

    @property
    def is_done(self) -> bool:
        return all(process.poll() == 0 for process in self._workers.values())

    @property
    def finished(self) -> int:
        """Trials that ended, as far as anybody saw it answered."""
        lines = self.ledger.read_bytes().splitlines()
        return sum(not line.startswith(b"paused") for line in lines)

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
        hand = Hand(
            f"http://127.0.0.1:{fleet.proxy.port}",
            lambda what: plan.acts[what] * (fleet.finished + 1) / plan.trials,
            fleet.ledger,
            plan.seed,
        )
        hand.start()
        _rage(plan, fleet, deadline)
        _calm_down(fleet, deadline)
        hand.end()
        faults = dict(fleet.faults + fleet.proxy.faults)
        ledger = fleet.ledger.read_text()
        broken, told = chaos_ledger.examine(Database(fleet.url), fleet.trials, ledger)
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
        while not fleet.strike(what):
            if time.monotonic() > deadline:
                return
            fleet.keep_serving()
            if fleet.is_done:
                fleet.extend()
            time.sleep(LOOK_EVERY_S)


def _calm_down(fleet: Fleet, deadline: float) -> None:
    fleet.proxy.weather = CALM
    while not fleet.is_done and time.monotonic() < deadline:
        fleet.keep_serving()
        fleet.hire()
        time.sleep(LOOK_EVERY_S)


def _parent(pid: int) -> int | None:
    """The process that started this one; None where it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    state, parent = stat.rpartition(")")[2].split()[:2]
    return None if state == "Z" else int(parent)


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
        plan = Plan.for_trials(
            given.trials, workers=given.workers, database=database, seed=given.seed
        )
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
