"""Tags of trials, as one text a trial: `|baseline|seed 2|`, so that each is found as a whole."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, func

from db.models import Trial

MARK = "|"
"""Stands around each tag, and so in none."""

MOST = 20
"""Tags that a trial may have."""


def joined(tags: Iterable[str]) -> str:
    """The text that is stored; each tag once."""
    kept = list(dict.fromkeys(tags))
    return f"{MARK}{MARK.join(kept)}{MARK}" if kept else ""


def parted(stored: str) -> list[str]:
    """The tags that a stored text has."""
    return [tag for tag in stored.split(MARK) if tag]


def has(tag: str) -> ColumnElement[bool]:
    """Whether a trial has a tag, for a query."""
    # Not LIKE, to which SQLite has small and capital letters be the same.
    return func.replace(Trial.tags, f"{MARK}{tag}{MARK}", "") != Trial.tags
