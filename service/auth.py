"""Who may call: anyone on this machine while no key is set, else holders of the key."""

from __future__ import annotations

import hashlib
import hmac

from fastapi import Request

from service.errors import Refused
from service.settings import Settings


class KeyCheck:
    """Compares keys by their hashes, in the same time whether they agree early or late."""

    def __init__(self, settings: Settings) -> None:
        key = settings.api_key
        self._wanted = None if key is None else _digest(key.get_secret_value())

    def __call__(self, authorization: str | None) -> None:
        """Lets a call pass.

        Raises:
            Refused: 401, the header does not hold the key.
        """
        if self._wanted is None:
            return
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(
            _digest(key.strip()), self._wanted
        ):
            raise Refused(
                401,
                "key-required",
                "this service needs its API key: send `Authorization: Bearer KEY` "
                "(clients read it from MODOMODO_API_KEY)",
                headers={"WWW-Authenticate": "Bearer"},
            )


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def require_key(request: Request) -> None:
    """Dependency of every route but the probes."""
    check: KeyCheck = request.app.state.key_check
    check(request.headers.get("authorization"))
