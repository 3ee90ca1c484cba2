"""`modomodo worker`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modomodo.connect import UrlOption
from modomodo.extras import need


def worker(
    url: UrlOption = None,
    study: Annotated[str | None, typer.Option(help="Only take trials of this study.")] = None,
    name: Annotated[
        str | None, typer.Option(help="Default: host, process and a random part.")
    ] = None,
    data: Annotated[
        Path,
        typer.Option(
            envvar="MODOMODO_DATA",
            file_okay=False,
            help="Folder of prepared datasets; recipes name folders in it.",
        ),
    ] = Path(),
    max_trials: Annotated[int | None, typer.Option(min=1, help="Stop after so many.")] = None,
    until_done: Annotated[
        bool, typer.Option("--until-done", help="Stop when nothing more is to come.")
    ] = False,
) -> None:
    """Takes trials from the service, trains them and posts the scores. SIGTERM hands back."""
    need("trainer")
    from modomodo import logs
    from trainer.client import Client
    from trainer.signals import Signals
    from trainer.worker import Worker, default_name

    logs.configure()
    signals = Signals()
    with Client(url, sleep=signals.sleep) as client:
        Worker(
            client=client,
            name=name or default_name(),
            signals=signals,
            study=study,
            max_trials=max_trials,
            until_done=until_done,
            data=data,
        ).run()
