"""Trials and studies as lines and tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from rich import box
from rich.markup import escape
from rich.table import Table

from db.trial_states import RESULTS, WHOLE
from service.schemas import GoalAnswer, PredictedMixture, Score, Study, StudyCost, TrainThis, Trial
from service.study import points
from service.study.headline import gain_over, is_uniform, mean

Which = Literal["objective", "in_score", "out_score"]
UNITS = "points of 100, ± 95% interval of sampling"


def mixture_text(mixture: dict[str, float]) -> str:
    """`coco .20  lisa .80`: domains without weight left out."""
    return "  ".join(
        f"{name} {_weight(weight)}" for name, weight in mixture.items() if weight >= 0.005
    )


def _weight(weight: float) -> str:
    """`.20`, `1.00`, and a dot for none, so that a column of weights is read at a glance."""
    if weight < 0.005:
        return "·"
    return f"{weight:.2f}".removeprefix("0")


def score_text(score: Score | None) -> str:
    """In points of 100, with the 95% sampling interval."""
    if score is None:
        return "-"
    return points.score(score.value, score.se)


def trial_head(domains: Sequence[str]) -> str:
    """The head over lines of `trial_line`; fits 80 columns for the built-in world."""
    named = " ".join(f"{escape(name):>{_width(name)}}" for name in domains)
    return f"[bold]{'run':>4} {'In-Score':>11} {'Out-Score':>11}  {'proposed by':<15} {named}[/]"


def trial_line(trial: Trial) -> str:
    """One line: number, scores, where the mixture came from, and its weights."""
    if trial.state not in RESULTS:
        reason = (trial.error or "").strip().splitlines() or ["no reason given"]
        return f"{trial.number:>4} [red]{trial.state}[/]: {escape(reason[-1][:160])}"
    source = trial.proposal.strategy if trial.proposal else trial.origin
    weights = " ".join(f"{_weight(w):>{_width(name)}}" for name, w in trial.mixture.items())
    if trial.state != WHOLE:
        source = "stopped early"
    elif not _is_run(trial):
        source = "schedule" if trial.schedule else trial.channel
    return (
        f"{trial.number:>4} {score_text(trial.scores.in_score):>11} "
        f"{score_text(trial.scores.out_score):>11}  [dim]{source:<15}[/] {weights}"
    )


def _is_run(trial: Trial) -> bool:
    """Whether it is a whole training run of its mixture: what the search is judged by."""
    return trial.state == WHOLE and trial.channel == "full" and not trial.schedule


def _width(domain: str) -> int:
    return max(4, len(domain))


def prediction_text(mixture: PredictedMixture) -> str:
    """A surrogate's best mixture and what it predicts of it, in points of 100."""
    predicted = points.score(mixture.mean, mixture.sd)
    return f"best predicted, to run next: {mixture_text(mixture.weights)}  ({predicted})"


def front_table(found: GoalAnswer) -> Table:
    """The front of a study's objectives, or with one the mixture that is recommended."""
    floors = ["floors hold"] if found.constraints else []
    table = Table("", "mixture", *map(escape, found.objectives), *floors, box=box.SIMPLE_HEAD)
    rows = found.front or [found.recommended]
    for place, point in enumerate(rows):
        is_choice = not found.front or place == found.choice
        values = [points.score(value.mean, value.sd) for value in point.values.values()]
        holds = [f"{100 * point.together:.0f}%"] if floors else []
        mark = "recommended" if is_choice else ""
        table.add_row(mark, escape(mixture_text(point.weights)), *values, *holds)
    return table


def cost_text(cost: StudyCost) -> str:
    """`GPU-hours: 12.3 used, about 4.1 to go; full 11.4, merged 0.9; coco 7.2, sat 5.1`: channels
    where there are several, and domains, the dearest first."""
    left = f", about {cost.left:,.3g} to go" if cost.left else ""
    parts = (cost.channels if len(cost.channels) > 1 else {}, cost.domains)
    said = "".join(f"; {listed}" for part in parts if (listed := _by_hours(part)))
    return f"GPU-hours: {cost.used:,.3g} used{left}{said}"


def _by_hours(spent: Mapping[str, float]) -> str:
    dearest = sorted(spent.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {hours:,.3g}" for name, hours in dearest if hours)


def is_compared(trials: Sequence[Trial], train: TrainThis) -> bool:
    """Whether another mixture than the one to train was run."""
    numbers = set(train.trials)
    return any(
        _is_run(t) and t.scores.objective is not None and t.number not in numbers for t in trials
    )


def summary_table(study: Study, trials: Sequence[Trial], train: TrainThis) -> Table:
    """Base, uniform and the mixture to train, each with the means over its runs.

    Intervals are 95% and hold the sampling error of the test items only; another training seed
    moves a score too.
    """
    table = Table(
        title=f"study {escape(study.name)}",
        caption="The mixture to train was picked by these same scores, which flatters it a little; "
        "another training seed moves a score too.",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("")
    table.add_column("runs", justify="right")
    for column in ("In-Score", "Out-Score", "over uniform"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("mixture")
    direction = study.objective.direction
    scored = [t for t in trials if _is_run(t) and t.scores.objective is not None]
    chosen = [trial for trial in trials if trial.number in set(train.trials)]
    uniform = [trial for trial in scored if is_uniform(trial.mixture, study.dropped)]
    reference = _mean(uniform, "objective")
    base = study.baseline_scores
    if base.objective:
        gain = None if reference is None else gain_over(reference, base.objective, direction)
        table.add_row(
            "base",
            "",
            score_text(base.in_score),
            score_text(base.out_score),
            _gain_text(gain),
            "",
        )
    if uniform and not is_uniform(train.mixture, study.dropped):
        table.add_row("uniform", *_cells(uniform), "", escape(mixture_text(uniform[0].mixture)))
    table.add_row(
        "train this",
        *_cells(chosen),
        _gain_text(train.gain),
        escape(mixture_text(train.mixture)),
    )
    return table


def _cells(runs: Sequence[Trial]) -> tuple[str, str, str]:
    """How many runs, and their mean In-Score and Out-Score."""
    return (
        str(len(runs)),
        score_text(_mean(runs, "in_score")),
        score_text(_mean(runs, "out_score")),
    )


def _mean(
    runs: Sequence[Trial], which: Literal["objective", "in_score", "out_score"]
) -> Score | None:
    scores = [score for trial in runs if (score := getattr(trial.scores, which)) is not None]
    return mean(scores) if scores else None


def _gain_text(gain: Score | None) -> str:
    return "" if gain is None else points.signed(gain.value, gain.se)
