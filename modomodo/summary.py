"""Trials and studies as lines and tables for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from service.schemas import PredictedMixture, Score, Study, Trial

Z95 = 1.96


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
    return f"{100 * score.value:.1f} ± {100 * Z95 * score.se:.1f}"


def trial_head(domains: Sequence[str]) -> str:
    """The head over lines of `trial_line`; fits 80 columns for the built-in world."""
    named = " ".join(f"{escape(name):>{_width(name)}}" for name in domains)
    return f"[bold]{'run':>4} {'In-Score':>11} {'Out-Score':>11}  {'proposed by':<15} {named}[/]"


def trial_line(trial: Trial) -> str:
    """One line: number, scores, where the mixture came from, and its weights."""
    if trial.state not in ("completed", "early_stopped"):
        reason = (trial.error or "").strip().splitlines() or ["no reason given"]
        return f"{trial.number:>4} [red]{trial.state}[/]: {escape(reason[-1][:160])}"
    source = trial.proposal.strategy if trial.proposal else trial.origin
    weights = " ".join(f"{_weight(w):>{_width(name)}}" for name, w in trial.mixture.items())
    return (
        f"{trial.number:>4} {score_text(trial.scores.in_score):>11} "
        f"{score_text(trial.scores.out_score):>11}  [dim]{source:<15}[/] {weights}"
    )


def _width(domain: str) -> int:
    return max(4, len(domain))


def is_uniform(trial: Trial) -> bool:
    """All domains of the study with the same weight."""
    share = 1 / len(trial.mixture)
    return all(abs(weight - share) < 1e-6 for weight in trial.mixture.values())


def is_opening(trial: Trial) -> bool:
    """Proposed by a design, before anything was known: the paper's seeds or an optimal one."""
    return trial.proposal is not None and trial.proposal.strategy in ("seed", "opening")


def prediction_text(mixture: PredictedMixture) -> str:
    """A surrogate's best mixture and what it expects of it, in points of 100."""
    expected = f"{100 * mixture.mean:.1f} ± {100 * Z95 * mixture.sd:.1f}"
    return f"best by prediction: {mixture_text(mixture.weights)}  ({expected})"


def summary_table(study: Study, completed: Sequence[Trial]) -> Table:
    """Base, uniform, best of the opening and best proposed mixture, and their gains.

    Intervals are 95% and hold the sampling error of the test items only; another training seed
    moves a score too.
    """
    sign = 1 if study.objective.direction == "maximize" else -1
    scored = [trial for trial in completed if trial.scores.objective]

    def best_of(trials: Sequence[Trial]) -> Trial | None:
        return max(trials, key=lambda t: sign * t.scores.objective.value, default=None)  # type: ignore[union-attr]

    opening = [t for t in scored if is_opening(t)]
    proposed = [t for t in scored if t.proposal and not is_opening(t)]
    uniform = next((trial for trial in scored if is_uniform(trial)), None)

    table = Table(
        title=f"study {escape(study.name)}: {len(completed)} runs, points of 100 (± 95% sampling)",
        caption="The best rows were picked by these same scores, so they are flattered a little; "
        "another training seed moves a score by more than ±."
        if scored
        else None,
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("")
    table.add_column("run", justify="right")
    for column in ("In-Score", "Out-Score", "over uniform"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("mixture")
    base = study.baseline_scores
    if base.objective:
        table.add_row(
            "base",
            "",
            score_text(base.in_score),
            score_text(base.out_score),
            _gain(sign, base.objective, uniform),
            "",
        )
    for label, trial in (
        ("uniform", uniform),
        ("best of opening", best_of(opening)),
        ("best proposed", best_of(proposed)),
    ):
        if trial is None:
            continue
        table.add_row(
            label,
            str(trial.number),
            score_text(trial.scores.in_score),
            score_text(trial.scores.out_score),
            _gain(sign, trial.scores.objective, uniform if trial is not uniform else None),
            escape(mixture_text(trial.mixture)),
        )
    return table


def _gain(sign: int, score: Score | None, uniform: Trial | None) -> str:
    if score is None or uniform is None or uniform.scores.objective is None:
        return ""
    reference = uniform.scores.objective
    half_width = Z95 * math.hypot(score.se, reference.se)
    return f"{100 * sign * (score.value - reference.value):+.1f} ± {100 * half_width:.1f}"
