"""The tables: what a row means. What may happen to it is said in `states.py`."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    literal_column,
    text,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    foreign,
    mapped_column,
    object_session,
    relationship,
)

from db.clock import HOUR_S, Moment, now
from db.specs import Specification

STUDY_STATES = ("active", "paused", "finished")
TRIAL_STATES = (
    *("queued", "running", "completed", "failed", "cancelled", "early_stopped"),
    "paused",
)
ATTEMPT_STATES = ("live", "completed", "failed", "expired", "released", "cancelled", "paused")
LIVE: ColumnElement[str] = literal_column("'live'", String)
"""The state of an attempt that is the lease, as a word of a statement. There is an index of these
alone, so with a parameter in its place SQLite would plan the statement anew at every call."""
KEY_SCOPES = ("read", "worker", "admin")
ORIGINS = ("proposed", "queued", "attached")
CHANNELS = ("full", "merged")
PART = 1e-6
"""Of a run: less than this is left of a budget by rounding alone."""


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"known_{column}")


class Base(DeclarativeBase):
    # Names that alembic can find again in every database.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: Moment, dict[str, Any]: JSON}  # noqa: RUF012


class Version(NamedTuple):
    """What of a study decides what its completed runs say: `Study.version`.

    Attributes:
        created_at: an id may be given again once its study is deleted.
    """

    study_id: int
    created_at: datetime
    results: int
    edits: int


class Study(Base):
    """A search: its specification, its state, and who proposes for it just now."""

    __tablename__ = "studies"
    __table_args__ = (_one_of("state", STUDY_STATES),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    spec: Mapped[dict[str, Any]] = mapped_column(Specification)
    """The body it was created with and edited to since; fields that came later are filled in when
    it is read."""
    created_as: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """The body it was created with, where that is not `spec` any more."""
    edits: Mapped[int] = mapped_column(default=0)
    """Grows with every change of what its runs say or of what may be proposed."""
    former_names: Mapped[str] = mapped_column(Text, default="")
    """What it was called, each name behind a `/`: it is found by these too, while no other study is
    called so."""
    state: Mapped[str] = mapped_column(String(16), default="active")
    budget: Mapped[int]
    note: Mapped[str] = mapped_column(Text, default="")
    lease_s: Mapped[float]
    max_attempts: Mapped[int]
    owner: Mapped[str | None] = mapped_column(String(64))
    """The team that it belongs to; None for everyone's."""
    created_at: Mapped[datetime] = mapped_column(default=now())
    updated_at: Mapped[datetime] = mapped_column(default=now())
    resumed_at: Mapped[datetime] = mapped_column(default=now())
    """When it was last made active: only failures since then speak against proposing more."""

    revision: Mapped[int] = mapped_column(BigInteger, default=0)
    """Grows with every change of the study or of one of its trials."""
    results: Mapped[int] = mapped_column(default=0)
    """Grows with every trial that is completed, stopped early or attached: what surrogates are
    fitted to."""
    attached: Mapped[int] = mapped_column(default=0)
    """Finished runs that were added, among the results: they use none of the budget."""
    merged: Mapped[int] = mapped_column(default=0)
    """Models merged of experts, among the results: they are no runs, and use none either."""
    unspent: Mapped[float] = mapped_column(default=0.0)
    """Whole runs' worth that the runs among the results were not trained for, since the search
    ended them early: it is left of the budget."""
    channels: Mapped[str] = mapped_column(String(200), default="full")
    """What the search may spend on, with commas between; the specification says what it was at
    first."""
    early_stopping: Mapped[bool] = mapped_column(default=False)
    """Whether the search may pause and end runs before their last step; likewise."""
    gpu_s: Mapped[float] = mapped_column(default=0.0)
    """GPU-seconds of its attempts that have ended (`cost.py`)."""
    gpu_hours: Mapped[float | None]
    """The budget in GPU-hours; None for none."""
    last_number: Mapped[int] = mapped_column(default=0)
    """Number of its newest trial."""

    failing: Mapped[int] = mapped_column(default=0)
    """Trials that failed for good, one after the other: since the last result, or since the study
    was made active."""

    proposer: Mapped[str | None] = mapped_column(String(100))
    """The replica that makes its proposals now, until `proposer_until`."""
    proposer_until: Mapped[datetime | None]
    proposer_error: Mapped[str | None] = mapped_column(Text)
    """Why the last try to propose failed; None when it did not."""
    proposer_errors: Mapped[int] = mapped_column(default=0)
    """Failed tries in a row."""
    propose_again_at: Mapped[datetime | None]
    """No further try before this, after an error."""
    proposed_out: Mapped[str | None] = mapped_column(String(64))
    """`Standing.mark` of where its strategy had nothing more to propose."""

    @property
    def version(self) -> Version:
        """While it is the same, so is what the study's completed runs say."""
        return Version(self.id, self.created_at, self.results, self.edits)

    @property
    def completed(self) -> float:
        """Trials with a result that the budget counts; the search's parts of runs as such."""
        return self.results - self.attached - self.merged - self.unspent

    @property
    def planned(self) -> int:
        """Completed trials after which the search ends: its budget, or as many as its GPU-hours
        last for at what one has cost so far, failures and all."""
        lasts_for = self._lasts_for
        if math.isinf(lasts_for):
            return self.budget
        return min(self.budget, math.floor(self.completed) + math.floor(lasts_for))

    def room(self, under_way: float) -> int:
        """Runs that may still be proposed beside so many under way, in whole runs; with less than
        one left of the budget, one."""
        left = min(
            math.ceil(self.budget - self.completed - under_way - PART),
            self._lasts_for - under_way,
        )
        return max(0, math.floor(left))

    @property
    def _lasts_for(self) -> float:
        """Runs that the GPU-hours which are left last for at what one has cost so far; infinite
        where there is no such budget, or nothing known."""
        if self.gpu_hours is None or self.gpu_s == 0:
            return math.inf
        left = self.gpu_hours * HOUR_S - self.gpu_s
        if self.completed == 0:
            return math.inf if left > 0 else 0.0
        return max(left, 0.0) * self.completed / self.gpu_s


