"""Mixtures that change during a run: whether a schedule fits its study, what is stored of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import invalid
from service.schemas import SUM_TOLERANCE, Phase, StudySpec, mean_mixture, phase_ends
from service.search.schedules import ScheduleSpace, mean_of, named_phases
from service.search.space import SAME, MixtureSpace, total_variation
from service.search.strategies import WITH_SCHEDULES
from service.study import engine_terms, headline

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
    _check_steps(spec, [phase.share for phase in found])
    first = found[0].mixture
    if all(headline.apart(phase.mixture, first) <= ALIKE for phase in found):
        return first, []
    return mean_mixture(found), found


def phases(spec: StudySpec, given: Sequence[Phase]) -> list[Phase]:
    """The phases in the study's domain order, whatever trains them.

    Raises:
        Refused: shares or weights do not sum to 1, or there is no such domain.
    """
    total = math.fsum(phase.share for phase in given)
    if abs(total - 1) > SUM_TOLERANCE:
        raise invalid(f"shares of the schedule sum to {total:.9g}, not 1 (study {spec.name!r})")
    found = []
    for number, phase in enumerate(given, 1):
        try:
            mixture = spec.weights(phase.mixture)
        except ValueError as error:
            raise invalid(f"phase {number} of the schedule: {error}") from error
        found.append(Phase(share=phase.share / total, mixture=mixture))
    return found


def check_search(spec: StudySpec) -> None:
    """Whether the study's search can propose the schedules that it is to, if it is to.

    Raises:
        Refused: its strategy proposes mixtures alone; or a phase has no step, or the recipe's
            trainer is not known to train by a schedule.
    """
    wanted = spec.search.schedule
    if wanted is None:
        return
    if spec.strategy not in WITH_SCHEDULES:
        raise invalid(
            f"search.schedule: strategy {spec.strategy!r} proposes mixtures alone; "
            f"{', '.join(WITH_SCHEDULES)} propose schedules (study {spec.name!r})"
        )
    _check_trainer(spec)
    _check_steps(spec, wanted.of_each)


def is_searched(spec: StudySpec, stored: engine_terms.Schedule) -> bool:
    """Whether a schedule has the phases that the study's search proposes."""
    wanted = spec.search.schedule
    if wanted is None or len(stored) != len(wanted.of_each):
        return False
    pairs = zip(stored, wanted.of_each, strict=True)
    return all(abs(phase["share"] - share) <= SUM_TOLERANCE for phase, share in pairs)


def points_of(spec: StudySpec, given: Sequence[Sequence[Phase]]) -> NDArray[np.float64]:
    """(k, P m) points of schedules with the phases that the study's search proposes.

    Raises:
        Refused: the search proposes mixtures alone, or other phases; or weights that do not sum to
            1, or no such domain.
    """
    wanted = spec.search.schedule
    if given and wanted is None:
        raise invalid(
            f"the search of study {spec.name!r} proposes mixtures alone, so nothing is learned of "
            "what an order adds; schedules can be predicted where a study has search.schedule"
        )
    runs: list[tuple[dict[str, float], engine_terms.Schedule]] = []
    for phases_given in given:
        found = phases(spec, phases_given)
        stored = [phase.model_dump() for phase in found]
        if wanted is not None and not is_searched(spec, stored):
            shares = ", ".join(f"{share:.4g}" for share in wanted.of_each)
            raise invalid(
                f"a schedule of other phases than the search proposes: their shares of the steps "
                f"are {shares} (study {spec.name!r})"
            )
        runs.append((mean_mixture(found), stored))
    return engine_terms.points(spec, runs)


def of_point(
    spec: StudySpec, within: MixtureSpace, point: NDArray[np.float64]
) -> tuple[dict[str, float], list[dict[str, Any]] | None]:
    """Mixture and schedule of what the engine proposes; no schedule where it is one mixture, or as
    good as one."""
    if not isinstance(within, ScheduleSpace):
        return spec.mixture(within.named(point)), None
    mean = mean_of(point[None], within.mixtures.m)
    mixture = spec.mixture(within.mixtures.named(mean[0]))
    if total_variation(point, within.unchanging(mean))[0] <= SAME:
        return mixture, None
    return mixture, named_phases(within.mixtures, within.shares, within.phases(point))


NONE_BETTER = "no schedule is predicted to be better than the best mixture that stays the same"

LEAST_SAID = 0.005
"""Weights below this are not worth a word."""
MOST_SAID = 4


def in_words(stored: engine_terms.Schedule) -> str:
    """Such as `phase 1 (50% of the steps): 80% coco, 20% sat; phase 2 (50%): 100% sat`."""
    said = []
    for number, phase in enumerate(stored, 1):
        of = " of the steps" if number == 1 else ""
        largest = sorted(phase["mixture"].items(), key=lambda pair: -pair[1])
        named = [f"{100 * w:.0f}% {name}" for name, w in largest if w >= LEAST_SAID]
        rest = len(named) - MOST_SAID
        more = f" and {rest} more" if rest > 0 else ""
        said.append(
            f"phase {number} ({100 * phase['share']:.3g}%{of}): "
            f"{', '.join(named[:MOST_SAID])}{more}"
        )
    return "; ".join(said)


def check_mean(given: Mapping[str, float], found: Sequence[Phase]) -> None:
    """Raises:
    Refused: the mixture is not the mean over the phases.
    """
    if headline.apart(given, mean_mixture(found)) > SUM_TOLERANCE:
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


def _check_steps(spec: StudySpec, shares: Sequence[float]) -> None:
    steps, _ = engine_terms.steps_of(spec)
    if steps is None:
        return
    ends = phase_ends(shares, steps)
    for number, (start, end) in enumerate(pairwise([0, *ends]), 1):
        if end <= start:
            raise invalid(
                f"phase {number} of the schedule has no step: {shares[number - 1]:g} of "
                f"{steps} (study {spec.name!r}); give it a larger share"
            )
