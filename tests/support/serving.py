"""The service: in this process, or as one of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI
from starlette.routing import BaseRoute

from service.app import create_app
from service.executor.process import Engine
from service.presets import Presets
from service.settings import Settings
from tests.support.polling import until
from tests.support.warm import Command

_routes: list[BaseRoute] = []


def in_process(
    settings: Settings, engine: Engine | None = None, presets: Presets | None = None
) -> FastAPI:
    """The application, with the routes of the first that this process made.

    What FastAPI works out of each route when that is first called, a tenth of a second in all, is
    worked out once; settings, middleware and state are the application's own.
    """
    app = create_app(settings, engine, presets)
    if not _routes:
        _routes.extend(app.router.routes)
    app.router.routes = _routes
    return app


def make_routes() -> None:
    """Works all of that out now, also for processes that are forked from this one."""
    nowhere = {"type": "http", "method": "GET", "path": "/-", "root_path": "", "headers": []}
    for route in in_process(Settings()).routes:
        route.matches(nowhere)


@contextmanager
def on_a_socket(app: FastAPI) -> Iterator[str]:
    """An application on a real socket, in a thread of this process; its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()

    def is_started() -> bool:
        assert thread.is_alive(), "the service stopped"
        return server.started

    until(is_started)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


def is_ready(port: int) -> bool:
    """Whether a service answers there."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).is_success
    except httpx.TransportError:
        return False


@contextmanager
def service(database: str, port: int, log: Path | None = None) -> Iterator[Command]:
    """`modomodo serve` until the end of the block, when it is killed; ready when that begins."""
    with Path("/dev/null" if log is None else log).open("ab") as stderr:
        process = Command("serve", "--port", str(port), "--database", database, stderr=stderr)
    with process:

        def answers() -> bool:
            assert process.poll() is None, "the service stopped"
            return is_ready(port)

        until(answers)
        yield process
