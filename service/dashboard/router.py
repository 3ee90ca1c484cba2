"""The addresses of all pages, and which of them a study's navigation has."""

from __future__ import annotations

from fastapi import APIRouter

from service.dashboard.navigation import STUDY_LINKS
from service.dashboard.pages import (
    belief,
    benchmarks,
    change,
    compare,
    curves,
    effects,
    events,
    fronts,
    many_trials,
    mixtures,
    new_study,
    sign_in,
    static_files,
    studies,
    study,
    surfaces,
    trial,
    trials,
    what_if,
    what_if_schedules,
    workers,
)

router = APIRouter(include_in_schema=False)
for part in (
    static_files,
    sign_in,
    events,
    new_study,
    studies,
    compare,
    workers,
    belief,
    curves,
    trials,  # before `trial`, whose address has a number where theirs have a word
    many_trials,
    trial,
    study,
    mixtures,
    benchmarks,
    fronts,
    surfaces,
    effects,
    what_if,
    what_if_schedules,
    change,
):
    router.include_router(part.router)
    if hasattr(part, "LINK"):
        STUDY_LINKS.append(part.LINK)
