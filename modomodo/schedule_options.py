"""Schedules, a mixture for each phase of a run, as options and in what is printed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modomodo.errors import WrongUse
from service.search.counts import counted
from service.search.space import SAME, FloatArray, total_variation

if TYPE_CHECKING:
    from modomodo.runs_options import Case
    from modomodo.units import Unit
    from service.search.diagnostics import BestSchedule

PhasesOption = Annotated[
    int | None,
    typer.Option(
        "--phases",
        help="Schedules: a mixture for each of so many phases of a run, of equal length.",
    ),
]
SharesOption = Annotated[
    str | None,
    typer.Option("--shares", help="Or what part of the steps each phase has, as 0.25,0.75."),
]


def shares_of(phases: int | None, shares: str | None) -> tuple[float, ...]:
    """What part of the steps each phase has; nothing where no schedules are asked for.

    Raises:
        WrongUse: not two to four phases, or shares that are no numbers above 0 which sum to 1.
    """
    if phases is None and shares is None:
        return ()
    from pydantic import ValidationError

    from service.plain_errors import plain
    from service.schemas.spec import PhasesSpec

    option = "--phases" if shares is None else "--shares"
    try:
        given = None if shares is None else [float(part) for part in shares.split(",")]
        wanted = PhasesSpec(phases=phases, shares=given)
    except ValidationError as error:
        raise WrongUse(f"{option}: {plain(error.errors()[0])}") from error
    except ValueError as error:
        raise WrongUse(f"--shares {shares!r} is not of the form 0.25,0.75") from error
    return tuple(wanted.of_each)


def check(case: Case, *, has_goal: bool, has_costs: bool = False) -> None:
    """Whether schedules, where there are any, go with all else that is asked for.

    Raises:
        WrongUse: they do not; says what would be right.
    """
    if not case.shares:
        return
    from service.schemas import phases as door

    space = case.space
    most, used = space.max_active, int((space.upper > 0).sum())
    for is_there, what, instead in (
        (has_costs, door.OF_CHANNELS, "--cost"),
        (has_goal, door.OF_GOALS, "--front, --floor and --worst"),
        (most is not None and most < used, door.OF_FEW_DOMAINS, "--max-active"),
        (
            bool(((space.zero_or_at_least > 0) & (space.lower == 0)).any()),
            door.OF_LEAST_WEIGHTS,
            "--zero-or-at-least",
        ),
        (space.listed() is not None, "a list has the mixtures of whole runs alone", "--among"),
    ):
        if is_there:
            raise WrongUse(f"schedules: {what}; leave {instead} out")


def can_propose(case: Case, strategy: str) -> None:
    """Raises:
    WrongUse: schedules are asked for, and the strategy proposes mixtures alone.
    """
    from service.search.strategies import WITH_SCHEDULES

    if case.shares and strategy not in WITH_SCHEDULES:
        raise WrongUse(
            f"schedules: strategy {strategy!r} proposes mixtures alone; "
            f"{', '.join(WITH_SCHEDULES)} propose schedules"
        )


def beside_in_words(case: Case) -> str:
    """What of a file is no evidence."""
    is_one = case.beside == 1
    if not case.shares:
        return (
            f"{counted(case.beside, 'row')} of {'a run' if is_one else 'runs'} with a schedule "
            f"that ended on the way {'is' if is_one else 'are'} not taken"
        )
    return (
        f"{counted(case.beside, 'row')} that {'is' if is_one else 'are'} of another channel, or of "
        f"a run with other phases, {'is' if is_one else 'are'} not taken"
    )


def phases_of(case: Case, point: FloatArray) -> list[dict[str, Any]] | None:
    """Shares and mixtures of the phases of a point (P m,); None of one that is as good as a mixture
    that stays the same."""
    from service.search.schedules import ScheduleSpace, named_phases

    within = case.searched
    if not isinstance(within, ScheduleSpace):
        return None
    plain = within.and_plainer(point[None])[1:]
    if total_variation(point, plain)[0] <= SAME:
        return None
    return named_phases(case.space, within.shares, within.phases(point))


def rows(phases: Sequence[Mapping[str, Any]] | None) -> Iterator[list[str]]:
    """A line for each phase, to stand in a table below that of the mean mixture."""
    for number, phase in enumerate(phases or (), 1):
        weights = [f"{100 * w:.1f}%" if w else "-" for w in phase["mixture"].values()]
        yield [f"phase {number}, {100 * phase['share']:.3g}%", *weights]


def best_in_words(case: Case, found: BestSchedule, unit: Unit) -> str:
    """What the best schedule is predicted to gain over the best mixture, and what it is; or that
    none does."""
    from service.search.schedules import named_phases
    from service.study.schedules import NONE_BETTER, in_words

    if not found.is_changing:
        return NONE_BETTER
    phases = in_words(named_phases(case.space, found.shares, found.phases))
    gain = unit.gain(found.gain, found.sd)
    return (
        f"the best schedule is predicted {gain} over the best mixture that stays the same: {phases}"
    )


def best_as_document(case: Case, found: BestSchedule | None) -> dict[str, Any] | None:
    """The best predicted schedule as JSON has it."""
    if found is None:
        return None
    from service.search.schedules import named_phases

    phases = named_phases(case.space, found.shares, found.phases)
    return {"phases": phases, "gain": found.gain, "sd": found.sd}
