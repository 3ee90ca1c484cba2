"""What a study needs proposed: read from the database as one task."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from db import models, proposal_needs, proposals, studies
from db.trial_states import UNDER_WAY
from service.proposing import parts
from service.proposing.parts import Parts
from service.proposing.question import Question
from service.schemas import StudySpec
from service.schemas.spec import FULL, MERGED
from service.search.openings import opening_size
from service.search.schedules import ScheduleSpace
from service.search.situation import FULL_RUNS
from service.search.strategies import BLIND
from service.study import cost, engine_terms, evidence, merge_readiness, merge_waits
from service.study.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Task:
    """What a study needs proposed, and what for.

    Attributes:
        replace: ids of the queued proposals that the first answers take the place of.
        question: to the engine.
        based_on: what of the study it was made from: while that stays, so does the answer.
        ids: of the trials that the engine knows by number.
    """

    study: str
    known: Evidence
    replace: tuple[int, ...]
    question: Question
    based_on: tuple[int, ...]
    ids: Mapping[int, int]


def read_task(session: Session, name: str, *, only_gaps: bool = False) -> Task | None:
    """What a study needs proposed now, if anything; with `only_gaps` what is queued stays."""
    study = studies.get(session, name)
    standing = proposal_needs.standing(session, study)
    missing, outdated = standing.missing, 0 if only_gaps else standing.outdated
    if missing == 0 and outdated == 0:
        return None
    stale, good = _stale(session, study) if outdated else ([], set())
    replaced = [trial for trial in stale if trial.id not in good]
    n = len(replaced) + missing
    if n == 0:
        return None
    replace = {trial.id for trial in replaced}
    first = replaced[0].number if replaced else study.last_number + 1
    known = evidence.read(session, study)
    question, under_way = question_of(
        session, study, known, n=n, first=first, but=replace, n_continued=missing
    )
    return Task(
        study=name,
        known=known,
        replace=tuple(trial.id for trial in replaced),
        question=question,
        based_on=(
            *(study.results, study.last_number, len(question.pending), len(question.avoid)),
            *(study.planned, study.edits, *under_way.standing.run),
            *(number for partial in known.partial for number in partial),
        ),
        ids=under_way.ids,
    )


def question_of(
    session: Session,
    study: models.Study,
    known: Evidence,
    *,
    n: int,
    first: int,
    but: Collection[int] = (),
    n_continued: int = 0,
    judges: bool = False,
) -> tuple[Question, Parts]:
    """What the engine is asked of a study, and its runs without a last score.

    Args:
        n: mixtures that are wanted.
        first: number of the trial that the first of them is for.
        but: ids of trials to leave out: proposals that are to be made anew.
        n_continued: paused runs that may be continued.
        judges: whether running ones are to be judged; they are not pending then.
    """
    spec = known.spec
    avoid = _mixtures_in(session, study, FULL, ("failed", "cancelled"), but)
    # Merged models that will have no score are not proposed again either.
    merged = _mixtures_in(session, study, MERGED, (*UNDER_WAY, "failed", "cancelled"), but)
    costs = _costs(session, study, spec, len(known.runs))
    under_way = parts.read(session, study, known, costs, but, judges=judges)
    within, runs = engine_terms.search_space(spec), known.measured
    question = Question(
        space=within,
        runs=within.runs(runs) if isinstance(within, ScheduleSpace) else runs,
        pending=under_way.whole,
        avoid=engine_terms.points(spec, avoid),
        n=n,
        seed=proposal_seed(spec.seed, study.results, first),
        direction=spec.objective.direction,
        budget=study.planned + study.attached,
        opening=spec.opening,
        heuristics=engine_terms.heuristics(spec),
        costs=costs,
        pending_in={**under_way.to_a_step, MERGED: engine_terms.points(spec, merged)},
        begun=under_way.standing,
        n_continued=n_continued,
        spent=under_way.spent,
        goal=known.goal,
    )
    return question, under_way


def _costs(
    session: Session, study: models.Study, spec: StudySpec, n_runs: int
) -> Mapping[str, float]:
    """Of what may be proposed now. Merged models may be once they can be made; and in the opening,
    whose runs are then the experts. Between the two nothing waits for them, nor where an expert is
    not to come."""
    found = {**FULL_RUNS, **cost.of_steps(session, study, spec)}
    if MERGED not in spec.search.channels:
        return found
    now = merge_readiness.read(session, study, spec)
    is_opening = n_runs <= len(spec.domains)
    if now.scale_at_uniform is None and not is_opening:
        return found
    if merge_waits.in_vain(now, now.uniform) is not None:  # it would be withdrawn
        return found
    return {**found, MERGED: cost.in_runs(session, study, MERGED, cost.MERGED_COST)}


def proposal_seed(study_seed: int, results: int, number: int) -> int:
    """Seed of a proposal: the same study in the same state proposes the same."""
    digest = hashlib.sha256(f"proposal/{study_seed}/{results}/{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 2**31


def still_good(session: Session, name: str) -> tuple[list[int], int]:
    """Ids of the queued proposals that the results since they were made do not change, and how many
    results the study has."""
    study = studies.get(session, name)
    stale, good = _stale(session, study)
    return [trial.id for trial in stale if trial.id in good], study.results


def _stale(session: Session, study: models.Study) -> tuple[list[models.Trial], set[int]]:
    """Proposals that no worker has held and that were made before the newest result; and ids of
    those that were chosen without a look at scores, and so are as good whatever the results.
    Anything else should know the newest ones."""
    unstarted = proposals.unstarted(session, study)
    stale, good = [], {trial.id for trial in _of_opening(session, study, unstarted)}
    for trial in unstarted:
        known = trial.proposed_at_results
        if known is None:  # made in place of a failing strategy's
            good.discard(trial.id)
        elif known < study.results and (
            study.spec["strategy"] in BLIND
            or _by(trial) in ("seed", merge_readiness.BY)
            or (trial.channel == MERGED and _by(trial) == "opening")
        ):
            good.add(trial.id)
        if known is None or known < study.results:
            stale.append(trial)
    return stale, good


def _of_opening(
    session: Session, study: models.Study, unstarted: Sequence[models.Trial]
) -> Sequence[models.Trial]:
    """Points of the study's opening design, as many as the opening still wants."""
    points = [one for one in unstarted if _by(one) == "opening" and one.channel == FULL]
    if not points or study.spec["opening"] != "optimal":
        return []
    size = opening_size(len(study.spec["domains"]), study.planned + study.attached)
    known = session.execute(
        select(func.count())
        .select_from(models.Trial)
        .where(
            models.Trial.study_id == study.id,
            models.Trial.channel == FULL,
            *_runs_alone(study),
            models.Trial.is_withdrawn.is_(False),
        )
    ).scalar_one()
    return points[: max(0, size - (known - len(points)))]


def _by(trial: models.Trial) -> str | None:
    """The part of a strategy that proposed it."""
    by: str | None = (trial.proposal or {}).get("strategy")
    return by


def _mixtures_in(
    session: Session,
    study: models.Study,
    channel: str,
    states: tuple[str, ...],
    but: Collection[int],
) -> list[tuple[dict[str, float], engine_terms.Schedule | None]]:
    """Mixtures and schedules of the study's trials of a channel in some states, without those
    `but`."""
    rows = session.execute(
        select(models.Trial.id, models.Trial.mixture, models.Trial.schedule)
        .where(
            models.Trial.study_id == study.id,
            models.Trial.channel == channel,
            *_runs_alone(study),
            models.Trial.state.in_(states),
            models.Trial.is_withdrawn.is_(False),
        )
        .order_by(models.Trial.number)
    )
    return [(mixture, schedule) for trial_id, mixture, schedule in rows if trial_id not in but]


def _runs_alone(study: models.Study) -> list[ColumnElement[bool]]:
    """Without schedules, unless the search proposes them."""
    is_wanted = study.spec["search"]["schedule"] is not None
    return [] if is_wanted else [models.Trial.schedule.is_(None)]
