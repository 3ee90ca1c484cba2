"""When a study will have used its budget, from how long its runs took and who is at work now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import clock, models

LEAST = 3
"""Completed runs that a forecast needs."""

LOOKED_AT = 50
"""Attempts it looks at, the newest: what has changed since then should show."""

DRAWS = 400
FOLLOWED = 300
"""Runs that are followed one by one; more are taken to go on at the same pace."""

LEAST_SPREAD = 0.02
"""Of the logarithm of a run's time: runs that all took the same differ at least so much."""

Draws = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the runs of a study come.

    Attributes:
        took: seconds of the newest attempts that completed, from taking the trial to its result.
        lost: seconds of the attempts in between that failed or were lost.
        at_work: for how many seconds each live attempt has been going.
    """

    took: Sequence[float]
    lost: float
    at_work: Sequence[float]


@dataclass(frozen=True, slots=True)
class Forecast:
    """Seconds until the budget is used, the median and a 95% interval; or why that is unknown."""

    median_s: float | None = None
    low_s: float | None = None
    high_s: float | None = None
    unknown: str = ""


def read(session: Session, study: models.Study) -> Pace:
    """The pace of a study now."""
    ended = session.execute(
        select(models.Attempt.state, models.Attempt.claimed_at, models.Attempt.ended_at)
        .join(models.Trial, models.Trial.id == models.Attempt.trial_id)
        .where(
            models.Trial.study_id == study.id,
            models.Trial.channel == "full",
            models.Attempt.state.in_(("completed", "failed", "expired")),
        )
        .order_by(models.Attempt.ended_at.desc())
        .limit(LOOKED_AT)
    )
    seconds = [(state, (end - start).total_seconds()) for state, start, end in ended if end]
    now = clock.read(session)
    live = session.scalars(
        select(models.Attempt.claimed_at)
        .join(models.Trial, models.Trial.id == models.Attempt.trial_id)
        .where(
            models.Trial.study_id == study.id,
            models.Trial.channel == "full",
            models.Attempt.state == "live",
        )
    )
    return Pace(
        took=[time for state, time in seconds if state == "completed"],
        lost=sum(time for state, time in seconds if state != "completed"),
        at_work=[max(0.0, (now - start).total_seconds()) for start in live],
    )


def left_s(attempt: models.Attempt | None, now: datetime, pace: Pace) -> float | None:
    """Seconds until a live attempt's training ends at its own pace, else at that of other runs."""
    if attempt is None:
        return None
    if attempt.step and attempt.total_steps and attempt.heard_at:
        going = (attempt.heard_at - attempt.claimed_at).total_seconds()
        whole = going * attempt.total_steps / attempt.step
    elif len(pace.took) >= LEAST:
        whole = float(np.median(pace.took))
    else:
        return None
    left = whole - (now - attempt.claimed_at).total_seconds()
    return max(0.0, left)


def of(pace: Pace, remaining: int, *, is_active: bool) -> Forecast:
    """When `remaining` more runs will be completed if those at work now stay.

    A run's time is log-normal with mean and variance as little known as so many runs leave them
    (Student's t, with the usual flat prior); workers take a trial whenever they have finished one.
    """
    if remaining <= 0:
        return Forecast(0.0, 0.0, 0.0)
    if not is_active:
        return Forecast(unknown="the study is not active")
    if not pace.at_work:
        return Forecast(unknown="no worker is at work")
    if len(pace.took) < LEAST:
        return Forecast(unknown=f"it needs {LEAST} runs done by workers, and has {len(pace.took)}")
    ends = _ends(pace, remaining, np.random.default_rng(0))
    low, median, high = (float(value) for value in np.quantile(ends, (0.025, 0.5, 0.975)))
    return Forecast(median, low, high)


def _ends(pace: Pace, remaining: int, rng: np.random.Generator) -> Draws:
    """(DRAWS,) seconds until the last run is done, each under another belief about the pace."""
    # 1. A mean and a spread of log-times for each draw.
    logs = np.log(np.maximum(pace.took, 0.1))
    n = len(logs)
    spread = max(float(logs.std(ddof=1)), LEAST_SPREAD)
    sigma = spread * np.sqrt((n - 1) / rng.chisquare(n - 1, DRAWS))
    mu = logs.mean() + sigma / np.sqrt(n) * rng.normal(size=DRAWS)
    # 2. What is at work ends at a time that is not before now.
    going = np.array(pace.at_work[:remaining])
    passed = ndtr((np.log(np.maximum(going, 0.1)) - mu[:, None]) / sigma[:, None])
    luck = passed + (1 - passed) * rng.uniform(size=passed.shape)
    whole = np.exp(mu[:, None] + sigma[:, None] * ndtri(np.minimum(luck, 1 - 1e-9)))
    free = np.maximum(whole - going, 0.0)
    # 3. Whoever is free first takes the next run; what failed attempts cost comes on top.
    burden = 1 + pace.lost / sum(pace.took) if sum(pace.took) > 0 else 1.0
    ahead = remaining - len(going)
    followed = min(ahead, FOLLOWED)
    rows = np.arange(DRAWS)
    for _ in range(followed):
        first = free.argmin(axis=1)
        free[rows, first] += burden * np.exp(mu + sigma * rng.normal(size=DRAWS))
    ends: Draws = free.max(axis=1)
    if ahead > followed:
        ends += (ahead - followed) * burden * np.exp(mu + sigma**2 / 2) / len(going)
    return ends
