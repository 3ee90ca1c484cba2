"""What a chaos run promised and kept: what callers saw answered against what is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from bench.chaos_worker import STEPS
from db.models import Attempt, Event, Measurement, Study, Trial
from db.sessions import Database
from db.states import RESULTS


@dataclass(slots=True)
class Verdict:
    """What was done, and what of the promises did not hold: all of `broken` must be 0."""

    seconds: float
    faults: dict[str, int]
    broken: dict[str, int]
    told: dict[str, int]

    @property
    def is_sound(self) -> bool:
        return not any(self.broken.values())


@dataclass(frozen=True, slots=True)
class Line:
    """What one call was answered: that a trial is `what` at a step, with this score."""

    what: str
    trial: int
    step: int
    score: float | None

    @classmethod
    def read(cls, text: str) -> Line:
        what, trial, step, score = text.split()
        return cls(what, int(trial), int(step), None if score == "-" else float(score))


def examine(
    database: Database, n_trials: int, ledger: str
) -> tuple[dict[str, int], dict[str, int]]:
    """Promises that were broken, how often each, and what else there is to tell."""
    lines = [Line.read(text) for text in ledger.splitlines()]
    final: dict[int, list[float]] = {}
    for line in lines:
        if line.what == "completed" and line.score is not None:
            final.setdefault(line.trial, []).append(line.score)
    with database.read() as session:
        states = dict(session.execute(select(Trial.id, Trial.state)).all())
        own: dict[tuple[int, int], list[float]] = {}
        for trial_id, step, score in session.execute(
            select(Measurement.trial_id, Measurement.step, Measurement.score).where(
                Measurement.replicate == ""
            )
        ):
            own.setdefault((trial_id, step), []).append(score)
        events = session.execute(select(Event.trial_id, Event.what).order_by(Event.id))
        story: dict[int | None, list[str]] = {}
        for of_trial, what in events:
            story.setdefault(of_trial, []).append(what)

        def count(query: Any) -> int:
            return session.execute(select(func.count()).select_from(query.subquery())).scalar_one()

        attempts = Counter(session.scalars(select(Attempt.state)))
        replicates = count(select(Measurement.id).where(Measurement.replicate != ""))
        results = session.scalars(select(Study.results)).one()
    database.close()
    completed = [trial for trial, state in states.items() if state == "completed"]
    ended = [trial for trial, state in states.items() if state in RESULTS]
    happened = Counter(what for trial in states for what in story.get(trial, ()))
    stopped_by_runs = attempts["paused"] - happened["paused"]
    broken = {
        "trials lost": n_trials - len(ended),
        "trials too many": max(0, len(states) - n_trials),
        "trials stuck": sum(state in ("running", "paused") for state in states.values())
        + attempts["live"],
        "results lost": sum(
            score not in own.get((trial, STEPS), [])
            for trial, scores in final.items()
            for score in scores
        ),
        "results doubled": sum(len(own.get((trial, STEPS), [])) != 1 for trial in completed)
        + sum(story.get(trial, []).count("completed") > 1 for trial in states)
        + sum(len(set(scores)) > 1 for scores in final.values()),
        "results miscounted": abs(results - len(ended)),
        "pauses lost": sum(
            line.score is not None and line.score not in own.get((line.trial, line.step), [])
            for line in lines
            if line.what != "completed"
        )
        + sum(
            {"paused": "paused", "stopped": "early-stopped"}[line.what]
            not in story.get(line.trial, [])
            for line in lines
            if line.what != "completed"
        ),
        "pauses doubled": abs(stopped_by_runs)
        if stopped_by_runs < 0
        else max(0, stopped_by_runs - happened["early-stopped"]),
        "paused trials given away": sum(given_away(story.get(trial, ())) for trial in states),
        "parts taken for whole runs": sum((trial, STEPS) not in own for trial in completed),
    }
    told = {
        "results that a worker saw answered": sum(map(len, final.values())),
        "attempts": attempts.total(),
        "leases that ran out": attempts["expired"],
        "runs that died": attempts["failed"],
        "replicates kept": replicates,
        "pauses": happened["paused"],
        "continued": happened["continued"],
        "stopped for good": happened["early-stopped"],
    }
    return broken, told


def given_away(story: Iterable[str]) -> int:
    """How often a trial that was paused was given to a worker before anybody continued it."""
    is_paused, n = False, 0
    for what in story:
        n += is_paused and what == "claimed"
        if what in ("paused", "continued"):
            is_paused = what == "paused"
    return n
