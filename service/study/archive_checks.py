"""Whether an archived study makes sense, so that what comes in by a file breaks nothing later.

`db.archive` has checked each row by its columns. Here is what they mean: the same that calls of the
API are checked for, and what the lease protocol promises.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from db import specs, tags
from db.archive import Archive
from db.errors import BadArchive
from db.specs import IN_COLUMNS
from db.trial_states import ENDED, RESULTS
from service.errors import Refused
from service.schemas import (
    Measurement,
    Metrics,
    Mixture,
    Origin,
    Proposal,
    Schedule,
    Step,
    StudySpec,
    StudyState,
    Tags,
    Text,
    TrialState,
    Worker,
)
from service.search.space import MixtureSpace
from service.study import checks, schedules

Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_TAGS: TypeAdapter[list[str]] = TypeAdapter(Tags)


def _as_written(stored: str) -> str:
    if tags.joined(_TAGS.validate_python(tags.parted(stored))) != stored:
        raise ValueError("tags stand between two |, each once")
    return stored


class _Part(BaseModel):
    """What else there is in a row was checked as a column."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class _Measured(Measurement):
    model_config = ConfigDict(extra="ignore")

    replicate: Literal[""] | Hash
    attempt_number: int | None


class _Attempt(_Part):
    number: int
    state: Literal["live", "completed", "failed", "expired", "released", "cancelled", "paused"]
    worker: Worker
    token_hash: Hash
    lease_s: float = Field(gt=0.0, le=86_400.0)
    ended_at: float | None
    step: Step | None
    total_steps: Step | None
    metrics: Metrics
    error: Text | None
    result_hash: Hash | None


class _Point(_Part):
    attempt_number: int
    step: Step
    metrics: Metrics


class _Trial(_Part):
    id: int
    number: int
    state: TrialState
    origin: Origin
    failures: int
    attempt_number: int
    revision: int = Field(ge=1)
    mixture: Mixture
    schedule: Schedule | None
    proposal: Proposal | None
    wall_s: float | None = Field(ge=0.0)
    error: Text | None
    note: Text
    tags: Annotated[str, AfterValidator(_as_written)]
    client_key: str | None = Field(min_length=1)
    client_hash: Hash | None
    started_at: float | None
    finished_at: float | None
    attempts: list[_Attempt]
    measurements: list[_Measured]
    curve: list[_Point]


class _Detail(_Part):
    """What pages show of an event in their own ways."""

    error: Text | None = None
    replaced: Mixture | None = None


class _Event(_Part):
    trial: int | None
    actor: str = Field(min_length=1)
    what: str = Field(min_length=1)
    detail: _Detail


class _Worker(_Part):
    name: Worker


class _Study(_Part):
    state: StudyState
    revision: int
    results: int
    last_number: int
    proposer_error: Text | None
    proposer_errors: int = Field(lt=2**30)  # further ones are still to be counted


class _Document(_Part):
    study: _Study
    trials: list[_Trial]
    events: list[_Event]
    workers: list[_Worker]


def check(archive: Archive, name: str | None = None) -> StudySpec:
    """The study's specification as it is, under the name it will have.

    Raises:
        pydantic.ValidationError: something in a row is none of its kind.
        BadArchive: rows contradict each other, or do not fit the study.
    """
    content = archive.model_dump()
    given = content["study"]
    spec = StudySpec.model_validate(given["spec"] | {"name": name or given["name"]})
    # What may have been changed since has the same limits.
    changed = {key: given[key] for key in IN_COLUMNS} | {"name": spec.name}
    changed["search"] = specs.search(
        specs.complete(given["spec"]), given["channels"], early_stopping=given["early_stopping"]
    )
    StudySpec.model_validate(given["spec"] | changed)
    if given["created_as"] is not None:
        StudySpec.model_validate(given["created_as"])
    with _at("study.spec"):
        checks.strategy(spec.strategy)
        space = checks.space(spec)
        schedules.check_search(spec)
        checks.measurements(spec, spec.baseline)
    document = _Document.model_validate(content)
    _check_numbers(document)
    for place, trial in enumerate(document.trials):
        where = f"trials.{place}"
        _check_attempts(where, trial)
        _check_state(where, trial)
        _check_scores(where, spec, None if given["edits"] else space, trial)
    return spec


