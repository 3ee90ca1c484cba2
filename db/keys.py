"""API keys: who may call, and what for. A key is shown once, when it is made."""

from __future__ import annotations

import hashlib
import re
import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import owners
from db.clock import now
from db.errors import BadKey, KeyNotFound
from db.models import KEY_SCOPES, ApiKey

START = "mdm"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def create(session: Session, name: str, scope: str, owner: str | None = None) -> str:
    """Makes a key and returns it; only its hash is kept.

    Args:
        owner: the team that it belongs to, which is made where there is none of this name.

    Raises:
        BadKey: the name is taken or no name, the owner's is none, or there is no such scope.
    """
    if NAME.fullmatch(name) is None:
        raise BadKey(f"{name!r} is no name for a key: letters, digits, and . _ - inside, up to 64")
    if owner is not None and NAME.fullmatch(owner) is None:
        raise BadKey(
            f"{owner!r} is no name for an owner: letters, digits, and . _ - inside, up to 64"
        )
    if scope not in KEY_SCOPES:
        raise BadKey(f"no scope {scope!r}; there are {', '.join(KEY_SCOPES)}")
    if session.scalar(select(ApiKey.id).where(ApiKey.name == name, ApiKey.revoked_at.is_(None))):
        raise BadKey(f"there is a key {name!r}; revoke it first, or choose another name")
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    key = f"{START}_{prefix}_{secret}"
    if owner is not None:
        owners.make(session, owner)
    hashed = hash_of(key)
    session.add(ApiKey(name=name, scope=scope, prefix=prefix, key_hash=hashed, owner=owner))
    session.flush()
    return key


def everyone(session: Session) -> list[ApiKey]:
    """All keys, oldest first, revoked ones too."""
    return list(session.scalars(select(ApiKey).order_by(ApiKey.id)))


def revoke(session: Session, name: str) -> None:
    """Makes a key worthless, for good.

    Raises:
        KeyNotFound: no valid key has this name.
    """
    key = session.scalar(
        select(ApiKey).where(ApiKey.name == name, ApiKey.revoked_at.is_(None)).with_for_update()
    )
    if key is None:
        raise KeyNotFound(f"no valid key {name!r}; `modomodo key list` shows them")
    key.revoked_at = now()
    session.flush()


def any_valid(session: Session) -> bool:
    """Whether there is a key that opens anything."""
    found = session.scalar(select(ApiKey.id).where(ApiKey.revoked_at.is_(None)).limit(1))
    return found is not None


def any_ever(session: Session) -> bool:
    """Whether a key was ever made, also one that is revoked."""
    return session.scalar(select(ApiKey.id).limit(1)) is not None


def prefix_of(key: str) -> str | None:
    """The public part of a key's text; None where it cannot be one."""
    start, _, rest = key.partition("_")
    prefix, _, _ = rest.partition("_")
    if start != START or not prefix.isalnum() or not prefix.isascii() or len(prefix) > 16:
        return None
    return prefix


def by_prefix(session: Session, prefix: str) -> ApiKey | None:
    """The valid key with this public part."""
    return session.scalar(
        select(ApiKey).where(ApiKey.prefix == prefix, ApiKey.revoked_at.is_(None))
    )


def hash_of(key: str) -> str:
    """What is stored of a key. Keys are random, so a plain hash keeps them secret."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
