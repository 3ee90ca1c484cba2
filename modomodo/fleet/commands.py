"""`modomodo fleet …`: workers as there is work, on an engine that runs machines."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from modomodo.connect import UrlOption
from modomodo.errors import WrongUse
from modomodo.extras import need
from modomodo.fleet.controller import Controller, Turn
from modomodo.fleet.engines import FLEET_NAME, Engine, Setup
from modomodo.worker import seconds
from service.client import Client, ServiceUnreachable

app = typer.Typer(invoke_without_command=True)

PATIENCE_S = 10.0


class EngineName(StrEnum):
    """What runs the machines."""

    LOCAL = "local"
    RAY = "ray"
    SLURM = "slurm"


EngineOption = Annotated[
    EngineName,
    typer.Option(
        "--engine",
        help="local: processes of this machine; ray: a Ray cluster; slurm: batch jobs.",
    ),
]
NameOption = Annotated[
    str | None,
    typer.Option(
        "--name", help="Of the fleet, which its workers' names begin with. Default: by the engine."
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option("--address", envvar="RAY_ADDRESS", help="Of the Ray cluster, as HEAD:6379."),
]
FolderOption = Annotated[
    Path, typer.Option("--folder", file_okay=False, help="Where engine local keeps logs and runs.")
]
HERE = Path("runs/fleet")


@app.callback()
def fleet(
    context: typer.Context,
    engine: EngineOption = EngineName.LOCAL,
    url: UrlOption = None,
    study: Annotated[
        list[str] | None, typer.Option(help="Only work of this study; may be given again.")
    ] = None,
    most: Annotated[int, typer.Option("--max", min=0, help="Workers at most.")] = 1,
    least: Annotated[
        int, typer.Option("--min", min=0, help="Workers kept as long as anything is left to do.")
    ] = 0,
    gpus: Annotated[int, typer.Option("--gpus-per-trial", min=0, help="GPUs of a worker.")] = 1,
    store: Annotated[
        str | None,
        typer.Option(
            envvar="MODOMODO_STORE", help="Where checkpoints are kept for all nodes, as s3://b/p."
        ),
    ] = None,
    program: Annotated[
        str,
        typer.Option(help="What runs modomodo where workers run. Default: this very program."),
    ] = "",
    name: NameOption = None,
    address: AddressOption = None,
    folder: FolderOption = HERE,
    sbatch: Annotated[
        str, typer.Option(help="Further options of sbatch, as '--partition=gpu --time=24:00:00'.")
    ] = "",
    every: Annotated[str, typer.Option(help="Time between two looks.")] = "10s",
    until_done: Annotated[
        bool, typer.Option("--until-done", help="End when nothing more is to come.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say once what would be done, and do nothing.")
    ] = False,
) -> None:
    """Keep as many workers as there is work, on an engine that runs the machines.

    It may be ended and started again at any time: workers go on without it. The key in
    MODOMODO_API_KEY needs scope admin; workers get that of MODOMODO_WORKER_KEY where it is set.
    """
    if context.invoked_subcommand is not None:
        return
    if least > most:
        raise WrongUse(f"--min {least} is more than --max {most}")
    pause_s = seconds("--every", every)
    setup = Setup(_url(url), gpus, store, tuple(shlex.split(program)))
    with Client(url, patience_s=PATIENCE_S) as client:
        controller = Controller(
            client, _engine(engine, name, setup, address, folder, sbatch), study or [], most, least
        )
        if dry_run:
            _say(controller.look())
            return
        from modomodo import logs

        logs.configure()
        _keep(controller, pause_s, until_done=until_done)


@app.command()
def status(
    engine: EngineOption = EngineName.LOCAL,
    url: UrlOption = None,
    name: NameOption = None,
    address: AddressOption = None,
    folder: FolderOption = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """List a fleet's workers with their nodes, trials and GPU-hours."""
    with Client(url, patience_s=PATIENCE_S) as client:
        runs = _engine(engine, name, Setup(_url(url)), address, folder)
        rows = _rows(client, runs)
    if as_json:
        sys.stdout.write(json.dumps({"fleet": runs.fleet, "workers": rows}, indent=2) + "\n")
        return
    columns = ("node", "worker", "state", "study", "trial", "step", "gpus", "gpu_hours")
    table = Table(*(column.replace("_", "-") for column in columns), title=f"fleet {runs.fleet}")
    for row in rows:
        table.add_row(*(escape("" if row[c] is None else str(row[c])) for c in columns))
    Console().print(table)


