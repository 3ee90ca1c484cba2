"""What a study has cost in GPU-hours, and what the rest of it will."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

from sqlalchemy.orm import Session

from db import cost, models
from db.clock import HOUR_S
from service.schemas import StudyCost, StudySpec
from service.schemas.spec import FULL
from service.study import engine_terms, views
from service.study.runs import channel_of

MERGED_COST = 0.2
"""Of a merged model in full runs, before one was scored: what it takes on the offline world."""
LEAST_COST = 1e-3
LEAST_PART = 0.5
"""A run to a step is taken for no cheaper than this share of its part of the steps, whatever a few
attempts say."""

DRAWN = "samples/"
"""Before a domain's name in the metric of how many of its samples a run has drawn so far."""


def in_runs(session: Session, row: models.Study, channel: str, unknown: float) -> float:
    """What a result of another channel costs in full runs of this study.

    Args:
        unknown: what is taken for it before there is one of each.
    """
    spent = cost.of_a_result(session, row.id)
    if not spent.get(FULL) or channel not in spent:
        return unknown
    return max(LEAST_COST, spent[channel] / spent[FULL])


def of_steps(session: Session, row: models.Study, spec: StudySpec) -> dict[str, float]:
    """What a run to the step of each such channel of the search costs, in full runs: its part of
    the steps, before a run paused there and another was completed."""
    steps, _ = engine_terms.steps_of(spec)
    if steps is None or not spec.search.steps:
        return {}
    a_run = cost.of_a_result(session, row.id).get(FULL)
    to_a_step = cost.to_a_step(session, row.id) if a_run else {}
    found = {}
    for step in spec.search.steps:
        part = step / steps
        if a_run and step in to_a_step:
            part = max(LEAST_PART * part, to_a_step[step] / a_run)
        found[channel_of(step)] = min(max(LEAST_COST, part), 1 - LEAST_COST)
    return found


def read(session: Session, row: models.Study, *, in_parts: bool = False) -> StudyCost:
    """A study's cost now, and with `in_parts` that of each trial, channel and domain."""
    running = cost.running(session, [row.id]).get(row.id, 0.0)
    ended = row.gpu_s / HOUR_S
    a_run = left = None
    if row.completed:
        a_run = ended / row.completed
        left = max(0.0, a_run * (row.planned - row.completed) - running)
    found = StudyCost(used=ended + running, running=running, a_run=a_run, left=left)
    if in_parts:
        found.trials = cost.by_trial(session, row.id)
        found.channels, found.domains = _parts(session, row)
    return found


def _parts(session: Session, row: models.Study) -> tuple[dict[str, float], dict[str, float]]:
    """GPU-hours by channel, and by domain in the study's order: each attempt's by the samples that
    it drew, where it said so, else by its trial's weights."""
    spec = views.spec(row)
    channels: defaultdict[str, float] = defaultdict(float)
    domains = {domain.name: 0.0 for domain in spec.domains}
    for spent in cost.by_attempt(session, row.id):
        channels[_channel(spec, spent)] += spent.hours
        for name, share in _shares(spent.mixture, spent.metrics).items():
            domains[name] = domains.get(name, 0.0) + share * spent.hours
    return dict(channels), domains


def _channel(spec: StudySpec, spent: cost.Spent) -> str:
    """What the trial's scores are evidence of: those of a run that came no further are of the last
    step at which it was scored."""
    if spent.channel != FULL or spent.step is None:
        return spent.channel
    _, points = engine_terms.steps_of(spec)
    at = [step for step in (0, *points, spent.stop_at or 0) if step <= spent.step]
    return channel_of(max(at))


def _shares(mixture: Mapping[str, float], metrics: Mapping[str, float]) -> dict[str, float]:
    drawn = {
        metric.removeprefix(DRAWN): n
        for metric, n in metrics.items()
        if metric.startswith(DRAWN) and n != 0
    }
    # Of domains that others took the place of since, the mixture alone says to whom they went: also
    # where a new one has such a name, of which the run had nothing.
    is_told = all(n > 0 and mixture.get(name, 0.0) > 0 for name, n in drawn.items())
    parts = drawn if is_told and 0 < sum(drawn.values()) < math.inf else mixture
    total = sum(parts.values())
    return {name: part / total for name, part in parts.items()}