def _check_numbers(document: _Document) -> None:
    """Whether what counts and what is counted agree."""
    study, trials = document.study, document.trials
    for key in ("id", "number", "revision", "client_key"):
        _once("trials", key, (getattr(trial, key) for trial in trials))
    _once("workers", "name", (worker.name for worker in document.workers))
    n = len(trials)
    unknown = [trial.number for trial in trials if not 1 <= trial.number <= n]
    if unknown:
        raise BadArchive(f"trials: one of the {n} has number {unknown[0]}; they count from 1")
    if study.last_number != n:
        raise BadArchive(f"study.last_number: {study.last_number}, but there are {n} trials")
    latest = max((trial.revision for trial in trials), default=0)
    if study.revision < latest:
        raise BadArchive(f"study.revision: {study.revision}, but a trial has {latest}")
    results = sum(trial.state in RESULTS for trial in trials)
    if study.results != results:
        raise BadArchive(f"study.results: {study.results}, but {results} trials are completed")
    for place, event in enumerate(document.events):
        if event.trial is not None and not 1 <= event.trial <= n:
            raise BadArchive(f"events.{place}.trial: there is no trial {event.trial}")


def _check_attempts(where: str, trial: _Trial) -> None:
    """Whether a trial's attempts are those that it counts, and curves are of one of them."""
    numbers = [attempt.number for attempt in trial.attempts]
    n = trial.attempt_number
    if len(numbers) != n or set(numbers) != set(range(1, len(numbers) + 1)):
        raise BadArchive(f"{where}.attempts: numbers {numbers}, but attempt_number is {n}")
    lost = sum(attempt.state in ("failed", "expired") for attempt in trial.attempts)
    if trial.failures > lost:
        raise BadArchive(f"{where}.failures: {trial.failures}, but {lost} attempts failed")
    _once(f"{where}.curve", "place", ((p.attempt_number, p.step) for p in trial.curve))
    named: set[Any] = {point.attempt_number for point in trial.curve}
    named |= {item.attempt_number for item in trial.measurements} - {None}
    unknown = sorted(named - set(numbers))
    if unknown:
        raise BadArchive(f"{where}: scores or a curve of attempt {unknown[0]}, of {n} attempts")


def _check_state(where: str, trial: _Trial) -> None:
    """Whether a trial's moments and attempts are those of its state."""
    live = [attempt.number for attempt in trial.attempts if attempt.state == "live"]
    expected = [trial.attempt_number] if trial.state == "running" else []
    if live != expected:
        raise BadArchive(
            f"{where}.attempts: live {live or 'none'}, of a {trial.state} trial with "
            f"{trial.attempt_number} attempts: only the newest of a running one is live"
        )
    for attempt in trial.attempts:
        if (attempt.ended_at is None) != (attempt.state == "live"):
            raise BadArchive(
                f"{where}.attempts: number {attempt.number} is {attempt.state} and ended at "
                f"{attempt.ended_at}: just a live one has not ended"
            )
    if (trial.finished_at is not None) != (trial.state in ENDED):
        raise BadArchive(
            f"{where}.finished_at: {trial.finished_at}, of a {trial.state} trial: just those that "
            "have ended have one"
        )
    if trial.state == "running" and trial.started_at is None:
        raise BadArchive(f"{where}.started_at: None, of a running trial")


def _check_scores(where: str, spec: StudySpec, space: MixtureSpace | None, trial: _Trial) -> None:
    """Whether a trial's mixture and scores are of this study.

    Args:
        space: that it keeps to; None of a study that was edited since, whose bounds were others.
    """
    with _at(f"{where}.mixture"):
        if space is None:
            checks.weights(spec, trial.mixture)
        else:
            checks.mixture(spec, trial.mixture, space)
    if trial.schedule is not None:
        with _at(f"{where}.schedule"):
            schedules.check_mean(trial.mixture, schedules.phases(spec, trial.schedule))
    absent = {domain.name for domain in spec.domains} - trial.mixture.keys()
    if absent:
        raise BadArchive(f"{where}.mixture: no weight of {sorted(absent)[0]!r}, not even 0")
    by_source: dict[str, list[Measurement]] = {}
    for item in trial.measurements:
        by_source.setdefault(item.replicate, []).append(item)
    with _at(f"{where}.measurements"):
        for items in by_source.values():
            checks.measurements(spec, items)


def _once(where: str, key: str, values: Iterable[Any]) -> None:
    twice = [value for value, n in Counter(values).items() if n > 1 and value is not None]
    if twice:
        raise BadArchive(f"{where}: two have {key} {twice[0]}")


@contextmanager
def _at(where: str) -> Iterator[None]:
    """Says where in the file something was refused."""
    try:
        yield
    except Refused as refused:
        raise BadArchive(f"{where}: {refused.detail}") from refused
