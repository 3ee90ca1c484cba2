"""The process of a merged model waits for the next one of the same kind."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from trainer.job import Crash, Halted, Job, Merging, Outcome, Progress
from trainer.recipe import Recipe
from trainer.worker import child as processes
from trainer.worker import run_process
from trainer.worker.child import Child
from trainer.worker.warm import Warm

RECIPE = Recipe.parse({"backend": "command", "command": {"script": "train"}})
MERGED = Job({"a": 1.0}, RECIPE, 1, merging=Merging(()))
RUN = Job({"a": 1.0}, RECIPE, 1)


class Runner:
    """Says how many jobs it had before; a seed tells how a job ends."""

    def __init__(self):
        self.before = 0

    def run(self, job, report, is_stopping, is_pausing):
        report(Progress("merge", 0, 0))
        os.write(1, f"seed {job.seed}\n".encode())
        if job.seed == 13:
            raise ValueError("no such weights")
        while job.seed == 14 and not is_stopping():
            pass
        if job.seed == 14:
            raise Halted(None)
        self.before += 1
        return Outcome([], self.before - 1, None, {}, 0.0, made_with={"pid": os.getpid()})


@pytest.fixture
def forked(monkeypatch):
    """Has runs forked from here, with a runner of the test's: nothing is imported for them."""

    def begin(runner):
        fork = multiprocessing.get_context("fork")
        monkeypatch.setattr(processes.multiprocessing, "get_context", lambda _: fork)
        monkeypatch.setattr(run_process, "JobRunner", runner)

    return begin


@pytest.fixture
def start(forked):
    forked(Runner)
    started = []

    def begin(job, *arguments, **more):
        started.append(Child(job, *arguments, **more))
        return started[-1]

    yield begin
    for child in started:
        child.stop()


def last(child):
    while isinstance(message := child.hear(60), Progress):
        pass
    return message


def is_gone(child):
    return not any(process.is_alive() for process in child._processes)


def test_the_next_merged_model_is_made_by_the_process_of_the_last_one(start, tmp_path):
    child = start(MERGED, tmp_path / "one.log")
    assert (last(child).steps, child.is_waiting) == (0, True)
    assert child.hand(MERGED, tmp_path / "two.log")
    assert not child.is_waiting
    assert last(child).steps == 1
    logs = [(tmp_path / name).read_text() for name in ("one.log", "two.log")]
    assert logs == ["seed 1\n", "seed 1\n"]


@pytest.mark.parametrize(
    ("seed", "ending"), [(13, Crash), (14, Halted)], ids=["it broke", "it was halted"]
)
def test_a_process_whose_job_did_not_end_well_waits_for_none(start, seed, ending):
    child = start(Job({"a": 1.0}, RECIPE, seed, merging=Merging(())))
    if ending is Halted:
        child.halt()
    assert isinstance(last(child), ending)
    assert not child.is_waiting
    assert not child.hand(MERGED)


def test_a_run_waits_for_no_other_job(start):
    child = start(RUN)
    assert isinstance(last(child), Outcome)
    assert not child.is_waiting


def test_an_order_that_may_come_too_late_is_not_the_next_jobs(start):
    child = start(MERGED)
    while not isinstance(child.hear(60), Progress):
        pass
    child.halt()
    assert isinstance(last(child), Outcome)
    assert not child.is_waiting


def test_a_process_that_has_waited_long_enough_ends_and_takes_nothing(start):
    child = start(MERGED, idle_s=0.0)
    assert isinstance(last(child), Outcome)
    child._processes[0].join(60)
    assert is_gone(child)
    assert not child.hand(MERGED)


@pytest.mark.parametrize("made_of", [None, "others"], ids=["a run", "another study's"])
def test_a_job_of_another_kind_ends_what_was_kept(start, made_of):
    child, warm = start(MERGED), Warm()
    last(child)
    warm.keep(child, "these")
    assert warm.take(MERGED, made_of, None) is None
    assert is_gone(child)


def test_a_process_that_was_killed_while_it_waited_costs_the_next_job_nothing(start):
    child, warm = start(MERGED), Warm()
    last(child)
    warm.keep(child, "these")
    child._processes[0].kill()
    child._processes[0].join()
    assert warm.take(MERGED, "these", Path(os.devnull)) is None


def test_a_worker_that_ends_ends_what_it_kept(start):
    child, warm = start(MERGED), Warm()
    last(child)
    warm.keep(child, "these")
    warm.end()
    assert is_gone(child)
    warm.end()
