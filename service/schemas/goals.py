"""Whether what a study is after fits together: floors, several objectives, the worst benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.schemas.spec import MERGED

if TYPE_CHECKING:
    from service.schemas.studies import StudySpec

AFTER_ONE_NUMBER = frozenset(
    ("quadsurface", "modomodo", "ax", "norm", "coli", "alpha-in", "alpha-out", "alpha-balanced")
)
"""Strategies that go by the objective alone, and so keep no floors and know no front."""


def check(spec: StudySpec) -> None:
    """Raises:
    ValueError: a score that there is not, or wishes that do not go together; says what would be
        right.
    """
    several, floors = spec.objectives, spec.constraints
    known = ", ".join(["in_score", "out_score", *(b.name for b in spec.benchmarks)])
    for what, names in (
        ("objectives", several),
        ("constraints", [floor.benchmark for floor in floors]),
    ):
        for name in names:
            if not spec.score_weights(name):
                raise ValueError(f"{what} name {name!r}, which is no score of the study ({known})")
        doubles = sorted({name for name in names if names.count(name) > 1})
        if doubles:
            raise ValueError(f"{what} name {doubles[0]!r} more than once; once is enough")
    if len(several) == 1:
        raise ValueError(
            f"objectives has {several[0]!r} alone; name two or three, or make it the `objective`"
        )
    if several and spec.objective.worst:
        raise ValueError(
            "the worst benchmark is one number, and `objectives` are several: leave out "
            "`objectives`, or `worst` of the objective"
        )
    if several and spec.objective.name not in several:
        raise ValueError(
            f"objective {spec.objective.name!r} is none of the objectives {', '.join(several)}; "
            "name it among them, or leave `objective` out"
        )
    wishes = [
        name
        for name, is_there in (
            ("constraints", floors),
            ("objectives", several),
            ("worst", spec.objective.worst),
        )
        if is_there
    ]
    if not wishes:
        return
    if spec.objective.direction == "minimize":
        raise ValueError(
            f"{wishes[0]} are for scores where higher is better; leave `direction` at maximize"
        )
    if MERGED in spec.search.channels:
        raise ValueError(
            f"{wishes[0]}: merged models are proposed for one objective alone; leave 'merged' out "
            "of search.channels"
        )
    if spec.strategy in AFTER_ONE_NUMBER:
        raise ValueError(
            f"{wishes[0]}: strategy {spec.strategy!r} goes by the objective alone; auto, "
            "bayes-quadratic and gp know of more"
        )
