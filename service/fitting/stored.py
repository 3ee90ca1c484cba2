"""Fits kept in the database: a restart and other replicas have them, and pages the newest at once.

An answer of the service never depends on it: what is not kept, or no longer current, is fitted.
"""

from __future__ import annotations

from dataclasses import replace

import structlog
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from db import fits, models
from db.sessions import Database
from service.fitting.records import Made, R

log = structlog.get_logger()

MOST_CHARACTERS = 4 * 2**20
"""Of a document: of some 20,000 runs. Fits to more are kept in memory alone."""


class StoredFits:
    """The newest fit of each kind of every study."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def current(self, study_id: int, kind: str, mark: str, record: type[R]) -> Made[R] | None:
        """The fit with this mark, where it is the one that is kept."""
        with self._database.read() as session:
            row = fits.newest(session, study_id, kind)
        return _made(row, record) if row is not None and row.mark == mark else None

    def keep(self, of: models.Version, kind: str, made: Made[R]) -> Made[R]:
        """Keeps a fit, and says when; as it is where it cannot be kept."""
        document = made.record.model_dump_json()
        if len(document) > MOST_CHARACTERS:
            return made
        try:
            with self._database.write() as session:
                row = fits.keep(
                    session, of, kind, mark=made.mark, took_s=made.took_s, document=document
                )
        except SQLAlchemyError:
            log.exception("a fit could not be kept", study=of.study_id, kind=kind)
            return made
        return made if row is None else replace(made, at=row.made_at)


def newest(
    session: Session, study: models.Study, kind: str, record: type[R]
) -> tuple[Made[R], int] | None:
    """The newest fit of a study as it is now edited, and how many results have come since."""
    row = fits.newest(session, study.id, kind)
    if row is None or row.edits != study.edits:
        return None
    made = _made(row, record)
    return None if made is None else (made, study.results - row.results)


def _made(row: models.Fit, record: type[R]) -> Made[R] | None:
    try:
        found = record.model_validate_json(row.document)
    except ValidationError:  # another version's, which runs on the same database or did
        return None
    return Made(found, row.mark, row.took_s, row.made_at)
