"""HTTP as this service speaks it: uvicorn's own, with bounds on what a caller can hold.

A request costs memory and one of this process's files before it is known who sends it. So its
head is short, it has a while for the head and a while for the body, and when there are too many
connections, those that wait for nothing are closed. Answers may take as long as they need: only
the wait for the rest of a request is timed.
"""

from __future__ import annotations

import asyncio
import resource
from asyncio import TimerHandle
from http import HTTPStatus
from typing import Any, cast

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.http import problems
from service.http.rates import retry_after

log = structlog.get_logger()

MAX_ADDRESS_BYTES = 65_535
MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 100
MAX_WAITING = 16
"""Requests that may wait on a connection for the answer to the one before."""

HEAD_S = 15.0
BODY_S = 60.0
LAST_S = 3.0
"""For what is left of a request when the service stops."""

MAX_DISCARDED = 16 * 2**20
"""Bytes that are read of a body after its answer, so that the caller comes to hear that answer."""

MAX_CONNECTIONS = 2048
CLOSED_AT_ONCE = 64
"""Connections that are closed at once."""
FILES = 8192
"""Files that this process asks the system for: connections, and those that wait for acceptance."""


def allow_files() -> None:
    """Raises this process's own limit of open files, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_connections() -> int:
    """Connections at once: half of the files, since a database and children need some too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // 2)


class _Refused(Exception):  # noqa: N818 - it ends the parsing, and is answered
    """What the parser has read is too much."""


class _DrainingTransport:
    """The transport as an answer has it: when it is sent before all of the request has come, the
    rest is read first. Closed at once, the system would send a reset, and the caller, still
    sending, never hear the answer."""

    def __init__(self, protocol: Protocol, cycle: RequestResponseCycle) -> None:
        self._protocol, self._cycle = protocol, cycle

    def write(self, data: bytes) -> None:
        self._protocol.transport.write(data)

    def is_closing(self) -> bool:
        return self._protocol.transport.is_closing()

    def close(self) -> None:
        self._protocol.end(self._cycle)


