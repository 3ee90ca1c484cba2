"""Mixtures that change during a run: whether a schedule fits its study, what is stored of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from service.errors import invalid
from service.schemas import SUM_TOLERANCE, Phase, StudySpec, mean_mixture, phase_ends
from service.study import engine_terms

ALIKE = 1e-9
"""Sum of differences of weights up to which two phases have one mixture."""


def of_run(spec: StudySpec, given: Sequence[Phase]) -> tuple[dict[str, float], list[Phase]]:
    """A run's mixture, the mean over its phases, and its schedule in the study's domain order: none
    where all phases have one mixture.

    Bounds and limits are for the mean: a phase may have what the whole run may not.

    Raises:
        Refused: shares or weights do not sum to 1, there is no such domain, a phase has no step, or
            the recipe's trainer is not known to train by a schedule.
    """
    found = phases(spec, given)
    _check_trainer(spec)
    _check_steps(spec, found)
    first = found[0].mixture
    if all(_apart(phase.mixture, first) <= ALIKE for phase in found):
        return first, []
    return mean_mixture(found), found


def phases(spec: StudySpec, given: Sequence[Phase]) -> list[Phase]:
    """The phases in the study's domain order, whatever trains them.

    Raises:
        Refused: shares or weights do not sum to 1, or there is no such domain.
    """
    total = math.fsum(phase.share for phase in given)
    if abs(total - 1) > SUM_TOLERANCE:
        raise invalid(f"shares of the schedule sum to {total:.6g}, not 1 (study {spec.name!r})")
    found = []
    for number, phase in enumerate(given, 1):
        try:
            mixture = spec.weights(phase.mixture)
        except ValueError as error:
            raise invalid(f"phase {number} of the schedule: {error}") from error
        found.append(Phase(share=phase.share / total, mixture=mixture))
    return found


def check_mean(given: Mapping[str, float], found: Sequence[Phase]) -> None:
    """Raises:
    Refused: the mixture is not the mean over the phases.
    """
    if _apart(given, mean_mixture(found)) > SUM_TOLERANCE:
        raise invalid("the mean over the phases of its schedule is another mixture")


def _check_trainer(spec: StudySpec) -> None:
    if spec.recipe.get("adaptive") is not None:
        raise invalid(
            f"the recipe's weights follow the rewards (recipe.adaptive, study {spec.name!r}), and "
            "that goes with one mixture, not with a schedule"
        )
    if spec.recipe.get("backend") != "command":
        return
    command = spec.recipe.get("command")
    if not (isinstance(command, dict) and command.get("schedules") is True):
        raise invalid(
            "a schedule needs a trainer that changes the mixture on the way, and this recipe's is "
            f"not known to (study {spec.name!r}); set recipe.command.schedules: true where its "
            "script goes by the job's `schedule`"
        )


def _check_steps(spec: StudySpec, found: Sequence[Phase]) -> None:
    steps, _ = engine_terms.steps_of(spec)
    if steps is None:
        return
    ends = phase_ends((phase.share for phase in found), steps)
    for number, (start, end) in enumerate(pairwise([0, *ends]), 1):
        if end <= start:
            raise invalid(
                f"phase {number} of the schedule has no step: {found[number - 1].share:g} of "
                f"{steps} (study {spec.name!r}); give it a larger share"
            )


def _apart(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Sum of what the weights of two mixtures differ by."""
    names = one.keys() | other.keys()
    return math.fsum(abs(one.get(name, 0.0) - other.get(name, 0.0)) for name in names)
