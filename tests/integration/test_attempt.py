"""What can go wrong under a lease, with real training processes and a service of this process.

The trainers are scripts, so that each trouble is there in a moment.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import wait
from pathlib import Path
from threading import Event

import pytest

from service.client import ServiceError, ServiceUnreachable
from service.schemas import (
    Expert,
    Failure,
    Heartbeat,
    HeartbeatAnswer,
    Lease,
    Merge,
    NextAnswer,
    NextRequest,
    Partial,
    Phase,
    Release,
    Result,
    Trial,
)
from tests.support.processes import ends
from tests.unit.cli.test_summary import trial
from trainer.storage.remote import Store
from trainer.storage.work_folder import TrialFolder, WorkFolder
from trainer.worker.attempt import Attempt, Setting
from trainer.worker.child import Child
from trainer.worker.deadline import HAND_BACK_S, Deadline
from trainer.worker.signals import Stopped
from trainer.worker.worker import Worker

FOREVER = datetime(2100, 1, 1, tzinfo=UTC)
RESULT = '{"measurements": [{"benchmark": "b", "score": 0.5, "samples": 9}]}'
STEP = """echo '{"step": 1, "metrics": {"reward": 0.5}}' >> "$MODOMODO_PROGRESS";"""
DONE = f"""echo '{RESULT}' > "$MODOMODO_RESULT";"""


class Service:
    """Notes what it is told; what it answers to a heartbeat can be another thing each time."""

    url = "http://service"

    def __init__(self, on_beat: Callable[[list[Heartbeat]], object] = lambda beats: None) -> None:
        self.beats: list[Heartbeat] = []
        self.results: list[Result] = []
        self.failures: list[Failure] = []
        self.releases: list[Release] = []
        self.answers: list[NextAnswer] = []
        self.partials: list[Partial] = []
        self.action, self.ends = "continue", "paused"
        self._on_beat = on_beat

    def heartbeat(self, trial_id: int, body: Heartbeat) -> HeartbeatAnswer:
        self.beats.append(body)
        answer = self._on_beat(self.beats)
        if isinstance(answer, Exception):
            raise answer
        return HeartbeatAnswer(
            until=FOREVER, duration_s=0.6, cancel=bool(answer), action=self.action
        )

    def partial(self, trial_id: int, body: Partial) -> Trial:
        self.partials.append(body)
        return trial(7, {"coco": 1.0}, 0.5, state=self.ends)

    def next(self, request: NextRequest) -> NextAnswer:
        return self.answers.pop(0)

    def result(self, trial_id: int, body: Result) -> None:
        self.results.append(body)

    def failure(self, trial_id: int, body: Failure) -> None:
        self.failures.append(body)

    def release(self, trial_id: int, body: Release) -> None:
        self.releases.append(body)


@dataclass
class Signals:
    """SIGTERM, without one."""

    pipe: tuple[int, int] = field(default_factory=os.pipe)
    came: bool = False
    slept: list[float] = field(default_factory=list)

    @property
    def descriptor(self) -> int:
        return self.pipe[0]

    def come_at_step_1(self, beats: list[Heartbeat]) -> None:
        if beats[-1].step == 1:
            self.came = True
            os.write(self.pipe[1], b"!")

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        wait([self.descriptor], timeout=0)
        if self.came:
            raise Stopped


@pytest.fixture
def signals() -> Iterator[Signals]:
    signals = Signals()
    yield signals
    for descriptor in signals.pipe:
        os.close(descriptor)


def an_answer(**recipe) -> NextAnswer:
    return NextAnswer(
        trial=trial(7, {"coco": 1.0}, 0.5),
        lease=Lease(token="t" * 32, until=FOREVER, duration_s=0.6),
        recipe={"backend": "command", "steps": 9, "command": {"script": "train", **recipe}},
    )


def attempt(
    folder: Path, service: Service, signals: Signals, script: str, **setting
) -> tuple[Attempt, TrialFolder]:
    file = folder / "commands/train"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    place = TrialFolder(folder / "trial")
    setting = Setting(commands=file.parent, **setting)
    return Attempt(service, an_answer(), signals, place, setting), place


def run(folder: Path, service: Service, signals: Signals, script: str, **setting) -> TrialFolder:
    tried, place = attempt(folder, service, signals, script, **setting)
    tried.run()
    return place


def is_settled(place: TrialFolder) -> bool:
    return place.answer() is None and place.result() is None


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo boom; exit 3", "ended with exit code 3"),
        ("kill -SEGV $$", "ended by SIGSEGV"),
        ("echo 'torch.OutOfMemoryError: CUDA out of memory. Tried'; exit 1", "out of memory: a sm"),
    ],
    ids=["crash", "killed", "out-of-memory"],
)
def test_a_run_that_breaks_is_a_failure_that_says_why_and_may_be_tried_again(
    tmp_path, signals, script, said
):
    service = Service()
    place = run(tmp_path, service, signals, script + " || exit 1")
    [failure] = service.failures
    assert said in failure.error
    assert failure.retryable
    assert is_settled(place)


def test_a_schedule_reaches_whoever_trains(tmp_path, signals):
    service = Service()
    told = tmp_path / "told"
    script = f'printf %s "$MODOMODO_SCHEDULE" > {told}; {DONE}'
    _, place = attempt(tmp_path, service, signals, script)
    answer = an_answer(schedules=True)
    phases = [Phase(share=0.5, mixture={"coco": w, "sat": 1 - w}) for w in (0.9, 0.1)]
    answer.trial = answer.trial.model_copy(
        update={"mixture": {"coco": 0.5, "sat": 0.5}, "schedule": phases}
    )
    setting = Setting(commands=tmp_path / "commands")
    Attempt(service, answer, signals, place, setting).run()
    [result] = service.results
    assert result.measurements[0].score == 0.5
    assert json.loads(told.read_text()) == [phase.model_dump() for phase in phases]


def test_a_run_whose_process_is_killed_is_a_failure(tmp_path, signals):
    service = Service()
    run(tmp_path, service, signals, "kill -9 $PPID; sleep 60")
    assert "killed by SIGKILL" in service.failures[0].error


def test_a_run_that_hangs_is_stopped_and_the_lease_is_kept_until_then(tmp_path, signals):
    service = Service()
    run(tmp_path, service, signals, f"{STEP} exec sleep 600", stalled_s=3.0)
    assert "made no progress for 3 s in 'train' at step 1" in service.failures[0].error
    assert len(service.beats) >= 3
    assert service.beats[-1].step == 1


def test_a_cancelled_trial_ends_its_run_at_once(tmp_path, signals):
    service = Service(lambda beats: beats[-1].step == 1)
    place = run(tmp_path, service, signals, f"echo $$ > pid; {STEP} exec sleep 600")
    assert is_settled(place)
    assert not service.failures
    assert ends(int((place.run / "pid").read_text()))


def test_the_first_step_is_told_at_once(tmp_path, signals, monkeypatch):
    monkeypatch.setattr("trainer.worker.lease.HeldLease.least_pause_s", 600.0)
    service = Service(lambda beats: beats[-1].step == 1)
    run(tmp_path, service, signals, f"{STEP} exec sleep 600", stalled_s=30)
    assert [beat.step for beat in service.beats] == [1]
    assert not service.failures


def test_the_lease_is_kept_while_a_run_takes_long_to_start(tmp_path, signals, monkeypatch):
    service, heard = Service(lambda beats: heard.set() if len(beats) >= 3 else None), Event()

    def slow(*arguments: object) -> Child:
        assert heard.wait(30), "no heartbeats while it started"
        return Child(*arguments)

    monkeypatch.setattr("trainer.worker.attempt.Child", slow)
    run(tmp_path, service, signals, DONE)
    assert service.results


def test_a_run_that_starts_after_its_lease_was_lost_is_stopped(tmp_path, signals, monkeypatch):
    lost, children = ServiceError(409, "lease-lost", "another worker holds it"), []
    service, heard = Service(lambda beats: heard.set() or lost), Event()

    def slow(*arguments: object) -> Child:
        assert heard.wait(30)
        children.append(Child(*arguments))
        return children[0]

    monkeypatch.setattr("trainer.worker.attempt.Child", slow)
    place = run(tmp_path, service, signals, "exec sleep 600")
    assert is_settled(place)
    assert all(map(ends, children[0].pids))


@pytest.mark.parametrize("status", [404, 409])
def test_a_lost_lease_ends_the_run_and_keeps_what_another_try_can_use(tmp_path, signals, status):
    lost = ServiceError(status, "lease-lost", "another worker holds it")
    service = Service(lambda beats: lost if beats[-1].step == 1 else None)
    place = run(tmp_path, service, signals, f"mkdir -p checkpoints/mine; {STEP} exec sleep 600")
    assert is_settled(place)
    assert (place.run / "checkpoints/mine").exists()
    assert not service.failures + service.releases


def test_a_run_goes_on_while_the_service_is_away_and_its_steps_are_told_later(tmp_path, signals):
    def away(beats: list[Heartbeat]) -> ServiceUnreachable | None:
        since_step_1 = [beat for beat in beats if beat.step == 1]
        return ServiceUnreachable("away") if len(since_step_1) < 3 else None

    service = Service(away)
    run(tmp_path, service, signals, f"{STEP} sleep 1.5; {DONE}")
    assert service.results[0].measurements[0].score == 0.5
    told = [[point.step for point in beat.points] for beat in service.beats if beat.step == 1]
    assert told[:3] == [[1], [1], [1]], "until it was heard"
    assert told[3:] == [[]] * len(told[3:])


def test_a_result_is_kept_on_disk_until_the_service_has_it(tmp_path, signals):
    service = Service()
    tried, place = attempt(tmp_path, service, signals, DONE)
    away = [True, True, False]

    def deliver(trial_id: int, body: Result) -> None:
        assert place.result() == body
        if away.pop(0):
            raise ServiceUnreachable("away")
        service.results.append(body)

    service.result = deliver
    tried.run()
    assert len(service.results) == 1
    assert len(signals.slept) == 2
    assert is_settled(place)


def test_a_worker_that_stops_waits_for_its_run_to_end_in_order(tmp_path, signals):
    service = Service(signals.come_at_step_1)
    script = f"trap 'echo kept > state; exit 0' TERM; {STEP} while :; do sleep 0.05; done"
    tried, place = attempt(tmp_path, service, signals, script)
    with pytest.raises(Stopped):
        tried.run()
    assert (place.run / "state").read_text() == "kept\n"
    assert "asked to stop" in service.releases[0].reason
    assert is_settled(place)


@pytest.mark.parametrize("ends", ["paused", "early_stopped"])
def test_a_run_that_is_told_to_pause_gives_its_scores_and_keeps_its_checkpoint(
    tmp_path, signals, ends
):
    service = Service()
    service.action, service.ends = "pause", ends
    told = RESULT.replace("]}", '], "paused_at": 4}')
    script = (
        f'mkdir -p checkpoints/checkpoint-4; {STEP} while [ ! -e "$MODOMODO_PAUSE" ]; '
        f"do sleep 0.05; done; echo '{told}' > \"$MODOMODO_RESULT\""
    )
    tried, place = attempt(tmp_path, service, signals, script)
    tried.run()
    [partial] = service.partials
    assert (partial.step, [m.score for m in partial.measurements]) == (4, [0.5])
    assert not service.results + service.failures + service.releases
    assert is_settled(place)
    assert (place.run / "checkpoints/checkpoint-4").exists() == (ends == "paused")
    assert tried.is_delivered


def test_a_run_that_ends_within_the_grace_gives_its_result(tmp_path, signals):
    service = Service(signals.come_at_step_1)
    script = f"trap '' TERM; {STEP} sleep 1; {DONE}"
    run(tmp_path, service, signals, script)
    assert service.results
    assert not service.releases


def test_what_does_not_end_within_the_grace_is_handed_back_all_the_same(tmp_path, signals):
    service = Service(signals.come_at_step_1)
    tried, place = attempt(
        tmp_path, service, signals, f"trap '' TERM; {STEP} sleep 600", grace_s=0.5
    )
    with pytest.raises(Stopped):
        tried.run()
    assert "longer than its grace" in service.releases[0].reason
    assert is_settled(place)


def test_a_run_stops_in_order_before_its_machine_is_taken_away(tmp_path, signals):
    deadline = Deadline(time.time() + HAND_BACK_S + 62)
    service = Service()
    script = f"trap 'echo kept > state; exit 0' TERM; {STEP} while :; do sleep 0.05; done"
    tried, place = attempt(tmp_path, service, signals, script, deadline=deadline)
    with pytest.raises(Stopped):
        tried.run()
    assert (place.run / "state").read_text() == "kept\n"
    assert "time is nearly over" in service.releases[0].reason
    assert not signals.came


def test_no_trial_is_taken_that_could_not_stop_before_the_machine_is_taken_away(tmp_path, signals):
    place = WorkFolder(tmp_path)
    service = Service()
    setting = Setting(deadline=Deadline(time.time() + 3600, needs_s=3600.0))
    worker = Worker(service, "w", signals, place, setting)
    worker.run()
    assert "a trial needs 3600 s" in worker.reason
    place.close()


def test_no_trial_is_taken_while_the_disk_is_full(tmp_path, signals, monkeypatch):
    service = Service()
    service.answers = [NextAnswer(trial=None, reason="finished")]
    place = WorkFolder(tmp_path)
    free = iter([10, 10, 10**9])
    monkeypatch.setattr(WorkFolder, "free_bytes", lambda self: next(free))
    worker = Worker(service, "w", signals, place, until_done=True, min_free_bytes=10**6)
    worker.run()
    assert len(signals.slept) == 2
    assert service.answers == [], "asked once there was room"
    place.close()


def merged_answer(recipe, **more) -> NextAnswer:
    one = trial(7, {"coco": 1.0}, 0.5).model_copy(update={"channel": "merged"})
    lease = Lease(token="t" * 32, until=FOREVER, duration_s=0.6)
    return NextAnswer(trial=one, lease=lease, recipe=recipe, **more)


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"backend": "command", "command": {"script": "train"}}, "weights of back end 'command'"),
        ({}, "the service did not say what to merge; nothing was trained"),
    ],
)
def test_what_cannot_be_merged_anywhere_fails_for_good_and_nothing_is_trained(
    tmp_path, signals, recipe, said
):
    service, place = Service(), TrialFolder(tmp_path / "trial-7-abc")
    Attempt(service, merged_answer(recipe), signals, place, Setting()).run()
    [failure] = service.failures
    assert said in failure.error
    assert not failure.retryable
    assert not service.results


def test_a_worker_without_a_store_leaves_a_merged_model_to_others(tmp_path, signals):
    merge = Merge(experts=[Expert(domain="coco", trial=3, run="file:///s/x/final", steps=2)])
    service, place = Service(), TrialFolder(tmp_path / "trial-7-abc")
    Attempt(service, merged_answer({}, merge=merge), signals, place, Setting()).run()
    [release] = service.releases
    assert (release.cause, "this worker has none (--store)" in release.reason) == (
        "environment",
        True,
    )


def test_a_worker_whose_store_has_no_such_expert_leaves_a_merged_model_to_others(tmp_path, signals):
    store = Store(f"{tmp_path}/store")
    merge = Merge(experts=[Expert(domain="coco", trial=3, run=store.of("vlm", 3).final, steps=2)])
    service, place = Service(), TrialFolder(tmp_path / "trial-7-abc")
    setting = Setting(store=store, experts=tmp_path / "experts")
    Attempt(service, merged_answer({}, merge=merge), signals, place, setting).run()
    [release] = service.releases
    assert "is not in the store, or not yet" in release.reason
    assert not service.results
