"""How the bench of goals judges, and what it says."""

from __future__ import annotations

import numpy as np
import pytest

from bench import goals
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


def test_the_report_counts_who_keeps_floors_and_says_when_a_front_is_lost():
    floors = {
        "after": {"10": [True, 1.0], "14": [False, 3.0], "18": [True, 1.0], "22": [True, 1.0]}
    }
    found = {
        "floors/offline world/bayes-quadratic/0": floors,
        "front/offline world/bayes-quadratic/0": {"after": {"10": 0.5, "22": 0.8}},
        "front/offline world/random/0": {"after": {"10": 0.5, "22": 0.9}},
    }
    said = goals.report(found)
    assert "| bayes-quadratic | 75%, 1.5 (1) |" in said
    assert "75%; the aim is MISSED" in said
    assert "LOST: Front of the offline world after 22 runs: bayes-quadratic 80.0%" in said
