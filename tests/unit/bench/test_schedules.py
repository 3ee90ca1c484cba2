"""The bench of schedules: what is compared, and what it says of no difference."""

from __future__ import annotations

import pytest

from bench import schedules
from bench.tiny_world import DOMAINS, INSIDE
from service.schemas import mean_mixture
from trainer.tiny.world import BENCHMARKS


def test_every_schedule_has_the_mean_of_the_mixture_that_it_is_held_against():
    for phases in schedules.schedules().values():
        mean = mean_mixture(phases)
        assert [mean[name] for name in DOMAINS] == pytest.approx(INSIDE[schedules.MIXTURE])
        assert all(min(phase.mixture.values()) > 0 for phase in phases)
        assert phases[0] != phases[1]


def runs(kinds, seeds, better):
    return {
        f"{how}/{seed}": {
            "scores": dict.fromkeys(BENCHMARKS, 40 + seed % 10 + better.get(how, 0.0)),
            "steps": 24,
            "seconds": 20.0,
            "weights": dict.fromkeys(DOMAINS, 0.2) if how == schedules.ADAPTIVE else {},
        }
        for how in kinds
        for seed in seeds
    }


@pytest.mark.parametrize(
    ("better", "said"),
    [
        ({}, "Neither differs from the static mixture"),
        ({"adaptive": 30.0}, "The interval leaves 0 out: adaptive."),
        ({"sat first": -30.0}, "The interval leaves 0 out: two phases, sat first."),
    ],
)
def test_a_difference_is_told_only_where_there_is_one(better, said):
    chosen_by = runs(schedules.schedules(), schedules.CHOOSING, {"sat first": 1.0})
    assert schedules.best(chosen_by) == "sat first"
    kinds = (schedules.STATIC, "sat first", schedules.ADAPTIVE)
    report = schedules.report(chosen_by, runs(kinds, schedules.JUDGING, better))
    assert said in report
    assert "5 fresh seeds" in report
    assert "coco 0.20 (0.04)" in report


def test_what_chooses_a_schedule_does_not_judge_it():
    assert not set(schedules.CHOOSING) & set(schedules.JUDGING)
