"""What a surrogate says: predictions, figures of its fit, effects, suggested runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, FailFast, Field

from service.schemas.values import Body, Mixture, Name


class Prediction(Body):
    """Mean and standard deviation of the objective at a mixture, without observation noise."""

    mean: float
    sd: float


class PredictRequest(Body):
    """Body of `POST /studies/{study}/surrogates/{name}/predict`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"mixtures": [{"coco": 0.4, "sat": 0.6}]}]}
    )

    mixtures: Annotated[list[Mixture], Field(min_length=1, max_length=10_000), FailFast()]


class PredictAnswer(Body):
    surrogate: Name
    predictions: list[Prediction]


class LeaveOneOut(Body):
    """Figures of leave-one-out prediction; None where too few runs define them."""

    r2: float | None
    spearman: float | None
    rmse: float | None
    nlpd: float | None
    """Mean negative log predictive density."""
    coverage_90: float | None
    """Share of runs inside their 90% interval."""


class FitPoint(Body):
    """One completed trial as its surrogate sees it when that trial is left out."""

    trial: int
    number: int
    actual: float
    se: float
    mean: float
    sd: float
    """Of a new observation: model and noise together."""
    pit: float | None = None
    """Predicted probability of a lower score; uniform over trials when calibrated."""


class Lesson(Body):
    """A suggested next run: one that would tell something about where the best mixture is."""

    weights: Mixture
    gain: float
    """By how much the run is expected to raise the highest prediction."""
    mean: float
    sd: float


class Confirmation(Body):
    """A mixture that was run more than once, against its prediction without those runs."""

    weights: Mixture
    n: int
    predicted: float
    mean: float
    se: float
    optimism: float
    """Predicted minus confirmed, above 0 where the surrogate predicted too much."""


class Effects(Body):
    """What a mixture is made of: each domain on its own, and each pair's synergy.

    `alone[d]` is the predicted objective of the pure mixture d; `synergy["a*b"]` is the
    coefficient of `w_a * w_b` in the Scheffe form, so an equal blend of a and b scores the mean of
    the two plus a quarter of it.
    """

    alone: dict[str, Prediction]
    synergy: dict[str, Prediction]


class PredictedMixture(Body):
    weights: Mixture
    mean: float
    sd: float


class CarriedOver(Body):
    """How far the evidence of a channel carries over to the study's own runs."""

    n: int
    """Scores it has."""
    rho: float
    """Correlation of its coefficients with those of the study's own runs."""
    rho_sd: float
    worth_in_runs: float
    """Own runs of its mixtures that would tell as much."""


class SurrogateFit(Body):
    """Answer of `GET /studies/{study}/surrogates/{name}`."""

    surrogate: Name
    kind: str
    """What the surrogate chose to be, in words."""
    n: int
    noise_sd: float
    """Of one run around the noise-free objective."""
    loo: LeaveOneOut
    points: list[FitPoint]
    best: PredictedMixture | None
    effects: Effects | None
    lessons: list[Lesson]
    """Suggested next runs, the most informative first."""
    margin: float
    chance_of_better: float
    """Probability that some mixture beats the best predicted one by more than `margin`."""
    confirmations: list[Confirmation]
    channels: dict[str, CarriedOver] = Field(default_factory=dict)
    """Other evidence that the surrogate has learned from, by name."""
    messages: list[str]
    """Health of the fit, in words."""