class Protocol(HttpToolsProtocol):
    """Refuses as a problem what never becomes a call of the app."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.heard_at = self.loop.time()
        self.is_known = False
        """Whether a whole request has come, ever."""
        self._running: RequestResponseCycle | None = None
        self._n_messages = 0
        self._part: str | None = None
        """Of a message that is not complete: `head` or `body`."""
        self._n_headers = self._head_bytes = self._discarded = 0
        self._is_ending = False
        """Whether the connection ends with the rest of a body whose answer was sent."""
        self._idle_bytes = 0
        """Since there was last something of use: neither body nor end of a head or body."""
        self._fault: tuple[str, str] | None = None
        self._timer: TimerHandle | None = None
        self._timed: tuple[int, str] | None = None

    @property
    def is_answering(self) -> bool:
        """Whether the app is at work on a request of this connection."""
        return self._running is not None and not self._running.response_complete

    @property
    def is_serving(self) -> bool:
        """Whether a whole request of this connection is being answered."""
        return self.is_answering and self._part is None

    # --- connections --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Closes others where there are too many connections."""
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            self._make_room()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        self._leave()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Waits for answers, and a moment for the rest of a request that has begun."""
        super().shutdown()
        if self._part is not None and not self.transport.is_closing():
            self._unwatch()
            self._time((self._n_messages, self._part), LAST_S)

    def _make_room(self) -> None:
        """Ends connections without a request that is being answered, first those that had none."""
        others = [c for c in self.connections if isinstance(c, Protocol) and c is not self]
        idle = [c for c in others if not c.is_serving and not c.transport.is_closing()]
        idle.sort(key=lambda other: (other.is_known, other.heard_at))
        for other in idle[:CLOSED_AT_ONCE]:  # some more than one, since to look for them takes time
            other.transport.close()
        log.warning(
            "too many connections", open=len(self.connections), ended=len(idle[:CLOSED_AT_ONCE])
        )
        if not idle and not any(c.transport.is_closing() for c in others):
            self._refuse("busy", "too many connections are open; try again")

    # --- what comes in ------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parses, unless it is too much, and sees to it that the rest comes in time."""
        self.heard_at = self.loop.time()
        self._idle_bytes += len(data)
        super().data_received(data)
        if not self.transport.is_closing() and self._idle_bytes > MAX_HEAD_BYTES:
            self._refuse(*_TOO_LONG)
        self._watch()

    def on_message_begin(self) -> None:
        self._n_messages += 1
        self._part = "head"
        self._n_headers = self._head_bytes = self._discarded = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_ADDRESS_BYTES:
            raise _Refused

    def on_header(self, name: bytes, value: bytes) -> None:
        """Also of those that come after a body."""
        self._n_headers += 1
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def _count(self, n: int) -> None:
        self._head_bytes += n
        if self._head_bytes > MAX_HEAD_BYTES or self._n_headers > MAX_HEADERS:
            self._fault = _TOO_LONG
            raise _Refused

    def on_headers_complete(self) -> None:
        self._idle_bytes = 0
        if len(self.pipeline) >= MAX_WAITING:
            self._fault = "too-many-calls", "too many requests wait on this connection"
            raise _Refused
        super().on_headers_complete()
        self.cycle.transport = cast(asyncio.Transport, _DrainingTransport(self, self.cycle))
        self._part = "body"

    def on_body(self, body: bytes) -> None:
        self._idle_bytes = 0
        super().on_body(body)
        if self.cycle.response_complete:
            self._discarded += len(body)
            if self._discarded > MAX_DISCARDED:
                self.transport.close()

    def on_message_complete(self) -> None:
        self._part, self._idle_bytes, self.is_known = None, 0, True
        super().on_message_complete()
        if self._is_ending:
            self.transport.close()

    def end(self, cycle: RequestResponseCycle) -> None:
        """Ends the connection after an answer: with the rest of its request, where that is still
        to come, within the limits of any body."""
        if cycle is self.cycle and cycle.response_complete and self._part == "body":
            self._is_ending = True
        else:
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        # Not always the cycle that was read last: others may wait for this one.
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    # --- time ---------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Gives the rest of a head or body its time, once; nothing where none is awaited."""
        is_awaited = self._part is not None or not (
            self.is_answering or self.timeout_keep_alive_task
        )
        if not is_awaited or self.transport.is_closing():
            self._unwatch()
            return
        awaited = self._n_messages, self._part or "head"
        if awaited != self._timed:
            self._unwatch()
            self._time(awaited)

    def _time(self, awaited: tuple[int, str], seconds: float | None = None) -> None:
        self._timed = awaited
        if seconds is None:
            seconds = BODY_S if awaited[1] == "body" else HEAD_S
        self._timer = self.loop.call_later(seconds, self._late)

    def _unwatch(self) -> None:
        self._timed = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        awaited = self._timed
        if awaited is None or self.transport.is_closing():
            return
        if self.flow.read_paused or (self.is_answering and self._part != "body"):
            # It is the app that has not read yet, or an answer that comes before this request's.
            self._time(awaited)
        elif self._part is None:
            self.transport.close()
        else:
            self._refuse(
                "too-slow",
                f"the {self._part} of the request did not come in time: within {HEAD_S:g} s of its "
                f"first byte the head, and within {BODY_S:g} s more the body",
            )

    # --- refusals -----------------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:
        """What the parser could not read, or was to read no further."""
        self._refuse(*(self._fault or _MALFORMED))

    def _refuse(self, code: str, detail: str) -> None:
        """Answers, unless another answer has begun, and ends the connection."""
        is_begun = self._running is not None and self._running.response_started
        is_told = self._part == "body" and self.cycle.response_complete
        if not (self.is_answering and is_begun) and not is_told:
            status = problems.STATUS[code]
            again = retry_after(1.0) if status in (429, 503) else {}
            answer = problems.problem(code, detail, headers=_LAST | again)
            line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()
            head = [line, *(b": ".join(header) for header in answer.raw_headers)]
            self.transport.write(b"\r\n".join([*head, b"", bytes(answer.body)]))
        self.pipeline.clear()
        self.transport.close()
        self._leave()

    def _leave(self) -> None:
        """Lets the app know that the caller has gone."""
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()


_LAST = {"Connection": "close"}
_MALFORMED = (
    "malformed-request",
    f"this is not HTTP/1.1, or an address that is longer than {MAX_ADDRESS_BYTES:,} bytes",
)
_TOO_LONG = (
    "head-too-large",
    f"the headers have more than {MAX_HEAD_BYTES:,} bytes, or there are more than {MAX_HEADERS}",
)
