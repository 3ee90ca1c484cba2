"""How the bench of goals judges, and what it says."""

from __future__ import annotations

import numpy as np
import pytest

from bench import goals, intervals
from bench.goal_worlds import Judge, World, floors_goal, front_goal
from service.search.space import MixtureSpace
from trainer.tiny.world import BENCHMARKS

SPACE = MixtureSpace.simplex(["a", "b"])
SLOPES = np.array(
    [[0.4, 0.6] if group == "out" else [0.6, 0.4] for group, _ in BENCHMARKS.values()]
)


def world():
    """Out-Scores rise with the second domain, In-Scores with the first."""
    return World(SPACE, lambda X: X @ SLOPES.T, lambda x, rng: SLOPES @ x)


def test_the_true_front_has_all_of_its_volume_and_one_point_less():
    judge = Judge(world(), front_goal())
    line = np.linspace(0, 1, 200)
    assert judge.volume(np.stack([line, 1 - line], axis=1)) == pytest.approx(1, abs=0.02)
    assert 0 < judge.volume(SPACE.uniform[None]) < 0.6


def test_a_mixture_that_keeps_its_floors_is_judged_by_what_is_best_of_those():
    judge = Judge(world(), floors_goal(0, 0.9))
    keeping = [x for x in SPACE.sample(50, np.random.default_rng(0)) if judge.keeps(x)]
    assert keeping
    assert min(map(judge.regret, keeping)) >= -1e-9


def floors(*each):
    """A search's row, of (kept, stated) after each number of runs."""
    sizes = map(str, goals.LOOKED_AT)
    return {"after": {n: [kept, 1.0, by] for n, (kept, by) in zip(sizes, each, strict=True)}}


def test_the_report_has_what_was_stated_beside_what_was_kept():
    three_of_four = [(True, 0.9), (False, 0.6), (True, 0.7), (True, 0.9)]
    said = goals.report(
        {
            "floors/offline world/bayes-quadratic/0": floors(*three_of_four),
            "floors/offline world/random/0": floors(*[(True, None)] * 4),
        }
    )
    assert "| offline world | bayes-quadratic | 1 | 75% (7% to 99%) | 78% | 1.0 |" in said
    assert "| offline world | random | 1 | 100% (15% to 100%) |  | 1.0 |" in said
    assert "states 78% and keeps 75%" in said
    assert "points of what is stated, is met." in said
    assert "Of the 50% that it states to keep them with 90%, as asked, or more, 100% do." in said


@pytest.mark.parametrize(
    ("kept", "stated", "verdict"), [(True, 0.9, "too careful"), (False, 0.95, "too sure")]
)
def test_what_is_stated_too_low_or_too_high_is_missed_and_chance_is_named(kept, stated, verdict):
    rows = {f"floors/offline world/gp/{i}": floors(*[(kept, stated)] * 4) for i in range(3)}
    said = goals.report(rows)
    assert f"MISSED, {verdict}" in said
    assert ("though the interval holds" in said) == kept
    assert ("0% do: FEWER." in said) != kept


def test_a_front_is_compared_on_the_seeds_of_both_and_a_loss_is_said():
    rows = {
        f"front/offline world/{name}/{seed}": {"after": {"10": 0.5, "22": volume}}
        for name, seed, volume in [
            ("bayes-quadratic", 0, 0.8),
            ("bayes-quadratic", 1, 1.0),
            ("random", 0, 0.9),
        ]
    }
    said = goals.report(rows)
    assert "Front of the offline world after 22 runs" in said
    assert "random -10.0 (1); LOST to random; not run there: gp, botorch" in said


def test_the_interval_of_a_share_is_that_of_a_binomial_and_reaches_the_ends():
    low, high = intervals.share(27, 30)
    # Jeffreys' interval: quantiles of Beta(27.5, 3.5).
    assert (low, high) == pytest.approx((0.757, 0.971), abs=0.002)
    assert intervals.share(10, 10)[1] == 1
    assert intervals.share(0, 10)[0] == 0
