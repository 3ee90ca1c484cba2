"""Trials and studies as lines and tables for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from service.schemas import Score, Study, Trial

Z95 = 1.96


def mixture_text(mixture: dict[str, float]) -> str:
    """`coco .20 lisa .80`: domains without weight left out."""
    parts = (f"{name} {weight:.2f}" for name, weight in mixture.items() if weight >= 0.005)
    return "  ".join(part.replace(" 0.", " .") for part in parts)


def score_text(score: Score | None) -> str:
    """In points of 100, with the 95% sampling interval."""
    if score is None:
        return "-"
    return f"{100 * score.value:.1f} ± {100 * Z95 * score.se:.1f}"


def trial_line(trial: Trial) -> str:
    """One line: number, scores, mixture, and where the mixture came from."""
    head = f"[bold]trial {trial.number:>3}[/]"
    if trial.state != "completed":
        reason = (trial.error or "").strip().splitlines() or ["no reason given"]
        return f"{head}  [red]{trial.state}[/]: {escape(reason[-1][:160])}"
    source = trial.proposal.strategy if trial.proposal else trial.origin
    return (
        f"{head}  In {score_text(trial.scores.in_score):>11}  "
        f"Out {score_text(trial.scores.out_score):>11}  "
        f"[dim]{source:>13}[/]  {mixture_text(trial.mixture)}"
    )


def is_uniform(trial: Trial) -> bool:
    """All domains of the study with the same weight."""
    share = 1 / len(trial.mixture)
    return all(abs(weight - share) < 1e-6 for weight in trial.mixture.values())


def summary_table(study: Study, completed: Sequence[Trial]) -> Table:
    """Base, uniform, best seed and best proposed mixture, and their gain over uniform.

    Intervals are 95% and hold the sampling error of the test items only; another training seed
    moves a score too.
    """
    sign = 1 if study.objective.direction == "maximize" else -1
    scored = [trial for trial in completed if trial.scores.objective]

    def best_of(trials: Sequence[Trial]) -> Trial | None:
        return max(trials, key=lambda t: sign * t.scores.objective.value, default=None)  # type: ignore[union-attr]

    seeds = [t for t in scored if t.proposal and t.proposal.strategy == "seed"]
    proposed = [t for t in scored if t.proposal and t.proposal.strategy != "seed"]
    uniform = next((trial for trial in scored if is_uniform(trial)), None)

    table = Table(title=f"study {escape(study.name)}: {len(completed)} runs")
    for column, justify in (
        ("", "left"),
        ("In-Score", "right"),
        ("Out-Score", "right"),
        (f"gain over uniform, {study.objective.name}", "right"),
        ("mixture", "left"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    base = study.baseline_scores
    if base.objective:
        table.add_row(
            "base",
            score_text(base.in_score),
            score_text(base.out_score),
            _gain(base.objective, uniform),
            "no training",
        )
    for label, trial in (
        ("uniform", uniform),
        ("best seed", best_of(seeds)),
        ("best proposed", best_of(proposed)),
    ):
        if trial is None:
            continue
        table.add_row(
            label,
            score_text(trial.scores.in_score),
            score_text(trial.scores.out_score),
            _gain(trial.scores.objective, uniform if trial is not uniform else None),
            f"{mixture_text(trial.mixture)}  (trial {trial.number})",
        )
    return table


def _gain(score: Score | None, uniform: Trial | None) -> str:
    if score is None or uniform is None or uniform.scores.objective is None:
        return ""
    reference = uniform.scores.objective
    half_width = Z95 * math.hypot(score.se, reference.se)
    return f"{100 * (score.value - reference.value):+.1f} ± {100 * half_width:.1f}"
