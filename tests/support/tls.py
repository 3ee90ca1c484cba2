"""One TLS context for all clients of httpx in a process.

No test speaks TLS, and a context costs as much processor time as two calls of a service.
"""

from __future__ import annotations

import functools

import httpx
from httpx._transports import default


def share() -> None:
    """From now on also in processes that are forked from this one."""
    default.create_ssl_context = functools.cache(default.create_ssl_context)
    httpx.Client().close()
