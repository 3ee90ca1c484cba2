"""What is kept of a fit: all that pages and answers need of it, as JSON can hold it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from service.schemas import GoalAnswer, SurrogateFit
from service.search.surrogates.protocol import Posterior


class Record(BaseModel):
    """Base of them; one that an earlier version wrote otherwise is refused, and made anew."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")


class JointBelief(Record):
    """A `Posterior`."""

    mean: list[float]
    covariance: list[list[float]]

    @classmethod
    def of(cls, belief: Posterior) -> JointBelief:
        return cls(mean=belief.mean.tolist(), covariance=belief.covariance.tolist())

    def posterior(self) -> Posterior:
        return Posterior(np.array(self.mean), np.array(self.covariance))


class FitRecord(Record):
    """A surrogate's fit, with what it believes of the mixture to train and the uniform one; None
    before the first run."""

    fit: SurrogateFit
    compared: JointBelief | None


class GoalRecord(Record):
    """What a surrogate makes of a study's goal, and what is to be said of the mixture to train."""

    answer: GoalAnswer
    of_train: str


class VerdictRecord(Record):
    """What `auto` goes by (`questions.Verdict`), with its belief about the same two mixtures."""

    shares: dict[str, float]
    densities: dict[str, float]
    compared: JointBelief


R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Made(Generic[R]):
    """A record with how it came about.

    Attributes:
        mark: hash of all that it depends on.
        took_s: until it was there, waiting for other fits included.
        at: when, by the database; None where it is kept nowhere.
    """

    record: R
    mark: str
    took_s: float
    at: datetime | None = None
