"""Surrogates for the pages: how many runs are fitted, and what the fits say of mixtures."""

from __future__ import annotations

from db import studies
from service import answers, views
from service.context import Context
from service.dashboard import fit_words
from service.dashboard.history import Histories
from service.errors import Refused
from service.evidence import Evidence
from service.search import surrogates
from service.search.space import FloatArray

FITTED_AT_ONCE = 200
"""Completed runs up to which surrogates are fitted unasked; more take long and wait for a click."""

FITTED_AT_ALL = 2000
"""Completed runs up to which they are fitted: the memory of a fit grows with their square."""

SIDE_BY_SIDE = tuple(surrogates.SIDE_BY_SIDE)
"""Whose predictions are shown beside each other: both know how sure they are where."""


def known(service: Context, histories: Histories, study: str) -> Evidence:
    """What a study knows.

    Raises:
        Refused: 409, more than is fitted here.
        StudyNotFound: there is none of this name.
    """
    with service.database.read() as session:
        row = studies.get(session, study)
        n_runs = len(histories.of(session, row, views.spec(row)).runs)
        if n_runs > FITTED_AT_ALL:
            raise Refused(409, "too-many-results", fit_words.too_many(n_runs, FITTED_AT_ALL))
        return answers.read(session, study)


def predict(
    service: Context, evidence: Evidence, surrogate: str, X: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation (k,) of the noise-free objective at mixtures (k, m).

    Raises:
        Refused: 404, no such surrogate; 409, too few completed trials to fit it.
    """
    return service.fits.predict(evidence, surrogate, X)
