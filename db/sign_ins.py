"""Who is signed in, in a browser. Of each cookie only the hash is kept."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from db.clock import after, now
from db.models import SignIn


def begin(session: Session, cookie_hash: str, key_prefix: str, bound: str, lasts_s: float) -> None:
    """Stores a session that lasts so long, and forgets those that are over.

    Args:
        key_prefix: public part of the key it was opened with.
        bound: what ties it to that key.
    """
    session.execute(delete(SignIn).where(SignIn.expires_at < now()))
    session.add(
        SignIn(
            cookie_hash=cookie_hash, key_prefix=key_prefix, bound=bound, expires_at=after(lasts_s)
        )
    )
    session.flush()


def find(session: Session, cookie_hash: str) -> SignIn | None:
    """The session of this cookie, if it is not over."""
    return session.scalar(
        select(SignIn).where(SignIn.cookie_hash == cookie_hash, SignIn.expires_at > now())
    )


def end(session: Session, cookie_hash: str) -> None:
    """Ends a session; there need not be one."""
    session.execute(delete(SignIn).where(SignIn.cookie_hash == cookie_hash))
