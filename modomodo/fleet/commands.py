"""`modomodo fleet …`: workers as there is work, on an engine that runs machines."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from contextlib import nullcontext
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml  # type: ignore[import-untyped]
from rich.console import Console
from rich.live import Live

from modomodo.connect import UrlOption
from modomodo.errors import WrongUse
from modomodo.fleet import manifests, view
from modomodo.fleet.choice import (
    HERE,
    AddressOption,
    EngineName,
    EngineOption,
    FolderOption,
    GpusOption,
    ImageOption,
    LabelsOption,
    LeastOption,
    MemoryOption,
    MostOption,
    NameOption,
    NamespaceOption,
    PodOption,
    ProgramOption,
    QueueOption,
    SecretOption,
    StoreOption,
    StudiesOption,
    check,
    engine_of,
    service_url,
)
from modomodo.fleet.controller import Controller, Turn
from modomodo.fleet.engines import Setup
from modomodo.fleet.manifests import DEFAULT_POD, SECRET, Pods, read_template
from modomodo.worker import read_labels, seconds
from service.client import Client, ServiceUnreachable

app = typer.Typer(invoke_without_command=True)

PATIENCE_S = 10.0


@app.callback()
def fleet(
    context: typer.Context,
    engine: EngineOption = EngineName.LOCAL,
    url: UrlOption = None,
    study: StudiesOption = None,
    most: MostOption = 1,
    least: LeastOption = 0,
    gpus: GpusOption = 1,
    gpu_memory_gb: MemoryOption = None,
    label: LabelsOption = None,
    store: StoreOption = None,
    program: ProgramOption = "",
    name: NameOption = None,
    address: AddressOption = None,
    folder: FolderOption = HERE,
    sbatch: Annotated[
        str, typer.Option(help="Further options of sbatch, as '--partition=gpu --time=24:00:00'.")
    ] = "",
    namespace: NamespaceOption = None,
    image: ImageOption = None,
    keys_from: SecretOption = SECRET,
    queue: QueueOption = None,
    pod: PodOption = None,
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
    setup = _setup(url, gpus, store, program, engine, label, gpu_memory_gb)
    pods = Pods(image, keys_from, queue, DEFAULT_POD if pod is None else read_template(pod))
    if engine is EngineName.KUBERNETES:
        pods.pod({}, [])  # what is wrong with it is said now, not when the first worker is needed
    runs = engine_of(
        engine,
        name,
        setup,
        address=address,
        folder=folder,
        namespace=namespace,
        sbatch=sbatch,
        pods=pods,
    )
    with Client(url, patience_s=PATIENCE_S) as client:
        controller = Controller(client, runs, study or [], most, least, setup.has())
        if dry_run:
            _say(controller.look())
            return
        _keep(controller, pause_s, until_done=until_done)


@app.command()
def status(
    engine: EngineOption = EngineName.LOCAL,
    url: UrlOption = None,
    name: NameOption = None,
    address: AddressOption = None,
    folder: FolderOption = HERE,
    namespace: NamespaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Go on: a table that is kept up to date, or JSON lines."),
    ] = False,
    every: Annotated[str, typer.Option(help="With --watch: time between two looks.")] = "5s",
) -> None:
    """List a fleet's workers with their nodes, trials and GPU-hours."""
    pause_s = seconds("--every", every)
    setup = Setup(service_url(url), engine=engine)
    with Client(url, patience_s=PATIENCE_S) as client:
        runs = engine_of(engine, name, setup, address=address, folder=folder, namespace=namespace)
        if watch:
            view.watch(client, runs, pause_s, is_drawn=sys.stdout.isatty() and not as_json)
            return
        found = view.rows(client, runs)
    if as_json:
        sys.stdout.write(json.dumps({"fleet": runs.fleet, "workers": found}, indent=2) + "\n")
    else:
        Console().print(view.table(runs.fleet, found))