@app.command()
def drain(
    engine: EngineOption = EngineName.LOCAL,
    url: UrlOption = None,
    name: NameOption = None,
    address: AddressOption = None,
    folder: FolderOption = HERE,
) -> None:
    """Take back workers that wait for a machine, and wait until the others have ended.

    A worker takes one trial, so each ends with the one it has. End the fleet's controller first: it
    would start new ones.
    """
    runs = _engine(engine, name, Setup(_url(url)), address, folder)
    while workers := runs.workers():
        for worker in workers:
            if worker.state == "pending":
                runs.cancel(worker)
        time.sleep(1.0)
    Console().print(f"fleet {runs.fleet} has no worker any more")


@app.command()
def stop(
    engine: EngineOption = EngineName.LOCAL,
    url: UrlOption = None,
    name: NameOption = None,
    address: AddressOption = None,
    folder: FolderOption = HERE,
) -> None:
    """Have all workers of a fleet end: each keeps a checkpoint and hands its trial back.

    End the fleet's controller first: it would start new ones.
    """
    runs = _engine(engine, name, Setup(_url(url)), address, folder)
    told: set[str] = set()
    while workers := runs.workers():
        for worker in workers:
            # A second signal would end a worker without its checkpoint.
            if worker.id not in told or worker.state == "pending":
                told.add(worker.id) if worker.state == "running" else None
                runs.cancel(worker)
        time.sleep(0.5)
    Console().print(f"fleet {runs.fleet} has no worker any more")


def _url(url: str | None) -> str:
    with Client(url) as client:
        return client.url


def _engine(
    engine: EngineName,
    name: str | None,
    setup: Setup,
    address: str | None,
    folder: Path,
    sbatch: str = "",
) -> Engine:
    if name is not None and not FLEET_NAME.fullmatch(name):
        raise WrongUse(f"--name {name!r} is not 1 to 40 letters, digits, - and _")
    if engine is EngineName.RAY:
        need("ray")
        from modomodo.fleet.ray_cluster import RayCluster

        return RayCluster(name, setup, address)
    if engine is EngineName.SLURM:
        from modomodo.fleet.slurm import Slurm

        return Slurm(name or "modomodo", setup, shlex.split(sbatch))
    need("trainer")
    from modomodo.fleet.local import Local

    return Local(name or "local", setup, folder)


def _keep(controller: Controller, pause_s: float, *, until_done: bool) -> None:
    import structlog

    log = structlog.get_logger()
    said: list[dict[str, Any]] = []
    log.info("fleet", name=controller.engine.fleet, service=controller.client.url, pid=os.getpid())
    while True:
        try:
            found = controller.turn()
        except ServiceUnreachable as error:
            log.warning("service unreachable, workers go on", error=str(error))
        else:
            lines = _lines(found)
            if lines != said:
                for line in lines:
                    log.info("turn", **line)
            said = lines
            if until_done and found.is_over:
                log.info("nothing more to do")
                return
        try:
            time.sleep(pause_s)
        except KeyboardInterrupt:
            log.info("the controller ends; workers go on, and `modomodo fleet stop` ends them")
            return


def _lines(found: Turn) -> list[dict[str, Any]]:
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


def _say(found: Turn) -> None:
    for line in _lines(found):
        sys.stdout.write(json.dumps(line) + "\n")
    for name in found.gone:
        sys.stdout.write(json.dumps({"gone": name}) + "\n")


def _rows(client: Client, runs: Engine) -> list[dict[str, Any]]:
    """A worker a row: what the engine says of it, and what the service does."""
    seen = {worker.name: worker for worker in client.workers(f"{runs.fleet}.")}
    rows = []
    for started in runs.workers():
        held = seen.pop(started.name or "", None)
        has_trial = held is not None and held.trial is not None
        is_idle = started.state == "running" and not has_trial
        rows.append(
            {
                "node": started.node,
                "worker": started.name,
                "state": "idle" if is_idle else started.state,
            }
            | _trial(held)
        )
    # A lease that outlives its worker is worth knowing of.
    rows += [
        {"node": "", "worker": name, "state": "not there"} | _trial(worker)
        for name, worker in seen.items()
        if worker.trial is not None
    ]
    return rows


def _trial(held: Any) -> dict[str, Any]:
    if held is None or held.trial is None:
        return dict.fromkeys(("study", "trial", "step", "gpus", "gpu_hours"))
    return {
        "study": held.study,
        "trial": held.trial,
        "step": held.step,
        "gpus": held.gpus,
        "gpu_hours": round(held.held_s * held.gpus / 3600, 3),
    }