class Trial(Base):
    """One mixture to train and score. States and their changes: `states.py`."""

    __tablename__ = "trials"
    __table_args__ = (
        UniqueConstraint("study_id", "number"),
        UniqueConstraint("study_id", "client_key"),
        _one_of("state", TRIAL_STATES),
        _one_of("origin", ORIGINS),
        _one_of("channel", CHANNELS),
        Index("ix_trials_study_id_revision", "study_id", "revision"),
        Index("ix_trials_study_id_state_finished_at", "study_id", "state", "finished_at"),
        # In the order of the queue, so that its head is found without sorting. Not DESC, which
        # SQLite does not tell again.
        Index("ix_trials_queue", "state", text("(- priority)"), "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    number: Mapped[int]
    """Counts from 1 within the study."""
    state: Mapped[str] = mapped_column(String(16), default="queued")
    origin: Mapped[str] = mapped_column(String(16))
    priority: Mapped[int] = mapped_column(default=0)
    """Higher goes first; trials of the same priority go in order of their ids."""
    channel: Mapped[str] = mapped_column(String(16), default="full")
    """`full`: a training run. `merged`: no training, the experts' weights are added up and scored.
    """
    mixture: Mapped[dict[str, Any]]
    schedule: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    """Mixtures by phase, each with its share of the steps, where they change during the run; the
    mixture is their mean then."""
    seed: Mapped[int]
    """Seed of the training run."""
    proposal: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """Strategy, seed, reason and prediction behind a proposed mixture."""
    proposed_at_results: Mapped[int | None]
    """`Study.results` when it was proposed, or was last seen to be as good still: older than the
    study's means it can be replaced. None for a fallback, made when the strategy failed."""
    is_withdrawn: Mapped[bool] = mapped_column(default=False)
    """Cancelled by the service because the budget left no room, not by anyone's judgement."""
    failures: Mapped[int] = mapped_column(default=0)
    """Attempts that count against the study's `max_attempts`: failed or expired ones."""
    attempt_number: Mapped[int] = mapped_column(default=0)
    """Number of its newest attempt; 0 before the first."""
    releases: Mapped[int] = mapped_column(default=0)
    """Times in a row that it was handed back before its first step."""
    rests_until: Mapped[datetime | None]
    """Queued, it is not given out before this: `queue.py`."""
    kept_from: Mapped[str | None] = mapped_column(String(200))
    """The worker that could not run it, who is not given it until `kept_from_until`."""
    kept_from_until: Mapped[datetime | None]
    stop_at: Mapped[int | None]
    """Step at which it pauses; None trains the whole recipe."""
    share: Mapped[float] = mapped_column(default=1.0)
    """Of a whole run, as the budget counts it: less for one that the search trains in part."""
    by_hand: Mapped[bool] = mapped_column(default=False)
    """A person queued it, or said where its run ends: the search leaves it alone."""
    asked: Mapped[str | None] = mapped_column(String(16))
    """`pause` or `stop`: what its run is to do at its next evaluation point."""
    asked_why: Mapped[str | None] = mapped_column(Text)
    wall_s: Mapped[float | None]
    artifacts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[str | None] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text, default="")
    tags: Mapped[str] = mapped_column(Text, default="")
    """Words that people group trials by, as `tags.py` writes them."""
    client_key: Mapped[str | None] = mapped_column(String(200))
    """The sender's idempotency key; the same key is the same trial."""
    client_hash: Mapped[str | None] = mapped_column(String(64))
    """Of what was sent under it; None where that was before it was kept."""
    created_at: Mapped[datetime] = mapped_column(default=now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(BigInteger, default=0)

    study: Mapped[Study] = relationship(lazy="raise_on_sql")
    attempt: Mapped[Attempt | None] = relationship(
        primaryjoin=lambda: (
            (Trial.id == foreign(Attempt.trial_id))
            & (Trial.attempt_number == foreign(Attempt.number))
        ),
        viewonly=True,
        uselist=False,
        lazy="raise_on_sql",
    )
    """Its newest attempt."""
    measurements: Mapped[list[Measurement]] = relationship(
        order_by=lambda: Measurement.id, viewonly=True, lazy="raise_on_sql"
    )

    @property
    def called(self) -> str:
        """As people call it, for messages: `trial 3 of study 'vlm'`. Only in a session."""
        study = cast(Session, object_session(self)).get_one(Study, self.study_id)
        return f"trial {self.number} of study {study.name!r}"


class Attempt(Base):
    """One worker's try at a trial. While live it is the lease: the only right to the trial."""

    __tablename__ = "attempts"
    __table_args__ = (
        UniqueConstraint("trial_id", "number"),
        _one_of("state", ATTEMPT_STATES),
        # The database itself refuses a second holder.
        Index(
            "uq_attempts_live_trial_id",
            "trial_id",
            unique=True,
            sqlite_where=text("state = 'live'"),
            postgresql_where=text("state = 'live'"),
        ),
        Index("ix_attempts_trial_id_token_hash", "trial_id", "token_hash"),
        Index("ix_attempts_state_until", "state", "until"),
        Index("ix_attempts_worker_state", "worker", "state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id"))
    number: Mapped[int]
    """Counts from 1 within the trial."""
    worker: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(16), default="live")
    token_hash: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the token in hex; the token itself is only ever with its worker."""
    gpus: Mapped[int] = mapped_column(default=1)
    """That the worker runs it on."""
    lease_s: Mapped[float]
    until: Mapped[datetime]
    claimed_at: Mapped[datetime] = mapped_column(default=now())
    heard_at: Mapped[datetime | None]
    """Last time its token was used; None until a call with it shows that it was received."""
    ended_at: Mapped[datetime | None]
    step: Mapped[int | None]
    total_steps: Mapped[int | None]
    metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[str | None] = mapped_column(Text)
    result_hash: Mapped[str | None] = mapped_column(String(64))
    """Of the result it finished with, to know the same one when it comes again."""

    trial: Mapped[Trial] = relationship(viewonly=True, lazy="raise_on_sql")


class Measurement(Base):
    """One benchmark's score of a trial at one training step."""

    __tablename__ = "measurements"
    __table_args__ = (UniqueConstraint("trial_id", "replicate", "benchmark", "rule", "step"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id"))
    attempt_number: Mapped[int | None]
    benchmark: Mapped[str] = mapped_column(String(64))
    rule: Mapped[str] = mapped_column(String(64))
    step: Mapped[int]
    score: Mapped[float]
    samples: Mapped[int]
    se: Mapped[float | None]
    replicate: Mapped[str] = mapped_column(String(64), default="")
    """Empty for the trial's own; else the hash of the refused result these scores came with."""
    is_superseded: Mapped[bool] = mapped_column(default=False)
    """From an earlier attempt, at a step beyond where the final one ended."""
    at: Mapped[datetime] = mapped_column(default=now())


class CurvePoint(Base):
    """What a run said of itself at one training step: a point of the trial's learning curve."""

    __tablename__ = "curve_points"
    __table_args__ = (UniqueConstraint("trial_id", "attempt_number", "step"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id"))
    attempt_number: Mapped[int]
    step: Mapped[int]
    metrics: Mapped[dict[str, Any]]


class Event(Base):
    """One change of state: when, who, what. Only ever added to."""

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_study_id_id", "study_id", "id"),
        Index("ix_events_trial_id_id", "trial_id", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now())
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    trial_id: Mapped[int | None] = mapped_column(ForeignKey("trials.id"))
    attempt_number: Mapped[int | None]
    actor: Mapped[str] = mapped_column(String(220))
    """`worker NAME`, or the part of the service or the person that did it."""
    what: Mapped[str] = mapped_column(String(32))
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)


class ApiKey(Base):
    """The right to call the service, as far as its scope goes, until it is revoked."""

    __tablename__ = "api_keys"
    __table_args__ = (
        _one_of("scope", KEY_SCOPES),
        Index(
            "uq_api_keys_valid_name",
            "name",
            unique=True,
            sqlite_where=text("revoked_at IS NULL"),
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    scope: Mapped[str] = mapped_column(String(16))
    prefix: Mapped[str] = mapped_column(String(16), unique=True)
    """The public part of the key, by which it is found."""
    key_hash: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the whole key in hex."""
    owner: Mapped[str | None] = mapped_column(String(64))
    """The team whose studies it may change; None where it may change all."""
    created_at: Mapped[datetime] = mapped_column(default=now())
    revoked_at: Mapped[datetime | None]


class Owner(Base):
    """A team that keys and studies may belong to."""

    __tablename__ = "owners"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    gpu_hours: Mapped[float | None]
    """That its studies may use, all together; None for as many as they like."""
    deleted_gpu_s: Mapped[float] = mapped_column(default=0.0)
    """GPU-seconds of its studies that were deleted."""


class Fit(Base):
    """The newest fit of its kind that was made of a study: pages need not wait for the next."""

    __tablename__ = "fits"

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(64), primary_key=True)
    """What was asked, and of which surrogate."""
    mark: Mapped[str] = mapped_column(String(64))
    """Hash of all that it depends on: while that is the same, the fit is."""
    results: Mapped[int]
    """`Study.results` and `Study.edits` that it was made at."""
    edits: Mapped[int]
    took_s: Mapped[float]
    made_at: Mapped[datetime] = mapped_column(default=now())
    document: Mapped[str] = mapped_column(Text)
    """What was found, as JSON."""


class SignIn(Base):
    """A session of a browser, until its time is over, its key ends, or someone signs out."""

    __tablename__ = "sign_ins"

    id: Mapped[int] = mapped_column(primary_key=True)
    cookie_hash: Mapped[str] = mapped_column(String(64), unique=True)
    """SHA-256 of the cookie in hex."""
    key_prefix: Mapped[str] = mapped_column(String(16))
    bound: Mapped[str] = mapped_column(String(64))
    """HMAC of the cookie's hash under that of the key."""
    created_at: Mapped[datetime] = mapped_column(default=now())
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Worker(Base):
    """A worker that has asked for work."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    capabilities: Mapped[dict[str, Any]] = mapped_column(default=dict)
    first_seen_at: Mapped[datetime] = mapped_column(default=now())
    last_seen_at: Mapped[datetime] = mapped_column(default=now())
