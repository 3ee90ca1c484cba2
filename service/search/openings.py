"""Strategies that need no surrogate: seeds, designs, the paper's heuristics, and chance.

Each is a generator of suggestions in order of preference; see `service.search.strategies`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from service.search.designs import (
    Criterion,
    DesignPoint,
    centroid,
    lattice,
    optimal,
    seed_design,
)
from service.search.heuristics import HEURISTICS
from service.search.runs import MERGED
from service.search.schedules import ScheduleSpace, mean_of, of_mean_mixtures
from service.search.situation import Proposed, Situation, Strategy
from service.search.space import SAME, FloatArray, total_variation

SEEDS_NEEDED = 0.75
"""Share of the seeds that must be scored before a heuristic proposes."""
RANDOM_ROUNDS, RANDOM_AT_ONCE = 20, 50
LEAST_PRICES, PRICES_FOR = 4, 2.0
"""Merged models that are priced at once: at least so many, and for so many runs' cost."""
CENTROID_SIZE = 4
"""Most domains in a blend of the centroid design; all blends of 17 would be 131,071."""


def of_mixtures(part: Strategy) -> Strategy:
    """What a strategy says of mixtures; where schedules are wanted, as ones that never change."""

    def suggest(situation: Situation) -> Iterator[Proposed | None]:
        space = situation.space
        if not isinstance(space, ScheduleSpace):
            yield from part(situation)
            return
        m = space.mixtures.m
        of_means = replace(
            situation,
            space=space.mixtures,
            runs=of_mean_mixtures(space, situation.runs),
            pending={name: mean_of(X, m) for name, X in situation.pending.items()},
            avoid=mean_of(situation.avoid, m),
            begun=None,
            taken=[],
        )
        for item in part(of_means):
            if item is None:
                yield None
                continue
            yield replace(item, weights=space.unchanging(item.weights[None])[0])
            for name, point in situation.taken[len(of_means.taken) :]:
                of_means.taken.append((name, mean_of(point[None], m)[0]))

    return suggest


def orders(situation: Situation) -> Iterator[Proposed]:
    """Of schedules, as few as give each domain a place of its own in the order, until as many are
    known or on their way. A surrogate that saw only some orders would take the others to matter as
    little. Nothing where mixtures are wanted."""
    space = situation.space
    if not isinstance(space, ScheduleSpace):
        return
    points = _places(space)
    for point in points:
        known = situation.known()
        plain = space.and_plainer(known)[len(known) :]
        if int((total_variation(known, plain) > SAME).sum()) >= len(points):
            return
        said = "; then ".join(
            " and ".join(d for d, w in zip(space.mixtures.domains, phase, strict=True) if w > SAME)
            for phase in space.phases(point)
        )
        yield Proposed(point, None, None, f"to see what the order does: {said}", "opening")


