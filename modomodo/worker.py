"""`modomodo worker`."""

from __future__ import annotations

import os
import re
import threading
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modomodo.connect import UrlOption
from modomodo.errors import CommandFailed, WrongUse
from modomodo.extras import need

if TYPE_CHECKING:
    from trainer.worker.worker import Worker

GIGABYTE = 10**9
MOST_LABELS, LONGEST_LABEL = 32, 100
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def worker(
    url: UrlOption = None,
    study: Annotated[str | None, typer.Option(help="Only take trials of this study.")] = None,
    name: Annotated[
        str | None, typer.Option(help="Default: host, process and a random part.")
    ] = None,
    folder: Annotated[
        Path,
        typer.Option(
            envvar="MODOMODO_FOLDER",
            file_okay=False,
            help="Logs, checkpoints and undelivered results; each worker takes a folder in it.",
        ),
    ] = Path("runs/workers"),
    data: Annotated[
        Path,
        typer.Option(
            envvar="MODOMODO_DATA",
            file_okay=False,
            help="Folder of prepared datasets; recipes name folders in it.",
        ),
    ] = Path(),
    commands: Annotated[
        Path | None,
        typer.Option(
            envvar="MODOMODO_COMMANDS",
            file_okay=False,
            help="Folder of executables that recipes of back end `command` may name.",
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            envvar="MODOMODO_STORE",
            help="URL or folder, as s3://bucket/prefix, where checkpoints and finished runs are "
            "kept for all nodes.",
        ),
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(help="CUDA devices to use, as 0,1,2,3. Default: all, shared by one trial."),
    ] = None,
    per_trial: Annotated[
        int, typer.Option(min=1, help="GPUs a trial: --gpus 0,1,2,3 --per-trial 2 runs two.")
    ] = 1,
    max_trials: Annotated[int | None, typer.Option(min=1, help="Stop after so many.")] = None,
    until_done: Annotated[
        bool, typer.Option("--until-done", help="Stop when nothing more is to come.")
    ] = False,
    drain_after: Annotated[
        str | None, typer.Option(help="Take no new trial after this time, as 90m or 20h.")
    ] = None,
    idle_after: Annotated[
        str | None, typer.Option(help="Stop when there was no trial to have for so long, as 60s.")
    ] = None,
    ends_at: Annotated[
        float | None,
        typer.Option(
            envvar=["MODOMODO_ENDS_AT", "SLURM_JOB_END_TIME"],
            help="When this machine is taken away, in seconds since 1970: a run stops in order "
            "before, and no trial is taken that could not.",
        ),
    ] = None,
    needs_time: Annotated[
        str | None,
        typer.Option(
            envvar="MODOMODO_NEEDS_TIME",
            help="With --ends-at: how long a trial takes to its first evaluation point, as 40m. "
            "Default: as long as any did here.",
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(help="What pages show of this worker, as rack=7; may be given again."),
    ] = None,
    stalled_after: Annotated[
        str, typer.Option(help="Stop a run that reports nothing for so long.")
    ] = "1h",
    grace: Annotated[
        str, typer.Option(help="On SIGTERM a run has so long to write a checkpoint.")
    ] = "60s",
    patience: Annotated[
        str, typer.Option(help="A call that the service does not answer is retried for so long.")
    ] = "30s",
    min_free_gb: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Take no new trial with less room on the disk. Default: what the recipe's "
            "checkpoints take.",
        ),
    ] = None,
    max_failures: Annotated[
        int, typer.Option(min=0, help="Stop after so many broken runs in a row; 0 never stops.")
    ] = 5,
) -> None:
    """Takes trials from the service, trains them and posts the scores.

    Ends with exit code 1 when --max-failures runs in a row broke on this machine. SIGTERM lets the
    run write a checkpoint, hands the trial back and ends; a second one ends at once. Started again
    in the same folder it goes on with what it was doing.
    """
    need("trainer")
    from modomodo import logs
    from modomodo.worker_view import WorkerView, wanted
    from service.client import Client
    from trainer.storage.remote import Store, StoreError
    from trainer.storage.work_folder import FolderError, WorkFolder
    from trainer.worker.beats import Beats
    from trainer.worker.capabilities import of_this_machine
    from trainer.worker.deadline import Deadline
    from trainer.worker.gpus import Gpus
    from trainer.worker.setting import Setting
    from trainer.worker.signals import Signals
    from trainer.worker.worker import GaveUp, Worker, default_name

    shares = _shares(gpus, per_trial)
    drain_after_s = None if drain_after is None else seconds("--drain-after", drain_after)
    idle_after_s = None if idle_after is None else seconds("--idle-after", idle_after)
    needs_s = None if needs_time is None else seconds("--needs-time", needs_time)
    labels = read_labels(label or [])
    stalled_s = seconds("--stalled-after", stalled_after)
    grace_s = seconds("--grace", grace)
    patience_s = seconds("--patience", patience)
    first = name or default_name()
    try:
        kept = None if store is None else Store(store)
    except StoreError as error:
        raise CommandFailed(str(error)) from error
    deadline = None if ends_at is None else Deadline(ends_at, needs_s or 0.0)
    setting = Setting(
        data,
        commands,
        stalled_s=stalled_s,
        grace_s=grace_s,
        store=kept,
        deadline=deadline,
        beats=Beats(len(shares)) if len(shares) > 1 else None,
    )
    signals = Signals()
    with ExitStack() as stack:
        workers = []
        for i, share in enumerate(shares, 1):
            try:
                place = WorkFolder(folder)
            except FolderError as error:
                raise CommandFailed(str(error)) from error
            stack.callback(place.close)
            workers.append(
                Worker(
                    client=stack.enter_context(
                        Client(url, patience_s=patience_s, sleep=signals.sleep)
                    ),
                    name=first if len(shares) == 1 else f"{first}-{i}",
                    signals=signals,
                    folder=place,
                    setting=replace(setting, devices=share, gpus=Gpus(share)),
                    study=study,
                    max_trials=max_trials,
                    until_done=until_done,
                    drain_after_s=drain_after_s,
                    idle_after_s=idle_after_s,
                    capabilities=of_this_machine(Gpus(share), labels),
                    min_free_bytes=None if min_free_gb is None else round(min_free_gb * GIGABYTE),
                    max_failures=max_failures,
                )
            )
        with WorkerView(workers) if wanted() else nullcontext():
            logs.configure()  # after the view: it then writes above it
            try:
                _run(workers)
            except GaveUp as error:
                raise CommandFailed(str(error)) from error


