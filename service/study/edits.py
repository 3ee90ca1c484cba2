"""Changes of a study that runs: what it is from then on, and what becomes of what it has.

Completed runs stay evidence. One that was run before a domain came has weight 0 there. A domain
that is dropped stays in the list with a most weight of 0: its runs go on teaching, and nothing that
uses it is proposed. A domain that others take the place of is gone, and its weight in old mixtures
theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from sqlalchemy.orm import Session

from db import models, proposals, studies, trials
from db.clock import HOUR_S
from db.specs import IN_COLUMNS
from service.errors import Refused, invalid
from service.notation import alike
from service.plain_errors import listed, located
from service.schemas import (
    DomainSpec,
    LimitSpec,
    StudyChange,
    StudyClone,
    StudyEdits,
    StudyPatch,
    StudySpec,
)
from service.schemas.studies import MAX_BUDGET
from service.study import checks, export_columns, schedules, views

SHOWN, ALL = 100, 100_000
"""Changes that are told of a study, and that are looked through."""

Spread = Mapping[str, Mapping[str, float]]
"""Shares that domains get of another's weight, by the other's name."""

PROPOSED_BY = (
    *("domains", "limits", "max_active", "reach", "objective", "objectives", "constraints"),
    *("similarity", "strategy", "opening", "heuristics", "evidence", "search"),
)
"""Fields of a specification that decide what is proposed."""


def edited(
    spec: StudySpec, edits: StudyEdits, name: str, spread: Spread | None = None
) -> StudySpec:
    """The specification with edits, under a name.

    Raises:
        Refused: they make no study; says where and what would be right.
    """
    values = spec.model_dump(mode="json") | edits.fields() | {"name": name}
    if (
        values["gpu_hours"] is None
        and spec.gpu_hours is not None
        and values["budget"] == MAX_BUDGET
    ):
        raise invalid(
            f"without gpu_hours study {spec.name!r} has no budget; give one in runs: `budget`"
        )
    if edits.search is not None and "schedule" not in edits.search.model_fields_set:
        values["search"]["schedule"] = spec.model_dump(mode="json")["search"]["schedule"]
    spread = spread or {}
    domains = _domains(spec.domains, edits.domains, spread)
    values["domains"] = [domain.model_dump(mode="json") for domain in domains]
    if edits.limits is None and spread:
        known = {domain.name for domain in spec.domains}
        values["limits"] = [_limit(limit, spread, known) for limit in values["limits"]]
    if edits.similarity is None and spread:
        values["similarity"] = alike.nested(alike.spread(spec.similar_pairs, spread))
    for source, shares in spread.items():
        if edits.heuristics is None and source in values["heuristics"]["leave_out"]:
            left_out = [*values["heuristics"]["leave_out"], *shares]
            values["heuristics"]["leave_out"] = [d for d in left_out if d != source]
    return _valid(values)


def cloned(spec: StudySpec, clone: StudyClone) -> StudySpec:
    """The specification of a new study like another. It has no runs, and so nothing of domains that
    are dropped.

    Raises:
        Refused: it is none; says where and what would be right.
    """
    new = edited(spec, clone, clone.name)
    if clone.domains is None:
        return new
    listed_ones = {domain.name for domain in clone.domains}
    kept = [domain for domain in new.domains if domain.name in listed_ones]
    values = new.model_dump(mode="json") | {"domains": [d.model_dump() for d in kept]}
    if clone.similarity is None:
        pairs = new.similar_pairs.items()
        left = {pair: value for pair, value in pairs if listed_ones.issuperset(pair)}
        values["similarity"] = alike.nested(left)
    return _valid(values)


def _valid(values: dict[str, Any]) -> StudySpec:
    try:
        return StudySpec.model_validate(values)
    except ValidationError as error:
        faults = listed(map(located, error.errors()))
        raise invalid(f"{faults} (study {values['name']!r})") from error


def _domains(
    now: Sequence[DomainSpec], wanted: Sequence[DomainSpec] | None, spread: Spread
) -> list[DomainSpec]:
    """The domains that were there, in their order, then new ones: orders stay, and colours."""
    kept = {domain.name: domain for domain in now if domain.name not in spread}
    for name in {name: None for shares in spread.values() for name in shares}:
        known = kept.get(name, DomainSpec(name=name))
        kept[name] = known.model_copy(update={"samples": _samples(now, spread, name)})
    if wanted is None:
        return list(kept.values())
    asked = {domain.name: domain for domain in wanted}
    if len(asked) < len(wanted):
        return list(wanted)  # one comes twice, which no specification takes
    dropped = {
        name: DomainSpec(name=name, samples=domain.samples, upper=0.0)
        for name, domain in kept.items()
    }
    return list((dropped | asked).values())


def _samples(now: Sequence[DomainSpec], spread: Spread, name: str) -> int | None:
    """What a domain has of its own samples and gets of others', where they are known."""
    total = 0.0
    for domain in now:
        share = 1.0 if domain.name == name else spread.get(domain.name, {}).get(name)
        if share is not None and domain.samples is None:
            return None
        total += (share or 0.0) * (domain.samples or 0)
    return max(1, round(total))


