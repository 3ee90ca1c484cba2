"""How busy a fleet's controller keeps its machines, and what the fleet costs the service.

`python -m bench.fleet [--seconds 60] [--workers 100,300,1000] [--databases sqlite,postgresql]`

The controller is the real one, looking every second where it otherwise does every ten; trials sleep
for 20 s on average in place of hours. Workers are calls of Ray actors, some hundred in a process,
since a thousand processes do not fit on a small machine; where Ray is not installed they are
coroutines of one process. Clients, controller, service and database share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import threading
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
import psutil

from bench.fleet_worker import Place, Seen
from bench.report import ROOT, table, write_results, write_section
from bench.service import database_of, fill, service
from bench.service_load import STUDY
from modomodo.fleet.controller import Controller
from modomodo.fleet.engines import Started, worker_name
from service.client import Client

PLACES = 4
"""Processes with workers; those of Ray's actors."""
TRIAL_S, EVERY_S = 20.0, 1.0
WARM_S, WARM_S_A_WORKER = 15.0, 0.04
"""Until a fleet that starts at once has spread out; not measured."""
STORED = 1000


class Calls(Protocol):
    """Where workers live."""

    name: str

    def start(self, worker: str) -> Any:
        """Begins a worker's life; what tells its end."""

    def living(self, handles: Sequence[Any]) -> set[Any]:
        """Those that have not ended."""

    def seen(self) -> list[Seen]:
        """What the workers saw, by place."""


class Here:
    """Coroutines of this process, in a thread of their own."""

    name = "coroutines"

    def __init__(self, url: str) -> None:
        self._place = Place(url, TRIAL_S)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def start(self, worker: str) -> Future[None]:
        return self._send(self._place.work(worker))

    def living(self, handles: Sequence[Future[None]]) -> set[Future[None]]:
        return {handle for handle in handles if not handle.done()}

    def seen(self) -> list[Seen]:
        return [self._send(self._place.seen()).result()]

    def _send(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)


class OnRay:
    """Calls of a few actors."""

    name = "ray"

    def __init__(self, url: str, most: int) -> None:
        import ray

        if not ray.is_initialized():
            ray.init(
                num_cpus=PLACES,
                include_dashboard=False,
                object_store_memory=80 * 2**20,
                logging_level="ERROR",
                runtime_env={"env_vars": {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}},
            )
        self._ray, self._n = ray, 0
        actor = ray.remote(num_cpus=1, max_concurrency=most + 1)(Place)
        self._places = [actor.remote(url, TRIAL_S) for _ in range(PLACES)]
        self.seen()  # they are there

    def start(self, worker: str) -> Any:
        self._n += 1
        return self._places[self._n % PLACES].work.remote(worker)

    def living(self, handles: Sequence[Any]) -> set[Any]:
        if not handles:
            return set()
        _, left = self._ray.wait([*handles], num_returns=len(handles), timeout=0)
        return set(left)

    def seen(self) -> list[Seen]:
        found: list[Seen] = self._ray.get([place.seen.remote() for place in self._places])
        return found

    def close(self) -> None:
        for place in self._places:
            self._ray.kill(place)


class Machines:
    """An engine with a machine for every worker that it is asked for."""

    def __init__(self, calls: Calls) -> None:
        self.fleet, self._calls = "bench", calls
        self._workers: dict[Any, Started] = {}

    def workers(self) -> list[Started]:
        living = self._calls.living([*self._workers])
        self._workers = {handle: w for handle, w in self._workers.items() if handle in living}
        return [*self._workers.values()]

    def start(self, study: str | None) -> None:
        name = worker_name(self.fleet, "here")
        self._workers[self._calls.start(name)] = Started(name, study, "running", name, "here")

    def cancel(self, worker: Started) -> None:
        """None is ever pending."""

    def lost(self, names: Sequence[str]) -> list[str]:
        return []


