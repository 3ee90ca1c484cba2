"""Whether a study whose search proposes schedules is one that it can do so for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.schemas.spec import FULL

if TYPE_CHECKING:
    from service.schemas.studies import StudySpec

OF_CHANNELS = "scores of other channels tell of mixtures alone"
OF_GOALS = "schedules are proposed for one objective alone"
OF_FEW_DOMAINS = "phases of few domains each use many together"
OF_LEAST_WEIGHTS = "a domain that one phase uses has less in all"
"""Why something does not go with schedules."""


def check(spec: StudySpec) -> None:
    """Raises:
    ValueError: something else of the study does not go with schedules; says what would be right.
    """
    if spec.search.schedule is None:
        return
    n_used = sum(domain.upper > 0 for domain in spec.domains)
    for is_there, what, instead in (
        (
            spec.search.channels != [FULL],
            OF_CHANNELS,
            f"leave search.channels at [{FULL}]",
        ),
        (
            spec.search.early_stopping,
            "a part of a run has had another mixture than the whole",
            "leave search.early_stopping out",
        ),
        (
            bool(spec.evidence),
            "other studies tell of mixtures alone",
            "leave evidence out",
        ),
        (
            spec.has_goal,
            OF_GOALS,
            "leave objectives, constraints and objective.worst out",
        ),
        (
            spec.max_active is not None and spec.max_active < n_used,
            OF_FEW_DOMAINS,
            "leave max_active out",
        ),
        (
            any(d.zero_or_at_least > 0 and d.lower == 0 for d in spec.domains),
            OF_LEAST_WEIGHTS,
            "leave zero_or_at_least out",
        ),
    ):
        if is_there:
            raise ValueError(f"search.schedule: {what}; {instead}")
