"""The bench of schedules: what is compared, and what it says of no difference."""

from __future__ import annotations

import numpy as np
import pytest

from bench import schedules
from bench.report import read_results
from bench.tiny_world import DOMAINS, INSIDE
from service.schemas import mean_mixture
from trainer.tiny.world import BENCHMARKS


def test_every_schedule_has_the_mean_of_the_mixture_that_it_is_held_against():
    for phases in schedules.schedules().values():
        mean = mean_mixture(phases)
        assert [mean[name] for name in DOMAINS] == pytest.approx(INSIDE[schedules.MIXTURE])
        assert all(min(phase.mixture.values()) > 0 for phase in phases)
        assert phases[0] != phases[1]


def test_static_mixtures_are_the_best_inside_and_the_middles_between_it_and_those_after_it():
    measured = read_results("tiny_world")["mixtures"]
    out = {name: np.mean(measured[name]["scores"]["Out"]) for name in INSIDE}
    best, *others = sorted(out, key=out.__getitem__, reverse=True)[:4]
    assert (best, tuple(others)) == (schedules.MIXTURE, schedules.NEXT_BEST)
    static = schedules.static_mixtures()
    assert len(static) == len(schedules.schedules())
    assert list(static.pop(schedules.STATIC).values()) == pytest.approx(INSIDE[best])
    for other, middle in zip(others, static.values(), strict=True):
        doubled = [2 * w for w in middle.values()]
        assert doubled == pytest.approx(np.add(INSIDE[best], INSIDE[other]))


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


CANDIDATES = (*schedules.schedules(), *schedules.static_mixtures())
HALFWAY = "halfway to lisa and sat"


@pytest.mark.parametrize(
    ("better", "said"),
    [
        ({}, ("neither differs", "neither differs")),
        ({"adaptive": 30.0}, ("adaptive is better", "adaptive is better")),
        ({"sat first": -30.0}, ("two phases, sat first is worse",) * 2),
        ({HALFWAY: 30.0}, ("neither differs", "sat first is worse and adaptive is worse")),
        (
            {"sat first": 30.0, HALFWAY: 30.0},
            ("two phases, sat first is better", "**adaptive is worse**"),
        ),
    ],
)
def test_a_difference_is_told_only_where_there_is_one(better, said):
    chosen_by = runs(CANDIDATES, schedules.CHOOSING, {"sat first": 1.0, HALFWAY: 1.0})
    kinds = schedules.judged(chosen_by)
    assert kinds == [schedules.STATIC, HALFWAY, "sat first", schedules.ADAPTIVE]
    report = schedules.report(chosen_by, runs(kinds, schedules.JUDGING, better))
    _, steps, cost = report.split("- **At equal ")
    assert said[0] in steps
    assert said[1] in cost
    assert "'little coco'" in steps
    assert f"best static mixture of 12 runs, '{HALFWAY}'" in cost
    assert "5 fresh seeds" in report
    assert "coco 0.20 (0.04)" in report


def test_the_report_has_a_row_for_each_kind_with_the_runs_that_chose_it():
    chosen_by = runs(CANDIDATES, schedules.CHOOSING, {"sat last": 1.0, HALFWAY: 1.0})
    judged_by = runs(schedules.judged(chosen_by), schedules.JUDGING, {HALFWAY: 1.0})
    report = schedules.report(chosen_by, judged_by)
    rows = [line.split(" | ") for line in report.splitlines() if line.startswith("| ")]
    table = {name.removeprefix("| "): cells for name, *cells in rows[2:]}
    assert [cells[0] for cells in table.values()] == ["0", "12", "12", "0"]
    assert table["static, little coco"][3] == ""
    assert table[f"static, {HALFWAY}"][3].startswith("+1.0 ±")
    assert table["two phases, sat last"][4].startswith("-1.0 ±")


@pytest.mark.parametrize(("by", "harder"), [(2.0, HALFWAY), (-2.0, schedules.MIXTURE)])
def test_the_comparison_with_the_better_static_mixture_is_called_the_harder_one(by, harder):
    chosen_by = runs(CANDIDATES, schedules.CHOOSING, {HALFWAY: 1.0})
    judged_by = runs(schedules.judged(chosen_by), schedules.JUDGING, {HALFWAY: by})
    report = schedules.report(chosen_by, judged_by)
    assert f"That mixture itself is {by:+.1f} ± 2.3 over 'little coco'" in report
    assert f"the harder comparison is that with {harder!r}." in report


def test_where_the_static_mixture_is_the_best_of_its_kind_it_is_judged_once():
    chosen_by = runs(CANDIDATES, schedules.CHOOSING, {"sat last": 1.0, schedules.STATIC: 1.0})
    kinds = schedules.judged(chosen_by)
    assert kinds == [schedules.STATIC, "sat last", schedules.ADAPTIVE]
    report = schedules.report(chosen_by, runs(kinds, schedules.JUDGING, {}))
    assert "best static mixture of 12 runs, 'little coco'" in report
    assert report.count("| static, little coco |") == 1
    assert "harder" not in report


def test_what_chooses_a_schedule_does_not_judge_it():
    assert not set(schedules.CHOOSING) & set(schedules.JUDGING)
