"""Events for open pages: that something changed (server-sent events).

One poller a process reads the revisions of all studies while somebody listens; a listener is a
coroutine that waits for it, and holds neither a thread nor a connection to the database.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated

import structlog
from anyio import to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from db.models import Study
from db.sessions import Database
from service.dashboard.dependencies import guarded
from service.errors import Refused
from service.schemas import Name

log = structlog.get_logger()

EVERY_S = 0.5
"""Pause between two looks at the database."""

BEAT_S = 10.0
"""A stream is never silent for longer, so that whoever listens knows that it is open."""

LONGEST_S = 600.0
"""A stream ends then, and the browser opens another: its key is looked at again."""

MOST = 500
"""Listeners at once; further pages poll instead."""

RETRY_MS = 2000

BEAT = "event: beat\ndata:\n\n"

Revisions = dict[str, int]

router = APIRouter(prefix="/ui/events", include_in_schema=False)


class News:
    """Knows the revisions of all studies while it has listeners.

    Args:
        every_s: pause between two looks at the database.
        beat_s: a stream is never silent for longer.
        longest_s: a stream ends then.
        most: listeners at once.
    """

    def __init__(
        self,
        database: Database,
        *,
        every_s: float = EVERY_S,
        beat_s: float = BEAT_S,
        longest_s: float = LONGEST_S,
        most: int = MOST,
    ) -> None:
        self._database = database
        self._every_s, self._beat_s, self._longest_s = every_s, beat_s, longest_s
        self.most = most
        self._revisions: Revisions | None = None
        self._changed = asyncio.Event()
        self._listeners = 0
        self._poller: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def is_full(self) -> bool:
        """Whether there are as many listeners as there may be."""
        return self._listeners >= self.most

    def close(self) -> None:
        """Ends all streams, and lets no new one begin; call it in the event loop."""
        self._is_closed = True
        self._wake()

    async def listen(self, study: str | None) -> AsyncIterator[str]:
        """An event at first and whenever the study, or any study, changed; beats in between."""
        self._listeners += 1
        if self._poller is None:
            self._poller = asyncio.create_task(self._poll())
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._longest_s
        known: Revisions | None = None
        try:
            yield f"retry: {RETRY_MS}\n\n"
            while not self._is_closed and loop.time() < ends:
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(self._beat_s, self._longest_s)):
                        await self._unlike(study, known)
                now = self._of(study)
                yield BEAT if now == known or now is None else _event(now)
                known = now
        finally:
            self._listeners -= 1
            if self._listeners == 0 and self._poller is not None:
                self._poller.cancel()
                self._poller = self._revisions = None

    async def _unlike(self, study: str | None, known: Revisions | None) -> None:
        """Waits until the study is at another revision, or all streams end."""
        while not self._is_closed and self._of(study) == known:
            await self._changed.wait()

    def _of(self, study: str | None) -> Revisions | None:
        if study is None or self._revisions is None:
            return self._revisions
        return {name: at for name, at in self._revisions.items() if name == study}

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _poll(self) -> None:
        trouble = ""
        while True:
            try:
                revisions = await to_thread.run_sync(self._read)
            except Exception as error:  # whoever listens must not be left without news for ever
                if repr(error) != trouble:  # said once, not twice a second
                    is_known = isinstance(error, SQLAlchemyError)
                    log.warning("revisions cannot be read", error=str(error), exc_info=not is_known)
                trouble = repr(error)
            else:
                trouble = ""
                if revisions != self._revisions:
                    self._revisions = revisions
                    self._wake()
            await asyncio.sleep(self._every_s)

    def _read(self) -> Revisions:
        with self._database.read() as session:
            return dict(session.execute(select(Study.name, Study.revision)).all())


def _event(revisions: Revisions) -> str:
    # What has changed is asked for by the page, which knows what it shows already.
    return f"data: {json.dumps({'revision': sum(revisions.values())})}\n\n"


@router.get("", dependencies=guarded)
async def events(
    request: Request, study: Annotated[Name | None, Query()] = None
) -> StreamingResponse:
    """A stream for an open page."""
    news: News = request.app.state.news
    if news.is_full:
        raise Refused("too-many-listeners", f"{news.most} pages listen already; ask for changes")
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(news.listen(study), media_type="text/event-stream", headers=headers)
