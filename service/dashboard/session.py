"""Who may look, and who is signed in: a cookie that the gate knows, a token against forged calls.

A browser cannot send `Authorization: Bearer` by itself, so people sign in (`pages/sign_in.py`) and
pages take the cookie that this gives; programs may show a page's address their key.

The cookie is random and holds no key; the database has its hash, so every replica knows it. Someone
who is not signed in has one too, which the database does not know.

The token is made of the cookie. Pages have it in their head and send it with whatever changes
something, as the header `X-CSRF-Token` or as the field `csrf` of a form: a page from elsewhere can
make a browser send the cookie, but can read neither of the two.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from urllib.parse import parse_qsl, urlsplit

from anyio import to_thread
from fastapi import Request, Response

from service.errors import Refused
from service.http.auth import SESSION_S, Gate, Scope
from service.http.guards import address_of, check_change, check_scope

COOKIE = "modomodo_session"
VISITOR = "visitor"

HEADER = "X-CSRF-Token"
FIELD = "csrf"
FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 2000
MOST_BYTES = 256 * 1024


def cookie_of(request: Request) -> str | None:
    """The cookie as it was sent; it may be made up."""
    return request.cookies.get(COOKIE)


def visitor() -> str:
    """A cookie for someone who is not signed in."""
    return f"{VISITOR}.{secrets.token_urlsafe(24)}"


def token(cookie: str) -> str:
    """What calls that change something must bring, besides the cookie."""
    return hmac.new(cookie.encode(), b"csrf", hashlib.sha256).hexdigest()


def keep(request: Request, answer: Response, cookie: str) -> None:
    """Lets the browser keep the cookie, and send it from this service's own pages."""
    answer.set_cookie(
        COOKIE,
        cookie,
        max_age=SESSION_S,
        httponly=True,
        secure=request.url.scheme == "https",
        samesite="lax",
    )


async def fields(request: Request) -> dict[str, str]:
    """The fields of a form.

    Raises:
        Refused: there are more than any page here sends.
    """
    sent = await request.body()
    try:
        if len(sent) > MOST_BYTES:
            raise ValueError
        return dict(parse_qsl(sent.decode("utf-8", "replace"), max_num_fields=MOST_FIELDS))
    except ValueError:
        raise Refused(
            "body-too-large",
            f"the form has more than {MOST_FIELDS} fields or {MOST_BYTES} bytes",
        ) from None


async def require_token(request: Request) -> None:
    """Lets calls in that a page of this service makes.

    Raises:
        Refused: a page from elsewhere could have sent it.
    """
    sent = request.headers.get(HEADER)
    if sent is None and request.headers.get("content-type", "").partition(";")[0] == FORM:
        sent = (await fields(request)).get(FIELD)
    cookie = cookie_of(request)
    if (
        sent is None
        or cookie is None
        or not hmac.compare_digest(token(cookie).encode(), sent.encode("utf-8", "surrogateescape"))
    ):
        raise Refused(
            "own-page-only",
            "only this service's own pages change anything here, and this call lacks what one of "
            "them would send; reload the page and try again, or use the API (/openapi.json)",
        )


def own_path(target: str) -> str:
    """Where to go after signing in: a path of this service, whatever was asked for."""
    try:
        parts = urlsplit(target)
    except ValueError:  # such as of brackets
        return "/"
    is_own = not parts.scheme and not parts.netloc and target.startswith("/")
    has_trick = target.startswith("//") or "\\" in target or any(ord(c) < 32 for c in target)
    return target if is_own and not has_trick else "/"


class NotSignedIn(Refused):
    """The call has no valid key or session: a browser is led to the page where one signs in."""


def require_key(request: Request) -> None:
    """Lets those in who have a key of any scope, if the service has any.

    Raises:
        NotSignedIn: there is no valid key or session.
    """
    _let_in(request, "read")


async def require_key_first(request: Request) -> None:
    """`require_key`, for routes that take a body: it is read after that (`guards.route_behind`)."""
    await to_thread.run_sync(require_key, request)


def require_change(request: Request) -> None:
    """Lets those in whose key may change the study in the address, and its trials.

    Raises:
        NotSignedIn: there is no valid key or session.
        Refused: the key's scope does not allow it, or the study is of another owner.
    """
    require_admin(request)
    check_change(request, request.state.caller)


def require_admin(request: Request) -> None:
    """Lets those in whose key may make studies.

    Raises:
        NotSignedIn: there is no valid key or session.
        Refused: the key's scope does not allow it.
    """
    _let_in(request, "admin")


def _let_in(request: Request, needed: Scope) -> None:
    gate: Gate = request.app.state.context.gate
    cookie = cookie_of(request)
    caller = None if cookie is None else gate.signed_in(cookie)
    request.state.signed_in = None if caller is None else caller.name
    if caller is None:
        try:
            caller = gate.caller(request.headers.get("authorization"), address_of(request))
        except Refused as refused:
            if refused.code != "key-required":
                raise
            raise NotSignedIn(
                refused.code,
                "this page needs an API key: sign in at /ui/sign-in",
            ) from refused
    check_scope(caller, needed)
    request.state.caller = caller