def _limit(limit: dict[str, Any], spread: Spread, known: Collection[str]) -> dict[str, Any]:
    """A limit in which domains stand for those whose place they take, with their coefficient.

    Raises:
        Refused: what becomes one domain was weighed differently.
    """
    before = limit["weights"]
    weights = {name: c for name, c in before.items() if name not in spread}
    for name in {name: None for shares in spread.values() for name in shares}:
        joined = [source for source, shares in spread.items() if name in shares]
        joined += [name] if name in known else []
        coefficients = {before.get(one, 0.0) for one in joined}
        if len(coefficients) > 1:
            said = LimitSpec.model_validate(limit).describe()
            raise invalid(
                f"limit '{said}' weighs {' and '.join(map(repr, joined))} differently, which "
                f"{name!r} alone cannot be; give `limits` anew in the same edit"
            )
        weights[name] = coefficients.pop()
    return limit | {"weights": {name: c for name, c in weights.items() if c}}


def apply(
    session: Session,
    name: str,
    patch: StudyPatch,
    actor: str,
    fault: Callable[[StudySpec], str | None],
) -> models.Study:
    """Changes a study. The same change again changes nothing.

    Args:
        fault: why the recipe cannot be the study's; None where it can.

    Raises:
        Refused: the study cannot be so; says what would be right.
        StudyNotFound: there is none of this name.
        StudyExists: the name it is to have is another study's.
    """
    # 1. What is there. Trials are locked before their study, as leases do.
    if patch.domains is not None or patch.spread:
        trials.lock_all(session, studies.get(session, name))
    row = studies.get(session, name, for_update=True)
    before = views.spec(row)
    spread = _to_spread(session, row, before, patch.spread or {})
    after = edited(before, patch, patch.name or row.name, spread)
    # 2. Whether it may be.
    old, new = (spec.model_dump(mode="json") for spec in (before, after))
    changed = {key for key in new if new[key] != old[key]}
    _check_budget(row, before, after)
    if changed & {*PROPOSED_BY, "recipe"}:
        _check(session, row, before, after, fault)
    # 3. The study as it is from now on.
    columns = {key: new[key] for key in changed & set(IN_COLUMNS)}
    if patch.state is not None:
        columns["state"] = patch.state
    fields = {key: new[key] for key in changed - set(IN_COLUMNS)}
    row = studies.patch(session, row.name, actor, spec=fields, **columns)
    # 4. What is stored of mixtures, and what is queued.
    names = [domain.name for domain in after.domains]
    if names != [domain.name for domain in before.domains]:
        for trial in trials.lock_all(session, row):
            trial.mixture = _carried(trial.mixture, spread, names)
            if trial.schedule is not None:
                trial.schedule = [
                    phase | {"mixture": _carried(phase["mixture"], spread, names)}
                    for phase in trial.schedule
                ]
        session.flush()
    if changed & set(PROPOSED_BY):
        _propose_anew(session, row, after)
    session.refresh(row)
    return row


def history(session: Session, row: models.Study) -> list[StudyChange]:
    """What was changed of a study, the newest `SHOWN`, oldest first."""
    return [
        StudyChange(at=at, actor=actor, changes=_pairs(detail), after_trial=number)
        for at, actor, detail, number in studies.changes(session, row, SHOWN)
    ]


