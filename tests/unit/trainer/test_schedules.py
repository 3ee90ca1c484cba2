"""Runs whose mixture changes on the way: the order, who may train it, whose folder it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.schemas import Phase, phase_ends
from tests.unit.trainer.test_sampler import NAMES, mixtures, seeds
from trainer.backends import run_job
from trainer.job import Job
from trainer.recipe import Recipe
from trainer.run.command import ScheduleError
from trainer.sampler import draw_order, draw_phases
from trainer.storage.run_folder import FolderTaken, RunFolder

PLENTY = dict.fromkeys(NAMES, 1000)
EASY_FIRST = (
    Phase(share=0.25, mixture={"coco": 1.0, "sat": 0.0}),
    Phase(share=0.75, mixture={"coco": 0.2, "sat": 0.8}),
)
MEAN = {"coco": 0.4, "sat": 0.6}


def job(schedule=EASY_FIRST, **recipe) -> Job:
    return Job(MEAN, Recipe.parse({"steps": 8} | recipe), seed=3, schedule=schedule)


# --- the order ------------------------------------------------------------------------------------


@given(mixtures, st.lists(st.integers(0, 60), min_size=1, max_size=4), st.integers(5, 60), seeds)
def test_phases_of_one_mixture_are_the_order_without_phases(mixture, lengths, size, seed):
    sizes = dict.fromkeys(NAMES, size)  # some run out
    phased = draw_phases([(mixture, n) for n in lengths], sizes, seed)
    assert phased == draw_order(mixture, sizes, sum(lengths), seed)


@given(mixtures, mixtures, mixtures, st.integers(0, 80), st.integers(0, 80), seeds)
def test_a_phase_is_the_same_whatever_comes_after_it(first, then, other, n, later, seed):
    one = draw_phases([(first, n), (then, later)], PLENTY, seed).picks
    another = draw_phases([(first, n), (other, 7)], PLENTY, seed).picks
    assert one[:n] == another[:n] == draw_order(first, PLENTY, n, seed).picks


@given(mixtures, mixtures, st.integers(0, 80), st.integers(0, 80), seeds)
def test_no_phase_shows_a_sample_again_or_a_domain_that_it_gives_no_weight(a, b, n, m, seed):
    order = draw_phases([(a, n), (b, m)], dict.fromkeys(NAMES, 30), seed)
    assert len(set(order.picks)) == len(order.picks)
    assert all(a[domain] > 0 for domain, _ in order.picks[:n])
    assert all(b[domain] > 0 for domain, _ in order.picks[n:])


def test_a_domain_that_an_earlier_phase_used_up_ends_the_run_in_a_later_one():
    phases = [({"sat": 1.0}, 10), ({"coco": 1.0}, 10), ({"sat": 1.0}, 10)]
    order = draw_phases(phases, {"sat": 12, "coco": 50}, 0)
    assert order.exhausted == "sat"
    assert order.counts() == {"sat": 12, "coco": 10}


def test_weights_of_every_phase_sum_to_one():
    with pytest.raises(ValueError, match=r"weights sum to 0\.9, not 1"):
        draw_phases([({"sat": 1.0}, 3), ({"sat": 0.9}, 3)], {"sat": 10}, 0)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=16), st.integers(0, 10_000))
def test_phases_end_at_whole_steps_and_the_last_with_the_run(parts, steps):
    ends = phase_ends([part / sum(parts) for part in parts], steps)
    assert ends == sorted(ends)
    assert ends[-1] == steps
    assert all(
        abs(end - steps * sum(parts[: i + 1]) / sum(parts)) <= 0.5 + 1e-6
        for i, end in enumerate(ends)
    )


def test_a_run_has_as_many_samples_of_a_phase_as_its_share_of_the_steps():
    assert job(prompts_per_step=4).phases == [
        ({"coco": 1.0, "sat": 0.0}, 8),
        ({"coco": 0.2, "sat": 0.8}, 24),
    ]
    assert job(schedule=(), prompts_per_step=4).phases == [(MEAN, 32)]


# --- whose folder it is ---------------------------------------------------------------------------


def test_a_folder_is_of_one_schedule(tmp_path):
    RunFolder(tmp_path / "scheduled").claim(job(), 3)
    RunFolder(tmp_path / "scheduled").claim(job(), 3)
    for other in (job(schedule=()), job(schedule=EASY_FIRST[::-1])):
        with pytest.raises(FolderTaken, match="schedule is"):
            RunFolder(tmp_path / "scheduled").claim(other, 3)
    RunFolder(tmp_path / "plain").claim(job(schedule=()), 3)
    assert "schedule" not in json.loads((tmp_path / "plain/run.json").read_text())
    with pytest.raises(FolderTaken, match="schedule is None there"):
        RunFolder(tmp_path / "plain").claim(job(), 3)


# --- a trainer of the user's ----------------------------------------------------------------------

RESULT = '{"measurements": [{"benchmark": "b", "score": 0.5, "samples": 9}]}'


def own(tmp_path, *, schedules: bool) -> Job:
    script = tmp_path / "train"
    script.write_text(
        f'#!/bin/sh\nprintf %s "$MODOMODO_SCHEDULE" > schedule\n'
        f"echo '{RESULT}' > \"$MODOMODO_RESULT\"\n"
    )
    script.chmod(0o755)
    command = {"script": "train", "schedules": schedules}
    recipe = Recipe.parse({"backend": "command", "steps": 8, "command": command})
    return Job(
        MEAN, recipe, seed=3, folder=tmp_path / "run", commands=tmp_path, schedule=EASY_FIRST
    )


def test_a_script_that_knows_schedules_is_told_its_phases(tmp_path):
    run_job(own(tmp_path, schedules=True))
    told = json.loads((tmp_path / "run/job.json").read_text())
    assert told["schedule"] == [phase.model_dump() for phase in EASY_FIRST]
    assert json.loads((tmp_path / "run/schedule").read_text()) == told["schedule"]
    assert told["mixture"] == MEAN


def test_a_script_that_does_not_is_never_started_on_their_mean(tmp_path):
    with pytest.raises(ScheduleError, match="'train' is not known to train by one"):
        run_job(own(tmp_path, schedules=False))
    assert not (tmp_path / "run/schedule").exists()