def measure(
    address: str, process: psutil.Process, calls: Calls, workers: int, for_s: float
) -> dict[str, Any]:
    """One fleet for so long, after it has warmed up."""
    with Client(address) as client:
        controller = Controller(client, Machines(calls), [STUDY], workers)
        turns = []
        warm = time.time() + WARM_S + WARM_S_A_WORKER * workers
        cpu_s = 0.0
        while (now := time.time()) < warm + for_s:
            if now < warm:
                cpu_s = sum(process.cpu_times()[:2])
                since = now
            controller.turn()
            turns.append(time.time() - now)
            time.sleep(max(0.0, EVERY_S - turns[-1]))
        until = time.time()
        cpu_s = sum(process.cpu_times()[:2]) - cpu_s
    found = calls.seen()
    held = sorted((a, until if b is None else b) for seen in found for a, b in seen.held)
    busy_s = sum(max(0.0, min(b, until) - max(a, since)) for a, b in held)
    waits = waiting_s(held, workers, since)
    row: dict[str, Any] = {
        "workers": workers,
        "trials": sum(since < b < until for _, b in held),
        "busy": round(busy_s / (workers * (until - since)), 3),
        "free_p50": quantile(waits, 50),
        "free_p99": quantile(waits, 99),
        "turn_p50": round(float(np.median(turns)), 2),
        "turn_max": round(max(turns), 2),
        "cores": round(cpu_s / (until - since), 2),
        "failed": sum(seen.failed for seen in found),
    }
    for call in ("next", "heartbeat", "result"):
        seconds = [s for seen in found for at, s in seen.calls.get(call, []) if at > since]
        row |= {f"{call}_p{q}": quantile(seconds, q, 1000) for q in (50, 95, 99)}
    return row


def quantile(seconds: Sequence[float], q: int, times: int = 1) -> float | None:
    """In seconds to two places, or in whole parts of one; None of nothing."""
    if not len(seconds):
        return None
    return round(times * float(np.percentile(seconds, q)), 2 if times == 1 else None)


def waiting_s(held: Sequence[tuple[float, float]], workers: int, since: float) -> list[float]:
    """How long machines stood idle between two trials, in seconds; each takes up the next trial in
    the order in which they became free.

    Args:
        held: when each trial was claimed and ended, by the first.
        since: claims before that are left out.
    """
    ends = sorted(end for _, end in held)
    pairs = zip((claimed for claimed, _ in held[workers:]), ends, strict=False)
    return [max(0.0, claimed - end) for claimed, end in pairs if claimed > since]


def shown(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def section(rows: Sequence[dict[str, Any]], loads: Sequence[float]) -> str:
    """The text of the bench."""
    head = ["database", "workers", "as", "trials", "busy", "free to next trial, p50/99 s"]
    head += ["controller's look, p50/max s", "next, p50/95/99 ms", "heartbeat, p50/95/99 ms"]
    head += ["result, p50/95/99 ms", "service, cores", "failed"]
    cells = [
        [
            row["database"],
            str(row["workers"]),
            row["as"],
            str(row["trials"]),
            f"{row['busy']:.1%}",
            " / ".join(shown(row[f"free_p{q}"]) for q in (50, 99)),
            f"{row['turn_p50']} / {row['turn_max']}",
            *(
                " / ".join(shown(row[f"{call}_p{q}"]) for q in (50, 95, 99))
                for call in ("next", "heartbeat", "result")
            ),
            str(row["cores"]),
            str(row["failed"]),
        ]
        for row in rows
    ]
    return (
        f"Trials take {TRIAL_S:g} s on average, the controller looks every {EVERY_S:g} s, and each "
        "worker beats every 3 s. Idle time between two trials is a worker's end, the controller's "
        "next look and the claim; it is the same for trials of hours, of which it is so much less. "
        f"{psutil.cpu_count()} cores for workers, controller, service and database, whose load "
        f"average was {loads[0]:.1f} before and {loads[1]:.1f} at the end.\n\n{table(head, cells)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--workers", default="100,300,1000")
    parser.add_argument("--databases", default="sqlite,postgresql")
    given = parser.parse_args()
    loads, rows = [os.getloadavg()[0]], list[dict[str, Any]]()
    has_ray = find_spec("ray") is not None
    for kind in given.databases.split(","):
        for workers in map(int, given.workers.split(",")):
            with database_of(kind) as url:
                fill(url, STORED)
                with service(url) as (address, process, _):
                    calls = OnRay(address, workers) if has_ray else Here(address)
                    found = measure(address, process, calls, workers, given.seconds)
                    if isinstance(calls, OnRay):
                        calls.close()
            rows.append({"database": kind, "as": calls.name} | found)
            print(rows[-1], flush=True)
    loads.append(os.getloadavg()[0])
    write_results("fleet", {"loads": loads, "rows": rows})
    write_section("fleet", section(rows, loads))


if __name__ == "__main__":
    main()
