"""How an attempt ends: what becomes of its result, and whose fault a broken run is."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from service.client import ServiceError
from service.schemas import Measurement, NextAnswer, Result
from tests.integration.test_attempt import (
    DONE,
    STEP,
    Service,
    Signals,
    an_answer,
    attempt,
    is_settled,
    run,
    signals,
)
from tests.support.processes import ends
from trainer.job import Crash, Job, Outcome, Progress
from trainer.storage.work_folder import TrialFolder, WorkFolder
from trainer.worker.attempt import Attempt, Setting
from trainer.worker.child import Child
from trainer.worker.signals import Stopped
from trainer.worker.worker import GaveUp, Worker

__all__ = ["signals"]

CHECKPOINT = "mkdir -p checkpoints/mine;"
TINY = {"steps": 1}
RESULT = Result(token="t" * 32, measurements=[Measurement(benchmark="sat", score=0.5, samples=10)])


class Refusing(Service):
    """Refuses results with these errors in turn, and then takes them."""

    def __init__(self, *errors: ServiceError) -> None:
        super().__init__()
        self.errors = list(errors)

    def result(self, trial_id: int, body: Result) -> None:
        if self.errors:
            raise self.errors.pop(0)
        super().result(trial_id, body)


def told(folder: Path, service: Service, signals: Signals, **changes: object) -> Attempt:
    """An attempt at a trial whose answer is changed so; nothing is trained yet."""
    answer = an_answer().model_copy(update=changes)
    return Attempt(service, answer, signals, TrialFolder(folder / "trial"), Setting())


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "key-required"),
        (403, "scope-needed"),
        (404, "trial-not-found"),
        (404, "not-found"),
        (405, "method-not-allowed"),
    ],
)
def test_a_refusal_that_may_pass_is_waited_for_with_growing_pauses(tmp_path, signals, status, code):
    service = Refusing(*[ServiceError(status, code, "not now")] * 3)
    tried, place = attempt(tmp_path, service, signals, CHECKPOINT + DONE)
    seen = []
    sleep = signals.sleep
    signals.sleep = lambda seconds: (seen.append(place.result()), sleep(seconds))
    tried.run()
    assert all(seen), "kept meanwhile"
    assert signals.slept == [5, 10, 20]
    assert len(service.results) == 1
    assert not service.failures
    assert is_settled(place)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (413, "body-too-large"),
        (422, "invalid-request"),
        (409, "too-many-replicates"),
        (400, "malformed-json"),
    ],
)
def test_a_result_that_will_never_be_taken_is_kept_and_the_trial_fails_for_good_and_says_why(
    tmp_path, signals, status, code
):
    service = Refusing(ServiceError(status, code, "no score of mmmu"))
    place = run(tmp_path, service, signals, CHECKPOINT + DONE)
    [failure] = service.failures
    assert not failure.retryable
    assert f"{status} {code}: no score of mmmu" in failure.error
    assert is_settled(place)
    assert (place.run / "checkpoints/mine").exists()
    [kept] = place.refused()
    assert str(kept.path) in failure.error
    assert kept.result().measurements[0].score == 0.5


@pytest.mark.parametrize("code", ["lease-lost", "result-conflict"])
def test_a_refusal_that_says_the_scores_are_kept_ends_it(tmp_path, signals, code):
    service = Refusing(ServiceError(409, code, "…; these scores were kept as a replicate"))
    place = run(tmp_path, service, signals, DONE)
    assert is_settled(place)
    assert not service.failures + list(place.refused())


def test_a_refused_result_is_offered_again_when_a_worker_starts_in_the_folder(tmp_path, signals):
    place = WorkFolder(tmp_path)
    answer = an_answer()
    folder = place.of(Service.url, answer.trial)
    folder.begin(answer)
    folder.refuse(RESULT)
    folder.settle(is_over=False)
    place.prune(keep=0)
    for service in (Refusing(ServiceError(422, "invalid-request", "still not")), Refusing()):
        service.answers = [NextAnswer(reason="finished")]
        Worker(service, "w", signals, place, until_done=True).run()
    assert service.results == [RESULT]
    assert list(place.refused()) == []
    place.close()


def test_scores_that_the_study_does_not_ask_for_are_stored_beside(tmp_path, signals):
    service = Service()
    tried, _ = attempt(tmp_path, service, signals, "")
    score = '{"benchmark": "%s", "score": 0.5, "samples": 9}'
    tried._answer.benchmarks = ["b", "c"]
    file = tmp_path / "commands/train"
    both = f'{{"measurements": [{score % "b"}, {score % "lisa"}]}}'
    file.write_text(f"#!/bin/sh\necho '{both}' > \"$MODOMODO_RESULT\"\n")
    tried.run()
    [result] = service.results
    assert [item.benchmark for item in result.measurements] == ["b"]
    assert [item["benchmark"] for item in result.artifacts["other_scores"]] == ["lisa"]


def test_a_run_that_scored_nothing_of_the_studys_fails_for_good(tmp_path, signals):
    service = Service()
    tried, _ = attempt(tmp_path, service, signals, DONE)
    tried._answer.benchmarks = ["mmmu"]
    tried.run()
    [failure] = service.failures
    assert not failure.retryable
    assert "none of the study's benchmarks (mmmu), but b" in failure.error


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recipe": {"step": 5}}, "unknown key 'step'; did you mean 'steps'?"),
        ({"recipe": TINY, "weighed": ["sat", "mine"]}, "scores no benchmark 'mine'"),
        (
            {"recipe": {"data": {"domains": {"sat": "s"}, "benchmarks": {"sat": "t"}}}},
            "has no domain 'coco'; it has sat",
        ),
    ],
)
def test_a_recipe_that_does_not_fit_the_study_fails_for_good_before_anything_trains(
    tmp_path, signals, monkeypatch, changes, said
):
    monkeypatch.delattr("trainer.worker.attempt.Child")
    service = Service()
    told(tmp_path, service, signals, **changes).run()
    [failure] = service.failures
    assert said in failure.error
    assert not failure.retryable


def test_a_result_is_delivered_where_the_disk_has_no_room_to_keep_it(
    tmp_path, signals, monkeypatch
):
    def full(self: TrialFolder, result: Result) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(TrialFolder, "keep", full)
    service = Service()
    place = run(tmp_path, service, signals, DONE)
    assert len(service.results) == 1
    assert is_settled(place)


def test_a_store_that_hangs_does_not_keep_a_result(tmp_path, signals):
    service, never = Service(), threading.Event()

    class Hanging:
        place = final = "nowhere"

        def of(self, study: str, trial_id: int) -> Hanging:
            return self

        def put_final(self, folder: Path, step: int) -> None:
            assert service.results, "delivered first"
            never.wait()

        def forget(self) -> None:
            never.wait()

    place = TrialFolder(tmp_path)
    place.begin(an_answer())
    place.keep(RESULT)
    setting = Setting(store=Hanging(), stalled_s=0.2)
    Attempt(service, an_answer(), signals, place, setting).take_up()
    assert service.results == [RESULT]
    assert is_settled(place)
    never.set()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("head -c 1 /dev/zero > /dev/full || exit 1", "no room left on the disk"),
        ("echo 'ModuleNotFoundError: No module named verl'; exit 1", "No module named verl"),
        ("echo 'RuntimeError: No CUDA GPUs are available'; exit 1", "No CUDA GPUs"),
        ("cat /none/of/this || exit 1", "No such file or directory"),
        (f"{STEP} sleep 0.5; head -c 1 /dev/zero > /dev/full || exit 1", "no room left"),
    ],
    ids=["full-disk", "library", "gpu", "data", "full-disk-later"],
)
def test_what_the_machine_lacks_gives_the_trial_to_another_worker(tmp_path, signals, script, said):
    service = Service()
    tried, place = attempt(tmp_path, service, signals, script)
    tried.run()
    [release] = service.releases
    assert release.cause == "environment"
    assert said in release.reason
    assert said in tried.broke
    assert not service.failures
    assert is_settled(place)


def test_a_script_that_this_worker_does_not_have_is_left_to_another(tmp_path, signals):
    service = Service()
    tried, _ = attempt(tmp_path, service, signals, "")
    (tmp_path / "commands/train").unlink()
    tried.run()
    assert "not there or not executable" in service.releases[0].reason


def test_a_library_that_a_run_misses_after_its_first_step_is_its_own_fault(tmp_path, signals):
    service = Service()
    script = f"{STEP} sleep 0.5; echo 'ImportError: cannot import'; exit 1"
    run(tmp_path, service, signals, script)
    assert service.failures[0].retryable


def test_a_lack_of_memory_at_the_first_step_is_the_machines_where_others_had_enough(
    tmp_path, signals
):
    service = Service()
    tried, _ = attempt(tmp_path, service, signals, "echo CUDA out of memory; exit 1")
    tried._answer.results = 3
    tried.run()
    assert "out of memory: a smaller" in service.releases[0].reason


def test_a_result_that_no_second_try_would_mend_is_not_tried_again(tmp_path, signals):
    service = Service()
    percent = '{"measurements": [{"benchmark": "b", "score": 41.2, "samples": 9}]}'
    run(tmp_path, service, signals, f"echo '{percent}' > \"$MODOMODO_RESULT\"")
    [failure] = service.failures
    assert not failure.retryable
    assert "41.2 is not a number from 0 to 1: give fractions, 0.412 for 41.2%" in failure.error


def test_what_a_script_started_ends_with_its_run_also_when_that_is_killed(tmp_path, signals):
    service = Service()
    script = "sleep 600 & echo $! > pid; kill -9 $PPID; sleep 600"
    place = run(tmp_path, service, signals, script)
    assert ends(int((place.run / "pid").read_text()))


def test_a_run_that_does_not_start_is_given_up_like_one_that_hangs(tmp_path, signals, monkeypatch):
    never = threading.Event()

    def hang(*arguments: object) -> Child:
        never.wait()
        raise OSError("far too late")

    monkeypatch.setattr("trainer.worker.attempt.Child", hang)
    service = Service()
    run(tmp_path, service, signals, DONE, stalled_s=0.3)
    [release] = service.releases
    assert "did not start within 0.3 s" in release.reason
    assert release.cause == "environment"
    never.set()


def test_a_worker_that_is_to_stop_does_not_wait_for_a_run_to_start(tmp_path, signals, monkeypatch):
    service, stopped, go_on = Service(), threading.Event(), threading.Event()

    def slow(*arguments: object) -> Child:
        signals.came = True
        os.write(signals.pipe[1], b"!")
        go_on.wait()
        child = Child(*arguments)
        stop = child.stop
        child.stop = lambda: (stop(), stopped.set())
        return child

    monkeypatch.setattr("trainer.worker.attempt.Child", slow)
    tried, place = attempt(tmp_path, service, signals, "exec sleep 600")
    with pytest.raises(Stopped):
        tried.run()
    assert service.releases[0].cause == "stopped"
    assert is_settled(place)
    go_on.set()
    assert stopped.wait(60), "what starts later is stopped"


def test_a_run_that_cannot_be_started_is_left_to_another_worker(tmp_path, signals, monkeypatch):
    def fork(*arguments: object) -> Child:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("trainer.worker.attempt.Child", fork)
    service = Service()
    run(tmp_path, service, signals, DONE)
    assert "temporarily unavailable" in service.releases[0].reason


@pytest.mark.parametrize("is_made", [True, False])
def test_room_is_made_on_the_disk_before_a_trial_is_refused_for_it(
    tmp_path, signals, monkeypatch, is_made
):
    crash = Crash("no room", "environment", needed_bytes=100)
    made_with = {"recipe": {"steps": 1}, "software": {"trl": "1.16.0"}}
    done = Outcome(RESULT.measurements, 1, None, {}, 1.0, made_with=made_with)
    jobs = []

    class Short:
        def __init__(self, job: Job, *rest: object) -> None:
            jobs.append(job)

        def hear(self, *rest: object) -> Crash | Outcome:
            return crash if jobs[-1].needs_room else done

        def stop(self) -> None:
            pass

    monkeypatch.setattr("trainer.worker.attempt.Child", Short)
    service = Service()
    setting = Setting(make_room=lambda wanted: 100 if is_made else 99)
    tried = Attempt(service, an_answer(), signals, TrialFolder(tmp_path), setting)
    tried.run()
    assert len(service.results) == is_made
    assert all(result.artifacts.items() >= made_with.items() for result in service.results)
    assert tried.needed_bytes == (0 if is_made else 100)
    assert [release.cause for release in service.releases] == ["environment"] * (not is_made)


@pytest.mark.parametrize("has_scores", [True, False])
def test_a_run_that_is_stopped_early_counts_as_a_result_where_it_has_scores(
    tmp_path, signals, monkeypatch, has_scores
):
    scored = Progress("train", 1, 9, measurements=RESULT.measurements if has_scores else [])

    class Called:
        """Off by the service at the first heartbeat after its first step."""

        def __init__(self, *rest: object) -> None:
            pass

        def hear(self, *rest: object) -> Progress:
            return scored

        def stop(self) -> None:
            pass

    monkeypatch.setattr("trainer.worker.attempt.Child", Called)
    service = Service(lambda beats: beats[-1].step == 1)
    monkeypatch.setattr(service, "measurements", lambda *body, **patience: None, raising=False)
    tried = Attempt(service, an_answer(), signals, TrialFolder(tmp_path), Setting())
    tried.run()
    assert (tried.is_delivered, tried.broke) == (has_scores, None)


# What a worker makes of it.


class Ended:
    """An attempt that ends as it is told to."""

    def __init__(self, broke: str | None = None, is_delivered: bool = False) -> None:
        self.broke, self.is_delivered, self.needed_bytes = broke, is_delivered, 0

    def run(self) -> None:
        pass


def working(monkeypatch, signals, folder: Path, *ends: Ended, **options: object) -> Worker:
    left = iter(ends)
    monkeypatch.setattr("trainer.worker.worker.Attempt", lambda *arguments: next(left))
    service = Service()
    service.answers = [an_answer() for _ in ends] + [NextAnswer(reason="finished")]
    return Worker(service, "w", signals, WorkFolder(folder), until_done=True, **options)


def test_a_worker_stops_when_run_after_run_breaks_on_its_machine(tmp_path, signals, monkeypatch):
    broken = [Ended("no driver\nTraceback\nRuntimeError: no GPU")] * 9
    worker = working(monkeypatch, signals, tmp_path, *broken, max_failures=3)
    with pytest.raises(GaveUp, match=r"3 runs in a row .* no driver … RuntimeError: no GPU"):
        worker.run()
    assert worker.done == 3


def test_a_worker_that_is_never_to_stop_rests_longer_each_time(tmp_path, signals, monkeypatch):
    rests = []
    monkeypatch.setattr(type(signals), "sleep", lambda _, seconds: rests.append(seconds))
    row = [Ended("broke")] * 8 + [Ended(is_delivered=True)] + [Ended("broke")] * 4
    worker = working(monkeypatch, signals, tmp_path, *row, max_failures=0)
    worker.run()
    assert worker.done == 13
    assert rests == [10, 20, 40, 80]


def test_a_result_ends_a_row_of_broken_runs(tmp_path, signals, monkeypatch):
    row = [Ended("broke"), Ended("broke"), Ended(is_delivered=True)] * 3
    worker = working(monkeypatch, signals, tmp_path, *row, max_failures=3)
    worker.run()
    assert worker.done == 9


def test_a_worker_says_once_why_it_waits_and_ends_when_nothing_more_comes(
    tmp_path, signals, logged
):
    service = Service()
    resting = [NextAnswer(reason=f"rests {n} s", retry_after_s=n) for n in (3.0, 2.0, 1.0)]
    service.answers = [*resting, NextAnswer(reason="the last 5 trials failed")]
    Worker(service, "w", signals, WorkFolder(tmp_path), until_done=True).run()
    assert logged.getvalue().count("waiting") == 1
    assert "the last 5 trials failed" in logged.getvalue()
    assert signals.slept == [3.0, 2.0, 1.0]
