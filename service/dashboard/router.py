"""The addresses of all pages."""

from __future__ import annotations

from fastapi import APIRouter

from service.dashboard.pages import (
    belief,
    benchmarks,
    events,
    mixtures,
    new_study,
    sign_in,
    static_files,
    studies,
    study,
    surfaces,
    trial,
    what_if,
    workers,
)

router = APIRouter(include_in_schema=False)
for part in (
    static_files,
    sign_in,
    events,
    new_study,
    studies,
    workers,
    belief,
    trial,
    what_if,
    mixtures,
    benchmarks,
    surfaces,
    study,
):
    router.include_router(part.router)
