"""The page that takes a key, and the call that ends a session."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from service.dashboard import session
from service.dashboard.rendering import render
from service.errors import Refused
from service.http import problems
from service.http.auth import Gate
from service.http.guards import address_of

router = APIRouter(prefix="/ui", include_in_schema=False)


def _gate(request: Request) -> Gate:
    gate: Gate = request.app.state.context.gate
    return gate


@router.get("/sign-in")
def ask(request: Request, to: Annotated[str, Query(max_length=2000)] = "/") -> Response:
    """The form; not needed while the service has no key."""
    if _gate(request).is_open():
        return RedirectResponse(session.own_path(to), 303)
    return render(request, "sign_in.html", to=session.own_path(to), wrong="")


@router.post("/sign-in", dependencies=[Depends(session.require_token)])
def take(request: Request, fields: Annotated[dict[str, str], Depends(session.fields)]) -> Response:
    """Signs in and leads to where one wanted to go; else the form again, with what is wrong."""
    to = session.own_path(fields.get("to", "/"))
    try:
        cookie = _gate(request).sign_in(fields.get("key", "").strip(), address_of(request))
    except Refused as refused:
        return render(
            request,
            "sign_in.html",
            status=problems.STATUS[refused.code],
            to=to,
            wrong=refused.detail,
        )
    answer = RedirectResponse(to, 303)
    session.keep(request, answer, cookie)
    return answer


@router.post("/sign-out", dependencies=[Depends(session.require_token)])
def end(request: Request) -> Response:
    """Ends the session, in this browser and wherever its cookie was copied to."""
    cookie = session.cookie_of(request)
    if cookie is not None:
        _gate(request).sign_out(cookie)
    answer = RedirectResponse("/ui/sign-in", 303)
    answer.delete_cookie(session.COOKIE, httponly=True, samesite="lax")
    return answer
