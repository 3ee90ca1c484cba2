"""Names of the columns of an exported study. It needs no library but pydantic, so the command line
has it in every install."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from service.errors import invalid
from service.notation.columns import WEIGHT, weight_in
from service.schemas import AGGREGATES, StudySpec

FIRST, LAST = ("trial", "state", "strategy"), ("wall_s", "gpu_hours", "channel", "tags")
"""Columns that every export has, before and behind weights and scores."""
TAG_MARK = ";"
"""Between the tags of a trial."""


def heads(spec: StudySpec) -> list[str]:
    """Names of the columns of `as_csv`, no two alike.

    An objective or benchmark whose name is taken already, or would be read as a weight, gets its
    kind before it, as in `benchmark_state`.
    """
    found = _before_objective(spec)
    if spec.objective.name not in AGGREGATES:
        found += _with_error(_objective(spec))
    for benchmark in spec.benchmarks:
        name = benchmark.name
        while not _is_free(name, found):
            name = f"benchmark_{name}"
        found.append(name)
    return [*found, *LAST]


def benchmark_heads(spec: StudySpec) -> list[str]:
    """Those of the benchmarks among them, in the study's order."""
    return heads(spec)[-len(spec.benchmarks) - len(LAST) : -len(LAST)]


def phase_heads(spec: StudySpec) -> list[list[str]]:
    """Those of the weights in each phase of a run, where the study's search proposes schedules."""
    wanted = spec.search.schedule
    n = 0 if wanted is None else len(wanted.of_each)
    return [[weight_in(p, domain.name) for domain in spec.domains] for p in range(1, n + 1)]


def check(spec: StudySpec) -> None:
    """Raises:
    Refused: the objective would stand in an export under another name.
    """
    if spec.objective.name not in AGGREGATES and spec.objective.name != _objective(spec):
        raise invalid(
            f"objective {spec.objective.name!r} has the name of another column of an export "
            "(trial, state, strategy, wall_s, gpu_hours, channel, tags, in_score_se, out_score_se, "
            "or a weight, w_...); give it another name"
        )


def _before_objective(spec: StudySpec) -> list[str]:
    aggregates = [head for score in AGGREGATES for head in _with_error(score)]
    weights = [WEIGHT + domain.name for domain in spec.domains]
    return [*FIRST, *weights, *chain.from_iterable(phase_heads(spec)), *aggregates]


def _objective(spec: StudySpec) -> str:
    """The head of an objective of the study's own."""
    name, taken = spec.objective.name, _before_objective(spec)
    while not _is_free(name, taken) or f"{name}_se" in taken:
        name = f"objective_{name}"
    return name


def _is_free(name: str, taken: Sequence[str]) -> bool:
    return not name.startswith(WEIGHT) and name not in taken and name not in LAST


def _with_error(score: str) -> list[str]:
    return [score, f"{score}_se"]
