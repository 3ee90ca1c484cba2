"""The bench of schedules: what is compared, and what it says of no difference."""

from __future__ import annotations

import pytest

from bench import schedules
from bench.tiny_world import DOMAINS, INSIDE
from service.schemas import mean_mixture
from trainer.tiny.world import BENCHMARKS


def test_every_schedule_has_the_mean_of_the_mixture_that_it_is_held_against():
    kinds = schedules.schedules()
    assert kinds.pop(schedules.STATIC) == []
    for phases in kinds.values():
        mean = mean_mixture(phases)
        assert [mean[name] for name in DOMAINS] == pytest.approx(INSIDE[schedules.MIXTURE])
        assert all(min(phase.mixture.values()) > 0 for phase in phases)
        assert phases[0] != phases[1]


@pytest.mark.parametrize(
    ("better", "said"), [(0.0, "No order differs"), (30.0, "sat first: the interval leaves 0 out")]
)
def test_a_difference_is_told_only_where_there_is_one(better, said):
    found = {
        f"{how}/{seed}": {
            "scores": dict.fromkeys(BENCHMARKS, 40 + seed + better * (how == "sat first")),
            "steps": 24,
            "seconds": 20.0,
        }
        for how in schedules.schedules()
        for seed in range(5)
    }
    report = schedules.report(found)
    assert said in report
    assert "5 fresh seeds" in report
