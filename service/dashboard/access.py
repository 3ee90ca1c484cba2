"""Who may look, and what a page may do in the browser.

A browser cannot send `Authorization: Bearer`, so pages take the key as the password of HTTP Basic
too (any user name). The browser then sends it by itself, also when a page from elsewhere makes it
call here. So what a page changes it changes under `/ui`, by calls with a header of its own
(`OWN_PAGE`): a page from elsewhere could send that only after asking first, and is never allowed.
"""

from __future__ import annotations

import base64
import binascii
from urllib.parse import urlsplit

from fastapi import Request

from service.auth import Gate, Scope, check_scope
from service.errors import Refused

OWN_PAGE = "X-Modomodo-Page"
"""Header of every call by which a page changes something."""

HEADERS = {
    # No inline script and nothing from elsewhere: text that looks like HTML stays text even if it
    # slipped through the escaping. Plotly styles its charts by style elements of its own making.
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def require_key(request: Request) -> None:
    """Lets those in who have a key of any scope, if the service has any.

    Raises:
        Refused: 401, and the browser asks for the key.
    """
    _let_in(request, "read")


def require_admin(request: Request) -> None:
    """Lets those in whose key may change studies and trials.

    Raises:
        Refused: 401, and the browser asks for the key; 403, the key's scope does not allow it.
    """
    _let_in(request, "admin")


def _let_in(request: Request, needed: Scope) -> None:
    gate: Gate = request.app.state.context.gate
    header = request.headers.get("authorization")
    try:
        caller = gate.caller(_as_bearer(header))
    except Refused as refused:
        raise Refused(
            refused.status,
            refused.code,
            "this service needs an API key: give it as the password, with any user name",
            headers={"WWW-Authenticate": 'Basic realm="modomodo: API key as password"'},
        ) from refused
    check_scope(caller, needed)
    request.state.caller = caller


def require_own_page(request: Request) -> None:
    """Lets calls in that a page of this service makes.

    Raises:
        Refused: 403, a page from elsewhere could have sent it.
    """
    site = request.headers.get("sec-fetch-site", "same-origin")
    if OWN_PAGE.lower() not in request.headers or site != "same-origin":
        raise Refused(
            403,
            "own-page-only",
            f"only this service's own pages change anything here: {OWN_PAGE} is missing, or the "
            "call comes from another site; programs use the API (/openapi.json)",
        )


def require_own_form(request: Request) -> None:
    """Lets forms in that a page of this service sends: browsers say whose page it was.

    Raises:
        Refused: 403, a page from elsewhere sent it, or no browser did.
    """
    site = request.headers.get("sec-fetch-site")
    origin = urlsplit(request.headers.get("origin", ""))
    if site == "same-origin" or (site is None and origin.netloc == request.headers.get("host")):
        return
    raise Refused(
        403,
        "own-page-only",
        "only this service's own pages send forms here, and this one does not say that it comes "
        "from one; programs use the API (/openapi.json)",
    )


def _as_bearer(header: str | None) -> str | None:
    scheme, _, credentials = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return header
    try:
        decoded = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return "Bearer " + decoded.partition(":")[2]
