"""What a study has found: the mixture to train, and the charts."""

from __future__ import annotations

from typing import Any

from service.schemas.scores import Score
from service.schemas.studies import Study
from service.schemas.surrogates import GoalPoint, PredictedMixture, Prediction
from service.schemas.trials import Trial
from service.schemas.values import Body, Mixture, Name


class TrainThis(Body):
    """The mixture to train: of those that were run, the one with the best mean over its runs.

    Scores are fractions with one standard error, predictions with one standard deviation.
    """

    mixture: Mixture
    trials: list[int]
    """Numbers of its runs."""
    score: Score
    """Mean objective of its runs."""
    gain: Score | None
    """Over the mean of the runs with equal weights, in the objective's direction; None where there
    is no such run, or this is the mixture with equal weights."""
    predicted: Prediction | None
    """Its objective without the noise of single runs, by the surrogate; None with too few runs."""
    predicted_gain: Prediction | None
    """Over equal weights, by the surrogate, whether those were run or not."""


class BestAnswer(Body):
    """Answer of `GET /studies/{study}/best`."""

    train: TrainThis | None
    best: Trial | None
    """The first run of the mixture to train."""
    uniform: Trial | None
    """The first completed trial with equal weights, if there is one."""
    gain: float | None
    """Objective of the mixture to train over equal weights, means over their runs, in the
    objective's direction; 0 where they are the same."""
    gain_se: float | None
    predicted: PredictedMixture | None
    """The surrogate's best predicted mixture, which need not have been run; None with too few
    runs. With constraints, or several objectives, the one that it recommends."""
    goal: GoalPoint | None = None
    """The mixture to train as the surrogate sees it: its objectives, and how likely each constraint
    is to hold. None without any, or with too few runs."""
    waiting: str | None
    """Why no trial is running; None while one is."""
    message: str
    """All this for people, in points of 100 with 95% intervals."""


class StudyFigure(Body):
    """One chart of the dashboard as Plotly JSON.

    Colours in it are roles, such as `@ink` or `@d3`, that whoever draws gives values: those of a
    light or a dark page.
    """

    name: Name
    title: str
    about: str
    """How to read it; may be empty."""
    figure: dict[str, Any]


class StudyFigures(Body):
    """Answer of `GET /studies/{study}/figures`."""

    study: Study
    figures: list[StudyFigure]
    left_out: list[str]
    """Why others are not among them."""
