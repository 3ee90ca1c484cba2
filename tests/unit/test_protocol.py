"""What a stranger can hold of this service before anybody knows who it is has an end."""

from __future__ import annotations

import asyncio
import functools
import json
from dataclasses import dataclass

import pytest
import uvicorn
from uvicorn.server import ServerState

from service import server
from service.http import protocol
from service.http.protocol import Protocol
from service.presets import Presets
from service.settings import Settings


@dataclass
class Timer:
    at: float
    call: object
    is_cancelled: bool = False

    def cancel(self):
        self.is_cancelled = True


class Loop:
    """The running loop, with a clock of the test's."""

    def __init__(self):
        self.now, self.timers = 0.0, []
        self.create_task = asyncio.get_running_loop().create_task

    def time(self):
        return self.now

    def call_later(self, seconds, call):
        self.timers.append(Timer(self.now + seconds, call))
        return self.timers[-1]

    def wait(self, seconds):
        """Lets time pass."""
        self.now += seconds
        due = [t for t in self.timers if t.at <= self.now and not t.is_cancelled]
        self.timers = [t for t in self.timers if t.at > self.now and not t.is_cancelled]
        for timer in due:
            timer.call()


@dataclass
class Transport:
    sent: bytes = b""
    is_closed: bool = False
    is_reading: bool = True

    def get_extra_info(self, name, default=None):
        return {"peername": ("10.0.0.9", 1), "sockname": ("10.0.0.1", 8765)}.get(name, default)

    def write(self, data):
        assert not self.is_closed, "nothing is written to a closed connection"
        self.sent += data

    def close(self):
        self.is_closed = True

    def is_closing(self):
        return self.is_closed

    def pause_reading(self):
        self.is_reading = False

    def resume_reading(self):
        self.is_reading = True


class Server:
    """Connections of an app that answers with the size of the body, when it is let."""

    def __init__(self, is_held=False, proxies=""):
        self.loop, self.state, self.left = Loop(), ServerState(), 0
        self.callers = []
        self.go = asyncio.Event()
        if not is_held:
            self.go.set()
        self.config = uvicorn.Config(
            self.app,
            http=Protocol,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            forwarded_allow_ips=proxies,
        )
        self.config.load()

    async def app(self, scope, receive, send):
        self.callers.append(scope["client"][0])
        n, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left += 1
                return
            n, more = n + len(message["body"]), message["more_body"]
        await self.go.wait()
        said = b"%d" % n
        headers = [(b"content-length", b"%d" % len(said))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": said})

    def connect(self):
        made = Protocol(self.config, self.state, {}, self.loop)
        made.connection_made(Transport())
        return made


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


def on_a_loop(test):
    """Runs a coroutine as a test."""

    @functools.wraps(test)
    def run(*arguments, **options):
        asyncio.run(test(*arguments, **options))

    return run


def problem(connection):
    """Status and code of the refusal that was sent, which also ends the connection."""
    head, _, body = connection.transport.sent.rpartition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert b"connection: close" in head.lower()
    assert connection.transport.is_closed
    told = json.loads(body)
    assert told["status"] == int(head.split()[1])
    return told["status"], told["code"]


HEAD = b"POST /x HTTP/1.1\r\nHost: a\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (HEAD + b"A: ", b"x" * 1000),
        (HEAD + b"A", b"x" * 1000),
        (HEAD, b"A: b\r\n" * 10),
        (b"", b"\r\n" * 500),
        (CHUNKED + b"1\r\na\r\n0\r\n", b"A: b\r\n" * 10),
        (CHUNKED + b"1\r\na\r\n0\r\nA: ", b"x" * 1000),
        (CHUNKED + b"1;a=", b"x" * 1000),
    ],
    ids=["value", "name", "headers", "blank lines", "trailers", "trailer", "chunk extension"],
)
@on_a_loop
async def test_an_endless_head_is_cut_off(start, piece):
    connection = Server().connect()
    connection.data_received(start)
    await settle()
    for _ in range(200):
        connection.data_received(piece)
        if connection.transport.is_closed:
            break
    assert problem(connection) == (431, "head-too-large")


