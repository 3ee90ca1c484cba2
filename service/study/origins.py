"""Why a trial is there: as part of the opening, of the search, to confirm, or by hand."""

from __future__ import annotations

from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, case

from db.models import Trial
from service.schemas import Proposal
from service.study import merge_readiness

Origin = Literal["opening", "search", "confirmation", "queued", "attached"]
ORIGINS: tuple[Origin, ...] = get_args(Origin)

TITLES: dict[Origin, str] = {
    "opening": "opening",
    "search": "search",
    "confirmation": "confirmation",
    "queued": "queued by hand",
    "attached": "added finished",
}

_OPENINGS = frozenset({"opening", "seed", merge_readiness.BY})
"""Strategies as proposals name them that look at no score yet."""
_CONFIRMATION = "confirm"


def of(origin: str, proposal: Proposal | None) -> Origin:
    """The origin of a trial.

    Args:
        origin: as it is stored, `proposed`, `queued` or `attached`.
    """
    if origin == "attached":
        return "attached"
    if proposal is None:
        return "queued"
    if proposal.strategy in _OPENINGS:
        return "opening"
    return "confirmation" if proposal.strategy == _CONFIRMATION else "search"


def column() -> ColumnElement[Any]:
    """The same in a query of trials."""
    strategy = Trial.proposal["strategy"].as_string()
    return case(
        (Trial.origin == "attached", "attached"),
        (Trial.proposal.is_(None), "queued"),
        (strategy.in_(sorted(_OPENINGS)), "opening"),
        (strategy == _CONFIRMATION, "confirmation"),
        else_="search",
    )
