"""Strategies that fit a surrogate and propose by its predictions.

Each is a generator of suggestions in order of preference; see `service.search.strategies`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from service.search.acquisition import Candidate, Knowledge
from service.search.counts import counted
from service.search.designs import gaussian_candidates
from service.search.runs import TARGET
from service.search.situation import Proposed, Situation, Strategy
from service.search.space import SAME, FloatArray, total_variation
from service.search.surrogates import Fitted, check, fit

MAX_DRAWS = 1000
MAX_TRIED = 256
"""Mixtures that were run, the best by mean, among those that a draw's best is looked for."""
CONFIRM_SHARE = 6
MAX_CONFIRM = 6
"""A sixth of the budget, at most 6 runs, is kept to confirm what was found."""
IDLE_GAIN = 1e-3
"""A run expected to raise the best prediction by less than this share of one run's noise teaches
nothing."""
APART = 0.05
"""Mixtures this far apart in total variation are worth confirming both."""


def quadsurface(situation: Situation) -> Iterator[Proposed]:
    """Algorithm 4: candidates from one Gaussian around the tried mixtures, best predicted first."""
    space, runs = situation.space, situation.runs
    if len(runs) < situation.runs_needed():
        return
    fitted = fit("quadsurface", space, runs, situation.seed)
    candidates = gaussian_candidates(space, runs, situation.rng())
    mean, sd = fitted.predict(candidates)
    for i in np.argsort(-mean, kind="stable"):
        reason = (
            f"quadsurface: best prediction of {len(candidates):,} candidates, "
            f"fitted to {counted(len(runs), 'run')}"
        )
        yield Proposed(candidates[i], float(mean[i]), float(sd[i]), reason, "quadsurface")


def gp(situation: Situation) -> Iterator[Proposed | None]:
    space, runs = situation.space, situation.runs
    if len(runs) < situation.runs_needed():
        return
    if runs.channels:
        # BoTorch's improvement is of one output; the knowledge gradient goes by any joint belief.
        yield from knowledge_gradient("gp")(situation)
        return
    from service.search import expected_improvement  # torch: seconds, so only when asked
    from service.search.surrogates.gp import GaussianProcess

    # One model of the objective: the expected improvement of a sum of models is another matter.
    surrogate = GaussianProcess()
    check("gp", surrogate, runs)
    fitted = surrogate.fit_alone(runs, situation.seed)

    def said(weights: FloatArray, why: str) -> Proposed:
        mean, sd = fitted.predict(weights[None])
        return Proposed(weights, float(mean[0]), float(sd[0]), _said(situation, fitted, why), "gp")

    while len(situation.unscored()) <= expected_improvement.MAX_PENDING:
        points = expected_improvement.best_next(fitted, space, situation.unscored(), situation.seed)
        fresh = next((point for point in points if situation.is_new(point)), None)
        if fresh is None:
            return
        yield said(fresh, "highest noisy expected improvement")
    rng = situation.rng()
    best = np.argsort(-fitted.predict(runs.weights)[0], kind="stable")[:MAX_TRIED]
    tried = space.within(runs.weights[np.sort(best)])
    for _ in range(MAX_DRAWS):
        for point in fitted.maxima(space, 16, tried, rng):
            yield said(point, "best of one draw from the posterior")


def by_ax(situation: Situation) -> Iterator[Proposed]:
    from service.search import ax  # ax and torch: seconds, and an extra

    space, runs = situation.space, situation.runs
    for weights in ax.suggestions(space, runs, situation.unscored(), situation.seed):
        reason = f"ax: its own default strategy, told {counted(len(runs), 'run')}"
        yield Proposed(weights, None, None, reason, "ax")


