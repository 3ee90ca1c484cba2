"""Whether runs that were scored on their way are worth going on with.

A run's rest is one of the things that the next GPU-hour can be spent on, and is judged as all of
them are: by what its last score is expected to add to the highest mean, for what is left of its
cost. Where something else that trains is clearly better, it pauses: its checkpoint stays, and the
search continues it when nothing else teaches more. Only a run that has hardly a chance to be among
the best ends for good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from service.search.acquisition import Candidate, Knowledge
from service.search.by_surrogate import IDLE_GAIN, barred_in
from service.search.runs import MERGED
from service.search.situation import Begun, Situation
from service.search.space import FloatArray
from service.search.surrogates import fit

CLEARLY_WORSE = 0.5
"""A run pauses where its rest gains less than this share of what the same cost gains elsewhere:
a pause has a cost of its own, and gains are known roughly."""
HOPELESS = 0.01
"""A run whose mixture is within one run's noise of the best with a smaller probability ends."""

Action = Literal["continue", "pause", "stop"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a begun run is to do, and why, in words."""

    run: int
    action: Action
    reason: str


def judge(surrogate: str, situation: Situation, running: Begun) -> list[Verdict]:
    """What runs under way are to do at their next evaluation point; and which of those that stand
    at a step are to end. None for runs that stay as they are, before a surrogate may choose.

    Args:
        situation: `begun` are the runs that stand; pending are those under way but `running`.
    """
    if len(situation.runs) < situation.runs_needed() or not len(running):
        return []
    fitted = fit(surrogate, situation.space, situation.runs, situation.seed)
    costs = {name: cost for name, cost in situation.costs.items() if name != MERGED}
    standing = situation.unfinished
    situation.begun = running.and_(standing)
    pending = {name: situation.unscored(name) for name in situation.costs}
    knowledge = Knowledge.gathered(
        fitted, situation.space, pending, situation.rng(), costs, situation.begun
    )
    taken = {name: barred_in(situation, name) for name in costs}
    reach, idle = fitted.noise_sd, IDLE_GAIN * fitted.noise_sd
    # 1. The running ones, those that gain most first: each that goes on makes the others tell less.
    found: list[Verdict] = []
    left = set(running.run)
    while left:
        rests = [one for one in knowledge.continued() if one.run in left]
        best = max(rests, key=lambda one: one.rate)
        assert best.run is not None  # noqa: S101 - it is the rest of a run
        left.remove(best.run)
        other = _other(knowledge, taken, left | {best.run})
        is_beaten = best.rate < CLEARLY_WORSE * other.rate and other.rate >= idle
        chance = knowledge.chance_within(best.run, reach)
        if chance < HOPELESS and (is_beaten or best.rate < idle):
            found.append(Verdict(best.run, "stop", _ended(chance)))
        elif is_beaten:
            found.append(Verdict(best.run, "pause", _said("pauses", best, other)))
        else:
            found.append(Verdict(best.run, "continue", _said("goes on", best, other)))
            knowledge = knowledge.after_rest(best.run)
    # 2. Those that stand and have no chance any more.
    for run in standing.run:
        chance = knowledge.chance_within(run, reach)
        if chance < HOPELESS:
            found.append(Verdict(run, "stop", _ended(chance)))
    return found


def _other(knowledge: Knowledge, taken: Mapping[str, FloatArray], running: set[int]) -> Candidate:
    """What else that trains gains most for its cost: a new run, or the rest of one that stands."""
    new = knowledge.best(taken, may_continue=False)
    standing = [one for one in knowledge.continued() if one.run not in running]
    return max([new, *standing], key=lambda one: one.rate)


def _said(what: str, mine: Candidate, other: Candidate) -> str:
    instead = "a new run" if other.run is None else f"the rest of trial {other.run}"
    if other.rate <= 0:
        return f"{what}: nothing else teaches more"
    return (
        f"{what}: for its cost the rest, {mine.cost:.2g} of a run, is expected to add "
        f"{mine.rate / other.rate:.2g} times what {instead} would"
    )


def _ended(chance: float) -> str:
    return (
        f"stops: a chance of {100 * chance:.2g}% that its mixture is within one run's noise of the "
        f"best, below {100 * HOPELESS:g}%"
    )