def _pairs(detail: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Earlier releases noted of some fields only what they were changed to."""
    return {
        path: value if isinstance(value, list) and len(value) == 2 else [None, value]
        for path, value in detail.items()
    }


def _to_spread(session: Session, row: models.Study, spec: StudySpec, wanted: Spread) -> Spread:
    """What of it is not done yet.

    Raises:
        Refused: there is no such domain, and none that took its place.
    """
    known = {domain.name for domain in spec.domains}
    for source, shares in wanted.items():
        is_done = shares.keys() <= known and _had(session, row, source)
        if source not in known and not is_done:
            raise invalid(
                f"spread names unknown domain {source!r} (study {spec.name!r}); it has "
                f"{', '.join(sorted(known))}"
            )
    return {source: shares for source, shares in wanted.items() if source in known}


def _had(session: Session, row: models.Study, domain: str) -> bool:
    """Whether a study once had a domain."""
    at_first = (row.created_as or row.spec)["domains"]
    changed = (path for _, _, detail, _ in studies.changes(session, row, ALL) for path in detail)
    return any(one["name"] == domain for one in at_first) or f"domains.{domain}" in changed


def _check_budget(row: models.Study, before: StudySpec, after: StudySpec) -> None:
    """Raises:
    Refused: less is to be used than is used already.
    """
    if after.budget < before.budget and after.budget < row.completed:
        raise invalid(
            f"budget {after.budget} is below the {row.completed:g} runs that are done (study "
            f"{row.name!r}); give {math.ceil(row.completed)} or more, or finish the study"
        )
    used, hours = row.gpu_s / HOUR_S, after.gpu_hours
    if hours is not None and hours != before.gpu_hours and hours < used:
        raise invalid(
            f"gpu_hours {hours:g} is below the {used:.3g} that are used (study {row.name!r}); give "
            "more, or finish the study"
        )


def _check(
    session: Session,
    row: models.Study,
    before: StudySpec,
    after: StudySpec,
    fault: Callable[[StudySpec], str | None],
) -> None:
    """Raises:
    Refused: the study cannot be so.
    """
    if after.recipe != before.recipe and _but_data(after) != _but_data(before):
        keys = sorted(
            key
            for key in after.recipe.keys() | before.recipe.keys()
            if key != "data" and after.recipe.get(key) != before.recipe.get(key)
        )
        raise invalid(
            f"recipe: {', '.join(keys)} cannot change: runs by two recipes cannot be compared "
            f"(study {before.name!r}); clone the study, with this one as evidence"
        )
    if after.search.schedule != before.search.schedule:
        raise invalid(
            f"search.schedule cannot change: runs with other phases are no evidence (study "
            f"{before.name!r}); clone the study with the schedule that it is to have"
        )
    checks.strategy(after.strategy)
    checks.space(after)
    checks.channels(after)
    schedules.check_search(after)
    export_columns.check(after)
    checks.earlier(session, after, row, before.evidence)
    if (trouble := fault(after)) is not None:
        raise invalid(f"{trouble} (study {before.name!r})")


def _but_data(spec: StudySpec) -> dict[str, Any]:
    return {key: value for key, value in spec.recipe.items() if key != "data"}


def _carried(
    mixture: Mapping[str, float], spread: Spread, names: Sequence[str]
) -> dict[str, float]:
    """A mixture over the domains that there are now."""
    weights = dict(mixture)
    for source, shares in spread.items():
        weight = weights.pop(source, 0.0)
        for name, share in shares.items():
            weights[name] = weights.get(name, 0.0) + share * weight
    return {name: weights.get(name, 0.0) for name in names}


def _propose_anew(session: Session, row: models.Study, spec: StudySpec) -> None:
    """Withdraws proposals that do not fit any more, and has the others made anew."""
    space = checks.space(spec)
    for trial in proposals.unstarted(session, row, lock_them=True):
        try:
            checks.mixture(spec, trial.mixture, space)
        except Refused as refused:
            proposals.withdraw(session, trial, f"it fits the study no more: {refused.detail}")
    session.flush()
    proposals.outdate(session, row)
