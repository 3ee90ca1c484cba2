"""The client against a service that answers as a broken or foreign one would."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from service.schemas import Heartbeat, Release, TrialCreate
from trainer.client import LONGEST_PAUSE_S, Client, ServiceError, ServiceUnreachable
from trainer.signals import Stopped

TOKEN = "t" * 20


@contextmanager
def answering(
    *answers: tuple[int, object], retry_after: str = ""
) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A real server that gives these answers in turn, the last one for ever."""
    heard: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[min(len(heard), len(answers) - 1)]
            heard.append(dict(self.headers))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            if retry_after:
                self.send_header("Retry-After", retry_after)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", heard
    finally:
        server.shutdown()
        server.server_close()


def no_pause(seconds: float) -> None:
    pass


PROBLEM = {"title": "x", "status": 500, "detail": "database is gone", "code": "internal"}


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_service_in_trouble_is_asked_again(status):
    with answering((status, PROBLEM), (200, {"studies": []})) as (url, heard):
        assert Client(url, sleep=no_pause).studies() == []
    assert len(heard) == 2


def test_a_service_that_stays_in_trouble_is_unreachable_and_no_refusal():
    with (
        answering((500, PROBLEM)) as (url, _),
        pytest.raises(ServiceUnreachable, match="database is gone"),
    ):
        Client(url, patience_s=0.05, sleep=no_pause).studies()


def test_a_refusal_is_told_at_once_with_its_code():
    problem = {"title": "x", "status": 409, "detail": "another holds it", "code": "lease-lost"}
    with answering((409, problem)) as (url, heard), pytest.raises(ServiceError) as refused:
        Client(url).heartbeat(1, Heartbeat(token=TOKEN))
    assert (refused.value.status, refused.value.code) == (409, "lease-lost")
    assert len(heard) == 1


@pytest.mark.parametrize("status", [301, 401, 403, 404, 409, 413, 422])
@pytest.mark.parametrize(
    "page",
    [
        "<html>404 Not Found</html>",
        {"message": "no route", "code": 404},
        {"detail": "Not Found"},
        ["lease-lost"],
    ],
    ids=["page", "gateway", "another", "list"],
)
def test_what_is_not_the_services_own_answer_is_not_believed(status, page):
    with (
        answering((status, page)) as (url, _),
        pytest.raises(ServiceUnreachable, match=f"something answers .* with a {status}"),
    ):
        Client(url).heartbeat(1, Heartbeat(token=TOKEN))


def test_a_foreign_service_is_told_in_words():
    with (
        answering((200, {"hello": "world"})) as (url, _),
        pytest.raises(ServiceUnreachable, match="is not a MoDoMoDo service"),
    ):
        Client(url).studies()


@pytest.mark.parametrize("url", ["localhost:8765", "ftp://host", "http://[::1", "http://", "x y"])
def test_what_is_no_address_is_refused_before_any_call(url):
    with pytest.raises(ServiceUnreachable, match="is not an address like http"):
        Client(url)


def test_a_proxy_is_not_asked_for_this_machine(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with answering((200, {"studies": []})) as (url, _):
        assert Client(url, patience_s=0).studies() == []


def test_a_signal_ends_the_waiting_for_a_service_that_is_away():
    def stop(seconds: float) -> None:
        raise Stopped

    with answering((503, PROBLEM)) as (url, heard), pytest.raises(Stopped):
        Client(url, sleep=stop).studies()
    assert len(heard) == 1


def test_each_added_trial_has_its_own_key_and_keeps_it_over_retries():
    with answering((503, PROBLEM)) as (url, heard):
        client = Client(url, patience_s=0.05, sleep=no_pause)
        for _ in range(2):
            with pytest.raises(ServiceUnreachable):
                client.add_trial("s", TrialCreate(mixture={"a": 1.0}))
    keys = [headers["Idempotency-Key"] for headers in heard]
    assert len(keys) > 2
    assert len(set(keys)) == 2


def test_a_name_stays_one_part_of_the_address(monkeypatch):
    asked = []
    monkeypatch.setattr(Client, "_once", lambda self, method, path, **_: asked.append(path))
    client = Client("http://127.0.0.1:9", sleep=no_pause)
    with suppress(AttributeError):  # there is no answer
        client.study("../trials/1?x#y")
    assert asked == ["/studies/..%2Ftrials%2F1%3Fx%23y"]


def test_a_trial_may_be_given_a_key_that_other_clients_know_too():
    with answering((503, PROBLEM)) as (url, heard):
        for _ in range(2):
            client = Client(url, patience_s=0, sleep=no_pause)
            with pytest.raises(ServiceUnreachable):
                client.add_trial("s", TrialCreate(mixture={"a": 1.0}), key="run-17")
    assert [headers["Idempotency-Key"] for headers in heard] == ["run-17"] * 2


@pytest.mark.parametrize(("patience_s", "longest"), [(10.0, 10.0), (1000.0, LONGEST_PAUSE_S)])
def test_no_pause_is_longer_than_a_minute_or_than_patience(patience_s, longest):
    pauses: list[float] = []
    with answering((503, PROBLEM), (200, {"studies": []}), retry_after="86400") as (url, _):
        client = Client(url, patience_s=patience_s, sleep=pauses.append)
        assert client.studies() == []
    (pause,) = pauses
    assert longest - 1 < pause <= longest


def test_a_heartbeat_does_not_wait_for_its_answer_as_long_as_a_result(monkeypatch):
    waited: dict[str, float] = {}

    def request(self, method, url, **options):
        waited[url.rpartition("/")[2]] = options.get("timeout", self.timeout.read)
        raise httpx.ReadTimeout("no answer")

    monkeypatch.setattr(httpx.Client, "request", request)
    client = Client("http://127.0.0.1:9", patience_s=0, sleep=no_pause)
    with pytest.raises(ServiceUnreachable):
        client.heartbeat(1, Heartbeat(token=TOKEN))
    with pytest.raises(ServiceUnreachable):
        client.release(1, Release(token=TOKEN))
    assert waited == {"heartbeat": 5.0, "release": 10.0}


@pytest.mark.parametrize("asked", ["7", "soon", ""])
def test_it_comes_back_when_the_service_says(asked):
    pauses: list[float] = []
    held_up = {"code": "too-many-calls", "detail": "slower"}
    with answering((429, held_up), (200, {"studies": []}), retry_after=asked) as (url, heard):
        client = Client(url, api_key="k" * 20, sleep=pauses.append)
        assert client.studies() == []
    assert len(heard) == 2
    (pause,) = pauses
    assert (pause >= 7) if asked == "7" else (pause < 2)
