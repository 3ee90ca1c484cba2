"""What a surrogate says: predictions, figures of its fit, effects, suggested runs."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, FailFast, Field, model_validator

from service.schemas.trials import Schedule
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

    mixtures: Annotated[list[Mixture], Field(max_length=10_000), FailFast()] = Field(
        default_factory=list
    )
    schedules: Annotated[list[Schedule], Field(max_length=1000), FailFast()] = Field(
        default_factory=list
    )
    """With the phases that the study's search proposes."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.mixtures or self.schedules):
            raise ValueError("nothing to predict: give mixtures, or schedules")
        return self


class PredictAnswer(Body):
    surrogate: Name
    predictions: list[Prediction]
    """Of mixtures, and then of schedules, each in the order asked."""


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


class StudyEffects(Body):
    """Answer of `GET /studies/{study}/effects`: what more of a domain does to scores, as a
    surrogate sees it, the other domains giving it up in proportion."""

    surrogate: Name
    step: float
    """Weight that a domain gains; where the study allows less, effects are told times as many as
    make this."""
    start: Mixture
    """The mixture to train: where it starts."""
    trials: list[int]
    """Numbers of that one's runs."""
    objective: dict[Name, Prediction]
    """Change of the objective by domain, the greatest first."""
    benchmarks: dict[Name, dict[Name, Prediction]]
    """The same of each benchmark that was measured, domains in the same order."""
    room: dict[Name, float] = Field(default_factory=dict)
    """By domain how much more of it the study's bounds and limits allow there, at most `step`."""


class FloorChance(Body):
    """One of a study's constraints, as a surrogate sees it."""

    benchmark: Name
    at_least: str
    """As the study says it: `uniform - 0.02`."""
    level: float
    """What that is, where it is relative by the surrogate's mean at equal weights."""
    asked: float
    """With which probability it has to hold."""
    possible: float
    """Probability that some mixture keeps it, whatever becomes of the others."""


class GoalPoint(Body):
    """A mixture as a surrogate sees it."""

    weights: Mixture
    values: dict[str, Prediction]
    """Of each objective by its name; of `worst` how far the worst benchmark is above equal weights,
    as a share of what they score there."""
    score: Prediction
    """Of the objective that runs are listed by."""
    floors: list[float]
    """Probability that each of the constraints holds, in their order."""
    together: float
    """That all of them hold; 1 without any."""


class GoalAnswer(Body):
    """Answer of `GET /studies/{study}/front`: what a surrogate makes of a study's floors and
    objectives."""

    surrogate: Name
    kind: str
    """What the surrogate chose to be, in words."""
    objectives: list[str]
    constraints: list[FloorChance]
    verdict: Literal["kept", "unsure", "impossible"]
    """`kept`: some mixture keeps all floors as surely as asked (so it is where there are none).
    `unsure`: none does so far, but one may, and more runs will tell. `impossible`: hardly any draw
    from what the surrogate believes has a mixture that keeps them."""
    possible: float
    """Probability that some mixture keeps all floors together."""
    recommended: GoalPoint
    """Of the mixtures that keep the floors as surely as asked, that with the highest mean, or of a
    front the point that gives most per point given up; where none keeps them, the safest."""
    front: list[GoalPoint]
    """Of two or three objectives, by the first; empty with one, and where no mixture keeps the
    floors as surely as asked."""
    choice: int | None
    """Place of what is recommended on the front."""
    train: GoalPoint | None
    """The mixture to train, of those that were run."""
    message: str
    """All this for people."""
