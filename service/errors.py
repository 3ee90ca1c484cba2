"""What the service refuses to do, as exceptions with a stable code; HTTP gives them a status."""

from __future__ import annotations

from typing import Any

AGAIN_S = 5.0
"""When a caller should come back to a service that is stopping."""

STOPPING = "stopping"


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """Something that is asked for and cannot be done.

    Args:
        code: stable word for programs; `service.http.problems.STATUS` has them all.
        detail: what was wrong, where, and what would be right.
        errors: the same for each place of the body, as `{"where", "what"}`.
        again_s: seconds after which to ask again; None where that would not help.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: list[dict[str, Any]] | None = None,
        again_s: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.code, self.detail, self.again_s = code, detail, again_s
        self.errors = errors or []


class NoFit(Refused):
    """A surrogate cannot be fitted to a study: too few results, too many, such as it does not take,
    or none that it can make something of."""


def invalid(detail: str) -> Refused:
    """A body that is well formed but does not fit the study."""
    return Refused("invalid-request", detail)


def stopping() -> Refused:
    """What is under way when the service ends and cannot be waited for."""
    return Refused(
        STOPPING,
        "the service is stopping; come back in a few seconds, when it or another one is there",
        again_s=AGAIN_S,
    )
