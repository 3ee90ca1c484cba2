"""Who may call, and what for.

While a service on loopback has no key at all, anyone on this machine may do everything. From the
first key on, and on every other address, each call needs one: `MODOMODO_API_KEY`, which may do
everything, or one made with `modomodo key create`, which may do what its scope allows.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal, get_args

from anyio import to_thread
from fastapi import Request

from db import keys
from db.sessions import Database
from service.errors import Refused
from service.rates import Buckets, retry_after
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


OWN = "own"
"""What stands for the public part of `MODOMODO_API_KEY`."""

WRONG_KEYS, WRONG_KEYS_PER_S = 20.0, 0.3
"""So many wrong keys an address may try at once, and so many more each second."""

SESSION_S = 7 * 24 * 3600
"""How long someone stays signed in."""


@dataclass(frozen=True, slots=True)
class _Key:
    """A valid key: its public part, its hash, and who has it."""

    prefix: str
    hashed: str
    caller: Caller


class Gate:
    """Knows keys by their hashes, and compares these in constant time.

    Raises:
        NoKey: anyone could do everything.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        key = settings.api_key
        self._own = None if key is None else _Key(OWN, keys.hash_of(key.get_secret_value()), ANYONE)
        self._is_local = is_loopback(settings.host)
        self._database = database
        self._known: OrderedDict[str, tuple[float, _Key]] = OrderedDict()
        self._wrong = Buckets(WRONG_KEYS_PER_S, WRONG_KEYS)
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
        if not _is_believed(asked):
            is_open = not self._any_valid()
            self._open = (time.monotonic(), is_open)
        return is_open

    def caller_at_once(self, authorization: str | None, address: str) -> Caller | None:
        """Who sent this header, where the database need not be asked; None says nothing."""
        key = _bearer(authorization)
        if key is None:
            asked, is_open = self._open
            return ANYONE if is_open and _is_believed(asked) else None
        prefix = keys.prefix_of(key)
        if prefix is not None:
            found = self._believed(prefix)
        else:
            # Someone chose it, so it may be guessed: not where too many wrong ones come from.
            found = None if self._wrong.take(address, 0) else self._own
        if found is None or not hmac.compare_digest(keys.hash_of(key), found.hashed):
            return None
        return found.caller

    def caller(self, authorization: str | None, address: str) -> Caller:
        """Who sent this header, from where.

        Raises:
            Refused: 401, nobody that is known; 429, after too many wrong keys.
        """
        key = _bearer(authorization)
        found = None if key is None else self._find(key, address)
        if found is not None:
            return found.caller
        if self.is_open():
            return ANYONE
        raise Refused(
            401,
            "key-required",
            "this service needs an API key: send `Authorization: Bearer KEY` "
            "(clients read it from MODOMODO_API_KEY)",
            headers={"WWW-Authenticate": "Bearer"},
        )

    def remembered(self, authorization: str) -> str | None:
        """Public part of the valid key in this header, if it was used here before.

        It asks no database, so it may be some seconds behind: to count by, not to let in by.
        """
        key = _bearer(authorization)
        if key is None:
            return None
        hashed, prefix = keys.hash_of(key), keys.prefix_of(key)
        with self._lock:
            _, known = self._known.get(prefix or "", (0.0, None))
        for found in (self._own, known):
            if found is not None and hmac.compare_digest(hashed, found.hashed):
                return found.prefix
        return None

    # --- sessions of browsers -----------------------------------------------------------------

    def sign_in(self, key: str, address: str) -> str:
        """A cookie that stands for the key: `PREFIX.EXPIRES.NONCE.SIGNATURE`.

        Raises:
            Refused: 401, the key is not valid; 429, after too many wrong ones.
        """
        found = self._find(key, address)
        if found is None:
            raise Refused(401, "key-required", "this is no valid key of this service")
        expires = int(time.time()) + SESSION_S
        said = f"{found.prefix}.{expires}.{secrets.token_urlsafe(16)}"
        return f"{said}.{_signature(found, said)}"

    def signed_in(self, cookie: str) -> Caller | None:
        """Whose cookie this is; None when nobody's, or no longer."""
        said, _, signature = cookie.rpartition(".")
        prefix, _, rest = said.partition(".")
        expires = rest.partition(".")[0]
        if not (expires.isascii() and expires.isdigit() and len(expires) < 15):
            return None
        found = self._key(prefix) if prefix.isalnum() and prefix.isascii() else None
        if found is None or int(expires) < time.time():
            return None
        if not hmac.compare_digest(_signature(found, said).encode(), signature.encode()):
            return None
        return found.caller

    # --- inside -------------------------------------------------------------------------------

    def _find(self, key: str, address: str) -> _Key | None:
        """The valid key of this text.

        Raises:
            Refused: 429, too many wrong ones came from this address.
        """
        hashed = keys.hash_of(key)
        prefix = keys.prefix_of(key)
        # Who has shown a valid key is not held up by a neighbour with a wrong one.
        wait = 0.0 if prefix in self._known else self._wrong.take(address, 0)
        if wait == 0:
            for found in (self._own, None if prefix is None else self._key(prefix)):
                if found is not None and hmac.compare_digest(hashed, found.hashed):
                    return found
            wait = self._wrong.take(address)
        if wait:
            raise Refused(
                429,
                "too-many-wrong-keys",
                f"too many wrong keys came from this address; try again in {math.ceil(wait)} s",
                headers=retry_after(wait),
            )
        return None

    def _key(self, prefix: str) -> _Key | None:
        """The valid key with this public part, as the database said in the last 2 seconds."""
        if prefix == OWN:
            return self._own
        if known := self._believed(prefix):
            return known
        with self._database.read() as session:
            row = keys.by_prefix(session, prefix)
        with self._lock:
            if row is None:
                self._known.pop(prefix, None)
                return None
            scope = next(scope for scope in SCOPES if scope == row.scope)
            found = _Key(prefix, row.key_hash, Caller(f"user {row.name}", scope))
            self._known[prefix] = (time.monotonic(), found)
            self._known.move_to_end(prefix)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            return found

    def _believed(self, prefix: str) -> _Key | None:
        """The key with this public part that was valid a moment ago."""
        with self._lock:
            asked, known = self._known.get(prefix, (float("-inf"), None))
        return known if _is_believed(asked) else None

    def _any_valid(self) -> bool:
        with self._database.read() as session:
            return keys.any_valid(session)


