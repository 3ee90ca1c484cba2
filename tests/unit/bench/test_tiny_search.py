"""The bench of whole searches: what they spent, and what is said of it."""

from __future__ import annotations

import sys

import psutil
import pytest

from bench import tiny_search as bench
from bench import tiny_spending as spending
from bench import units
from service.schemas import Score, Trial

ALL = bench.SEARCHES["all channels, 12 runs"]
MERGED = bench.SEARCHES["merged, 12 runs"]
TIME = "2026-11-29T12:00:00Z"


def trial(number, state="completed", channel="full", step=24, score=0.5):
    return Trial.model_validate_json(
        Trial.model_construct(
            id=number,
            study="tiny-search",
            number=number,
            state=state,
            origin="proposed",
            mixture=bench.UNIFORM,
            seed=0,
            proposal=None,
            attempts=1,
            worker=None,
            lease_until=None,
            step=step,
            total_steps=24,
            metrics={},
            measurements=[],
            replicates=[],
            scores={
                "objective": {"value": score, "se": 0.01},
                "in_score": None,
                "out_score": None,
            },
            wall_s=None,
            artifacts={},
            error=None,
            note="",
            created_at=TIME,
            started_at=None,
            finished_at=None,
            revision=number,
            channel=channel,
        ).model_dump_json(warnings=False)
    )


def test_prices_and_parts_are_spent_as_what_they_took_of_a_whole_run():
    trials = [trial(1), trial(2), trial(3, channel="merged", step=0)]
    assert spending.spent(trials, {1: 30.0, 2: 20.0, 3: 5.0}, MERGED) == pytest.approx(2.2)
    trials = [*trials, trial(4, "early_stopped", step=12), trial(5, "running"), trial(6, "queued")]
    hours = {1: 30.0, 2: 20.0, 3: 5.0, 4: 15.0, 5: 9.0}
    assert spending.spent(trials, hours, MERGED) == pytest.approx(2.8)
    assert spending.spent(trials, hours, ALL) == pytest.approx(2.8 * spending.SCORED_HALFWAY)
    assert spending.spent(trials[2:], hours, ALL) == 0.0, "before the first run nothing is known"


def test_prices_that_are_under_way_are_taken_off_the_budget_before_a_run_is_begun_for_them():
    trials = [trial(1), trial(2, channel="merged"), trial(3, channel="merged")]
    trials += [trial(4, "running", "merged"), trial(5, "queued", "merged")]
    assert spending.spent(trials, {1: 10.0, 2: 6.0, 3: 4.0, 4: 1.0}, MERGED) == pytest.approx(3.0)


def test_processes_are_counted_with_all_that_they_started():
    code = "import time; [sum(range(10**6)) for _ in range(20)]; time.sleep(60)"
    started = [psutil.Popen([sys.executable, "-c", code, "worker", "x"])]
    try:
        cpu = spending.CpuTime()
        while not cpu.of("worker"):
            cpu.look()
        assert cpu.of("serve") == 0.0
    finally:
        for process in started:
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    ("mine", "said"),
    [
        ((0.70, 0.71, 0.72), "better with half of the compute"),
        ((0.60, 0.64, 0.62), "the aim is met as far as so few re-runs tell"),
        ((0.60, 0.57, 0.62), "less, by an amount that so few re-runs do not tell from nothing"),
        ((0.50, 0.51, 0.52), "LOST, worse with half of the compute"),
    ],
)
def test_the_verdict_is_of_what_was_predicted_to_be_best(mine, said):
    scores = {
        "uniform": (0.50, 0.51, 0.52),
        f"{bench.TODAY}, {bench.BEST_PREDICTED}": (0.60, 0.61, 0.62),
        f"merged, 12 runs, {bench.BEST_PREDICTED}": mine,
    }
    chosen = [
        bench.Chosen(name, bench.BEST_PREDICTED, bench.UNIFORM, "")
        for name in (bench.TODAY, "merged, 12 runs")
    ]
    reruns = {
        label: [Score(value=value, se=0.01) for value in values] for label, values in scores.items()
    }
    verdict = bench.verdict(chosen, reruns)
    assert f"{said}." in verdict
    assert "against +10.0 ± 2.3 of auto, 24 runs" in verdict
    assert "all channels" not in verdict, "no search of it was made"


def test_searches_of_a_kind_are_numbered():
    known = {f"search/merged, 12 runs/{seed}": {"seed": seed} for seed in (1, 0)}
    known["search/auto, 24 runs/0"] = {}
    found = bench.kept_searches(known)
    assert list(found) == ["auto, 24 runs", "merged, 12 runs", "merged, 12 runs, search 2"]
    assert found["merged, 12 runs, search 2"]["seed"] == 1
    assert bench._kind_of("merged, 12 runs, search 2") == "merged, 12 runs"


def test_what_two_searches_chose_alike_is_trained_once():
    other = {"coco": 1.0, "sat": 0.0}
    mixtures = {"a": {"coco": 0.5, "sat": 0.5}, "b": other, "c": dict(other)}
    assert bench.trained_as(mixtures) == {"a": "a", "b": "b", "c": "b"}


def test_what_is_kept_is_enough_for_a_report():
    known = units.stored(bench.RESULTS)
    searches = bench.kept_searches(known)
    chosen = [item for name, found in searches.items() for item in bench.choose(name, found)]
    assert {"modomodo, 24 runs", "auto, 24 runs"} <= searches.keys()
    mixtures = {"uniform": bench.UNIFORM, **{item.label: item.mixture for item in chosen}}
    seeds = range(bench.FIRST_FRESH_SEED, bench.FIRST_FRESH_SEED + 3)
    reruns = bench.scores_of(bench.trained_as(mixtures), known, seeds)
    report = bench.report(searches, chosen, reruns, [24.0, 36.0])
    assert "a re-run took 0.50." in report
    assert "| auto, 24 runs | 24 | 24 | 0 | 0 | 6.7 |  |" in report
    assert "60.1 ± 3.6 | +8.3 ± 5.9 |" in report
    assert "| auto, 24 runs | 3 | 3 | 2% | 0.0 | 2.0 | 2.6 |" in report
    assert "| merged, 12 runs | 5 | 0 |" in report, "these are its experts"
