"""Merged models of a worker, one after the other; what merges them here only says that it did."""

from __future__ import annotations

import os
import signal

import pytest

from service.schemas import Measurement, NextAnswer
from tests.integration.test_attempt import Service, merged_answer, signals
from tests.support.processes import ends
from tests.unit.trainer.test_warm import forked
from trainer.job import Merging, Outcome, Progress
from trainer.storage.work_folder import WorkFolder
from trainer.worker import transfers
from trainer.worker.worker import Worker

__all__ = ["forked", "signals"]
NO_MORE = NextAnswer(reason="that was all")
SCORE = Measurement(benchmark="b", score=0.5, samples=9)


class Runner:
    """Says in which process it was; a seed of 15 is one that is killed."""

    def run(self, job, report, is_stopping, is_pausing):
        report(Progress("merge", 0, 0))
        if job.seed == 15:
            os.kill(os.getpid(), signal.SIGKILL)
        return Outcome([SCORE], 0, None, {}, 0.0, made_with={"pid": os.getpid(), "seed": job.seed})


@pytest.fixture
def work(forked, signals, tmp_path, monkeypatch):
    """Has a worker do some answers; the artifacts of the results, and its service."""
    forked(Runner)
    monkeypatch.setattr(transfers.Transfers, "fetch_experts", lambda *_, **__: Merging(()))
    place = WorkFolder(tmp_path)

    def work(*answers):
        service = Service()
        service.answers = [*answers, NO_MORE]
        worker = Worker(service, "w", signals, place, until_done=True)
        worker.run()
        return [result.artifacts for result in service.results], service

    yield work
    place.close()


def merged(number, study="vlm", seed=1):
    answer = merged_answer({}, merge={"experts": []})
    changes = {"id": number, "study": study, "seed": seed}
    return answer.model_copy(update={"trial": answer.trial.model_copy(update=changes)})


def test_merged_models_of_one_study_share_a_process_that_ends_with_the_worker(work):
    found, _ = work(merged(7), merged(8), merged(9))
    pids = [one["pid"] for one in found]
    assert (len(pids), len(set(pids))) == (3, 1)
    assert ends(pids[0])


def test_each_study_has_a_process_of_its_own(work):
    found, _ = work(merged(7), merged(8, "other"), merged(9, "other"))
    first, second, third = (one["pid"] for one in found)
    assert first != second == third
    assert ends(first)


def test_a_process_that_is_killed_costs_its_own_trial_an_attempt_and_the_next_one_nothing(work):
    found, service = work(merged(7), merged(8, seed=15), merged(9))
    [failure] = service.failures
    assert failure.retryable
    assert "was killed by SIGKILL" in failure.error
    assert len({one["pid"] for one in found}) == 2
