"""What workers say and hear: leases, heartbeats, results, failures."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, FailFast, Field, JsonValue, StringConstraints

from db.texts import storable
from service.schemas.scores import Measurement
from service.schemas.trials import Trial
from service.schemas.values import (
    MAX_POINTS,
    Body,
    Capabilities,
    Channel,
    JsonObject,
    Name,
    SentMetrics,
    Step,
    Text,
    Token,
)

Worker = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, strip_whitespace=True),
    AfterValidator(storable),
]


class Lease(Body):
    """The right to one trial. Count `duration_s` on your own clock; `until` is the database's."""

    token: Token
    until: datetime
    duration_s: float
    heartbeat_s: float = 3.0
    """When to send the first heartbeat."""


class NextRequest(Body):
    """Body of `POST /trials/next`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"worker": "node-7", "study": "vlm"}]}
    )

    worker: Worker
    study: Name | None = None
    gpus: Annotated[int, Field(ge=1, le=100_000)] = 1
    """That a trial runs on here: what its GPU-hours are counted by; 1 also where there is none."""
    capabilities: Capabilities = Field(default_factory=dict)
    channels: Annotated[list[Channel], Field(min_length=1, max_length=2)] = Field(default=["full"])
    """Of trials that it can run: `merged` needs a store where the experts' weights lie."""


class Expert(Body):
    """A completed run of one domain alone, whose weights are kept."""

    domain: Name
    trial: int
    """Its id."""
    run: Text
    """URL of the finished run in the workers' store."""
    steps: Step
    """That it was trained: fewer than the recipe's where the domain ran out."""


class Calibration(Body):
    """The score of the uniform mixture's run, which its merged model is to meet."""

    score: float
    """The objective, a fraction."""
    weights: dict[Name, float]
    """Of the benchmarks in it."""


class Merge(Body):
    """What a trial of channel `merged` is made of."""

    experts: list[Expert]
    """One for each domain of the mixture with a weight."""
    scale_at_uniform: float | None = None
    """`lambda_u`: how many times the mean of the experts' changes the uniform mixture gets."""
    calibrate: Calibration | None = None
    """To find it by; the result's artifacts then have it as `scale_at_uniform`."""


class NextAnswer(Body):
    """A leased trial with its recipe, or None with the reason and when to ask again."""

    trial: Trial | None = None
    lease: Lease | None = None
    recipe: dict[str, JsonValue] | None = None
    benchmarks: list[Name] | None = None
    """All that the study scores; a score of another is refused."""
    weighed: list[Name] | None = None
    """Those of them that the objective weighs: what a result must have."""
    merge: Merge | None = None
    """Of a trial of channel `merged`: what to merge, in the place of training."""
    keeps_weights: bool = False
    """The finished run's weights are wanted in the store: it may be an expert."""
    files_of: Name | None = None
    """What the study was called at first: its files lie under that, in folders and in the store,
    whatever it is called since. None is as `trial.study`."""
    results: int = 0
    """Trials of the study that have a result: others could run its recipe."""
    reason: str | None = None
    """Why there is no trial."""
    retry_after_s: float | None = None
    """When to ask again; None with no trial means that nothing more will come by itself."""


class CurvePoint(Body):
    """What a run said of itself at one training step."""

    step: Step
    metrics: SentMetrics


class Heartbeat(Body):
    """Body of `POST /trials/{id}/heartbeat`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "token": "a-token-of-the-lease",
                    "step": 120,
                    "total_steps": 500,
                    "metrics": {"reward/coco": 0.42},
                }
            ]
        }
    )

    token: Token
    step: Step | None = None
    total_steps: Step | None = None
    metrics: SentMetrics = Field(default_factory=dict)
    """Latest progress; with `step` also a point of the learning curve."""
    points: Annotated[list[CurvePoint], Field(max_length=MAX_POINTS), FailFast()] = Field(
        default_factory=list
    )
    """Further points of the learning curve; a step that came before stays as it was."""


class HeartbeatAnswer(Body):
    until: datetime
    duration_s: float
    heartbeat_s: float = 3.0
    """When to send the next one; longer, the more workers there are."""
    cancel: bool
    """The trial was cancelled: stop the run at once."""
    action: Literal["continue", "pause", "stop"] = "continue"
    """What the run is to do at its next evaluation point: go on, or end there with `POST
    /trials/{id}/partial`, to be continued later (`pause`) or not (`stop`)."""
    reason: Text = ""
    """Why, in words."""


MAX_BEATS = 64


class TrialHeartbeat(Heartbeat):
    """A heartbeat with the trial that it is of."""

    trial: Annotated[int, Field(ge=1, lt=2**31)]
    """Its id."""


class HeartbeatsRequest(Body):
    """Body of `POST /heartbeats`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"beats": [{"trial": 7, "token": "a-token-of-the-lease", "step": 120}]}]
        }
    )

    beats: Annotated[list[TrialHeartbeat], Field(min_length=1, max_length=MAX_BEATS)]


class BeatOutcome(Body):
    """What became of one heartbeat of several: its answer, or the problem that it is."""

    trial: int
    answer: HeartbeatAnswer | None = None
    """None where it was refused."""
    status: int = 200
    code: str = ""
    detail: Text = ""


class HeartbeatsAnswer(Body):
    """Answer of `POST /heartbeats`, in the order of the call."""

    beats: list[BeatOutcome]


class MeasurementsRequest(Body):
    """Body of `POST /trials/{id}/measurements`: scores of a checkpoint during training."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "token": "a-token-of-the-lease",
                    "measurements": [{"benchmark": "chartqa", "score": 0.61, "samples": 2500}],
                }
            ]
        }
    )

    token: Token
    measurements: Annotated[list[Measurement], Field(min_length=1, max_length=2000)]


class Result(Body):
    """Body of `POST /trials/{id}/result`. Sending the same body again is safe."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "token": "a-token-of-the-lease",
                    "measurements": [{"benchmark": "chartqa", "score": 0.61, "samples": 2500}],
                    "wall_s": 5400,
                }
            ]
        }
    )

    token: Token
    measurements: Annotated[list[Measurement], Field(min_length=1, max_length=2000)]
    artifacts: JsonObject = Field(default_factory=dict)
    wall_s: Annotated[float, Field(ge=0.0)] | None = None


class Partial(Body):
    """Body of `POST /trials/{id}/partial`: the run ends before its last step."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "token": "a-token-of-the-lease",
                    "step": 500,
                    "measurements": [
                        {"benchmark": "chartqa", "score": 0.55, "samples": 2500, "step": 500}
                    ],
                }
            ]
        }
    )

    token: Token
    step: Step
    """That there is a checkpoint of."""
    measurements: Annotated[list[Measurement], Field(max_length=2000)] = Field(default_factory=list)
    """Scores on the way that were not sent yet."""


class Failure(Body):
    """Body of `POST /trials/{id}/failure`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"token": "a-token-of-the-lease", "error": "out of memory", "retryable": True}
            ]
        }
    )

    token: Token
    error: Text
    retryable: bool = True


class Release(Body):
    """Body of `POST /trials/{id}/release`: hand the trial back, nothing counted against it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"token": "a-token-of-the-lease", "reason": "preempted"}]}
    )

    token: Token
    reason: Text = ""
    cause: Literal["stopped", "environment"] = "stopped"
    """`environment`: it cannot be run where this worker is (no data, no GPU, no room on the disk);
    another worker is asked first, and the trial says why. `stopped`: shutdown, preemption."""
