"""Whose turn it is: of the studies that share workers, which a worker is given a trial of next.

Each study gets GPUs in proportion to its weight, whatever the age of its trials; within a study
`queue.py` decides. A study may require something of a worker, and is passed over by those that lack
it; so it is where its owner has used its GPU-hours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from sqlalchemy import JSON, Select, bindparam, exists, func, select, type_coerce
from sqlalchemy.orm import Session

from db import owners
from db.models import LIVE, Attempt, Study, Trial


@dataclass(frozen=True, slots=True)
class Ability:
    """What a worker has for a trial.

    Attributes:
        gpu_memory_gb: of its smallest GPU; None where it did not say.
        labels: None for one that has whatever is asked for.
    """

    gpus: int = 1
    gpu_memory_gb: float | None = None
    labels: Mapping[str, str] | None = field(default_factory=dict)

    @classmethod
    def of(cls, gpus: int, capabilities: Mapping[str, Any]) -> Self:
        """By what a worker says when it asks; what makes no sense counts as not said."""
        memory, labels = capabilities.get("gpu_memory_gb"), capabilities.get("labels")
        return cls(
            gpus,
            float(memory) if isinstance(memory, int | float) else None,
            labels if isinstance(labels, dict) else {},
        )


def lacking(requires: Mapping[str, Any] | None, ability: Ability) -> list[str]:
    """What a study requires that a worker has not, in words.

    Args:
        requires: of the study's specification.
    """
    if not requires:
        return []
    found = []
    gpus, memory_gb = requires.get("gpus"), requires.get("gpu_memory_gb")
    if gpus is not None and ability.gpus < gpus:
        found.append(f"{gpus} GPUs a trial (it has {ability.gpus})")
    if memory_gb is not None and (ability.gpu_memory_gb or 0.0) < memory_gb:
        has = "did not say" if ability.gpu_memory_gb is None else f"has {ability.gpu_memory_gb:g}"
        found.append(f"GPUs of {memory_gb:g} GB (it {has})")
    for name, value in (requires.get("labels") or {}).items():
        if ability.labels is not None and ability.labels.get(name) != value:
            found.append(f"label {name}={value}")
    return found


def _offers(*, of_one_study: bool) -> Select[int, str, float, Any, str | None]:
    spec = type_coerce(Study.spec, JSON)
    offers = (
        select(Study.id, Study.name, spec["weight"].as_float(), spec["requires"], Study.owner)
        .where(
            Study.state == "active",
            exists().where(Trial.study_id == Study.id, Trial.state == "queued"),
        )
        .order_by(Study.id)
    )
    return offers.where(Study.name == bindparam("named")) if of_one_study else offers


# Built once: building one takes longer than running it.
_OFFERS = {of_one_study: _offers(of_one_study=of_one_study) for of_one_study in (False, True)}
_HELD = (
    select(Trial.study_id, func.sum(Attempt.gpus))
    .join(Trial, Trial.id == Attempt.trial_id)
    .where(Attempt.state == LIVE)
    .group_by(Trial.study_id)
)


def turns(
    session: Session, study: str | None, ability: Ability, owner: str | None = None
) -> list[str]:
    """Names of the active studies with queued trials that a worker is fit for, the one first that
    has fewest GPUs for its weight.

    Args:
        study: the only one that it takes trials of; None for any.
        owner: whose studies alone it serves; None for all.
    """
    asked = {} if study is None else {"named": study}
    found = [
        (id_, name, 1.0 if weight is None else weight, of)
        for id_, name, weight, requires, of in session.execute(_OFFERS[study is not None], asked)
        if owner in (None, of) and not lacking(requires, ability)
    ]
    spent = owners.used_up(session, {of for _, _, _, of in found})
    offers = [offer for offer in found if offer[3] not in spent]
    if len(offers) > 1:
        held = dict(session.execute(_HELD).all())
        offers.sort(key=lambda offer: (held.get(offer[0], 0) + ability.gpus) / offer[2])
    return [name for _, name, _, _ in offers]
