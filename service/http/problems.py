"""Every refusal as RFC 9457 problem details: the one place where a `code` has an HTTP status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from db import errors as storage
from service.errors import Refused
from service.http.bodies import InvalidBody
from service.http.openapi import methods_at
from service.http.rates import retry_after
from service.plain_errors import path_of, plain
from service.schemas import Problem

log = structlog.get_logger()

STATUS: Mapping[str, int] = {
    "malformed-request": 400,
    "malformed-json": 400,
    "key-required": 401,
    "scope-needed": 403,
    "not-owner": 403,
    "own-page-only": 403,
    "host-refused": 403,
    "origin-refused": 403,
    "not-found": 404,
    "study-not-found": 404,
    "trial-not-found": 404,
    "owner-not-found": 404,
    "surrogate-not-found": 404,
    "method-not-allowed": 405,
    "too-slow": 408,
    "study-exists": 409,
    "idempotency-key-reused": 409,
    "lease-lost": 409,
    "result-conflict": 409,
    "too-many-replicates": 409,
    "wrong-state": 409,
    "no-result": 409,
    "no-goal": 409,
    "too-few-results": 409,
    "too-many-results": 409,
    "surrogate-unsuited": 409,
    "fit-failed": 409,
    "body-too-large": 413,
    "invalid-request": 422,
    "too-many-scores": 422,
    "too-many-calls": 429,
    "too-many-wrong-keys": 429,
    "head-too-large": 431,
    "internal-error": 500,
    "bad-database": 503,
    "busy": 503,
    "database-unavailable": 503,
    "stopping": 503,
    "too-many-listeners": 503,
}
"""By stable code: those of `service.errors`, `db.errors` and `service.search.errors`, and those of
HTTP itself."""

CODES = {
    400: "malformed-request",
    401: "key-required",
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
}
"""What the framework's own refusals are called."""


HINTS = {
    "study-not-found": "`GET /studies` lists them",
    "study-exists": "send the body it was created with, or choose another name; "
    "`PATCH /studies/STUDY` changes it",
    "trial-not-found": "`GET /studies/STUDY/trials` lists them",
    "key-required": "send `Authorization: Bearer KEY` with a valid key",
    "scope-needed": "`modomodo key create NAME --scope SCOPE` makes one",
    "not-owner": "`GET /owners` lists owners; `modomodo key create NAME --scope SCOPE "
    "--owner OWNER` makes a key of one",
    "owner-not-found": "`PUT /owners/OWNER` makes one",
    "surrogate-unsuited": "ask for surrogate `auto`, which takes every study",
    "not-found": "`GET /openapi.json` lists the calls",
    "method-not-allowed": "`GET /openapi.json` lists the calls",
}
"""What a caller may do about a problem, by its code. It stands beside `detail`, not in it: who came
through another door (`modomodo.hints`) is told in the words of that one."""


