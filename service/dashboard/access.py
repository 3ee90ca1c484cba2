"""Who may look, and what a page may do in the browser.

A browser cannot send `Authorization: Bearer`, so pages take the key as the password of HTTP Basic
too (any user name). Only pages do: what the browser then sends by itself can change nothing.
"""

from __future__ import annotations

import base64
import binascii

from fastapi import Request

from service.auth import Gate, check_scope
from service.errors import Refused

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
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def require_key(request: Request) -> None:
    """Lets those in who have a key, if the service has any.

    Raises:
        Refused: 401, and the browser asks for the key.
    """
    gate: Gate = request.app.state.context.gate
    header = request.headers.get("authorization")
    try:
        check_scope(gate.caller(_as_bearer(header)), "read")
    except Refused as refused:
        raise Refused(
            refused.status,
            refused.code,
            "this service needs an API key: give it as the password, with any user name",
            headers={"WWW-Authenticate": 'Basic realm="modomodo: API key as password"'},
        ) from refused


def _as_bearer(header: str | None) -> str | None:
    scheme, _, credentials = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return header
    try:
        decoded = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return "Bearer " + decoded.partition(":")[2]