def seconds(option: str, text: str) -> float:
    """A time such as `90s`, `15m`, `20h` or `2d`.

    Raises:
        WrongUse: it is none.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None or float(found.group(1)) <= 0:
        raise WrongUse(f"{option} {text!r} is not a time like 90s, 15m, 20h or 2d")
    return float(found.group(1)) * _SECONDS[found.group(2)]


def read_labels(given: list[str]) -> list[tuple[str, str]]:
    """Names and values of labels such as `rack=7`.

    Raises:
        WrongUse: one is none, or they are too many.
    """
    pairs = [tuple(map(str.strip, text.partition("=")[::2])) for text in given]
    for text, (name, value) in zip(given, pairs, strict=True):
        if not (name and value) or len(text) > LONGEST_LABEL:
            raise WrongUse(
                f"--label {text[:LONGEST_LABEL]!r} is not a name and a value like rack=7, of "
                f"{LONGEST_LABEL} characters at most"
            )
    if len(pairs) > MOST_LABELS:
        raise WrongUse(f"--label was given {len(pairs)} times; at most {MOST_LABELS} are kept")
    return [(name, value) for name, value in pairs]


def _shares(gpus: str | None, per_trial: int) -> list[str | None]:
    """The devices of each trial at a time."""
    if gpus is None:
        if per_trial != 1:
            raise WrongUse("--per-trial shares out what --gpus names")
        return [visible_devices()]
    listed = [gpu.strip() for gpu in gpus.split(",")]
    if not all(listed) or len(set(listed)) < len(listed):
        raise WrongUse(f"--gpus {gpus!r} is not a list of different devices like 0,1,2,3")
    if len(listed) % per_trial:
        raise WrongUse(f"{len(listed)} GPUs cannot be shared out {per_trial} a trial")
    return [
        ",".join(listed[start : start + per_trial]) for start in range(0, len(listed), per_trial)
    ]


def visible_devices() -> str | None:
    """The CUDA devices that there are; None where there is none, or one."""
    if not Path("/dev/nvidiactl").exists():
        return None  # spares importing torch
    import torch

    n = torch.cuda.device_count()
    listed = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(n)))
    return listed if n > 1 else None


def _run(workers: list[Worker]) -> None:
    """All at once; the first error is raised when all have ended."""
    if len(workers) == 1:
        workers[0].run()
        return
    errors: list[Exception] = []

    def run(worker: Worker) -> None:
        try:
            worker.run()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
