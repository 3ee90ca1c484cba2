"""How many workers a service serves, how fast, and how that grows with what is stored.

`python -m bench.service [--seconds 10] [--databases sqlite,postgresql] [--before FOLDER]`

Workers are coroutines on this machine. With a pause of a second between its calls a worker does
in a minute what a real one does in an hour; without one, calls follow at once, which shows the
most trials a second. So many processes with Optuna ask its storage for a trial and tell it the
score at once, with no network between. Mixtures are of five domains, as in the paper. With
`--before`, the service of an earlier version, whose checkout FOLDER is, takes its turns in between.

Last, a study with 500 results of 17 domains, about the largest that anybody runs, is resumed, and
the time taken until its proposals are there.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import optuna
import psutil
from sqlalchemy import create_engine, insert, text, update

from bench.report import write_results, write_section
from bench.service_aims import (
    AT_ONCE,
    DOMAINS,
    LARGE_DOMAINS,
    LARGE_LOOKAHEAD,
    LARGE_TRIALS,
    MOST_FOR_OPTUNA,
    PAUSE_S,
    section,
)
from bench.service_load import BENCHMARK, STUDY, Load, work
from bench.speed import study as large_runs
from db import models, studies, upgrade
from db.sessions import Database
from modomodo.local import free_port
from service.client import Client
from service.schemas import Measurement, StudyPatch, StudySpec, TrialCreate
from tests.support.postgres import Server

ROOT = Path(__file__).parents[1]
STORED = (10, 1000, 10_000)
WORKERS = (1, 10, 100, 500, 1000)
QUEUED = 12_000
START_S = 60.0
LARGE_LIMIT_S = 600.0
AS_BEFORE = """
import asyncio, sys
from bench import service
kind, stored, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
with service.database_of(kind) as url:
    service.fill(url, stored)
    with service.service(url) as (address, process, _):
        load = asyncio.run(service.work(address, service.AT_ONCE, seconds, 0.0))
        print(service.figures(load, process)["trials_s"])
"""
"""Trials a second, as the bench of the version in whose folder this runs finds them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--before", type=Path, help="checkout of the version to compare with")
    given = parser.parse_args()
    # What was imported here is no part of a worker: looking through it for garbage would be timed.
    gc.collect()
    gc.freeze()
    loads, starts = [os.getloadavg()[0]], list[float]()
    rows: list[dict[str, Any]] = []
    peers: list[dict[str, Any]] = []
    before: list[dict[str, Any]] = []
    proposed: dict[str, float] = {}
    for kind in given.databases.split(","):
        for stored in STORED:
            with database_of(kind) as url:
                fill(url, stored)
                with service(url) as (address, process, start_s):
                    starts.append(start_s)
                    for workers, pause_s in [(AT_ONCE, 0.0), *((w, PAUSE_S) for w in WORKERS)]:
                        began = cpu_s(process)
                        load = asyncio.run(work(address, workers, given.seconds, pause_s))
                        took = {who: ended - began[who] for who, ended in cpu_s(process).items()}
                        row = {"database": kind, "stored": stored, "workers": workers}
                        row |= {"pause_s": pause_s} | figures(load, process)
                        per_trial = 1000 / max(1, load.trials)
                        row["cpu_ms"] = {w: round(s * per_trial, 2) for w, s in took.items()}
                        rows.append(row)
                        print(rows[-1], flush=True)
            if given.before is not None:
                rate = rate_before(given.before.absolute(), kind, stored, given.seconds)
                before.append({"database": kind, "stored": stored, "trials_s": rate})
                print("before", before[-1], flush=True)
            if stored > MOST_FOR_OPTUNA:
                continue
            with database_of(kind, is_migrated=False) as url:
                rate = optuna_rate(url, stored, given.seconds)
                peers.append({"database": kind, "stored": stored, "trials_s": rate})
                print("optuna", peers[-1], flush=True)
        with database_of(kind) as url, service(url) as (address, _, _):
            proposed[kind] = round(proposals_s(address), 1)
            print("large study", kind, proposed[kind], flush=True)
    loads.append(os.getloadavg()[0])
    found = {
        "loads": loads,
        "start_s": starts,
        "service": rows,
        "optuna": peers,
        "before": before,
        "proposed": proposed,
    }
    write_results("service", found)
    write_section("service", section(**found))


