"""Who may call, and what for.

While no key was ever made for a service on loopback, anyone on this machine may do everything. From
the first key on, and on every other address, each call needs one: `MODOMODO_API_KEY`, which may do
everything, or one made with `modomodo key create`, which may do what its scope allows, and where it
belongs to an owner, to the studies of that.

All keys are too long to be guessed, so a right one is taken from everywhere, also from an address
that many wrong ones came from; behind a proxy that may be everybody's.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar, get_args

from sqlalchemy.orm import Session

from db import keys, sign_ins
from db.sessions import Database
from service.errors import Refused
from service.http.rates import Buckets
from service.settings import Settings, is_loopback

T = TypeVar("T")

Scope = Literal["read", "worker", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""Each may do what those before it may."""

CACHE_TTL_S = 2.0
"""How long an answer of the database about keys is kept, in seconds: a revoked key ends by then."""

MAX_CACHED = 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Attributes:
        name: `user`, and the name of the key.
        owner: the team that the key belongs to, whose studies alone it may change; None where it
            may change all.
    """

    name: str
    scope: Scope
    owner: str | None = None


ANYONE = Caller("user", "admin")


class NoKey(Exception):  # noqa: N818 - it names a state of things
    """A service that other machines reach has no key."""


OWN = "own"
"""What stands for the public part of `MODOMODO_API_KEY`."""

WRONG_KEYS, WRONG_KEYS_PER_S = 20.0, 0.3
"""So many wrong keys an address may try at once, and so many more each second."""

SESSION_S = 7 * 24 * 3600
"""How long someone stays signed in."""

SIGNED_IN = "in."
"""How cookies of those begin who are signed in."""


@dataclass(frozen=True, slots=True)
class _Key:
    """A valid key: its public part, its hash, and who has it."""

    prefix: str
    hashed: str
    caller: Caller


@dataclass(frozen=True, slots=True)
class _SignIn:
    """A session of a browser: the public part of its key, and what ties it to that."""

    prefix: str
    bound: str


class _Renewals:
    """Has one of many callers renew an answer of the database, when half of its time is over. Else
    all would ask at once when it has ended."""

    def __init__(self, cache_ttl_s: float) -> None:
        self._after_s = cache_ttl_s / 2
        self._begun: dict[str, float] = {}

    def is_mine(self, key: str, at: float) -> bool:
        """Whether the caller is the one.

        Args:
            at: when the answer came.
        """
        now = time.monotonic()
        if now - max(at, self._begun.get(key, -math.inf)) <= self._after_s:
            return False
        if len(self._begun) >= MAX_CACHED:
            self._begun.clear()
        self._begun[key] = now
        return True


class _Cache(Generic[T]):
    """What the database said of each key, and when; the oldest answer goes first."""

    def __init__(self, cache_ttl_s: float) -> None:
        self._cache_ttl_s, self._renewals = cache_ttl_s, _Renewals(cache_ttl_s)
        self._answers: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._lock = threading.Lock()

    def fresh(self, key: str) -> T | None:
        """The answer for this key, where it is young enough; else None."""
        with self._lock:
            at, answer = self._answers.get(key, (float("-inf"), None))
        return answer if _is_within(self._cache_ttl_s, at) else None

    def is_to_renew(self, key: str) -> bool:
        """Whether who asks this is to ask the database anew, while the others have the answer."""
        with self._lock:
            at, _ = self._answers.get(key, (math.inf, None))
            return self._renewals.is_mine(key, at)

    def ever(self, key: str) -> T | None:
        """The last answer for this key, however old."""
        with self._lock:
            return self._answers.get(key, (0.0, None))[1]

    def note(self, key: str, answer: T | None) -> T | None:
        """Keeps an answer; None, that there is none any more, is not kept."""
        with self._lock:
            if answer is None:
                self._answers.pop(key, None)
                return None
            self._answers[key] = (time.monotonic(), answer)
            self._answers.move_to_end(key)
            while len(self._answers) > MAX_CACHED:
                self._answers.popitem(last=False)
            return answer


class Gate:
    """Knows keys by their hashes, and compares these in constant time.

    Args:
        cache_ttl_s: how long an answer of the database about keys is kept, in seconds.

    Raises:
        NoKey: anyone could do everything.
    """

    def __init__(
        self, settings: Settings, database: Database, cache_ttl_s: float = CACHE_TTL_S
    ) -> None:
        key = settings.api_key
        self._own = None if key is None else _Key(OWN, keys.hash_of(key.get_secret_value()), ANYONE)
        self._is_local = is_loopback(settings.host)
        self._database = database
        self._keys: _Cache[_Key] = _Cache(cache_ttl_s)
        self._sign_ins: _Cache[_SignIn] = _Cache(cache_ttl_s)
        self._wrong = Buckets(WRONG_KEYS_PER_S, WRONG_KEYS)
        self._cache_ttl_s = cache_ttl_s
        self._open, self._renewals = (float("-inf"), False), _Renewals(cache_ttl_s)
        if not self._is_local and self._own is None and not self._has_key(keys.any_valid):
            raise NoKey(
                f"host {settings.host!r} can be reached from other machines, so a key is needed: "
                "set MODOMODO_API_KEY, run `modomodo key create`, or bind to 127.0.0.1"
            )

    def is_open(self) -> bool:
        """Whether a call needs no key: only before the first one was made."""
        if not self._is_local or self._own is not None:
            return False
        asked, is_open = self._open
        return is_open if _is_within(self._cache_ttl_s, asked) else self._ask_whether_open()

    def _ask_whether_open(self) -> bool:
        is_open = not self._has_key(keys.any_ever)
        self._open = (time.monotonic(), is_open)
        return is_open

    def is_open_at_once(self) -> bool:
        """The same, where the database need not be asked; False says nothing."""
        asked, is_open = self._open
        return is_open and _is_within(self._cache_ttl_s, asked)

    def caller_at_once(self, authorization: str | None) -> Caller | None:
        """Who sent this header, where the database need not be asked; None says nothing."""
        key = _bearer(authorization)
        if key is None:
            return ANYONE if self.is_open_at_once() else None
        found = _same(key, self._own, self._keys.fresh(keys.prefix_of(key) or ""))
        return None if found is None else found.caller

    def is_to_renew(self, authorization: str | None) -> bool:
        """Whether the database is to be asked again about this header, by who asks this, though
        `caller_at_once` knows it still."""
        key = _bearer(authorization)
        if key is None:
            return self._renewals.is_mine("", self._open[0])
        return self._keys.is_to_renew(keys.prefix_of(key) or "")

    def renew(self, authorization: str | None) -> None:
        """Asks it again."""
        key = _bearer(authorization)
        if key is None:
            self._ask_whether_open()
        elif prefix := keys.prefix_of(key):
            self._ask_for_key(prefix)

    def caller(self, authorization: str | None, address: str) -> Caller:
        """Who sent this header, from where.

        Raises:
            Refused: no valid key; or after too many wrong keys.
        """
        key = _bearer(authorization)
        found = None if key is None else self._find(key, address)
        if found is not None:
            return found.caller
        if self.is_open():
            return ANYONE
        raise Refused(
            "key-required",
            "this service needs an API key, and none came with the call"
            if not key
            else "the API key that came with the call is not valid here: it is wrong, or was "
            "revoked",
        )

    def remembered(self, authorization: str) -> tuple[str, Scope] | None:
        """Public part and scope of the valid key in this header, if it was used here before.

        It asks no database, so it may be some seconds behind: to count by, not to let in by.
        """
        key = _bearer(authorization)
        if key is None:
            return None
        found = _same(key, self._own, self._keys.ever(keys.prefix_of(key) or ""))
        return None if found is None else (found.prefix, found.caller.scope)

    # --- sessions of browsers -----------------------------------------------------------------

    def sign_in(self, key: str, address: str) -> str:
        """A cookie that stands for the key for a week, until one signs out, or the key ends.

        Raises:
            Refused: the key is not valid; or after too many wrong ones.
        """
        found = self._find(key, address)
        if found is None:
            raise Refused("key-required", "this is no valid key of this service")
        cookie = f"{SIGNED_IN}{secrets.token_urlsafe(32)}"
        hashed = keys.hash_of(cookie)
        with self._database.write() as session:
            sign_ins.begin(session, hashed, found.prefix, _bound(found, hashed), SESSION_S)
        return cookie

    def signed_in(self, cookie: str) -> Caller | None:
        """Whose cookie this is; None when it was never given out, or is no longer valid."""
        if not cookie.startswith(SIGNED_IN):
            return None
        hashed = keys.hash_of(cookie)
        known = self._sign_in(hashed)
        found = None if known is None else self._key(known.prefix)
        if known is None or found is None:
            return None
        is_bound = hmac.compare_digest(known.bound, _bound(found, hashed))
        return found.caller if is_bound else None

    def sign_out(self, cookie: str) -> None:
        """Makes the cookie worthless, and every copy of it."""
        hashed = keys.hash_of(cookie)
        with self._database.write() as session:
            sign_ins.end(session, hashed)
        self._sign_ins.note(hashed, None)

    # --- inside -------------------------------------------------------------------------------

    def _find(self, key: str, address: str) -> _Key | None:
        """The valid key of this text: a right one is taken from wherever it comes.

        Raises:
            Refused: it is wrong, like too many from this address before.
        """
        prefix = keys.prefix_of(key)
        found = _same(key, self._own, None if prefix is None else self._key(prefix))
        wait = 0.0 if found is not None else self._wrong.take(address)
        if wait:
            raise Refused(
                "too-many-wrong-keys",
                f"too many wrong keys came from this address; try again in {math.ceil(wait)} s",
                again_s=wait,
            )
        return found

    def _key(self, prefix: str) -> _Key | None:
        """The valid key with this public part, as the database said in the last 2 seconds."""
        if prefix == OWN:
            return self._own
        return self._keys.fresh(prefix) or self._ask_for_key(prefix)

    def _ask_for_key(self, prefix: str) -> _Key | None:
        with self._database.read() as session:
            row = keys.by_prefix(session, prefix)
        if row is None:
            return self._keys.note(prefix, None)
        scope = next(scope for scope in SCOPES if scope == row.scope)
        key = _Key(prefix, row.key_hash, Caller(f"user {row.name}", scope, row.owner))
        return self._keys.note(prefix, key)

    def _sign_in(self, hashed: str) -> _SignIn | None:
        """The session of this cookie's hash, as the database said in the last 2 seconds."""
        if known := self._sign_ins.fresh(hashed):
            return known
        with self._database.read() as session:
            row = sign_ins.find(session, hashed)
        found = None if row is None else _SignIn(row.key_prefix, row.bound)
        return self._sign_ins.note(hashed, found)

    def _has_key(self, question: Callable[[Session], bool]) -> bool:
        with self._database.read() as session:
            return question(session)


def _is_within(seconds: float, asked: float) -> bool:
    """Whether no more have passed since then, by the monotonic clock."""
    return time.monotonic() - asked <= seconds


def _bearer(authorization: str | None) -> str | None:
    """The key in an `Authorization` header; None when there is none."""
    scheme, _, key = (authorization or "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


def _same(key: str, *candidates: _Key | None) -> _Key | None:
    """Which of them this text is."""
    hashed = keys.hash_of(key)
    for found in candidates:
        if found is not None and hmac.compare_digest(hashed, found.hashed):
            return found
    return None


def _bound(key: _Key, hashed: str) -> str:
    """Ties a session to the key it was opened with: another `MODOMODO_API_KEY` ends it too."""
    return hmac.new(key.hashed.encode(), hashed.encode(), hashlib.sha256).hexdigest()
