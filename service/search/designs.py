"""Mixtures to begin with and mixtures to choose from."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from service.search.runs import Runs
from service.search.space import SAME, FloatArray, MixtureSpace, total_variation
from service.search.surrogates.bayes_quadratic import POWERS
from service.search.surrogates.part import LEVEL, TYPICAL

DRAWS = 5000
MAX_ROUNDS = 10
ENOUGH = 500
"""Draws of the Gaussian: one round, or up to 10 until 500 candidates are left of them."""


@dataclass(frozen=True, eq=False)
class DesignPoint:
    """A mixture of a design and what it is for, in words."""

    weights: FloatArray
    reason: str


def seed_design(space: MixtureSpace) -> list[DesignPoint]:
    """The paper's seeds: every domain alone, every domain left out, all together.

    2m + 1 points on the plain simplex, uniform first: everything is compared with it. Within bounds
    each is moved to the nearest feasible mixture, and what then coincides is kept once.
    """
    m, names = space.m, space.domains
    eye = np.eye(m)
    wanted = [(np.full(m, 1 / m), "all domains with equal weights")]
    wanted += [(eye[i], f"{names[i]} alone") for i in range(m)]
    if m > 2:  # leaving out one of two is the other one alone
        wanted += [((1 - eye[i]) / (m - 1), f"every domain but {names[i]}") for i in range(m)]
    return _feasible(space, wanted, "seed")


def _feasible(
    space: MixtureSpace, wanted: list[tuple[FloatArray, str]], kind: str
) -> list[DesignPoint]:
    """Each as near as the space allows; what then coincides is kept once."""
    points: list[DesignPoint] = []
    for weights, what in wanted:
        feasible = space.project(weights)
        known = np.array([point.weights for point in points]).reshape(-1, space.m)
        if np.all(total_variation(feasible, known) > SAME):
            moved = "" if np.allclose(feasible, weights) else ", as near as the limits allow"
            points.append(DesignPoint(feasible, f"{kind}: {what}{moved}"))
    return points


def gaussian_candidates(space: MixtureSpace, runs: Runs, rng: np.random.Generator) -> FloatArray:
    """(k, m) draws from one Gaussian with the tried mixtures' mean and covariance (Algorithm 4).

    Draws with a negative weight are dropped and the rest normalised, as published; where bounds
    are tighter than that, the draws move to the nearest feasible mixture. With many domains hardly
    a draw is without a negative weight (none of 50,000 at 17), so more are made, and if they are
    still few, those with negative weights move to the nearest feasible mixture too.
    """
    # Pinned weights do not vary: their rounding must not decide which draws are dropped.
    movable = np.flatnonzero(space.upper > space.lower)
    if space.dimension == 0:
        return space.uniform[None]
    X = runs.weights[:, movable]
    # scikit-learn's GaussianMixture of one component: this covariance, and 1e-6 on its diagonal.
    covariance = np.atleast_2d(np.cov(X, rowvar=False, bias=True)) + 1e-6 * np.eye(len(movable))
    candidates = np.empty((0, space.m))
    for _ in range(MAX_ROUNDS):
        draws = np.tile(space.lower, (DRAWS, 1))
        draws[:, movable] = rng.multivariate_normal(
            X.mean(axis=0), covariance, size=DRAWS, method="eigh"
        )
        kept = draws[np.all(draws >= 0, axis=1) & (draws.sum(axis=1) > 0)]
        kept /= kept.sum(axis=1, keepdims=True)
        candidates = np.vstack([candidates, space.project(kept)])
        if len(candidates) >= ENOUGH:
            return candidates
    return np.vstack([candidates, space.project(draws)])


# --- designs for a quadratic ------------------------------------------------------------------

LINEAR, PAIRS, NOISE = TYPICAL
CANDIDATES = 256
Criterion = Literal["D", "I"]


def lattice(space: MixtureSpace) -> list[DesignPoint]:
    """The {m,2} simplex-lattice (Scheffe, 1958): each domain alone and each pair in halves.

    As many mixtures as a quadratic has terms. Within limits each moves to the nearest feasible one.
    """
    names, eye = space.domains, np.eye(space.m)
    wanted = [(eye[i], f"{names[i]} alone") for i in range(space.m)]
    wanted += [
        ((eye[i] + eye[j]) / 2, f"half {names[i]}, half {names[j]}")
        for i, j in combinations(range(space.m), 2)
    ]
    return _feasible(space, wanted, "lattice")


def centroid(space: MixtureSpace, most: int) -> list[DesignPoint]:
    """The simplex-centroid design (Scheffe, 1963): each set of up to `most` domains, equally."""
    names, eye = space.domains, np.eye(space.m)
    wanted = [
        (eye[list(subset)].mean(axis=0), "equal parts of " + ", ".join(names[i] for i in subset))
        for size in range(1, min(most, space.m) + 1)
        for subset in combinations(range(space.m), size)
    ]
    return _feasible(space, wanted, "centroid")


def optimal(
    space: MixtureSpace, n: int, known: FloatArray, rng: np.random.Generator, criterion: Criterion
) -> list[DesignPoint]:
    """The n mixtures after which a quadratic is known best, given the (k, m) `known` ones.

    `I`: least variance of a prediction on average over the space. `D`: most information about all
    of it, the determinant of the posterior precision. Under the priors of `bayes-quadratic`, so
    fewer runs than terms are fine too; averaged over its powers of the weights. Chosen one by one,
    then each exchanged for as long as that helps (Fedorov, 1972). In order of choice.
    """
    # 1. What may be run, and where it should be known.
    targets = space.sample(CANDIDATES, rng)
    regular = [*centroid(space, 2 if space.m > 8 else 3), *lattice(space)]
    listed = [point.weights for point in regular[:CANDIDATES]]
    X = np.vstack([known, space.uniform[None], np.array(listed), targets])
    k = len(known)
    beliefs = [_prior(X, targets, power) for power in POWERS]
    for i in range(k):
        beliefs = [_conditioned(belief, i) for belief in beliefs]
    where = slice(len(X) - len(targets), None)

    def gains(state: list[FloatArray]) -> FloatArray:
        """(len(X),) what each more run is worth."""
        total = np.zeros(len(X))
        for covariance in state:
            variance = np.clip(np.diag(covariance), 0, None)
            if criterion == "D":
                total += np.log1p(variance / NOISE**2)
            else:
                gained = (covariance[:, where] ** 2).sum(axis=1) / (variance + NOISE**2)
                total += gained / max(float(variance[where].sum()), 1e-12)
        total[:k] = -np.inf
        return total

    # 2. One by one.
    chosen: list[int] = []
    for _ in range(n):
        i = int(np.argmax(gains(beliefs)))
        chosen.append(i)
        beliefs = [_conditioned(belief, i) for belief in beliefs]
    # 3. Each against what is best without it.
    if n <= EXCHANGED:
        for place in range(n):
            state = [_prior(X, targets, power) for power in POWERS]
            for i in [*range(k), *chosen[:place], *chosen[place + 1 :]]:
                state = [_conditioned(belief, i) for belief in state]
            worth = gains(state)
            if worth.max() > worth[chosen[place]] + 1e-9:
                chosen[place] = int(np.argmax(worth))
    return [DesignPoint(X[i], f"{criterion}-optimal: {_in_words(space, X[i])}") for i in chosen]


EXCHANGED = 24
"""Larger designs stay as they were chosen one by one: exchanging hardly changes them."""


def _prior(X: FloatArray, targets: FloatArray, power: float) -> FloatArray:
    """(n, n) prior covariance of a quadratic in `x ** power` at X; varies by 1 over the targets."""
    F, over = _terms(X**power), _terms(targets**power)
    centre = over.mean(axis=0)
    m = X.shape[1]
    covariance = np.full((len(X), len(X)), LEVEL**2)
    for part, size in ((slice(0, m), LINEAR), (slice(m, None), PAIRS)):
        spread = ((over[:, part] - centre[part]) ** 2).sum(axis=1).mean()
        if spread > 1e-12:
            Z = (F[:, part] - centre[part]) / np.sqrt(spread)
            covariance += size**2 * (Z @ Z.T)
    return covariance


def _terms(Z: FloatArray) -> FloatArray:
    i, j = np.triu_indices(Z.shape[1], 1)
    return np.hstack([Z, Z[:, i] * Z[:, j]])


def _conditioned(covariance: FloatArray, i: int) -> FloatArray:
    """The covariance after a run of mixture i."""
    row = covariance[i]
    left: FloatArray = covariance - np.outer(row, row) / (row[i] + NOISE**2)
    return left


def _in_words(space: MixtureSpace, x: FloatArray) -> str:
    """The parts of a mixture, largest first, at most four by name."""
    order = [i for i in np.argsort(-x, kind="stable") if x[i] > 0.005]
    said = [f"{100 * x[i]:.0f}% {space.domains[i]}" for i in order[:4]]
    rest = len(order) - 4
    return ", ".join(said) + (f" and {rest} more" if rest > 0 else "")
