"""What the service tells Prometheus: counts and ages from the database, times from this process."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy.orm import Session

from db import statistics
from db.models import TRIAL_STATES, Version
from db.sessions import Database
from service.executor.process import Stopping
from service.study import evidence

log = structlog.get_logger()

REQUEST_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
PROPOSAL_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """The figures of one service."""

    def __init__(self, database: Database) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._registry.register(_Stored(database))
        self.requests = Histogram(
            "modomodo_request_seconds",
            "Time to answer a call.",
            ("method", "route", "status"),
            buckets=REQUEST_SECONDS,
            registry=self._registry,
        )
        self._proposals = Histogram(
            "modomodo_proposal_seconds",
            "Time a strategy took to propose.",
            ("strategy",),
            buckets=PROPOSAL_SECONDS,
            registry=self._registry,
        )
        self._failures = Counter(
            "modomodo_proposal_failures_total",
            "Times a strategy failed or was ended at its limit.",
            ("strategy",),
            registry=self._registry,
        )

    @contextmanager
    def proposing(self, strategy: str) -> Iterator[None]:
        """Times a strategy, and counts it when it fails."""
        began = perf_counter()
        try:
            yield
        except Stopping:
            raise
        except Exception:
            self._failures.labels(strategy).inc()
            raise
        finally:
            self._proposals.labels(strategy).observe(perf_counter() - began)

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self._registry)


class _Stored:
    """Figures read from the database when they are asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._best: dict[str, tuple[Version | None, float | None]] = {}
        """By study, of those that are there: its results when last looked at, and the best score
        among them."""
        self._lock = threading.Lock()

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: the registry would read the database to learn the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        with self._database.read() as session:
            studies = statistics.of_studies(session)
            best = {study.name: self._best_score(session, study) for study in studies}
        with self._lock:
            self._best = {name: kept for name, kept in self._best.items() if name in best}
        trials = GaugeMetricFamily("modomodo_trials", "Trials by state.", labels=("study", "state"))
        live = GaugeMetricFamily("modomodo_leases_live", "Leases held now.", labels=("study",))
        age = GaugeMetricFamily(
            "modomodo_lease_age_max_seconds", "Age of the oldest lease held.", labels=("study",)
        )
        silence = GaugeMetricFamily(
            "modomodo_lease_silence_max_seconds",
            "Longest time since a sign of life under a lease held.",
            labels=("study",),
        )
        score = GaugeMetricFamily(
            "modomodo_best_score", "Best objective of a completed trial.", labels=("study",)
        )
        failing = GaugeMetricFamily(
            "modomodo_proposing_failing",
            "Whether the study's strategy failed the last time.",
            labels=("study",),
        )
        for study in studies:
            for state in TRIAL_STATES:
                trials.add_metric((study.name, state), study.trials.get(state, 0))
            live.add_metric((study.name,), study.live)
            age.add_metric((study.name,), study.oldest_s)
            silence.add_metric((study.name,), study.silent_s)
            failing.add_metric((study.name,), float(study.is_failing))
            found = best[study.name]
            if found is not None:
                score.add_metric((study.name,), found)
        yield from (trials, live, age, silence, score, failing)

    def _best_score(self, session: Session, study: statistics.StudyFigures) -> float | None:
        with self._lock:
            version, found = self._best.get(study.name, (None, None))
        if version != study.version:
            try:
                best = evidence.named(session, study.name).train_this()
            except ValueError as error:  # the other studies' figures must come all the same
                log.error("study cannot be read", study=study.name, error=str(error))
                return None
            found = None if best is None else best.score.value
            with self._lock:
                self._best[study.name] = (study.version, found)
        return found
