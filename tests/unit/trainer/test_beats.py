"""Heartbeats of several workers of one process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from service.client import ServiceError, ServiceUnreachable
from service.schemas import BeatOutcome, CurvePoint, Heartbeat, HeartbeatAnswer
from tests.unit.cli.test_summary import trial
from trainer.worker.beats import FEW_POINTS, Beats
from trainer.worker.lease import HeldLease, LeaseLost

FOREVER = datetime(2100, 1, 1, tzinfo=UTC)
LONG_S = 30.0


class Service:
    """Hears heartbeats; of trial 3 the lease is lost."""

    def __init__(self, error=None):
        self.error = error
        self.together: list[list[int]] = []
        self.alone: list[int] = []

    def heartbeats(self, body):
        self.together.append([beat.trial for beat in body.beats])
        if self.error is not None:
            raise self.error
        return [
            BeatOutcome(trial=beat.trial, status=409, code="lease-lost", detail="another has it")
            if beat.trial == 3
            else BeatOutcome(trial=beat.trial, answer=_answer(beat.trial))
            for beat in body.beats
        ]

    def heartbeat(self, trial_id, body):
        assert type(body) is Heartbeat
        self.alone.append(trial_id)
        return _answer(trial_id)


def _answer(trial_id):
    return HeartbeatAnswer(until=FOREVER, duration_s=60.0 + trial_id, cancel=False)


def send_all(beats, service, n):
    """From a thread each; what each heard or had raised."""

    def send(i):
        try:
            return beats.send(service, i, Heartbeat(token="t" * 32, step=i))
        except (ServiceError, ServiceUnreachable) as error:
            return error

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(send, range(1, n + 1)))


def test_heartbeats_that_come_together_are_one_call_and_each_has_its_own_answer():
    service = Service()
    heard = send_all(Beats(4, LONG_S), service, 4)
    [sent] = service.together
    assert sorted(sent) == [1, 2, 3, 4]
    assert [heard[i].duration_s for i in (0, 1, 3)] == [61, 62, 64]
    assert (heard[2].status, heard[2].code) == (409, "lease-lost")


def test_one_that_comes_alone_does_not_wait_for_those_that_do_not_come():
    service = Service()
    assert send_all(Beats(4, 0.0), service, 1)[0].duration_s == 61
    assert service.together == [[1]]


def test_a_service_that_takes_one_at_a_time_is_asked_for_several_only_once():
    service, beats = Service(ServiceError(404, "not-found", "nothing at /heartbeats")), Beats(2)
    for _ in range(2):
        heard = send_all(beats, service, 2)
        assert [answer.duration_s for answer in heard] == [61, 62]
    assert sorted(service.alone) == [1, 1, 2, 2]
    assert len(service.together) <= 2


@pytest.mark.parametrize(
    "error",
    [
        ServiceError(413, "body-too-large", "more than 4 MiB came"),
        ServiceError(422, "invalid-request", "beats.1.metrics: 201 names, 200 at most"),
    ],
)
def test_what_no_one_call_can_have_is_sent_one_by_one(error):
    service = Service(error)
    heard = send_all(Beats(2, LONG_S), service, 2)
    assert [answer.duration_s for answer in heard] == [61, 62]


@pytest.mark.parametrize(
    "error", [ServiceUnreachable("away"), ServiceError(401, "key-required", "no key")]
)
def test_all_hear_that_the_call_came_to_nothing(error):
    assert send_all(Beats(3, LONG_S), Service(error), 3) == [error] * 3


def test_nobody_waits_for_an_answer_that_is_not_there():
    service = Service()
    service.heartbeats = lambda body: []
    heard = send_all(Beats(2, LONG_S), service, 2)
    assert [str(error) for error in heard] == ["0 of 2 heartbeats were answered"] * 2


def test_a_long_curve_is_a_call_of_its_own():
    service = Service()
    points = [CurvePoint(step=i, metrics={"loss": 1.0}) for i in range(FEW_POINTS + 1)]
    Beats(2, LONG_S).send(service, 1, Heartbeat(token="t" * 32, points=points))
    assert (service.alone, service.together) == ([1], [])


def test_workers_of_a_process_beat_at_the_same_moments():
    beats = Beats(2)
    due = [beats.slot(now, 3.0) for now in (300.0, 300.1, 302.9)]
    assert due == [303.0] * 3
    assert beats.slot(303.0, 3.0) == 306.0


def test_a_lease_hears_of_its_loss_through_the_others_call():
    service = Service()
    lease = HeldLease(service, trial(3, {"coco": 1.0}, 0.5), "t" * 32, 60.0, beats=Beats(1))
    with pytest.raises(LeaseLost, match="another has it"):
        lease.extend()
