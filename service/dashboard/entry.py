"""What the addresses of all pages take: the key, a study's history, numbers in range."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Query, Request

from service.dashboard import access
from service.dashboard.history import Histories

guarded = [Depends(access.require_key)]
"""For what only shows."""

asking = [Depends(access.require_key), Depends(access.require_own_page)]
"""For what computes something on the way to showing it."""

acting = [Depends(access.require_admin), Depends(access.require_own_page)]
"""For what changes something."""

Revision = Annotated[int, Query(ge=0, lt=2**63)]
Number = Annotated[int, Query(ge=1, lt=2**63)]
TrialNumber = Annotated[int, Path(description="Number of the trial in its study.", ge=1, lt=2**31)]


def _histories(request: Request) -> Histories:
    # One for each app, made when first asked for: the cache is the pages' own affair.
    state = request.app.state
    if not hasattr(state, "dashboard_histories"):
        state.dashboard_histories = Histories()
    histories: Histories = state.dashboard_histories
    return histories


Known = Annotated[Histories, Depends(_histories)]
