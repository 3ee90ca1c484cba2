"""Floors, several objectives and the worst benchmark, as options over the columns of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from modomodo.errors import CommandFailed, WrongUse
from modomodo.units import Unit
from service.notation.levels import Level

if TYPE_CHECKING:
    from modomodo.runs_options import Case
    from service.search.goal_decision import Decision, Point
    from service.search.goals import Goal

FloorOption = Annotated[
    list[str] | None,
    typer.Option(
        "--floor",
        help="What a column has to be at least, as 'scienceqa >= 0.4' or 'scienceqa >= uniform - "
        "0.02' (what equal weights score). Repeatable.",
    ),
]
ProbabilityOption = Annotated[
    float,
    typer.Option("--floor-probability", min=0.5, max=0.999, help="How likely floors have to hold."),
]
FrontOption = Annotated[
    list[str] | None,
    typer.Option(
        "--front", help="A column to improve beside the objective. Repeatable, at most twice."
    ),
]
WorstOption = Annotated[
    bool,
    typer.Option(
        "--worst", help="Of the columns named by --benchmark, improve the one that does worst."
    ),
]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is wanted beside, or instead of, the objective.

    Attributes:
        front: columns to improve with it.
        floors: by column.
    """

    front: tuple[str, ...] = ()
    floors: tuple[tuple[str, Level], ...] = ()
    probability: float = 0.9
    is_worst: bool = False

    @classmethod
    def of(
        cls,
        front: list[str] | None,
        floors: list[str] | None,
        probability: float,
        is_worst: bool,
        is_minimized: bool,
    ) -> Wishes:
        """From options.

        Raises:
            WrongUse: one that cannot be read, or that do not go together; says what would be right.
        """
        found = cls(tuple(front or ()), tuple(map(floor_of, floors or ())), probability, is_worst)
        if found and is_minimized:
            raise WrongUse(
                "--floor, --front and --worst are for scores where higher is better; leave "
                "--minimize out (negate a column of losses)"
            )
        if is_worst and front:
            raise WrongUse("--worst is one number, and --front adds another: leave out one of them")
        if len(found.front) > 2:
            raise WrongUse(f"--front {', '.join(found.front)}: at most two beside the objective")
        for option, names in (
            ("--front", found.front),
            ("--floor", tuple(name for name, _ in found.floors)),
        ):
            doubles = sorted({name for name in names if names.count(name) > 1})
            if doubles:
                raise WrongUse(f"{option} names {doubles[0]!r} more than once; once is enough")
        return found

    def __bool__(self) -> bool:
        return bool(self.front or self.floors or self.is_worst)

    def columns(self, objective: str, benchmarks: Mapping[str, float]) -> tuple[str, ...]:
        """Columns that are looked at beside those of the objective."""
        named = dict.fromkeys([*self.front, *(name for name, _ in self.floors)])
        return tuple(name for name in named if name not in benchmarks and name != objective)

    def goal(self, objective: str, benchmarks: Mapping[str, float]) -> Goal | None:
        """In the engine's terms, over the columns of the objective and then `columns`; None where
        nothing is wanted but the objective.

        Raises:
            WrongUse: the worst is wanted of fewer than two columns, or a column of the front is
                the objective.
        """
        from service.search.goals import Floor, Goal

        if not self:
            return None
        weights = dict(benchmarks) or {objective: 1.0}
        if self.is_worst and len(weights) < 2:
            raise WrongUse("--worst needs the columns that count: two or more of --benchmark")
        if objective in self.front:
            raise WrongUse(f"--front {objective} is the objective itself; name another column")
        columns = [*weights, *self.columns(objective, benchmarks)]
        outputs = {} if self.is_worst else {objective: weights}
        alone = [*(weights if self.is_worst else ()), *self.front]
        for name in (*alone, *(name for name, _ in self.floors)):
            outputs.setdefault(name, weights if name == objective else {name: 1.0})
        names = list(outputs)
        shares = np.array([[each.get(c, 0.0) for c in columns] for each in outputs.values()])
        total = sum(weights.values())
        score = {n: w / total for n, w in weights.items()} if self.is_worst else {objective: 1.0}
        return Goal(
            tuple(names),
            shares / shares.sum(axis=1, keepdims=True),
            np.array([score.get(name, 0.0) for name in names]),
            tuple(names.index(n) for n in (weights if self.is_worst else (objective, *self.front))),
            self.is_worst,
            tuple(Floor(names.index(name), level, self.probability) for name, level in self.floors),
        )


NOTHING_ELSE = Wishes()
"""The objective alone."""


def floor_of(text: str) -> tuple[str, Level]:
    """What has to reach a level, and the level, from `scienceqa >= uniform - 0.02`.

    Raises:
        WrongUse: it is not of that form.
    """
    try:
        return Level.of_floor(text)
    except ValueError as error:
        raise WrongUse(f"--floor {text!r}: {error}; as 'scienceqa >= uniform - 0.02'") from None


def can_pursue(option: str, name: str) -> None:
    """Raises:
    WrongUse: this strategy or surrogate goes by the objective alone.
    """
    from service.search.goal_beliefs import PURSUING

    if name not in PURSUING:
        raise WrongUse(
            f"{option} {name} goes by the objective alone; {', '.join(PURSUING)} know of --floor, "
            "--front and --worst"
        )


def decided(goal: Goal, case: Case, surrogate: str, seed: int) -> Decision:
    """What a surrogate makes of the goal.

    Raises:
        CommandFailed: too few runs, or too many.
    """
    from service.search.goal_beliefs import Beliefs
    from service.search.goal_decision import decide

    try:
        return decide(Beliefs.fitted(surrogate, goal, case.space, case.runs, seed), seed)
    except ValueError as error:
        raise CommandFailed(str(error)) from error


def show(console: Console, found: Decision, case: Case, unit: Unit) -> None:
    """The front, or what is recommended, and how likely floors are to hold."""
    from service.search import goal_documents

    goal = found.goal
    names = goal_documents.objectives(goal)
    rows = found.front or [found.recommended]
    title = "the front" if found.front else None
    chances = ["floors hold"] if goal.floors else []
    table = Table("", *map(escape, (*case.domains, *names)), *chances, title=title)
    for i, point in enumerate(rows):
        is_choice = not found.front or i == found.choice
        weights = [f"{100 * w:.1f}%" for w in point.weights]
        holds = [f"{100 * point.together:.0f}%"] if chances else []
        mark = "recommended" if is_choice else ""
        table.add_row(mark, *weights, *_values(goal, point, unit), *holds)
    console.print(table)
    if goal.floors:
        said = goal_documents.floors_in_words(found, found.recommended, unit.value)
        console.print(escape(f"floors of what is recommended hold with: {said}"))
    if verdict := goal_documents.verdict_in_words(found):
        console.print(f"[yellow]•[/] {escape(verdict)}")


def _values(goal: Goal, point: Point, unit: Unit) -> list[str]:
    if goal.is_worst:
        share = Unit(100.0, "")
        return [f"{share.gain(float(point.mean[0]), float(point.sd[0]))}% of equal weights"]
    return [unit.with_margin(float(m), float(s)) for m, s in zip(point.mean, point.sd, strict=True)]
