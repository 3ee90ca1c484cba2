"""Studies as files: all trials as CSV or JSON, the mixture to train as YAML for a trainer."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import yaml  # type: ignore[import-untyped]

from db import cost, models, studies, trials
from db.sessions import Database
from db.trial_states import RESULTS, WHOLE
from service.errors import Refused, invalid
from service.schemas import (
    AGGREGATES,
    Measurement,
    Phase,
    Score,
    StudySpec,
    TrainerName,
    Trial,
    last_measurements,
)
from service.search.runs import SCHEDULED
from service.study import evidence, export_columns, schedules, trainer_files, views
from service.study.runs import channel_of, so_far


def export(
    database: Database,
    name: str,
    form: str,
    trainer: TrainerName | None = None,
    trial: int | None = None,
) -> tuple[str, str]:
    """The file's content and its media type.

    Args:
        trainer: whose options the YAML has; none for the plain mixture with its score.
        trial: number of the one whose mixture the YAML has; None for the one to train.

    Raises:
        Refused: YAML was asked for and no trial is completed; or a trainer or a trial takes only
            YAML; or the trainer has no options for such a mixture.
        StudyNotFound: there is none of this name.
        TrialNotFound: the study has none of this number.
    """
    if form != "yaml":
        for option, given in (("trainer", trainer), ("trial", trial)):
            if given is not None:
                raise invalid(f"`{option}` goes with format yaml, not {form}")
    with database.read() as session:
        row = studies.get(session, name)
        spec = views.spec(row)
        if trial is not None:
            found = trials.get(session, trials.id_of(session, row, trial))
            return _one_as_yaml(spec, views.trial(found, spec), trainer), "application/yaml"
        if form == "yaml":
            return _best_as_yaml(evidence.read(session, row), trainer), "application/yaml"
        shown = [
            views.trial(trial, spec) for trial in trials.of_study(session, row, models.TRIAL_STATES)
        ]
        hours = cost.by_trial(session, row.id)
        paused = trials.paused_steps(session, row)
        study = views.study(row, studies.trial_counts(session, [row.id])[row.id])
    if form == "csv":
        return as_csv(spec, shown, hours, paused), "text/csv"
    whole = {
        "study": study.model_dump(mode="json"),
        "trials": [trial.model_dump(mode="json") for trial in shown],
    }
    return json.dumps(whole, indent=2, allow_nan=False), "application/json"


def as_csv(
    spec: StudySpec,
    shown: Sequence[Trial],
    gpu_hours: Mapping[int, float],
    paused: Mapping[int, int] = MappingProxyType({}),
) -> str:
    """One row a trial, as `modomodo suggest` and `fit` read it: `w_<domain>`, where the search
    proposes schedules `w1_<domain>` and so on of each phase, then scores.

    Scores that are means of benchmarks stand only where the study counts the trial as a run, or as
    evidence of the channel that the row names.

    Args:
        gpu_hours: by the trial's number, of those that a worker had.
        paused: as by `trials.paused_steps`.
    """
    names = [domain.name for domain in spec.domains]
    own = [] if spec.objective.name in AGGREGATES else [spec.objective.name]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(export_columns.heads(spec))
    for trial in shown:
        taken, channel = _taken(spec, trial, paused.get(trial.id))
        last, scores = last_measurements(taken), spec.scores(taken)
        values = [scores.in_score, scores.out_score]
        if own:
            values.append(scores.objective)
        if trial.state not in RESULTS and trial.id not in paused:
            values = [None] * len(values)
        writer.writerow(
            [
                trial.number,
                trial.state,
                trial.proposal.strategy if trial.proposal else trial.origin,
                *(repr(trial.mixture[name]) for name in names),
                *_phase_cells(spec, trial),
                *(cell for score in values for cell in _cells(score)),
                *(last[b.name].score if b.name in last else "" for b in spec.benchmarks),
                "" if trial.wall_s is None else trial.wall_s,
                f"{gpu_hours[trial.number]:.6g}" if trial.number in gpu_hours else "",
                channel,
                export_columns.TAG_MARK.join(trial.tags),
            ]
        )
    return file.getvalue()


def _taken(
    spec: StudySpec, trial: Trial, paused_at: int | None
) -> tuple[Sequence[Measurement], str]:
    """The scores that a trial counts with, and their channel; that is empty for whole runs, and
    where there is no objective."""
    if trial.channel != "full":
        return trial.measurements, trial.channel
    if trial.state == WHOLE:
        return trial.measurements, "" if trial.schedule is None else SCHEDULED
    part = so_far(spec, trial.measurements, paused_at)
    if part is None:
        return trial.measurements, ""
    channel = channel_of(part.step)
    if trial.schedule is not None:  # a part of it has had another mixture than the whole
        channel = f"{SCHEDULED}-{channel}"
    return part.measurements, channel


def _phase_cells(spec: StudySpec, trial: Trial) -> list[str]:
    """Weights in each phase where the search proposes schedules; empty of a plain run, and of one
    with other phases."""
    heads = export_columns.phase_heads(spec)
    stored = [phase.model_dump() for phase in trial.schedule or ()]
    if not schedules.is_searched(spec, stored):
        return [""] * sum(map(len, heads))
    names = [domain.name for domain in spec.domains]
    return [repr(phase["mixture"][name]) for phase in stored for name in names]


def _cells(score: Score | None) -> tuple[str, str]:
    return ("", "") if score is None else (repr(score.value), repr(score.se))


def _one_as_yaml(spec: StudySpec, trial: Trial, trainer: TrainerName | None) -> str:
    if trainer is not None:
        phases = trial.schedule or ()
        return trainer_files.text(spec, trial.number, trial.mixture, trainer, phases)
    found: dict[str, object] = {
        "study": spec.name,
        "trial": trial.number,
        "mixture": trial.mixture,
    }
    if trial.schedule:
        found["schedule"] = [phase.model_dump() for phase in trial.schedule]
    text: str = yaml.safe_dump(found, sort_keys=False)
    return text


def _best_as_yaml(known: evidence.Evidence, trainer: TrainerName | None) -> str:
    best = known.train_this()
    if best is None:
        raise Refused(
            "no-result",
            f"study {known.spec.name!r} has no best mixture: {known.why_none_to_train}",
        )
    if trainer is not None:
        phases = [Phase.model_validate(phase) for phase in best.schedule]
        return trainer_files.text(known.spec, best.number, best.mixture, trainer, phases)
    found = {
        "study": known.spec.name,
        "trial": best.number,
        "trials": best.numbers,
        "mixture": best.mixture,
    }
    if best.schedule:
        found["schedule"] = list(best.schedule)
    found["objective"] = {
        "name": known.spec.objective.name,
        "value": best.score.value,
        "se": best.score.se,
    }
    text: str = yaml.safe_dump(found, sort_keys=False)
    return text