@app.command()
def drain(
    engine: EngineOption = EngineName.LOCAL,
    url: UrlOption = None,
    name: NameOption = None,
    address: AddressOption = None,
    folder: FolderOption = HERE,
    namespace: NamespaceOption = None,
) -> None:
    """Take back workers that wait for a machine, and wait until the others have ended.

    A worker takes one trial, so each ends with the one it has. End the fleet's controller first: it
    would start new ones.
    """
    setup = Setup(service_url(url), engine=engine)
    runs = engine_of(engine, name, setup, address=address, folder=folder, namespace=namespace)
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
    namespace: NamespaceOption = None,
) -> None:
    """Have all workers of a fleet end: each keeps a checkpoint and hands its trial back.

    End the fleet's controller first: it would start new ones.
    """
    setup = Setup(service_url(url), engine=engine)
    runs = engine_of(engine, name, setup, address=address, folder=folder, namespace=namespace)
    told: set[str] = set()
    while workers := runs.workers():
        for worker in workers:
            # A second signal would end a worker without its checkpoint.
            if worker.id not in told or worker.state == "pending":
                told.add(worker.id) if worker.state == "running" else None
                runs.cancel(worker)
        time.sleep(0.5)
    Console().print(f"fleet {runs.fleet} has no worker any more")


class ManifestOf(StrEnum):
    """What a manifest is for."""

    KUBERNETES = "kubernetes"
    KUBERAY = "kuberay"


@app.command()
def manifest(
    engine: Annotated[
        ManifestOf,
        typer.Option(help="kubernetes: Jobs, a worker each; kuberay: a RayJob with a controller."),
    ] = ManifestOf.KUBERNETES,
    url: UrlOption = None,
    study: StudiesOption = None,
    most: MostOption = 1,
    least: LeastOption = 0,
    gpus: GpusOption = 1,
    gpu_memory_gb: MemoryOption = None,
    label: LabelsOption = None,
    store: StoreOption = None,
    program: ProgramOption = "",
    name: NameOption = None,
    image: ImageOption = None,
    keys_from: SecretOption = SECRET,
    queue: QueueOption = None,
    pod: PodOption = None,
) -> None:
    """Print a fleet for `kubectl apply`, as YAML: it calls nobody.

    The address of the service is the one that pods reach it by. Jobs are --max workers without a
    controller, each of which takes trials until nothing is left; a RayJob has a controller on its
    head, and a cluster that grows to --max workers and shrinks again.
    """
    check(name)
    if least > most:
        raise WrongUse(f"--min {least} is more than --max {most}")
    fleet, studies = name or "modomodo", study or []
    setup = _setup(url, gpus, store, program, engine, label, gpu_memory_gb)
    pods = Pods(image, keys_from, queue, DEFAULT_POD if pod is None else read_template(pod))
    if engine is ManifestOf.KUBERAY:
        shown = [manifests.ray_job(fleet, studies, setup, pods, os.environ, most=most, least=least)]
    else:
        shown = [
            manifests.job(
                fleet,
                str(number),
                studies[number % len(studies)] if studies else None,
                setup,
                pods,
                os.environ,
                until_done=True,
            )
            for number in range(most)
        ]
    yaml.safe_dump_all(shown, sys.stdout, sort_keys=False, allow_unicode=True)


def _setup(
    url: str | None,
    gpus: int,
    store: str | None,
    program: str,
    engine: str,
    label: list[str] | None,
    gpu_memory_gb: float | None,
) -> Setup:
    labels = dict(read_labels(label or []))
    words = tuple(shlex.split(program))
    return Setup(service_url(url), gpus, store, words, engine, labels, gpu_memory_gb)


def _keep(controller: Controller, pause_s: float, *, until_done: bool) -> None:
    import structlog

    from modomodo import logs

    last: Turn | None = None
    runs = controller.engine.fleet
    is_watched = sys.stderr.isatty()
    drawn = Live(
        get_renderable=lambda: view.progress(runs, last),
        console=Console(stderr=True),
        refresh_per_second=1,
        transient=True,
    )
    with drawn if is_watched else nullcontext():
        logs.configure()  # after the view: it then writes above it
        log = structlog.get_logger()
        said: list[dict[str, Any]] = []
        log.info("fleet", name=runs, service=controller.client.url, pid=os.getpid())
        while True:
            try:
                last = controller.turn()
            except ServiceUnreachable as error:
                log.warning("service unreachable, workers go on", error=str(error))
            else:
                lines = view.lines(last)
                if lines != said and not is_watched:
                    for line in lines:
                        log.info("turn", **line)
                said = lines
                if until_done and last.is_over:
                    log.info("nothing more to do")
                    return
            try:
                time.sleep(pause_s)
            except KeyboardInterrupt:
                log.info("the controller ends; workers go on, and `modomodo fleet stop` ends them")
                return


def _say(found: Turn) -> None:
    for line in view.lines(found):
        sys.stdout.write(json.dumps(line) + "\n")
    for name in found.gone:
        sys.stdout.write(json.dumps({"gone": name}) + "\n")
