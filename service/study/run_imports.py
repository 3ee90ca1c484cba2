"""Finished runs from elsewhere: which a study can have, which it has already, and storing the rest.

All of them are stored, or none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from db import imports, proposals, studies
from db.measurements import Reading
from db.sessions import Database
from db.trials import NewTrial
from service.errors import Refused, invalid
from service.schemas import Measurement, RefusedRun, RunImport, StudySpec, TrialsImported
from service.schemas.many_trials import MAX_REFUSED
from service.study import checks, engine_terms, views

Checked = tuple[list[NewTrial | None], list[RefusedRun]]
"""Each run as it would be stored, None where it cannot be; and why those cannot."""


def take(
    database: Database, study: str, runs: Sequence[RunImport], actor: str, *, dry_run: bool
) -> TrialsImported:
    """Stores the runs that a study does not have yet, or only says what would become of them.

    A run that says what a stored one does, of the same mixture and scores, is known; where several
    of them do, as many are known as are stored.

    Raises:
        Refused: it is no dry run, and the study cannot have one of them.
        StudyNotFound: there is none of this name.
    """
    with database.read() as session:
        spec = views.spec(studies.get(session, study))
    # Before anything is locked, since it takes a while.
    checked = _checked(spec, runs)
    if dry_run:
        with database.read() as session:
            known, _ = _sorted_out(session, study, checked[0])
        return _answer(checked, known, [], dry_run=True)
    with database.write() as session:
        row = studies.get(session, study)
        imports.lock(session, row)
        if (now := views.spec(row)) != spec:
            checked = _checked(now, runs)
        _refuse(checked[1], len(runs))
        known, new = _sorted_out(session, study, checked[0])
        numbers = imports.attach(session, row, new, actor) if new else []
        proposals.withdraw_surplus(session, row)
    return _answer(checked, known, numbers, dry_run=False)


def _checked(spec: StudySpec, runs: Sequence[RunImport]) -> Checked:
    space = engine_terms.space(spec)
    samples = {benchmark.name: benchmark.samples for benchmark in spec.benchmarks}
    found: list[NewTrial | None] = []
    refused = []
    for place, run in enumerate(runs):
        try:
            mixture = checks.mixture(spec, run.mixture, space)
            measured = [
                # An unknown benchmark is refused whatever its number of samples.
                Measurement.model_construct(
                    benchmark=name,
                    score=score,
                    samples=min(samples.get(name, 1), 10**9),
                    step=0,
                    rule="paper",
                    se=None,
                )
                for name, score in run.scores.items()
            ]
            checks.measurements(spec, measured)
            checks.is_complete(spec, measured)
        except Refused as error:
            found.append(None)
            refused.append(RefusedRun(run=place, why=error.detail))
            continue
        readings = [Reading(m.benchmark, m.score, m.samples) for m in measured]
        found.append(
            NewTrial(
                mixture,
                "attached",
                readings=readings,
                wall_s=run.wall_s,
                note=run.note,
                tags=run.tags,
            )
        )
    return found, refused


def _sorted_out(
    session: Session, study: str, checked: Sequence[NewTrial | None]
) -> tuple[dict[int, int], list[NewTrial]]:
    """Numbers of the runs that the study has, by their places, and the others."""
    stored = imports.known(session, studies.get(session, study))
    left = {says: iter(numbers) for says, numbers in stored.items()}
    known, new = {}, []
    for place, run in enumerate(checked):
        if run is None:
            continue
        says = imports.said(run.mixture, {r.benchmark: r.score for r in run.readings})
        number = next(left.get(says, iter(())), None)
        if number is None:
            new.append(run)
        else:
            known[place] = number
    return known, new


def _answer(
    checked: Checked, known: Mapping[int, int], numbers: list[int], *, dry_run: bool
) -> TrialsImported:
    runs, refused = checked
    return TrialsImported(
        dry_run=dry_run,
        n_new=len(runs) - len(known) - len(refused),
        numbers=numbers,
        known=list(known),
        known_numbers=list(known.values()),
        refused=refused[:MAX_REFUSED],
        n_refused=len(refused),
    )


def _refuse(refused: Sequence[RefusedRun], n: int) -> None:
    """Raises:
    Refused: there is one.
    """
    if not refused:
        return
    first = refused[0]
    more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
    raise Refused(
        invalid("").code,
        f"runs.{first.run}: {first.why}{more}; none of the {n} runs was added",
        errors=[
            {"where": f"runs.{item.run}", "what": item.why, "type": "value_error"}
            for item in refused[:MAX_REFUSED]
        ],
    )
