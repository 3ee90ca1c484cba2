"""Puts the service together."""

from __future__ import annotations

import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import structlog
from fastapi import FastAPI

from db import upgrade
from db.sessions import Database
from db.writer import Writer
from service.context import Context
from service.dashboard import dependencies
from service.dashboard.pages import figures
from service.dashboard.pages.events import News
from service.dashboard.router import router as pages
from service.executor.process import Engine, EngineProcess
from service.fitting.fits import Fits
from service.fitting.stored import StoredFits
from service.http import problems
from service.http.access_log import Requests
from service.http.auth import Gate
from service.http.busy import BusyCalls
from service.http.headers import SafeHeaders
from service.http.limits import BodyLimit, LocalNames, RateLimit
from service.http.openapi import install as install_openapi
from service.metrics import Metrics
from service.pace import Pace
from service.presets import Presets
from service.proposing.proposer import Proposer
from service.proposing.upkeep import Upkeep, Watch
from service.routes import (
    heartbeats,
    leases,
    many_trials,
    owners,
    probes,
    studies,
    surrogates,
    trials,
    workers,
)
from service.settings import Settings

log = structlog.get_logger()

VERSION = version("modomodo")

DESCRIPTION = """Finds the best training-data mixture in few runs: stores studies and trials, hands
trials out under leases, and proposes mixtures. Errors are problem details (RFC 9457) with a stable
`code`."""


def create_app(
    settings: Settings | None = None,
    engine: Engine | None = None,
    presets: Presets | None = None,
) -> FastAPI:
    """The service as an ASGI application; the database is opened when it starts.

    Args:
        engine: what computes proposals and fits; a process for each of both unless given.
        presets: what the form for a new study offers, and what recipes it may have; without them
            all is to be typed, and any recipe is taken.

    Raises:
        BadDatabase: at start, the database cannot be used.
        NoKey: at start, anyone could call it.
    """
    chosen = settings or Settings()
    app = FastAPI(
        title="MoDoMoDo",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=_lifespan,
        # Their pages load scripts from a CDN; /openapi.json and docs/reference/http.md say it all.
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = chosen
    app.state.engine = engine
    app.state.presets = presets or Presets()
    app.state.is_stopping = False
    app.add_middleware(BusyCalls, routes=[*leases.busy.routes, *heartbeats.router.routes])
    app.add_middleware(BodyLimit, max_bytes=chosen.max_body_bytes)
    app.add_middleware(LocalNames)
    app.add_middleware(RateLimit, per_s=chosen.calls_per_s)
    app.add_middleware(Requests)
    app.add_middleware(SafeHeaders)
    problems.install(app)
    dependencies.install(app)
    install_openapi(app)
    app.include_router(leases.busy)  # first, since addresses are looked for in this order
    app.include_router(heartbeats.router)
    app.include_router(probes.router)
    app.include_router(studies.router)
    app.include_router(studies.copies)
    app.include_router(leases.router)
    app.include_router(trials.router)
    app.include_router(many_trials.router)
    app.include_router(surrogates.router)
    app.include_router(workers.router)
    app.include_router(owners.router)
    app.include_router(figures.router)
    app.include_router(pages)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    database = Database(settings.database_url)
    upgrade.prepare(database)
    gate, writer = Gate(settings, database), Writer(database)
    # Two of them, so that a look at the dashboard need not wait for a proposal.
    proposing: Engine = app.state.engine or EngineProcess(settings.fit_limit_s, "proposals")
    showing: Engine = app.state.engine or EngineProcess(settings.fit_limit_s, "fits")
    proposing.start()
    name = f"{socket.gethostname()}-{secrets.token_hex(6)}"
    metrics = Metrics(database)
    proposer = Proposer(database, name, proposing, metrics.proposing)
    watch, pace = Watch(database.time()), Pace(database)

    def look() -> None:
        proposing.start()  # again, where it has ended
        proposer.keep()
        proposer.wake()
        pace.look()

    upkeep = Upkeep(database, watch, settings.upkeep_every_s, look, proposer.keep)
    fits = Fits(showing, StoredFits(database))
    presets: Presets = app.state.presets
    app.state.context = Context(
        settings, database, writer, gate, proposer, fits, watch, pace, metrics, presets
    )
    news = app.state.news = News(database)
    proposer.start()
    upkeep.start()
    proposer.wake()
    log.info("service started", database=database.url.render_as_string())
    try:
        yield
    finally:
        news.close()
        upkeep.stop()
        proposer.stop()
        showing.stop()
        writer.close()
        database.close()
        log.info("service stopped")