def knowledge_gradient(name: str) -> Strategy:
    """Scores what is expected to raise the best prediction most for its cost, by the surrogate of
    that name."""

    def suggest(situation: Situation) -> Iterator[Proposed]:
        space, runs = situation.space, situation.runs
        if len(runs) < situation.runs_needed():
            return
        fitted = fit(name, space, runs, situation.seed)
        rng = situation.rng()
        costs = situation.costs
        pending = {channel: situation.unscored(channel) for channel in costs}
        knowledge = Knowledge.gathered(fitted, space, pending, rng, costs, situation.unfinished)
        chance = knowledge.chance_of_better(fitted.noise_sd, rng)
        left = f"{100 * chance:.0f}% chance that one beats the best by more than a run's noise"
        if name == "auto":
            yield from _confirmations(situation, fitted)
        while True:
            barred = {channel: barred_in(situation, channel) for channel in costs}
            may_continue = len(situation.continued) < situation.n_continued
            best = knowledge.best(barred, may_continue=may_continue)
            why = f"most informative {_named(best)} ({left})"
            if best.gain < IDLE_GAIN * fitted.noise_sd * best.cost:
                # Nothing is expected to change the choice: what is chosen may as well be confirmed.
                best = knowledge.highest(barred)
                why = f"best predicted; more runs will hardly change the choice ({left}): stop here"
            yield Proposed(
                best.weights,
                best.mean,
                best.sd,
                _said(situation, fitted, why),
                fitted.name,
                best.run is not None or not situation.is_new(best.weights, best.channel),
                best.channel,
                best.cost,
                best.gain,
                best.run,
            )
            knowledge = (
                knowledge.after(best.weights, best.channel)
                if best.run is None
                else knowledge.after_rest(best.run)
            )

    return suggest


def barred_in(situation: Situation, channel: str) -> FloatArray:
    """(b, m) mixtures that are not scored in a channel (again): a full run may be repeated once it
    is scored, for its noise; cheap scores of a mixture are much alike."""
    if channel == TARGET:
        # What is on its way to a step, or stands at one, may come to its end from there.
        return np.vstack([situation.in_training(), situation.avoid])
    return np.vstack([situation.told_in(channel), situation.avoid])


def _named(candidate: Candidate) -> str:
    at = f"at {candidate.cost:.2g} of a run"
    if candidate.run is not None:
        return f"score for its cost, the rest of trial {candidate.run} {at}"
    if candidate.channel == TARGET:
        return "run"
    return f"score for its cost, of channel {candidate.channel} {at}"


def _confirmations(situation: Situation, fitted: Fitted) -> Iterator[Proposed]:
    """The end of the budget: the best mixtures and the uniform one, those run least often first."""
    if situation.budget is None:
        return
    n_confirm = min(MAX_CONFIRM, situation.budget // CONFIRM_SHARE)
    space, runs = situation.space, situation.runs
    if n_confirm < 2:
        return
    tops = _tops(situation, fitted)
    mixtures = np.vstack([tops[:1], space.uniform[None], tops[1:]])
    names = ["best predicted", "uniform", "second best", "third best"]
    means, sds = fitted.predict(mixtures)
    budget = situation.budget - situation.spent
    while 0 < budget - len(runs) - len(situation.unscored()) <= n_confirm:
        everything = np.vstack([runs.weights, situation.unscored()])
        counts = [int((total_variation(x, everything) <= SAME).sum()) for x in mixtures]
        i = int(np.argmin(counts))
        so_far = f"which has {counted(counts[i], 'run')} so far" if counts[i] else "not run yet"
        why = f"confirms the {names[i]} mixture, {so_far}"
        reason = _said(situation, fitted, why)
        yield Proposed(mixtures[i], float(means[i]), float(sds[i]), reason, "confirm", True)


def _tops(situation: Situation, fitted: Fitted) -> FloatArray:
    """(1 to 3, m) the best predicted mixture, and the best tried ones that differ from it.

    A tried one near the best stands for it: each fit moves the best a little, and a mixture that
    is run once more tells of noise what a new one beside it does not.
    """
    space, tried = situation.space, situation.runs.weights
    order = np.argsort(-fitted.predict(tried)[0], kind="stable")
    highest = fitted.highest(space, space.within(tried[order[:8]]), situation.rng())
    order = order[space.contains(tried[order], 1e-6)]  # others may not be run any more
    near = [x for x in tried[order] if total_variation(x, highest[None])[0] <= APART]
    tops = [near[0] if near else highest]
    for x in tried[order]:
        if len(tops) < 3 and np.all(total_variation(x, np.array(tops)) > APART):
            tops.append(x)
    return np.array(tops)


def _said(situation: Situation, fitted: Fitted, why: str) -> str:
    on_their_way = len(situation.unscored())
    more = f" and {on_their_way} more queued or running" if on_their_way else ""
    of_one = (
        ", all of one mixture: nothing is known of others" if fitted.runs.is_one_mixture else ""
    )
    n_told = sum(len(situation.runs.channels[name]) for name in fitted.channels)
    told = f" and {counted(n_told, 'score')} of other channels" if n_told else ""
    said = f"{fitted.name}: {why}, from {counted(len(situation.runs), 'run')}{told}{of_one}{more}"
    return f"{said}; {fitted.kind}"
