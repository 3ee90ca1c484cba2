"""What a worker says of a trial while it holds it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from service.client import ServiceError, ServiceUnreachable
from service.schemas import Heartbeat, HeartbeatAnswer
from tests.unit.cli.test_summary import trial
from trainer.job import Progress
from trainer.worker.lease import HeldLease, LeaseLost, TrialCancelled

FOREVER = datetime(2100, 1, 1, tzinfo=UTC)


class Service:
    """Hears heartbeats and failures, and answers what it is told to."""

    def __init__(self) -> None:
        self.heard: list[Heartbeat] = []
        self.said: list[object] = []
        self.cancel = False
        self.heartbeat_s = 3.0
        self.error: Exception | None = None

    def heartbeat(self, trial_id: int, body: Heartbeat) -> HeartbeatAnswer:
        if self.error is not None:
            raise self.error
        self.heard.append(body)
        return HeartbeatAnswer(
            until=FOREVER, duration_s=60, cancel=self.cancel, heartbeat_s=self.heartbeat_s
        )

    def failure(self, trial_id: int, body: object) -> None:
        self.said.append(body)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def lease(service) -> HeldLease:
    return HeldLease(service, trial(7, {"coco": 1.0}, 0.5), "t" * 32, 60.0)


def test_heartbeats_come_as_often_as_the_service_wants_them_and_three_times_a_lease(lease, service):
    for wanted_s, every_s in ((5.0, 5.0), (50.0, 20.0)):
        lease.heartbeat_s = wanted_s
        before = time.monotonic()
        lease._beat_later()
        assert before + every_s <= lease.next_beat <= time.monotonic() + every_s
    service.heartbeat_s = 7.0
    lease.extend()
    assert lease.heartbeat_s == 7.0


def steps_of(body: Heartbeat) -> list[int]:
    return [point.step for point in body.points]


def test_each_step_is_told_once_whatever_the_pause_between_heartbeats(lease, service):
    for step in (1, 2, 3):
        lease.note(step, {"reward": step / 10})
    lease.beat(Progress("train", 3, 9), {"reward": 0.3})
    lease.note(4, {"reward": 0.4})
    lease.beat(Progress("train", 4, 9), {"reward": 0.4})
    assert [steps_of(body) for body in service.heard] == [[1, 2, 3], [4]]
    assert service.heard[0].points[1].metrics == {"reward": 0.2}


def test_steps_that_the_service_did_not_hear_are_told_when_it_is_back(lease, service):
    lease.note(1, {"reward": 0.1})
    service.error = ServiceUnreachable("away")
    lease.beat(None, {})
    lease.note(2, {"reward": 0.2})
    service.error = None
    lease.beat(None, {})
    assert [steps_of(body) for body in service.heard] == [[1, 2]]


def test_a_long_absence_is_made_up_for_in_calls_of_bounded_size(lease, service):
    for step in range(1200):
        lease.note(step, {"reward": 0.5})
    for _ in range(4):
        lease.beat(None, {})
    assert [len(body.points) for body in service.heard] == [500, 500, 200, 0]
    told = [step for body in service.heard for step in steps_of(body)]
    assert told == list(range(1200))


def test_the_last_word_comes_after_all_that_is_still_untold(lease, service):
    for step in range(700):
        lease.note(step, {"reward": 0.5})
    lease.fail("boom", retryable=True)
    assert [len(body.points) for body in service.heard] == [500, 200]
    assert len(service.said) == 1


@pytest.mark.parametrize(
    "error", [ServiceUnreachable("away"), ServiceError(409, "lease-lost", "another holds it")]
)
def test_the_last_word_does_not_depend_on_the_curve(lease, service, error):
    lease.note(1, {"reward": 0.5})
    service.error = error
    lease.fail("boom", retryable=True)
    assert len(service.said) == 1


def test_what_is_no_number_is_left_out(lease, service):
    lease.note(1, {"loss": float("nan"), "reward": 0.5})
    lease.note(2, {"loss": float("inf")})
    lease.beat(None, {"loss": float("nan")})
    [body] = service.heard
    assert [point.metrics for point in body.points] == [{"reward": 0.5}]
    assert body.metrics == {}


def test_a_lost_lease_and_a_cancelled_trial_end_the_run(lease, service):
    service.cancel = True
    with pytest.raises(TrialCancelled):
        lease.beat(None, {})
    service.error = ServiceError(409, "lease-lost", "another holds it")
    with pytest.raises(LeaseLost, match="another holds it"):
        lease.beat(None, {})
    service.error = ServiceError(422, "invalid", "no such metric")
    lease.beat(None, {})


@pytest.mark.parametrize("code", ["key-required", "not-found", "study-not-found", "wrong-state"])
def test_only_a_lost_lease_or_trial_ends_a_run(lease, service, code):
    service.error = ServiceError(404, code, "not this")
    lease.beat(None, {})
    service.error = ServiceError(404, "trial-not-found", "no trial 7")
    with pytest.raises(LeaseLost, match="no trial 7"):
        lease.beat(None, {})