def _places(space: ScheduleSpace) -> FloatArray:
    """(k, P m) schedules, one for each digit of a domain's number to the base P: it says in which
    phase alone the domain is."""
    used = np.flatnonzero(space.mixtures.upper > 0)
    found = []
    place = 1
    while place < len(used):
        phases = np.zeros((space.n_phases, space.mixtures.m))
        phases[np.arange(len(used)) // place % space.n_phases, used] = 1.0
        phases[phases.sum(axis=1) == 0] = space.mixtures.uniform
        mixtures = phases / phases.sum(axis=1, keepdims=True)
        found.append((space.shares[:, None] * mixtures).ravel())
        place *= space.n_phases
    return space.project(np.array(found).reshape(len(found), space.m))


def seed(situation: Situation) -> Iterator[Proposed]:
    for point in seed_design(situation.space):
        yield Proposed(point.weights, None, None, point.reason, "seed")


def _design(points: Iterable[DesignPoint], name: str) -> Iterator[Proposed]:
    for point in points:
        yield Proposed(point.weights, None, None, point.reason, name)


def by_lattice(situation: Situation) -> Iterator[Proposed]:
    return _design(lattice(situation.space), "lattice")


def by_centroid(situation: Situation) -> Iterator[Proposed]:
    return _design(centroid(situation.space, CENTROID_SIZE), "centroid")


def replicates(situation: Situation) -> Iterator[Proposed]:
    """The uniform mixture and the best run so far in turn, whichever was run less often."""
    runs, uniform = situation.runs, situation.space.uniform
    mixtures = [uniform]
    allowed = np.flatnonzero(situation.space.contains(runs.weights, 1e-6))
    if len(allowed):
        mixtures.append(runs.weights[allowed[int(np.argmax(runs.score[allowed]))]])
    names = ("the uniform mixture", "the best run so far")
    while True:
        everything = np.vstack([runs.weights, situation.unscored()])
        counts = [int((total_variation(x, everything) <= SAME).sum()) for x in mixtures]
        i = int(np.argmin(counts))
        why = f"{names[i]} once more, run {counts[i]} times so far: tells noise"
        yield Proposed(mixtures[i], None, None, why, "replicates", counts[i] > 0)


def by_criterion(criterion: Criterion) -> Strategy:
    """Augments the runs there are, one by one."""

    def suggest(situation: Situation) -> Iterator[Proposed]:
        while True:
            known = situation.known()
            points = optimal(situation.space, 1, known, situation.rng(), criterion)
            yield from _design(points, f"{criterion.lower()}-optimal")
            if len(situation.known()) == len(known):
                return

    return suggest


def opening(situation: Situation) -> Iterator[Proposed]:
    """A design, for as long as fewer runs than it has are known or on their way; then, where models
    can be merged, prices of enough mixtures to see how far they carry over."""
    yield from _design_of_runs(situation)
    if MERGED in situation.costs and len(situation.runs) >= situation.runs_needed():
        yield from _first_prices(situation)


def _design_of_runs(situation: Situation) -> Iterator[Proposed]:
    space, uniform = situation.space, situation.space.uniform
    size = opening_size(space.m, situation.budget)
    points = [DesignPoint(uniform, "equal weights: what all is compared with")]
    is_augmented = situation.opening == "optimal"
    if MERGED in situation.costs:
        points += [point for point in seed_design(space) if point.weights.max() > 1 - SAME]
        # Whoever is free before the last of them is scored goes on with the design instead of
        # waiting: of merged models experts and uniform say little, since a domain alone merges to
        # its expert and uniform is scaled to meet its run. Blends tell how far they carry over.
        is_augmented = is_augmented and len(situation.runs) < len(points)
        size = max(size, len(points)) if is_augmented else len(points)
    elif situation.opening == "seeds":
        points = seed_design(space)
        size = len(points)
    elif situation.is_told():
        size = situation.runs_needed()
    missing = size - len(situation.known())
    if missing <= 0:
        return
    if is_augmented:
        # Uniform first: everything is compared with it.
        told = [channel.weights for channel in situation.runs.channels.values()]
        first = [point.weights for point in points]
        known = np.vstack([situation.known(), *first, *told])
        rest = missing - sum(map(situation.is_new, first))
        points += optimal(space, max(0, rest), known, np.random.default_rng(0), "I")
    for item in _design(points, "opening"):
        if len(situation.known()) >= size:
            return
        yield item


def _first_prices(situation: Situation) -> Iterator[Proposed]:
    """Prices of merged models for what a couple of runs cost, no more than a quadratic has terms.

    The uniform one first: by its run's score it is known how far to merge.
    """
    space, cost = situation.space, situation.costs[MERGED]
    terms = space.m * (space.m + 1) // 2
    size = max(LEAST_PRICES, min(terms, int(PRICES_FOR / cost)))
    points = [DesignPoint(space.uniform, "equal weights: its real run says how far to merge")]
    points += optimal(space, size, situation.known(), np.random.default_rng(0), "I")
    for point in points:
        n_known = len(situation.scored_in(MERGED)) + len(situation.unscored(MERGED))
        if n_known >= size:
            return
        yield Proposed(
            point.weights, None, None, point.reason, "opening", channel=MERGED, cost=cost
        )


def opening_size(m: int, budget: int | None) -> int:
    """Runs of the opening: a third of the budget, as many as a quadratic has terms at most.

    At least two more than domains, so that a plane through them is known.
    """
    terms = m * (m + 1) // 2
    wanted = 2 * m if budget is None else budget // 3
    return max(m + 2, min(terms, wanted))


def seeds_first(situation: Situation) -> Iterator[Proposed]:
    """The paper's seeds, for as long as fewer runs than seeds are known or on their way."""
    seeds = list(seed(situation))
    for item in seeds:
        if len(situation.known()) >= len(seeds):
            return
        yield item


def at_random(situation: Situation) -> Iterator[Proposed]:
    rng = situation.rng()
    for _ in range(RANDOM_ROUNDS):
        # Many cost about what one does, and where most mixtures were tried many are needed.
        for weights in situation.space.sample(RANDOM_AT_ONCE, rng):
            yield Proposed(weights, None, None, "uniform sample of the space", "random")


def heuristic(name: str) -> Strategy:
    what, weigh = HEURISTICS[name]

    def suggest(situation: Situation) -> Iterator[Proposed | None]:
        seeds = seed_design(situation.space)
        on_their_way = situation.unscored()
        if any(np.any(total_variation(x.weights, on_their_way) <= SAME) for x in seeds):
            yield None
        near = [total_variation(x.weights, situation.runs.weights) < SAME for x in seeds]
        groups = [group for group in near if group.any()]
        if len(groups) < SEEDS_NEEDED * len(seeds):
            return
        weights = weigh(situation.runs.averaged(groups), situation.heuristics)
        if weights is not None:
            reason = f"{name}: {what}, from {len(groups)} of {len(seeds)} seed mixtures"
            without = [situation.space.domains[i] for i in situation.heuristics.leave_out]
            reason += f", without {', '.join(without)}" if without else ""
            yield Proposed(situation.space.project(weights), None, None, reason, name)

    return suggest
