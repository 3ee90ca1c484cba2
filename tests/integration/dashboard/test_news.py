"""The stream of events: who hears what, how soon, and that it holds nothing up."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from modomodo.local import free_port
from service.dashboard.pages import events
from service.executor.process import Inline
from service.server import Server
from tests.support.dashboard import create, finish
from tests.support.serving import in_process

UNIFORM = [0.2] * 5
WITHIN_S = 30


class Listener:
    """One stream, read as a browser reads it."""

    def __init__(self, client: httpx.Client, query: str = "") -> None:
        self._stream = client.stream("GET", f"/ui/events{query}", timeout=WITHIN_S)
        self.answer = self._stream.__enter__()
        self._lines = self.answer.iter_lines()

    def event(self) -> str:
        """The next event's name; `retry` for the first, which only says when to come back."""
        said = list(iter(lambda: next(self._lines), ""))
        name, _, value = said[0].partition(": ")
        return value if name == "event" else name

    def revision(self) -> int:
        """That of the next event that says one."""
        for line in self._lines:
            if line.startswith("data: {"):
                found: int = json.loads(line.removeprefix("data: "))["revision"]
                return found
        raise AssertionError("the stream ended")

    def rest(self) -> list[str]:
        return list(self._lines)

    def close(self) -> None:
        self._stream.__exit__(None, None, None)


@pytest.fixture
def client(service_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service_url, timeout=WITHIN_S) as client:
        yield client


def quiet(client: httpx.Client, name: str) -> str:
    """A study in which nothing happens by itself."""
    study = create(client, name=name)
    client.patch(f"/studies/{study}", json={"state": "paused"})
    return study


def test_a_listener_hears_of_its_own_study_and_one_without_of_any(client):
    own, other = quiet(client, "own"), quiet(client, "other")
    mine, every = Listener(client, f"?study={own}"), Listener(client)
    assert mine.answer.headers["Content-Type"].startswith("text/event-stream")
    before, total = mine.revision(), every.revision()
    finish(client, other, UNIFORM, 0.3)
    while every.revision() <= total:
        pass
    finish(client, own, UNIFORM, 0.3)
    # Had it heard of the other study, it would have been told its own revision as it was.
    assert mine.revision() > before
    mine.close()
    every.close()


@pytest.mark.slow
def test_a_change_is_told_within_a_second_or_so(client):
    study = quiet(client, "vlm")
    listener = Listener(client, f"?study={study}")
    known = listener.revision()
    took = []
    for _ in range(3):
        began = time.monotonic()
        finish(client, study, UNIFORM, 0.3)
        while listener.revision() <= known:
            pass
        took.append(time.monotonic() - began)
    assert min(took) < 1.5
    listener.close()


def told(news: events.News, n: int) -> list[str]:
    """What a stream says first, or all of it where it ends before."""

    async def listen() -> list[str]:
        said = []
        stream = news.listen(None)
        async for one in stream:
            said.append(one)
            if len(said) == n:
                await stream.aclose()
        return said

    return asyncio.run(asyncio.wait_for(listen(), WITHIN_S))


def test_a_stream_is_never_silent_for_long(database):
    said = told(events.News(database, beat_s=0.02), 5)
    assert said[0].startswith("retry")
    assert said.count(events.BEAT) >= 2


def test_a_stream_ends_after_a_while(database):
    said = told(events.News(database, beat_s=0.02, longest_s=0.1), 1000)
    assert len(said) < 1000
    assert all(one.startswith(("retry", "event: beat", "data")) for one in said)


def test_a_crowd_of_listeners_leaves_threads_and_connections_to_others(service_url, client):
    study = quiet(client, "vlm")
    crowd = 150  # far more than the service has threads or connections to its database

    async def listen() -> None:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=service_url, timeout=WITHIN_S, limits=limits) as many:
            is_open = asyncio.Barrier(crowd + 1)

            async def one() -> None:
                async with many.stream("GET", f"/ui/events?study={study}") as answer:
                    lines = answer.aiter_lines()
                    async for line in lines:
                        if line.startswith("data: {"):
                            break
                    await is_open.wait()
                    async for line in lines:
                        if line.startswith("data: {"):
                            return

            before = threading.active_count()
            listeners = [asyncio.create_task(one()) for _ in range(crowd)]
            await is_open.wait()
            assert threading.active_count() - before < crowd / 2
            await asyncio.to_thread(finish, client, study, UNIFORM, 0.3)
            await asyncio.gather(*listeners)

    asyncio.run(asyncio.wait_for(listen(), 50))


def test_more_listeners_than_there_may_be_are_sent_away(api, database):
    api.app.state.news = events.News(database, most=0)
    refused = api.get("/ui/events")
    assert refused.status_code == 503
    assert refused.json()["code"] == "too-many-listeners"
    assert refused.json()["detail"].startswith("0 pages listen already")


@pytest.mark.parametrize("error", [ValueError("a row that makes no sense"), MemoryError()])
def test_news_go_on_after_an_error_that_nobody_expected(monkeypatch, logged, error):
    looks = iter([error, error, {"vlm": 7}])

    def read():
        found = next(looks, {"vlm": 7})
        if isinstance(found, Exception):
            raise found
        return found

    async def heard() -> str:
        news = events.News(None, every_s=0.0)
        monkeypatch.setattr(news, "_read", read)
        stream = news.listen("vlm")
        async for said in stream:
            if said.startswith("data"):
                await stream.aclose()
                return said
        raise AssertionError("the stream ended")

    assert "7" in asyncio.run(asyncio.wait_for(heard(), WITHIN_S))
    assert logged.getvalue().count("revisions cannot be read") == 1
    assert type(error).__name__ in logged.getvalue()


def test_an_open_stream_does_not_hold_up_the_end_of_the_service(app_settings):
    port = free_port()
    server = Server(
        in_process(app_settings, Inline()),
        port=port,
        log_level="error",
        timeout_graceful_shutdown=3600,  # it would wait for so long
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + WITHIN_S
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < deadline, "the service did not start"
        time.sleep(0.01)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=WITHIN_S) as client:
        listener = Listener(client)
        listener.revision()
        server.should_exit = True
        assert listener.rest()[-1:] in ([], [""])
        thread.join(WITHIN_S)
        assert not thread.is_alive()
        listener.close()
