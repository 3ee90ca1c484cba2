"""The service as a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.polling import until
from tests.support.warm import Command


def is_ready(port: int) -> bool:
    """Whether a service answers there."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).is_success
    except httpx.TransportError:
        return False


@contextmanager
def service(database: str, port: int, log: Path | None = None) -> Iterator[Command]:
    """`modomodo serve` until the end of the block, when it is killed; ready when that begins."""
    with Path("/dev/null" if log is None else log).open("ab") as stderr:
        process = Command("serve", "--port", str(port), "--database", database, stderr=stderr)
    with process:

        def answers() -> bool:
            assert process.poll() is None, "the service stopped"
            return is_ready(port)

        until(answers)
        yield process
