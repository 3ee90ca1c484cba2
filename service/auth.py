"""Who may call, and what for.

While a service on loopback has no key at all, anyone on this machine may do everything. From the
first key on, and on every other address, each call needs one: `MODOMODO_API_KEY`, which may do
everything, or one made with `modomodo key create`, which may do what its scope allows.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal, get_args

from fastapi import Request

from db import keys
from db.sessions import Database
from service.errors import Refused
from service.settings import Settings, is_loopback

Scope = Literal["read", "worker", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""Each may do what those before it may."""

BELIEVED_S = 2.0
"""How long an answer of the database about keys is taken for true: a revoked key ends by then."""

REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: `user`, or the name of the key."""

    name: str
    scope: Scope


ANYONE = Caller("user", "admin")


class NoKey(Exception):  # noqa: N818 - it names a state of things
    """A service that other machines reach has no key."""


class Gate:
    """Knows keys by their hashes, and compares these in constant time.

    Raises:
        NoKey: anyone could do everything.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        key = settings.api_key
        self._own = None if key is None else keys.hash_of(key.get_secret_value())
        self._is_local = is_loopback(settings.host)
        self._database = database
        self._known: OrderedDict[str, tuple[float, Caller]] = OrderedDict()
        self._open = (float("-inf"), False)
        self._lock = threading.Lock()
        if not self._is_local and self._own is None and not self._any_valid():
            raise NoKey(
                f"host {settings.host!r} can be reached from other machines, so a key is needed: "
                "set MODOMODO_API_KEY, run `modomodo key create`, or bind to 127.0.0.1"
            )

    def is_open(self) -> bool:
        """Whether a call needs no key."""
        if not self._is_local or self._own is not None:
            return False
        asked, is_open = self._open
        if time.monotonic() - asked > BELIEVED_S:
            is_open = not self._any_valid()
            self._open = (time.monotonic(), is_open)
        return is_open

    def caller(self, authorization: str | None) -> Caller:
        """Who sent this header.

        Raises:
            Refused: 401, nobody that is known.
        """
        scheme, _, key = (authorization or "").partition(" ")
        found = self._find(key.strip()) if scheme.lower() == "bearer" else None
        if found is not None:
            return found
        if self.is_open():
            return ANYONE
        raise Refused(
            401,
            "key-required",
            "this service needs an API key: send `Authorization: Bearer KEY` "
            "(clients read it from MODOMODO_API_KEY)",
            headers={"WWW-Authenticate": "Bearer"},
        )

    def _find(self, key: str) -> Caller | None:
        hashed = keys.hash_of(key)
        if self._own is not None and hmac.compare_digest(hashed, self._own):
            return ANYONE
        with self._lock:
            asked, known = self._known.get(hashed, (float("-inf"), None))
        if known is not None and time.monotonic() - asked <= BELIEVED_S:
            return known
        with self._database.read() as session:
            row = keys.find(session, key)
        with self._lock:
            if row is None:
                self._known.pop(hashed, None)
                return None
            scope = next(scope for scope in SCOPES if scope == row.scope)
            self._known[hashed] = (time.monotonic(), Caller(f"user {row.name}", scope))
            self._known.move_to_end(hashed)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            return self._known[hashed][1]

    def _any_valid(self) -> bool:
        with self._database.read() as session:
            return keys.any_valid(session)


def check_scope(caller: Caller, needed: Scope) -> None:
    """Lets a call pass.

    Raises:
        Refused: 403, the key's scope does not allow it.
    """
    if SCOPES.index(caller.scope) < SCOPES.index(needed):
        raise Refused(
            403,
            "scope-needed",
            f"this call needs a key of scope {needed!r}; yours is of scope {caller.scope!r} "
            "(`modomodo key create NAME --scope SCOPE` makes one)",
        )


def _let_in(request: Request, needed: Scope) -> None:
    gate: Gate = request.app.state.context.gate
    caller = gate.caller(request.headers.get("authorization"))
    check_scope(caller, needed)
    request.state.caller = caller


def for_workers(request: Request) -> None:
    """Dependency of the calls of workers."""
    _let_in(request, "worker")


def for_readers(request: Request) -> None:
    """Dependency of the calls that change nothing."""
    _let_in(request, "read")


def by_method(request: Request) -> None:
    """Dependency of routes where some read and some change."""
    _let_in(request, "read" if request.method in ("GET", "HEAD") else "admin")