def figures(load: Load, process: psutil.Process) -> dict[str, Any]:
    """Rates, latencies in milliseconds, and the service's memory in MiB."""
    milliseconds = {
        f"{call}_p{q}": round(1000 * float(np.percentile(seconds, q)), 1)
        for call, seconds in load.seconds.items()
        for q in (50, 95, 99)
    }
    return {
        "trials_s": round(load.trials / load.took_s, 1),
        "calls_s": round(sum(map(len, load.seconds.values())) / load.took_s, 1),
        "failed": load.failed,
        "memory_mib": round(process.memory_info().rss / 2**20),
        **milliseconds,
    }


def cpu_s(service: psutil.Process) -> dict[str, float]:
    """Seconds of processor that the service, the workers and PostgreSQL have had so far."""
    here = psutil.Process()
    servers = [child for child in here.children(recursive=True) if child.name() == "postgres"]
    of = {"service": [service], "workers": [here], "database": servers}
    return {who: sum(sum(p.cpu_times()[:2]) for p in processes) for who, processes in of.items()}


@contextmanager
def database_of(kind: str, *, is_migrated: bool = True) -> Iterator[str]:
    """URL of a new database; commits wait for the disk."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        if kind == "sqlite":
            url = f"sqlite:///{folder}/bench.db"
            if is_migrated:
                _migrate(url)
            yield url
            return
        with Server(durable=True) as server:
            url = server.create()
            if is_migrated:
                _migrate(url)
            yield url


def _migrate(url: str) -> None:
    database = Database(url)
    upgrade.upgrade(database)
    database.close()


def fill(url: str, stored: int) -> None:
    """A study with completed trials, and enough queued ones that nothing need be proposed."""
    database = Database(url)
    spec = StudySpec.model_validate(
        {
            "name": STUDY,
            "domains": [{"name": name} for name in DOMAINS],
            "benchmarks": [{"name": BENCHMARK, "group": "out", "samples": 100}],
            "strategy": "random",
            "budget": stored + QUEUED,
            "recipe": {},
        }
    ).model_dump(mode="json")
    with database.write() as session:
        study, _ = studies.create(session, spec, "bench")
        trials = [
            {
                "study_id": study.id,
                "number": n,
                "revision": n,
                "state": "completed" if n <= stored else "queued",
                "origin": "queued",
                "mixture": dict.fromkeys(DOMAINS, 0.2),
                "seed": n,
            }
            for n in range(1, stored + QUEUED + 1)
        ]
        session.execute(insert(models.Trial), trials)
        ids = range(1, stored + 1)
        scores = [
            {"trial_id": i, "benchmark": BENCHMARK, "rule": "paper", "step": 0, "score": 0.5,
             "samples": 100}
            for i in ids
        ]  # fmt: skip
        session.execute(insert(models.Measurement), scores)
        session.execute(
            update(models.Study).values(
                last_number=len(trials), revision=len(trials), results=stored
            )
        )
    _analyze(url)
    database.close()


def _analyze(url: str) -> None:
    """Has the server count its rows, as it does by itself within a minute."""
    if not url.startswith("sqlite"):
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("ANALYZE"))
        engine.dispose()


@contextmanager
def service(url: str) -> Iterator[tuple[str, psutil.Process, float]]:
    """Address and process of a running service, and the seconds until it first answered."""
    port = free_port()
    command = [sys.executable, "-m", "modomodo", "serve", "--port", str(port), "--database", url]
    with tempfile.TemporaryFile() as log:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + START_S
            while not _is_up(address):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the service did not start")
                time.sleep(0.05)
            yield address, psutil.Process(process.pid), time.perf_counter() - began
        finally:
            process.kill()
            process.wait()


def _is_up(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz").is_success
    except httpx.TransportError:
        return False


def proposals_s(address: str) -> float:
    """Seconds from resuming a large study until all its proposals are there."""
    space, runs = large_runs(LARGE_DOMAINS, LARGE_TRIALS)
    scores = (runs.score - runs.score.min()) / np.ptp(runs.score)
    spec = StudySpec.model_validate(
        {
            "name": STUDY,
            "domains": [{"name": name} for name in space.domains],
            "benchmarks": [{"name": BENCHMARK, "group": "out", "samples": 500}],
            "strategy": "auto",
            "budget": 2 * LARGE_TRIALS,
            "lookahead": LARGE_LOOKAHEAD,
            "recipe": {},
        }
    )
    with Client(address) as client:
        client.create_study(spec)
        client.patch_study(STUDY, StudyPatch(state="paused"))
        for mixture, score in zip(runs.weights, scores, strict=True):
            weights = dict(zip(space.domains, map(float, mixture), strict=True))
            measured = Measurement(benchmark=BENCHMARK, score=float(score), samples=500)
            client.add_trial(STUDY, TrialCreate(mixture=weights, measurements=[measured]))
        began = time.perf_counter()
        client.patch_study(STUDY, StudyPatch(state="active"))
        while client.study(STUDY).trials["queued"] < LARGE_LOOKAHEAD:
            if time.perf_counter() - began > LARGE_LIMIT_S:
                raise RuntimeError(f"no proposals for the large study in {LARGE_LIMIT_S:.0f} s")
            time.sleep(0.1)
        by = {trial.proposal.strategy for trial in client.trials(STUDY) if trial.proposal}
        if "seed" in by:
            raise RuntimeError("the strategy failed, and seeds were its fallback")
        return time.perf_counter() - began


def rate_before(folder: Path, kind: str, stored: int, seconds: float) -> float:
    """Trials a second of workers that never pause, by the version in a folder."""
    asked = [sys.executable, "-c", AS_BEFORE, kind, str(stored), str(seconds)]
    its_own = os.environ | {"PYTHONPATH": str(folder)}
    ran = subprocess.run(
        asked, cwd=folder, env=its_own, check=True, stdout=subprocess.PIPE, text=True
    )
    return float(ran.stdout)


def optuna_rate(url: str, stored: int, seconds: float) -> float:
    """Trials a second that processes with Optuna ask for and tell, with so many stored."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(storage=url, study_name=STUDY)
    space = {name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in DOMAINS}
    study.add_trials(
        optuna.trial.create_trial(
            params=dict.fromkeys(DOMAINS, 0.5), distributions=dict(space), value=0.5
        )
        for _ in range(stored)
    )
    _analyze(url)
    own = multiprocessing.get_context("spawn")
    start, rates = own.Barrier(AT_ONCE), own.Queue()
    processes = [
        own.Process(target=_ask_and_tell, args=(url, seed, seconds, start, rates))
        for seed in range(AT_ONCE)
    ]
    for process in processes:
        process.start()
    found = [rates.get(timeout=START_S + 2 * seconds) for _ in processes]
    for process in processes:
        process.join()
    return round(sum(found), 1)


def _ask_and_tell(url: str, seed: int, seconds: float, start: Any, rates: Any) -> None:
    """One process: trials a second go to the queue `rates`."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.RandomSampler(seed)
    study = optuna.load_study(storage=url, study_name=STUDY, sampler=sampler)
    space = {name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in DOMAINS}
    start.wait(START_S)
    n, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        trial = study.ask(dict(space))
        study.tell(trial, 0.5)
        n += 1
    rates.put(n / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
