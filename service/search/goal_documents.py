"""What was decided for a goal, as JSON holds it and in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.search.diagnostics import Estimate
from service.search.documents import estimate
from service.search.goal_decision import HARDLY, Decision, Point
from service.search.goals import Goal
from service.search.space import MixtureSpace

WORST = "worst"


def decision(space: MixtureSpace, found: Decision) -> dict[str, Any]:
    """Without the mixtures compared; names of domains and of outputs stand for their places."""
    goal = found.goal
    return {
        "kind": found.kind,
        "objectives": objectives(goal),
        "constraints": [
            {
                "benchmark": goal.names[floor.output],
                "at_least": str(floor.level),
                "level": float(level),
                "asked": floor.probability,
                "possible": float(possible),
            }
            for floor, level, possible in zip(
                goal.floors, found.levels, found.each_possible, strict=True
            )
        ],
        "verdict": found.verdict,
        "possible": found.possible,
        "recommended": point(space, goal, found.recommended),
        "front": [point(space, goal, one) for one in found.front],
        "choice": found.choice,
    }


def objectives(goal: Goal) -> list[str]:
    """What is improved, by name."""
    return [WORST] if goal.is_worst else [goal.names[o] for o in goal.objectives]


def point(space: MixtureSpace, goal: Goal, found: Point) -> dict[str, Any]:
    """A mixture as the belief sees it."""
    values = zip(objectives(goal), found.mean, found.sd, strict=True)
    return {
        "weights": space.named(found.weights),
        "values": {name: estimate(Estimate(float(mean), float(sd))) for name, mean, sd in values},
        "score": estimate(Estimate(found.score, found.score_sd)),
        "floors": [float(chance) for chance in found.chances],
        "together": found.together,
    }


def floors_in_words(found: Decision, of: Point, value: Callable[[float], str]) -> str:
    """How likely each floor is to hold at a mixture: `chart at least 41.2 (uniform - 0.02): 93%`.

    Args:
        value: how a score is written.
    """
    goal = found.goal
    each = []
    for floor, level, chance in zip(goal.floors, found.levels, of.chances, strict=True):
        relative = f" ({floor.level})" if floor.level.is_relative else ""
        asked = "" if chance >= floor.probability else f", of {_percent(floor.probability)} asked"
        each.append(
            f"{goal.names[floor.output]} at least {value(float(level))}{relative}: "
            f"{_percent(float(chance))}{asked}"
        )
    said = "; ".join(each)
    if len(each) < 2:
        return said
    asked = "" if of.together >= goal.probability else f", of {_percent(goal.probability)} asked"
    return f"{said}; all together: {_percent(of.together)}{asked}"


def verdict_in_words(found: Decision) -> str:
    """Whether the floors can be kept; empty where some mixture keeps them as surely as asked."""
    goal = found.goal
    if found.verdict == "kept":
        return ""
    surest = f"the safest mixture keeps all floors with {_percent(found.recommended.together)}"
    if found.verdict == "unsure":
        return (
            f"No mixture is sure enough yet to keep the floors: {surest}. That may be for want of "
            f"runs: some mixture keeps them with {_percent(found.possible)}."
        )
    beyond = [
        goal.said(floor)
        for floor, possible in zip(goal.floors, found.each_possible, strict=True)
        if possible < HARDLY
    ]
    why = (
        f"{' and '.join(beyond)} {'is' if len(beyond) == 1 else 'are'} beyond every mixture"
        if beyond
        else "each may be kept, but not all by one mixture"
    )
    return (
        f"These floors look impossible: {why} (some mixture keeps all with "
        f"{_percent(found.possible)}; {surest}). Lower a floor, or change the domains."
    )


def _percent(chance: float) -> str:
    """`93%`; nothing is called certain or impossible for draws alone."""
    if chance < 0.005:
        return "less than 1%"
    return "more than 99%" if chance > 0.995 else f"{100 * chance:.0f}%"
