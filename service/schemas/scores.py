"""Measurements, and the scores that they add up to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from service.notation.numbers import as_given
from service.schemas.values import Body, Name


def _no_percent(value: Any) -> Any:
    """Says of a score on a scale to 100 what is meant; everything else is left to the field."""
    if isinstance(value, str) and value.strip().endswith("%"):
        given = value.strip()[:20]
    elif isinstance(value, int | float) and 1 < value < 1e6:
        given = as_given(value)
    else:
        return value
    raise PydanticCustomError(
        "not_a_fraction",
        "{given} is not a number from 0 to 1: give fractions, 0.412 for 41.2%",
        {"given": given},
    )


Fraction = Annotated[float, Field(ge=0.0, le=1.0), BeforeValidator(_no_percent)]
"""A score or its error: 0.412, where people say 41.2%."""


class Measurement(Body):
    """One benchmark's score of one trial at one training step."""

    benchmark: Name
    score: Fraction
    samples: Annotated[int, Field(ge=1, le=10**9)]
    step: Annotated[int, Field(ge=0, le=10**9)] = 0
    rule: Name = "paper"
    se: Fraction | None = None
    """Sampling error of the score; without it the score counts as a share of `samples`."""

    def sampling_error(self) -> float:
        """Standard error of the score.

        Without `se`: binomial with one success and one failure added, so that 0 and 1 have an
        error too (Agresti and Coull, 1998).
        """
        if self.se is not None:
            return self.se
        n = self.samples + 2
        p = (self.score * self.samples + 1) / n
        return math.sqrt(p * (1 - p) / n)


class Score(Body):
    """A weighted mean of benchmark scores with its sampling error."""

    value: float
    se: float

    @classmethod
    def weighted(cls, measurements: Iterable[Measurement], weights: Mapping[str, float]) -> Self:
        """Weighted mean over benchmarks of the last measurement of each.

        Raises:
            KeyError: a benchmark that has a weight was not measured.
        """
        last = last_measurements(measurements)
        total = sum(weights.values())
        share = {name: weight / total for name, weight in weights.items()}
        value = sum(share[name] * last[name].score for name in share)
        variance = sum((share[name] * last[name].sampling_error()) ** 2 for name in share)
        return cls(value=value, se=math.sqrt(variance))


def last_measurements(measurements: Iterable[Measurement]) -> dict[str, Measurement]:
    """The measurement of the highest step for each benchmark under the `paper` rule."""
    last: dict[str, Measurement] = {}
    for measurement in measurements:
        if measurement.rule != "paper":
            continue
        known = last.get(measurement.benchmark)
        if known is None or measurement.step >= known.step:
            last[measurement.benchmark] = measurement
    return last


def averaged_measurements(measurements: Iterable[Measurement]) -> list[Measurement]:
    """The mean over steps of each benchmark's score under the `paper` rule.

    Step 0, the base model, counts only where nothing else was measured. A sampling error stays the
    last step's: the items are the same at every step.
    """
    taken = [measurement for measurement in measurements if measurement.rule == "paper"]
    averaged = []
    for name, last in last_measurements(taken).items():
        scores = [m.score for m in taken if m.benchmark == name and (m.step > 0 or last.step == 0)]
        averaged.append(last.model_copy(update={"score": sum(scores) / len(scores)}))
    return averaged


class Scores(Body):
    """What a trial's final measurements add up to; None where benchmarks are missing."""

    objective: Score | None = None
    in_score: Score | None = None
    out_score: Score | None = None
