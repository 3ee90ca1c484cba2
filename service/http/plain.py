"""Calls that come all the time, answered without what FastAPI does for any.

It looks at each call for parameters and dependencies of all kinds, which takes longer than the call
itself. Where a call is as nearly always, this has the same answer; every other is left to FastAPI,
which says what is wrong with it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError

from service.http.bodies import LARGE

MOST_ID = 2**31 - 1


async def answer(
    request: Request,
    kind: type[BaseModel],
    endpoint: Callable[..., Awaitable[BaseModel]],
    more: Mapping[str, Any],
) -> Response | None:
    """What the route of a body and the service, and at most a trial's id, answers; None where that
    is for FastAPI to find out.

    Args:
        kind: of the body.
        more: what else it takes, by name.
    """
    if request.headers.get("content-type") != "application/json":
        return None
    named: dict[str, Any] = request.path_params
    if not all(1 <= found <= MOST_ID for found in named.values()):
        return None
    sent = await request.body()
    if len(sent) >= LARGE:
        return None
    try:
        body = kind.model_validate(json.loads(sent))
    except (ValueError, RecursionError, ValidationError):
        return None
    answered = await endpoint(**named, body=body, service=request.app.state.context, **more)
    return Response(answered.model_dump_json(), media_type="application/json")