def _is_believed(asked: float) -> bool:
    """Whether what the database said then, by the monotonic clock, is still taken for true."""
    return time.monotonic() - asked <= BELIEVED_S


def _bearer(authorization: str | None) -> str | None:
    """The key in an `Authorization` header; None when there is none."""
    scheme, _, key = (authorization or "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


def _signature(key: _Key, said: str) -> str:
    secret = hmac.new(key.hashed.encode(), b"modomodo session", hashlib.sha256).digest()
    return hmac.new(secret, said.encode(), hashlib.sha256).hexdigest()


def address_of(request: Request) -> str:
    """Where a call comes from."""
    return "unknown" if request.client is None else request.client.host


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


async def _let_in(request: Request, needed: Scope) -> None:
    gate: Gate = request.app.state.context.gate
    sent = request.headers.get("authorization")
    # Most calls need no question, and so no thread that could wait for its answer.
    caller = gate.caller_at_once(sent, address_of(request))
    if caller is None:
        caller = await to_thread.run_sync(gate.caller, sent, address_of(request))
    check_scope(caller, needed)
    request.state.caller = caller


async def for_workers(request: Request) -> None:
    """Dependency of the calls of workers."""
    await _let_in(request, "worker")


async def for_readers(request: Request) -> None:
    """Dependency of the calls that change nothing."""
    await _let_in(request, "read")


async def by_method(request: Request) -> None:
    """Dependency of routes where some read and some change."""
    await _let_in(request, "read" if request.method in ("GET", "HEAD") else "admin")
