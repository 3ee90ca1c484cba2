"""What a fleet is doing: rows for tables, and what the service says of the work that is left."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from modomodo.fleet.controller import Turn
from modomodo.fleet.engines import Engine
from service.client import Client, ServiceUnreachable
from service.schemas import Demand, WorkerSeen

COLUMNS = ("node", "worker", "state", "study", "trial", "step", "gpus", "gpu_hours")
POOL_COLUMNS = ("study", "workers", "want", "running", "claimable", "left")


def rows(client: Client, runs: Engine) -> list[dict[str, Any]]:
    """A worker a row: what the engine says of it, and what the service does."""
    seen = {worker.name: worker for worker in client.workers(f"{runs.fleet}.")}
    found = []
    for started in runs.workers():
        held = seen.pop(started.name or "", None)
        has_trial = held is not None and held.trial is not None
        is_idle = started.state == "running" and not has_trial
        found.append(
            {
                "node": started.node,
                "worker": started.name,
                "state": "idle" if is_idle else started.state,
            }
            | _trial(held)
        )
    # A lease that outlives its worker is worth knowing of.
    found += [
        {"node": "", "worker": name, "state": "not there"} | _trial(worker)
        for name, worker in seen.items()
        if worker.trial is not None
    ]
    return found


def table(fleet: str, found: Sequence[dict[str, Any]]) -> Table:
    """Of the rows of `rows`."""
    shown = Table(*(column.replace("_", "-") for column in COLUMNS), title=f"fleet {fleet}")
    for row in found:
        shown.add_row(*(escape("" if row[c] is None else str(row[c])) for c in COLUMNS))
    return shown


def summary(found: Sequence[dict[str, Any]], demand: Demand) -> str:
    """One line: how many workers are at what, and how much work there is."""
    states = [row["state"] for row in found]
    counted = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    paused = f", {demand.paused} paused" if demand.paused else ""
    return (
        f"{len(found)} workers{f' ({counted})' if counted else ''}; trials: {demand.running} "
        f"running, {demand.claimable} can begin{paused}, {demand.left} left"
    )


def watch(client: Client, runs: Engine, pause_s: float, *, is_drawn: bool) -> None:
    """Looks again and again until it is interrupted.

    Args:
        is_drawn: as a table that is kept up to date, and not as JSON lines.
    """
    live = Live(console=Console(), auto_refresh=False) if is_drawn else None
    try:
        with live or nullcontext():
            while True:
                line: dict[str, Any]
                try:
                    found = rows(client, runs)
                    said = summary(found, client.demand())
                    shown, line = Group(table(runs.fleet, found), said), {"workers": found}
                except ServiceUnreachable as error:
                    shown, line = Group(escape(str(error))), {"error": str(error)}
                if live is not None:
                    live.update(shown, refresh=True)
                else:
                    sys.stdout.write(json.dumps({"fleet": runs.fleet, **line}) + "\n")
                    sys.stdout.flush()
                time.sleep(pause_s)
    except KeyboardInterrupt:
        return


def lines(found: Turn) -> list[dict[str, Any]]:
    """A line a pool of a controller's look."""
    return [
        {
            "study": pool.study,
            "claimable": pool.demand.claimable,
            "running": pool.running,
            "left": pool.demand.left,
            "workers": len(pool.started),
            "want": pool.want,
            "start": pool.missing,
            "take_back": len(pool.surplus),
        }
        for pool in found.pools
    ]


def progress(fleet: str, found: Turn | None) -> RenderableType:
    """What a controller draws of its last look, below its log."""
    if found is None:
        return f"fleet {fleet}: no look has come off yet"
    shown = Table(*POOL_COLUMNS, title=f"fleet {fleet}")
    for line in lines(found):
        cells = ("any" if line[c] is None else str(line[c]) for c in POOL_COLUMNS)
        shown.add_row(*map(escape, cells))
    return shown


def _trial(held: WorkerSeen | None) -> dict[str, Any]:
    if held is None or held.trial is None:
        return dict.fromkeys(COLUMNS[3:])
    return {
        "study": held.study,
        "trial": held.trial,
        "step": held.step,
        "gpus": held.gpus,
        "gpu_hours": round(held.held_s * held.gpus / 3600, 3),
    }
