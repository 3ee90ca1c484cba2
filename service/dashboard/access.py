"""Who may look, and what of it may be changed.

A browser cannot send `Authorization: Bearer` by itself, so people sign in (`sign_in.py`) and pages
take the cookie that this gives (`session.py`); programs may show a page's address their key.
"""

from __future__ import annotations

from anyio import to_thread
from fastapi import Request

from service.auth import Gate, Scope, address_of, check_scope
from service.dashboard import session
from service.errors import Refused


class NotSignedIn(Refused):
    """Nobody that is known asks: a browser is led to the page where one signs in."""


def require_key(request: Request) -> None:
    """Lets those in who have a key of any scope, if the service has any.

    Raises:
        NotSignedIn: 401.
    """
    _let_in(request, "read")


async def require_key_first(request: Request) -> None:
    """`require_key`, for routes that take a body: it is read after that (`auth.route_behind`)."""
    await to_thread.run_sync(require_key, request)


def require_admin(request: Request) -> None:
    """Lets those in whose key may change studies and trials.

    Raises:
        NotSignedIn: 401.
        Refused: 403, the key's scope does not allow it.
    """
    _let_in(request, "admin")


def _let_in(request: Request, needed: Scope) -> None:
    gate: Gate = request.app.state.context.gate
    cookie = session.cookie_of(request)
    caller = None if cookie is None else gate.signed_in(cookie)
    request.state.signed_in = None if caller is None else caller.name
    if caller is None:
        try:
            caller = gate.caller(request.headers.get("authorization"), address_of(request))
        except Refused as refused:
            if refused.status != 401:
                raise
            raise NotSignedIn(
                401,
                refused.code,
                "this page needs an API key: sign in at /ui/sign-in",
                headers={"WWW-Authenticate": "Bearer"},
            ) from refused
    check_scope(caller, needed)
    request.state.caller = caller
