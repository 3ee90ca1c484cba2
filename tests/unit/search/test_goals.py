"""Searches with floors, several objectives, or the worst benchmark."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy.special import ndtr

from service.notation.levels import Level
from service.search.draws import draws
from service.search.goal_beliefs import Beliefs
from service.search.goal_decision import decide
from service.search.goals import Floor, Goal
from service.search.runs import Runs
from service.search.space import MixtureSpace
from service.search.strategies import propose
from service.search.surrogates import fit
from service.search.surrogates.protocol import Posterior, Searched

SPACE = MixtureSpace.simplex(["coco", "lisa", "sat"])
NOTHING = np.empty((0, 3))
SLOPES = np.array([[0.5, 0.3, 0.2], [0.2, 0.6, 0.3], [0.3, 0.3, 0.7]])
"""Scores of three benchmarks on each domain alone."""


def runs_of(n=9, noise=0.004):
    """The uniform mixture and random ones; the first two benchmarks make the objective."""
    rng = np.random.default_rng(1)
    X = np.vstack([SPACE.uniform[None], SPACE.sample(n - 1, rng)])
    scores = X @ SLOPES.T + noise * rng.normal(size=(n, 3))
    sd, shares = np.full((n, 3), noise), np.array([0.5, 0.5, 0.0])
    unknown = np.full(n, np.nan)
    return Runs(X, scores @ shares, np.full(n, noise), unknown, unknown, scores, sd, shares)


def floor(level, probability=0.9, output=1):
    return Floor(output, Level.parse(level), probability)


def goal(*floors, objectives=(0,)):
    shares = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    return Goal(("mean", "third"), shares, np.array([1.0, 0.0]), objectives, floors=floors)


WORST = Goal(("one", "two", "three"), np.eye(3), np.full(3, 1 / 3), (0, 1, 2), is_worst=True)


def decided(wanted, runs=None, **options):
    runs = runs_of() if runs is None else runs
    return decide(Beliefs.fitted("bayes-quadratic", wanted, SPACE, runs, 0), 0, **options)


def proposed(wanted, strategy="bayes-quadratic", n=2):
    return propose(strategy, SPACE, runs_of(), NOTHING, n, 3, goal=wanted)


@pytest.mark.parametrize(
    ("text", "value", "is_relative"),
    [
        ("0.4", 0.4, False),
        ("-1.5", -1.5, False),
        ("uniform", 0.0, True),
        ("uniform - 0.02", -0.02, True),
        (" uniform+.5 ", 0.5, True),
    ],
)
def test_a_level_is_a_number_or_relative_to_equal_weights(text, value, is_relative):
    assert Level.parse(text) == Level(value, is_relative)
    assert Level.parse(str(Level.parse(text))) == Level(value, is_relative)


@pytest.mark.parametrize(
    "text", ["", "unform - 1", "uniform - -1", "uniform 0.02", "1 - uniform", "0.4 + 1", "nan"]
)
def test_any_other_level_is_refused(text):
    with pytest.raises(ValueError, match=r"uniform - 0\.02"):
        Level.parse(text)


def told(found):
    return [(item.weights.tolist(), item.mean, item.sd, item.reason) for item in found]


def test_a_goal_that_is_the_objective_alone_changes_no_digit():
    plain = propose("bayes-quadratic", SPACE, runs_of().weighed(), NOTHING, 2, 3)
    assert told(proposed(goal())) == told(plain)


def test_a_floor_that_nothing_can_break_changes_no_digit():
    plain = propose("bayes-quadratic", SPACE, runs_of().weighed(), NOTHING, 2, 3)
    assert told(proposed(goal(floor("-1000000")))) == told(plain)


def test_a_floor_keeps_proposals_where_it_may_hold():
    plain = proposed(goal(), n=1)[0].weights @ SLOPES[2]
    kept = proposed(goal(floor("uniform")), n=1)[0]
    assert plain < 0.4 < kept.weights @ SLOPES[2]
    assert "where all floors hold" in kept.reason


def test_proposals_for_a_front_lie_along_it():
    first, second, third = proposed(goal(objectives=(0, 1)), n=3)
    assert "front of mean, third" in first.reason
    weights = np.array([first.weights, second.weights, third.weights])
    assert weights[:, 0].max() < 0.35  # the first domain is good for neither
    assert np.ptp(weights[:, 2]) > 0.1


@dataclass
class Known(Searched):
    """A belief with a mean and a standard deviation that are the same everywhere but at equal
    weights, where it is sure."""

    mean: float
    sd: float
    runs: Runs = field(default_factory=runs_of)

    def posterior(self, X):
        is_uniform = np.abs(X - 1 / 3).max(axis=1) < 1e-9
        sd = np.where(is_uniform, 0.0, self.sd)
        return Posterior(np.where(is_uniform, 0.4, self.mean), np.outer(sd, sd))

    def predict(self, X, *, noisy=False):
        belief = self.posterior(X)
        return belief.mean, belief.sd


@pytest.mark.parametrize(("level", "z"), [("0.45", 0.5), ("uniform + 0.05", 0.5), ("0.6", -1.0)])
def test_the_stated_probability_is_that_of_a_normal_belief(level, z):
    wanted = goal(floor(level), floor("0.5", output=0))
    beliefs = Beliefs(wanted, SPACE, runs_of(), [Known(0.5, 0.1), Known(0.5, 0.1)])
    drawn = beliefs.draw(np.array([[0.2, 0.3, 0.5]]), 40_000, np.random.default_rng(0))
    assert drawn.chances[:, 0] == pytest.approx([ndtr(z), 0.5], abs=0.01)
    assert drawn.together[0] == pytest.approx(ndtr(z) * 0.5, abs=0.01)


@dataclass
class Joined(Known):
    """A belief that is as unsure of equal weights as of all else, and errs alike in both."""

    alike: float = 0.0

    def posterior(self, X):
        is_uniform = np.abs(X - 1 / 3).max(axis=1) < 1e-9
        correlation = np.where(np.eye(len(X)) > 0, 1.0, self.alike)
        return Posterior(np.where(is_uniform, 0.4, self.mean), self.sd**2 * correlation)


def test_what_is_not_known_of_equal_weights_is_part_of_the_stated_probability():
    wanted = goal(floor("uniform + 0.05", output=0), floor("uniform + 0.08"))
    each = [Joined(0.5, 0.1, alike=0.0), Joined(0.5, 0.1, alike=0.8)]
    beliefs = Beliefs(wanted, SPACE, runs_of(), each)
    drawn = beliefs.draw(np.array([[0.2, 0.3, 0.5]]), 40_000, np.random.default_rng(0))
    # The difference of two that correlate by r varies by 2 (1 - r) times the variance of one.
    first, second = ndtr(0.05 / np.sqrt(2 * 0.01)), ndtr(0.02 / np.sqrt(2 * 0.2 * 0.01))
    assert drawn.chances[:, 0] == pytest.approx([first, second], abs=0.01)
    assert drawn.together[0] == pytest.approx(first * second, abs=0.01)


@pytest.mark.parametrize("name", ["bayes-quadratic", "quadsurface"])
def test_draws_vary_together_as_the_belief_says(name):
    fitted = fit(name, SPACE, runs_of(), 0)
    X = SPACE.sample(4, np.random.default_rng(5))
    found = draws(fitted, X, 20_000, np.random.default_rng(0))
    belief = fitted.posterior(X)
    scale = belief.sd.max()
    assert found.mean(axis=0) == pytest.approx(belief.mean, abs=0.05 * scale)
    assert np.cov(found.T) == pytest.approx(belief.covariance, abs=0.1 * scale**2)


def test_what_is_recommended_keeps_its_floors_as_surely_as_asked():
    found = decided(goal(floor("uniform - 0.02", 0.8)))
    assert found.verdict == "kept"
    assert found.recommended.together >= 0.8
    assert found.levels[0] == pytest.approx(0.433 - 0.02, abs=0.01)
    freely = decided(goal())
    assert freely.recommended.score > found.recommended.score


def test_what_no_mixture_reaches_is_impossible_and_each_floor_is_told_of():
    found = decided(goal(floor("0.9"), floor("0.3", output=0)))
    assert found.verdict == "impossible"
    assert found.possible == found.each_possible[0] == 0
    assert found.each_possible[1] == 1


def test_floors_that_contradict_each_other_are_impossible_together_alone():
    found = decided(goal(floor("0.6"), floor("0.4", output=0)))
    assert found.verdict == "impossible"
    assert found.each_possible == pytest.approx([1, 1], abs=0.15)


def test_what_is_not_known_yet_is_not_called_impossible():
    found = decided(goal(floor("0.71", 0.95)), runs_of(4, noise=0.05))
    assert found.verdict == "unsure"
    assert found.possible > 0.05


def test_the_front_has_no_point_that_another_beats_and_a_choice_between_its_ends():
    found = decided(goal(objectives=(0, 1)), compare=SPACE.uniform[None])
    means = np.array([point.mean for point in found.front])
    assert np.all(np.diff(means[:, 0]) >= 0)
    assert np.all(np.diff(means[:, 1]) <= 0)
    assert found.front[found.choice].weights.tolist() == found.recommended.weights.tolist()
    assert len(found.compared) == 1


def test_with_floors_the_front_is_of_what_keeps_them():
    found = decided(goal(floor("uniform"), objectives=(0, 1)))
    assert min(point.together for point in found.front) >= 0.9


def test_the_worst_benchmark_is_counted_as_a_share_of_what_equal_weights_score():
    outputs = np.array([[0.5, 0.2], [0.3, 0.9]])
    uniform = np.array([0.4, 0.6])
    values = Goal(("a", "b"), np.eye(2), np.ones(2) / 2, (0, 1), is_worst=True)
    assert values.values(outputs, uniform) == pytest.approx(np.array([[-0.5, -0.5]]))


def test_for_the_worst_benchmark_no_benchmark_is_given_up():
    found = decided(WORST)
    assert found.recommended.mean[0] >= -0.01
    freely = decided(goal())
    assert (freely.recommended.weights @ SLOPES.T / (SPACE.uniform @ SLOPES.T)).min() < 0.9


def test_more_than_three_objectives_are_refused():
    with pytest.raises(ValueError, match="at most three"):
        Goal(tuple("abcd"), np.eye(4), np.ones(4), (0, 1, 2, 3))


def test_the_same_state_and_seed_propose_the_same():
    wanted = goal(floor("uniform"), objectives=(0, 1))
    assert told(proposed(wanted)) == told(proposed(wanted))


@pytest.mark.slow  # BoTorch takes seconds
@pytest.mark.usefixtures("short_fits")
def test_a_gaussian_process_proposes_for_fronts_by_botorch_and_has_nothing_compiled(monkeypatch):
    pytest.importorskip("botorch")
    from torch.utils import cpp_extension

    compiled = []
    monkeypatch.setattr(cpp_extension, "load", lambda **options: compiled.append(options))
    assert "by BoTorch" in proposed(goal(objectives=(0, 1)), "gp", 1)[0].reason
    assert not compiled


def test_where_no_mixture_keeps_the_floors_there_is_no_front():
    found = decided(goal(floor("0.9"), objectives=(0, 1)))
    assert found.verdict == "impossible"
    assert found.front == []
    assert found.choice is None