def problem(
    code: str,
    detail: str,
    errors: list[dict[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    status: int | None = None,
) -> JSONResponse:
    """An answer of this code, with its status; `status` is of a code that has none."""
    status = STATUS[code] if status is None else status
    body = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=_printable(detail),
        code=code,
        hint=HINTS.get(code, ""),
        errors=errors or [],
    )
    return JSONResponse(
        body.model_dump(mode="json"),
        status,
        headers=dict(headers or {}),
        media_type="application/problem+json",
    )


def answer(refused: Refused) -> JSONResponse:
    """The problem that a refusal is."""
    headers = {} if refused.again_s is None else retry_after(refused.again_s)
    if refused.code == "key-required":
        headers["WWW-Authenticate"] = "Bearer"
    return problem(refused.code, refused.detail, refused.errors, headers)


def install(app: FastAPI) -> None:
    """Makes every error of the app a problem."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        return answer(error)

    @app.exception_handler(storage.StorageError)
    async def storage_refused(request: Request, error: storage.StorageError) -> JSONResponse:
        return problem(error.code, str(error), status=STATUS.get(error.code, 500))

    @app.exception_handler(RequestValidationError)
    async def unreadable(request: Request, error: RequestValidationError) -> JSONResponse:
        return _unreadable(error.errors())

    @app.exception_handler(InvalidBody)
    async def invalid_body(request: Request, error: InvalidBody) -> JSONResponse:
        return _unreadable(error.errors)

    @app.exception_handler(HTTPException)
    async def routing(request: Request, error: HTTPException) -> JSONResponse:
        code = CODES.get(error.status_code, "refused")
        where = request.url.path
        detail = {
            400: "the body cannot be read: it is not UTF-8, nested too deeply, or has a number of "
            "thousands of digits",
            404: f"nothing at {where}",
            405: f"{request.method} is not offered at {where}",
        }.get(error.status_code, str(error.detail))
        headers = error.headers
        if error.status_code == 405:
            headers = {"Allow": ", ".join(methods_at(app, where))}
        return problem(code, detail, headers=headers, status=error.status_code)

    @app.exception_handler(ClientDisconnect)
    async def left(request: Request, error: ClientDisconnect) -> JSONResponse:
        return problem("malformed-request", "the body ended before it was complete")

    # Besides a database that is away: a deadlock, or two replicas that made the same row at once.
    # All were rolled back, and pass when the call comes again.
    @app.exception_handler(PoolTimeout)
    @app.exception_handler(OperationalError)
    @app.exception_handler(IntegrityError)
    async def storage_down(request: Request, error: SQLAlchemyError) -> JSONResponse:
        log.error("database unavailable", error=str(getattr(error, "orig", error)))
        return problem(
            "database-unavailable",
            "the database could not do it just now; nothing was changed, try again",
            headers=retry_after(2.0),
        )

    # What the schemas let through and the database cannot hold.
    @app.exception_handler(DataError)
    async def unstorable(request: Request, error: DataError) -> JSONResponse:
        log.error("database refused a value", path=request.url.path, error=str(error.orig))
        return problem(
            "invalid-request",
            "a text or number of this call is none that the database can hold; nothing was changed",
        )


def _unreadable(found: Sequence[Any]) -> JSONResponse:
    broken = next((item for item in found if item["type"] == "json_invalid"), None)
    if broken is not None:
        why = broken.get("ctx", {}).get("error", "")
        return problem(
            "malformed-json", f"the body is not JSON: {why} at character {broken['loc'][-1]}"
        )
    # The input itself is never sent back: it may be huge, secret, or not even encodable.
    errors = [
        {
            "where": _printable(path_of(item))[:200],
            "what": _printable(plain(item, repeats=False)),
            "type": item["type"],
        }
        for item in found[:100]
    ]
    first = errors[0] if errors else {"where": "body", "what": "it is not valid"}
    more = f" (and {len(found) - 1} more, see errors)" if len(found) > 1 else ""
    return problem("invalid-request", f"{first['where']}: {first['what']}{more}", errors)


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()[:4000]


def describe(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI descriptions of the problems a call may answer, besides those all calls share."""
    meaning = {
        400: "The body is not JSON.",
        401: "The API key is missing or wrong.",
        403: "The scope of the key does not allow the call; or a service without a key was called "
        "under a name that is not this machine's.",
        404: "No such study, trial or surrogate.",
        408: "The request did not come as a whole in time.",
        409: "The state of the study, trial or lease does not allow it; `code` says which.",
        413: "The body is too large.",
        422: "The request is well formed but not valid; `errors` says where.",
        429: "Too many calls, or too many wrong keys; `Retry-After` says when to come back.",
        431: "Too many headers, or too long ones.",
        503: "The database does not answer, too many calls wait for fits, too many connections are "
        "open, or the service is stopping; nothing was changed. "
        "`Retry-After` says when to come back.",
    }
    shared = (400, 401, 403, 408, 413, 422, 429, 431, 503)
    return {
        status: {"model": Problem, "description": meaning[status]}
        for status in sorted({*shared, *statuses})
    }
