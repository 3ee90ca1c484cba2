"""What strategies propose, and what all of them keep to."""

import subprocess
import sys

import numpy as np
import pytest

from service.search.designs import gaussian_candidates, seed_design
from service.search.runs import Runs
from service.search.situation import sign_of, turn
from service.search.space import SAME, MixtureSpace, total_variation
from service.search.strategies import STRATEGIES, propose
from service.search.surrogates import fit

SPACE = MixtureSpace.simplex(["a", "b", "c", "d"])
BOUNDED = MixtureSpace(("a", "b", "c", "d"), np.array([0, 0.1, 0, 0]), np.array([1, 0.6, 0.5, 1]))
NONE = np.empty((0, 4))


def runs_in(space, n, seed=0):
    seeds = np.array([point.weights for point in seed_design(space)])
    rng = np.random.default_rng(seed)
    X = np.vstack([seeds, space.sample(n, rng)])[:n]
    y = np.sqrt(X) @ np.array([0.1, 0.3, 0.2, 0.4]) + 0.005 * rng.normal(size=n)
    return Runs(X, y, np.full(n, 0.005), y + 0.1, y)


COSTLY = ("ax", "gp", "auto")
"""Strategies that take seconds: not every combination is worth them."""


def marks_of(strategy):
    """Ax is tried in `test_comparison`; as one strategy among all of them it takes too long."""
    return [pytest.mark.slow] if strategy == "ax" else []


@pytest.mark.usefixtures("short_fits")
@pytest.mark.parametrize(
    ("strategy", "space", "n_runs"),
    [
        pytest.param(
            strategy, space, n_runs, id=f"{strategy}-{name}-{n_runs}", marks=marks_of(strategy)
        )
        for strategy in STRATEGIES
        for name, space in (("simplex", SPACE), ("bounded", BOUNDED))
        for n_runs in (0, 1, 3, 14)
        if strategy not in COSTLY or (name, n_runs) in (("simplex", 3), ("bounded", 14))
    ],
)
def test_proposals_are_feasible_new_and_explained(strategy, space, n_runs):
    runs = runs_in(space, n_runs) if n_runs else Runs.none(4)
    pending = space.sample(2, np.random.default_rng(9))
    proposed = propose(strategy, space, runs, pending, 3, seed=1)
    assert len(proposed) == 3
    known = np.vstack([runs.weights, pending])
    for item in proposed:
        assert space.contains(item.weights, 1e-12)
        is_known = np.any(total_variation(item.weights, known) <= SAME)
        assert item.is_repeat == is_known
        assert item.reason
        known = np.vstack([known, item.weights])


@pytest.mark.usefixtures("short_fits")
@pytest.mark.parametrize("strategy", [pytest.param(s, marks=marks_of(s)) for s in STRATEGIES])
def test_the_same_state_and_seed_give_the_same_proposal(strategy):
    runs = runs_in(SPACE, 12)
    first, again = (propose(strategy, SPACE, runs, NONE, 2, seed=5) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.weights, b.weights)
        assert (a.mean, a.sd, a.reason) == (b.mean, b.sd, b.reason)


@pytest.mark.usefixtures("short_fits")
@pytest.mark.parametrize("strategy", ["quadsurface", "gp", "modomodo", "coli"])
def test_minimising_is_maximising_the_negated_scores(strategy):
    runs = runs_in(SPACE, 14)
    up = propose(strategy, SPACE, runs, NONE, 1, 0, "maximize")[0]
    down = propose(strategy, SPACE, runs.negated(), NONE, 1, 0, "minimize")[0]
    assert np.array_equal(up.weights, down.weights)
    assert up.mean is None or up.mean == pytest.approx(-down.mean)


def test_the_pipeline_goes_from_seeds_over_heuristics_to_quadsurface():
    n_seeds = len(seed_design(SPACE))
    runs, spoke = Runs.none(4), []
    for _ in range(n_seeds + 8):
        item = propose("modomodo", SPACE, runs, NONE, 1, seed=len(runs))[0]
        spoke.append(item.strategy)
        score = float(np.sqrt(item.weights) @ np.array([0.1, 0.3, 0.2, 0.4]))
        runs = Runs(
            np.vstack([runs.weights, item.weights]),
            [*runs.score, score],
            [*runs.noise_sd, 0.005],
            [*runs.in_score, 1 - score],
            [*runs.out_score, score],
        )
    assert spoke[:n_seeds] == ["seed"] * n_seeds
    assert set(spoke[n_seeds:]) <= {
        "alpha-in", "alpha-out", "alpha-balanced", "coli", "norm", "quadsurface",
    }  # fmt: skip
    assert {"coli", "norm"} <= set(spoke)
    assert spoke[-1] == "quadsurface"


def test_heuristics_wait_for_seeds_that_are_being_run_but_not_for_lost_ones():
    runs = runs_in(SPACE, 9)
    most = runs.subset(np.arange(9) < 8)
    last = runs.weights[8:]
    assert propose("modomodo", SPACE, most, last, 2, seed=0) == []
    others = [item.strategy for item in propose("modomodo", SPACE, most, NONE, 2, 0, avoid=last)]
    assert others[0] == "alpha-in"
    assert "seed" not in others
    assert propose("modomodo", SPACE, most, NONE, 1, 0)[0].strategy == "seed", "nobody runs it"


def test_a_mixture_to_avoid_is_not_proposed():
    first = propose("random", SPACE, Runs.none(4), NONE, 1, seed=0)[0]
    other = propose("random", SPACE, Runs.none(4), NONE, 1, seed=0, avoid=first.weights[None])[0]
    assert total_variation(first.weights, other.weights[None])[0] > SAME