@on_a_loop
async def test_a_head_that_comes_at_once_is_measured_too():
    for headers in (b"A: " + b"x" * 70_000 + b"\r\n", b"A: b\r\n" * 200):
        connection = Server().connect()
        connection.data_received(HEAD + headers + b"\r\n")
        assert problem(connection) == (431, "head-too-large")
    connection = Server().connect()
    connection.data_received(b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert problem(connection) == (400, "malformed-request")


@on_a_loop
async def test_what_browsers_and_clients_send_is_answered():
    server = Server()
    connection = server.connect()
    cookies = b"Cookie: " + b"c" * 8000 + b"\r\n"
    body = b"x" * 300_000
    connection.data_received(HEAD + cookies + b"X: y\r\n" * 60 + b"Content-Length: 300000\r\n\r\n")
    for start in range(0, len(body), 50_000):
        server.loop.wait(5)
        connection.data_received(body[start : start + 50_000])
        await settle()
    assert connection.transport.sent.endswith(b"300000")
    connection.data_received(HEAD + b"\r\n")
    await settle()
    assert connection.transport.sent.endswith(b"\r\n\r\n0")
    assert not connection.transport.is_closed


@pytest.mark.parametrize("start", [b"POST", HEAD, HEAD + b"Content-Le"])
@on_a_loop
async def test_half_a_head_is_waited_for_only_so_long(start):
    server = Server()
    connection = server.connect()
    for byte in (start[i : i + 1] for i in range(len(start))):  # also when it goes on dripping
        server.loop.wait(13 / len(start))
        connection.data_received(byte)
    assert not connection.transport.is_closed
    server.loop.wait(6)
    assert problem(connection) == (408, "too-slow")


@on_a_loop
async def test_a_connection_on_which_nothing_comes_is_ended():
    server = Server()
    silent, dripping = server.connect(), server.connect()
    for _ in range(14):
        server.loop.wait(1)
        dripping.data_received(b"\r\n")
    server.loop.wait(1)
    assert (silent.transport.is_closed, silent.transport.sent) == (True, b"")
    assert dripping.transport.is_closed


@on_a_loop
async def test_half_a_body_is_waited_for_only_so_long_and_the_app_is_told():
    server = Server()
    connection = server.connect()
    connection.data_received(HEAD + b"Content-Length: 100\r\n\r\n")
    for _ in range(59):
        server.loop.wait(1)
        connection.data_received(b"x")
    await settle()
    assert not connection.transport.is_closed
    server.loop.wait(1)
    assert problem(connection) == (408, "too-slow")
    await settle()
    assert server.left == 1


async def answered_early(server, length=20_000_000, **answer):
    """A connection whose answer comes before the body, which is the last it takes."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 413, "headers": []} | answer)
        await send({"type": "http.response.body", "body": b"too much"})

    server.config.loaded_app = app
    connection = server.connect()
    head = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % length
    connection.data_received(head)
    await settle()
    assert b"too much" in connection.transport.sent
    assert not connection.transport.is_closed
    return connection


@on_a_loop
async def test_who_is_still_sending_hears_the_answer_before_the_connection_ends():
    connection = await answered_early(Server())
    connection.data_received(b"x" * 10_000_000)
    await settle()
    assert not connection.transport.is_closed
    connection.data_received(b"x" * 6_000_000)
    assert not connection.transport.is_closed
    connection.data_received(b"x" * 4_000_000)
    assert connection.transport.is_closed, "that is more than anyone sends by mistake"
    assert connection.transport.sent.count(b"HTTP/1.1") == 1


@on_a_loop
async def test_the_rest_of_a_body_that_nobody_wants_is_not_waited_for_either():
    server = Server()
    connection = await answered_early(server)
    for _ in range(60):
        connection.data_received(b"x")
        server.loop.wait(1)
    assert connection.transport.is_closed
    assert connection.transport.sent.count(b"HTTP/1.1") == 1


@on_a_loop
async def test_the_connection_ends_with_the_last_byte_of_a_body_that_nobody_wants():
    connection = await answered_early(Server(), length=10_000_000)
    connection.data_received(b"x" * 9_999_999)
    assert not connection.transport.is_closed
    connection.data_received(b"x")
    assert connection.transport.is_closed


@on_a_loop
async def test_an_answer_may_take_as_long_as_it_needs():
    server = Server(is_held=True)
    connection = server.connect()
    connection.data_received(HEAD + b"Content-Length: 3\r\n\r\nabc")
    await settle()
    server.loop.wait(10_000)
    server.go.set()
    await settle()
    assert connection.transport.sent.endswith(b"3")


@on_a_loop
async def test_a_body_that_the_app_has_not_read_yet_is_not_late():
    server = Server(is_held=True)
    connection = server.connect()
    connection.data_received(HEAD + b"Content-Length: 100001\r\n\r\n")
    connection.data_received(b"x" * 100_000)
    assert not connection.transport.is_reading
    server.loop.wait(100)
    assert not connection.transport.is_closed
    await settle()
    assert connection.transport.is_reading
    server.loop.wait(100)
    assert problem(connection) == (408, "too-slow")


@on_a_loop
async def test_many_requests_at_once_do_not_pile_up():
    server = Server(is_held=True)
    connection = server.connect()
    connection.data_received((HEAD + b"\r\n") * 1000)
    assert problem(connection) == (429, "too-many-calls")
    server.go.set()
    await settle()  # and the answer that was under way is not written to it


@on_a_loop
async def test_the_connection_that_is_of_least_use_gives_way(monkeypatch):
    n = protocol.CLOSED_AT_ONCE
    monkeypatch.setattr(protocol, "most_connections", lambda: n + 3)
    server = Server(is_held=True)
    working, known = server.connect(), server.connect()
    known.data_received(HEAD + b"\r\n")
    server.go.set()
    await settle()
    server.go.clear()
    working.data_received(HEAD + b"\r\n")
    server.loop.wait(1)
    first = [server.connect() for _ in range(n)]
    server.loop.wait(1)
    second = server.connect()
    second.data_received(b"GET / HT")
    server.loop.wait(1)
    last = server.connect()
    assert all(connection.transport.is_closed for connection in first)
    assert not any(c.transport.is_closed for c in (working, known, second, last))


@on_a_loop
async def test_who_comes_while_everyone_is_served_is_told_to_come_again(monkeypatch):
    monkeypatch.setattr(protocol, "most_connections", lambda: 2)
    server = Server(is_held=True)
    for _ in range(2):
        server.connect().data_received(HEAD + b"\r\n")
    assert problem(server.connect()) == (503, "busy")


@on_a_loop
async def test_a_server_that_stops_waits_a_moment_for_the_rest_of_a_request():
    server = Server(is_held=True)
    half, late, whole = (server.connect() for _ in range(3))
    for connection in (half, late):
        connection.data_received(HEAD + b"Content-Length: 2\r\n\r\n1")
    whole.data_received(HEAD + b"\r\n")
    await settle()
    for connection in (half, late, whole):
        connection.shutdown()
    server.loop.wait(2)
    half.data_received(b"2")
    server.loop.wait(2)
    assert problem(late) == (408, "too-slow")
    server.go.set()
    await settle()
    for connection, answer in ((half, b"2"), (whole, b"0")):
        assert connection.transport.sent.endswith(answer)
        assert connection.transport.is_closed


@pytest.mark.parametrize(
    ("proxies", "caller"),
    [("", "10.0.0.9"), ("10.0.0.8", "10.0.0.9"), ("10.0.0.0/8", "1.2.3.4"), ("*", "1.2.3.4")],
)
@on_a_loop
async def test_what_is_said_of_a_caller_is_believed_of_proxies_that_were_named(proxies, caller):
    server = Server(proxies=Settings(proxies=proxies).proxies)
    server.connect().data_received(HEAD + b"X-Forwarded-For: 1.2.3.4\r\n\r\n")
    await settle()
    assert server.callers == [caller]


@pytest.mark.parametrize("proxies", ["", "10.0.0.7"])
def test_the_service_believes_no_other_proxies_than_its_settings_name(monkeypatch, proxies):
    given = {}

    class Noted:
        def __init__(self, app, **options):
            given.update(options)

        def run(self):
            given["has_run"] = True

    monkeypatch.setattr(server, "Server", Noted)
    monkeypatch.setattr(server, "allow_files", lambda: None)
    monkeypatch.setattr(server.signal, "signal", lambda *_: None)
    server.run(Settings(proxies=proxies), Presets())
    assert given["has_run"]
    assert given["forwarded_allow_ips"] == proxies


@pytest.mark.parametrize(
    "head",
    [b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"],
)
@on_a_loop
async def test_who_asks_for_another_protocol_gets_an_answer_in_this_one(head):
    server = Server(is_held=True)
    connection = server.connect()
    connection.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n")
    await settle()
    server.loop.wait(1000)
    server.go.set()
    await settle()
    assert connection.transport.sent.startswith(b"HTTP/1.1 200")
    assert connection.transport.sent.endswith(b"0")


@on_a_loop
async def test_an_address_that_cannot_be_read_is_malformed():
    for first in (b"", HEAD + b"\r\n"):
        connection = Server().connect()
        connection.data_received(first)
        await settle()
        connection.transport.sent = b""
        connection.data_received(b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n")
        assert problem(connection) == (400, "malformed-request")
