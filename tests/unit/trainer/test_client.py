"""The client against a service that answers as a broken or foreign one would."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import tenacity
from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from service.client import Client, ServiceError, ServiceUnreachable
from service.schemas import (
    Expert,
    Heartbeat,
    Lease,
    Measurement,
    Merge,
    NextAnswer,
    NextRequest,
    Release,
    Score,
    Scores,
    Study,
    StudyPage,
    StudySpec,
    TrialCreate,
)
from service.transport import LONGEST_PAUSE_S
from tests.support.bodies import study_body
from trainer.worker.signals import Stopped

TOKEN = "t" * 20
URL = "http://127.0.0.1:9"


class Clock:
    """A clock that only goes on while somebody sleeps."""

    def __init__(self) -> None:
        self.now, self.pauses = 0.0, list[float]()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """The clock by which the client's patience ends."""
    clock = Clock()
    monkeypatch.setattr(tenacity, "time", clock)
    return clock


@pytest.fixture
def answering(monkeypatch) -> Callable[..., list[httpx.Headers]]:
    """Makes the network give these answers in turn, the last one for ever; returns the headers of
    what was asked."""

    def answer(*answers: tuple[int, Any], retry_after: str = "") -> list[httpx.Headers]:
        heard: list[httpx.Headers] = []

        def handle_request(_: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
            status, body = answers[min(len(heard), len(answers) - 1)]
            heard.append(request.headers)
            headers = {"Retry-After": retry_after} if retry_after else {}
            return httpx.Response(status, json=body, headers=headers)

        monkeypatch.setattr(httpx.HTTPTransport, "handle_request", handle_request)
        return heard

    return answer


PROBLEM = {"title": "x", "status": 500, "detail": "database is gone", "code": "internal"}


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_service_in_trouble_is_asked_again(status, answering, clock):
    heard = answering((status, PROBLEM), (200, {"studies": []}))
    assert Client(URL, sleep=clock.sleep).studies() == []
    assert len(heard) == 2


def test_a_service_that_stays_in_trouble_is_unreachable_and_no_refusal(answering, clock):
    answering((500, PROBLEM))
    with pytest.raises(ServiceUnreachable, match="in 20 s: database is gone"):
        Client(URL, patience_s=20, sleep=clock.sleep).studies()
    assert clock.now == pytest.approx(20)


def test_a_refusal_is_told_at_once_with_its_code(answering):
    problem = {"title": "x", "status": 409, "detail": "another holds it", "code": "lease-lost"}
    heard = answering((409, problem))
    with pytest.raises(ServiceError) as refused:
        Client(URL).heartbeat(1, Heartbeat(token=TOKEN))
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
def test_what_is_not_the_services_own_answer_is_not_believed(status, page, answering, clock):
    answering((status, page))
    with pytest.raises(ServiceUnreachable, match=f"something answers .* with a {status}"):
        Client(URL, sleep=clock.sleep).heartbeat(1, Heartbeat(token=TOKEN))


def test_a_foreign_service_is_told_in_words(answering):
    answering((200, {"hello": "world"}))
    for ask in (Client(URL).studies, lambda: Client(URL).next(NextRequest(worker="node-7"))):
        with pytest.raises(ServiceUnreachable, match="is not a MoDoMoDo service"):
            ask()


def of_a_later_version(answer: Any) -> Any:
    """An answer with one field more wherever there is a body in it."""
    if isinstance(answer, BaseModel):
        fields = {name: of_a_later_version(value) for name, value in answer}
        return fields | {"told_since": {"version": [2]}}
    if isinstance(answer, list):
        return [of_a_later_version(item) for item in answer]
    return to_jsonable_python(answer)


SCORE = Measurement(benchmark="chart", score=0.5, samples=100)
SPEC = StudySpec.model_validate(study_body(limits=[{"weights": {"coco": 1.0}, "at_most": 0.9}]))
SCORED = Scores(objective=Score(value=0.5, se=0.1), in_score=None, out_score=None)
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_a_service_of_a_later_version_may_say_more_at_every_level(answering):
    study = Study(
        **dict(SPEC),
        state="active",
        created_at=NOW,
        updated_at=NOW,
        trials={"queued": 1},
        planned=4,
        gpu_hours_used=0.5,
        baseline_scores=SCORED,
    )
    page = StudyPage(studies=[study])
    merge = Merge(experts=[Expert(domain="coco", trial=1, run="s3://run", steps=10)])
    given = NextAnswer(merge=merge, lease=Lease(token=TOKEN, until=NOW, duration_s=60))
    answering((200, of_a_later_version(page)), (200, of_a_later_version(given)))
    assert Client(URL).studies() == [study]
    assert Client(URL).next(NextRequest(worker="node-7")) == given


def test_what_is_sent_is_still_refused_where_a_field_is_unknown():
    with pytest.raises(ValidationError, match="told_since"):
        Measurement.model_validate(of_a_later_version(SCORE))


def test_an_older_service_is_sent_no_field_that_was_not_asked_for(monkeypatch):
    sent = []

    def handle_request(_: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return httpx.Response(200, json={"surrogate": "gp", "predictions": []})

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", handle_request)
    Client(URL).predict("vlm", "gp", [{"coco": 1.0}])
    assert sent == [{"mixtures": [{"coco": 1.0}]}]


@pytest.mark.parametrize("url", ["localhost:8765", "ftp://host", "http://[::1", "http://", "x y"])
def test_what_is_no_address_is_refused_before_any_call(url):
    with pytest.raises(ServiceUnreachable, match="is not an address like http"):
        Client(url)


def test_a_signal_ends_the_waiting_for_a_service_that_is_away(answering):
    def stop(seconds: float) -> None:
        raise Stopped

    heard = answering((503, PROBLEM))
    with pytest.raises(Stopped):
        Client(URL, sleep=stop).studies()
    assert len(heard) == 1


def test_each_added_trial_has_its_own_key_and_keeps_it_over_retries(answering, clock):
    heard = answering((503, PROBLEM))
    client = Client(URL, patience_s=10, sleep=clock.sleep)
    for _ in range(2):
        with pytest.raises(ServiceUnreachable):
            client.add_trial("s", TrialCreate(mixture={"a": 1.0}))
    keys = [headers["Idempotency-Key"] for headers in heard]
    assert len(keys) > 2
    assert len(set(keys)) == 2


def test_a_name_stays_one_part_of_the_address(monkeypatch, clock):
    asked = []
    monkeypatch.setattr(Client, "_once", lambda self, method, path, **_: asked.append(path))
    client = Client(URL, sleep=clock.sleep)
    with suppress(AttributeError):  # there is no answer
        client.study("../trials/1?x#y")
    assert asked == ["/studies/..%2Ftrials%2F1%3Fx%23y"]


def test_a_trial_may_be_given_a_key_that_other_clients_know_too(answering, clock):
    heard = answering((503, PROBLEM))
    for _ in range(2):
        client = Client(URL, patience_s=0, sleep=clock.sleep)
        with pytest.raises(ServiceUnreachable):
            client.add_trial("s", TrialCreate(mixture={"a": 1.0}), key="run-17")
    assert [headers["Idempotency-Key"] for headers in heard] == ["run-17"] * 2


@pytest.mark.parametrize(("patience_s", "longest"), [(10.0, 10.0), (1000.0, LONGEST_PAUSE_S)])
def test_no_pause_is_longer_than_a_minute_or_than_patience(patience_s, longest, answering, clock):
    answering((503, PROBLEM), (200, {"studies": []}), retry_after="86400")
    client = Client(URL, patience_s=patience_s, sleep=clock.sleep)
    assert client.studies() == []
    assert clock.pauses == [longest]


def test_a_heartbeat_does_not_wait_for_its_answer_as_long_as_a_result(monkeypatch, clock):
    waited: dict[str, float] = {}

    def request(self, method, url, **options):
        waited[url.rpartition("/")[2]] = options.get("timeout", self.timeout.read)
        raise httpx.ReadTimeout("no answer")

    monkeypatch.setattr(httpx.Client, "request", request)
    client = Client(URL, patience_s=0, sleep=clock.sleep)
    with pytest.raises(ServiceUnreachable):
        client.heartbeat(1, Heartbeat(token=TOKEN))
    with pytest.raises(ServiceUnreachable):
        client.release(1, Release(token=TOKEN))
    assert waited == {"heartbeat": 5.0, "release": 10.0}


@pytest.mark.parametrize("asked", ["7", "soon", ""])
def test_it_comes_back_when_the_service_says(asked, answering, clock):
    held_up = {"code": "too-many-calls", "detail": "slower"}
    heard = answering((429, held_up), (200, {"studies": []}), retry_after=asked)
    client = Client(URL, api_key="k" * 20, sleep=clock.sleep)
    assert client.studies() == []
    assert len(heard) == 2
    (pause,) = clock.pauses
    assert (pause == 7) if asked == "7" else (pause < 2)