def test_the_process_goes_where_the_score_is_high():
    proposed = propose("gp", SPACE, runs_in(SPACE, 12), NONE, 1, seed=0)[0]
    truth = np.array([0.1, 0.3, 0.2, 0.4]) ** 2
    best = truth / truth.sum()
    value = np.sqrt(proposed.weights) @ np.array([0.1, 0.3, 0.2, 0.4])
    assert value > 0.95 * (np.sqrt(best) @ np.array([0.1, 0.3, 0.2, 0.4]))


@pytest.mark.usefixtures("short_fits")
def test_a_fleet_that_asks_together_gets_different_mixtures():
    proposed = propose("gp", SPACE, runs_in(SPACE, 12), NONE, 3, seed=0)
    assert all("highest noisy expected improvement" in item.reason for item in proposed)
    X = np.array([item.weights for item in proposed])
    distances = [total_variation(x, np.delete(X, i, axis=0)).min() for i, x in enumerate(X)]
    assert min(distances) > SAME


def test_heuristics_wait_for_most_seeds():
    n_seeds = len(seed_design(SPACE))
    few = runs_in(SPACE, n_seeds // 2)
    coming = np.array([point.weights for point in seed_design(SPACE)])[n_seeds // 2 :]
    spoke = [p.strategy for p in propose("modomodo", SPACE, few, coming, 3, seed=0)]
    assert "seed" not in spoke
    assert not {"alpha-in", "alpha-out", "alpha-balanced", "coli", "norm"} & set(spoke)


@pytest.mark.usefixtures("short_fits")
@pytest.mark.parametrize("strategy", ["quadsurface", "gp"])
def test_enough_known_runs_make_seeds_unnecessary(strategy):
    X = SPACE.sample(12, np.random.default_rng(3))
    y = X @ np.arange(4.0)
    runs = Runs(X, y, np.full(12, 0.01), y, y)
    assert propose(strategy, SPACE, runs, NONE, 1, seed=0)[0].strategy == strategy


@pytest.mark.usefixtures("short_fits")
def test_a_large_fleet_is_served_by_posterior_draws():
    from service.search.expected_improvement import MAX_PENDING

    at_work = SPACE.sample(MAX_PENDING, np.random.default_rng(9))
    proposed = propose("gp", SPACE, runs_in(SPACE, 12), at_work, 6, seed=0)
    X = np.vstack([at_work, [item.weights for item in proposed]])
    assert all(total_variation(x, np.delete(X, i, axis=0)).min() > SAME for i, x in enumerate(X))
    assert "highest noisy expected improvement" in proposed[0].reason
    assert all("draw from the posterior" in item.reason for item in proposed[1:])


def test_predictions_are_said_in_the_users_own_sign():
    runs = runs_in(SPACE, 14)
    item = propose("quadsurface", SPACE, runs, NONE, 1, 0, "minimize")[0]
    turned = propose("quadsurface", SPACE, runs.negated(), NONE, 1, 0, "maximize")[0]
    assert item.mean == pytest.approx(-turned.mean)


def test_quadsurface_proposes_the_top_of_its_candidates_in_order():
    runs = runs_in(SPACE, 14)
    means = [item.mean for item in propose("quadsurface", SPACE, runs, NONE, 5, seed=0)]
    assert means == sorted(means, reverse=True)
    candidates = gaussian_candidates(SPACE, runs, np.random.default_rng(0))
    predicted = fit("quadsurface", SPACE, runs, seed=0).predict(candidates)[0]
    assert means[0] == pytest.approx(predicted.max())


@pytest.mark.parametrize("m", [3, 20])
def test_gaussian_candidates_are_mixtures_for_few_and_many_domains(m):
    space = MixtureSpace.simplex([f"d{i}" for i in range(m)])
    runs = runs_like(space)
    candidates = gaussian_candidates(space, runs, np.random.default_rng(0))
    assert len(candidates) >= 500
    assert np.all(space.contains(candidates, 1e-12))


def runs_like(space):
    X = np.array([point.weights for point in seed_design(space)])
    nothing = np.zeros(len(X))
    return Runs(X, nothing, nothing, nothing, nothing)


def test_one_domain_has_one_mixture_and_is_tried_again():
    alone = MixtureSpace.simplex(["a"])
    proposed = propose("seed", alone, Runs.none(1), np.empty((0, 1)), 2, seed=0)
    assert [item.weights.tolist() for item in proposed] == [[1.0], [1.0]]
    assert proposed[1].strategy == "repeat"


@pytest.mark.usefixtures("short_fits")
def test_runs_that_were_repeated_are_no_trouble():
    once = runs_in(SPACE, 12)
    twice = once.subset(np.tile(np.arange(12), 2))
    for strategy in ("quadsurface", "gp"):
        assert len(propose(strategy, SPACE, twice, NONE, 1, seed=0)) == 1


def test_an_unknown_strategy_is_refused_with_the_known_ones():
    with pytest.raises(KeyError, match="unknown strategy 'magic'; known: auto, bayes-quadratic"):
        propose("magic", SPACE, Runs.none(4), NONE, 1, 0)


def test_proposing_without_a_process_does_not_import_torch():
    code = (
        "import sys, numpy as np\n"
        "from service.search.strategies import propose\n"
        "from service.search.space import MixtureSpace\n"
        "from service.search.runs import Runs\n"
        "s = MixtureSpace.simplex('ab')\n"
        "propose('modomodo', s, Runs.none(2), np.empty((0, 2)), 5, 0)\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_scores_are_turned_so_that_higher_is_better_and_back():
    runs = runs_in(SPACE, 5)
    for direction in ("maximize", "minimize"):
        turned = turn(runs, direction)
        assert np.array_equal(sign_of(direction) * turned.score, runs.score)
        better = int(np.argmax(turned.score))
        assert runs.score[better] == (max if direction == "maximize" else min)(runs.score)
