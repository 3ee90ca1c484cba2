"""Studies as files: all trials as CSV or JSON, the best mixture as YAML for a trainer."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

import yaml  # type: ignore[import-untyped]

from db import models, studies, trials
from db.sessions import Database
from service import answers, evidence, trainer_files, views
from service.errors import Refused, invalid
from service.schemas import Score, StudySpec, TrainerName, Trial, last_measurements


def export(
    database: Database, name: str, form: str, trainer: TrainerName | None = None
) -> tuple[str, str]:
    """The file's content and its media type.

    Args:
        trainer: whose options the YAML has; none for the plain mixture with its score.

    Raises:
        Refused: 409, YAML was asked for and no trial is completed; 422, a trainer takes only YAML.
        StudyNotFound: there is none of this name.
    """
    if trainer is not None and form != "yaml":
        raise invalid(f"`trainer` goes with format yaml, not {form}")
    with database.read() as session:
        row = studies.get(session, name)
        spec = views.spec(row)
        if form == "yaml":
            return _best_as_yaml(evidence.read(session, row), trainer), "application/yaml"
        shown = [
            views.trial(trial, spec) for trial in trials.of_study(session, row, models.TRIAL_STATES)
        ]
        study = views.study(row, studies.trial_counts(session, [row.id])[row.id])
    if form == "csv":
        return as_csv(spec, shown), "text/csv"
    whole = {
        "study": study.model_dump(mode="json"),
        "trials": [trial.model_dump(mode="json") for trial in shown],
    }
    return json.dumps(whole, indent=2, allow_nan=False), "application/json"


def as_csv(spec: StudySpec, shown: Sequence[Trial]) -> str:
    """One row a trial, as `modomodo suggest` and `fit` read it: `w_<domain>`, then scores."""
    names = [domain.name for domain in spec.domains]
    own = [] if spec.objective.name in ("in_score", "out_score") else [spec.objective.name]
    scores = ["in_score", "out_score", *own]
    heads = [
        "trial",
        "state",
        "strategy",
        *(f"w_{name}" for name in names),
        *(head for score in scores for head in (score, f"{score}_se")),
        *(benchmark.name for benchmark in spec.benchmarks),
        "wall_s",
    ]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(heads)
    for trial in shown:
        last = last_measurements(trial.measurements)
        values = [trial.scores.in_score, trial.scores.out_score]
        if own:
            values.append(trial.scores.objective)
        writer.writerow(
            [
                trial.number,
                trial.state,
                trial.proposal.strategy if trial.proposal else trial.origin,
                *(repr(trial.mixture[name]) for name in names),
                *(cell for score in values for cell in _cells(score)),
                *(last[b.name].score if b.name in last else "" for b in spec.benchmarks),
                "" if trial.wall_s is None else trial.wall_s,
            ]
        )
    return file.getvalue()


def _cells(score: Score | None) -> tuple[str, str]:
    return ("", "") if score is None else (repr(score.value), repr(score.se))


def _best_as_yaml(known: evidence.Evidence, trainer: TrainerName | None) -> str:
    best = answers.best_run(known)
    if best is None:
        raise Refused(
            409,
            "no-result",
            f"study {known.spec.name!r} has no completed trial yet, so there is no best mixture",
        )
    if trainer is not None:
        return trainer_files.text(known.spec.name, best, trainer)
    text: str = yaml.safe_dump(
        {
            "study": known.spec.name,
            "trial": best.number,
            "mixture": best.mixture,
            "objective": {
                "name": known.spec.objective.name,
                "value": best.objective.value,
                "se": best.objective.se,
            },
        },
        sort_keys=False,
    )
    return text
