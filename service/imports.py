"""Whether an archived study makes sense, so that what comes in by a file breaks nothing later.

`db.archive` has checked each row by its columns. Here is what they mean: the same that calls of the
API are checked for, and what the lease protocol promises.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from db.archive import Archive
from db.errors import BadArchive
from service import checks
from service.errors import Refused
from service.schemas import (
    Measurement,
    Metrics,
    Mixture,
    Origin,
    Proposal,
    Step,
    StudySpec,
    StudyState,
    TrialState,
    Worker,
)


class _Part(BaseModel):
    """What else there is in a row was checked as a column."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class _Measured(Measurement):
    model_config = ConfigDict(extra="ignore")

    replicate: str
    attempt_number: int | None


class _Attempt(_Part):
    number: int = Field(ge=1)
    state: Literal["live", "completed", "failed", "expired", "released", "cancelled"]
    worker: Worker
    lease_s: float = Field(gt=0.0, le=86_400.0)
    step: Step | None
    total_steps: Step | None
    metrics: Metrics


class _Point(_Part):
    attempt_number: int = Field(ge=0)
    step: Step
    metrics: Metrics


class _Trial(_Part):
    id: int
    number: int = Field(ge=1)
    state: TrialState
    origin: Origin
    attempt_number: int
    revision: int
    mixture: Mixture
    proposal: Proposal | None
    attempts: list[_Attempt]
    measurements: list[_Measured]
    curve: list[_Point]


class _Study(_Part):
    state: StudyState


class _Document(_Part):
    study: _Study
    trials: list[_Trial]


def check(archive: Archive, name: str | None = None) -> StudySpec:
    """The study's specification as it was created, under the name it will have.

    Raises:
        pydantic.ValidationError: something in a row is none of its kind.
        BadArchive: rows contradict each other, or do not fit the study.
    """
    document = archive.model_dump()
    study = document["study"]
    spec = StudySpec.model_validate(study["spec"] | {"name": name or study["name"]})
    # What may have been changed since has the same limits.
    changed = {key: study[key] for key in ("budget", "note", "lease_s", "max_attempts")}
    StudySpec.model_validate(study["spec"] | changed | {"name": spec.name})
    with _at("study.spec"):
        checks.strategy(spec.strategy)
        checks.space(spec)
        checks.measurements(spec, spec.baseline)
    trials = _Document.model_validate(document).trials
    _once("id", [trial.id for trial in trials])
    _once("number", [trial.number for trial in trials])
    for place, trial in enumerate(trials):
        _check_trial(f"trials.{place}", spec, trial)
    newest = max((trial.number for trial in trials), default=0)
    if study["last_number"] < newest:
        raise BadArchive(f"study.last_number: {study['last_number']}, but there is trial {newest}")
    latest = max((trial.revision for trial in trials), default=0)
    if study["revision"] < latest:
        raise BadArchive(f"study.revision: {study['revision']}, but a trial has {latest}")
    for place, event in enumerate(document["events"]):
        if event["trial"] is not None and event["trial"] not in {t.number for t in trials}:
            raise BadArchive(f"events.{place}.trial: there is no trial {event['trial']}")
    return spec


def _check_trial(where: str, spec: StudySpec, trial: _Trial) -> None:
    with _at(f"{where}.mixture"):
        checks.mixture(spec, trial.mixture)
    absent = {domain.name for domain in spec.domains} - trial.mixture.keys()
    if absent:
        raise BadArchive(f"{where}.mixture: no weight of {sorted(absent)[0]!r}, not even 0")
    by_source: dict[str, list[Measurement]] = {}
    for item in trial.measurements:
        by_source.setdefault(item.replicate, []).append(item)
    with _at(f"{where}.measurements"):
        for items in by_source.values():
            checks.measurements(spec, items)
    numbers = [attempt.number for attempt in trial.attempts]
    if sorted(numbers) != list(range(1, trial.attempt_number + 1)):
        raise BadArchive(
            f"{where}.attempts: numbers {numbers}, but attempt_number is {trial.attempt_number}"
        )
    live = [attempt.number for attempt in trial.attempts if attempt.state == "live"]
    expected = [trial.attempt_number] if trial.state == "running" else []
    if live != expected:
        raise BadArchive(
            f"{where}.attempts: live {live or 'none'}, of a {trial.state} trial with "
            f"{trial.attempt_number} attempts: only the newest of a running one is live"
        )


def _once(key: str, values: Iterable[Any]) -> None:
    twice = [value for value, n in Counter(values).items() if n > 1]
    if twice:
        raise BadArchive(f"trials: two have {key} {twice[0]}")


@contextmanager
def _at(where: str) -> Iterator[None]:
    """Says where in the file something was refused."""
    try:
        yield
    except Refused as refused:
        raise BadArchive(f"{where}: {refused.detail}") from refused
