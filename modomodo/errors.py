"""How a command ends when it cannot do what it was asked."""

from __future__ import annotations

from pydantic import ValidationError

from service.plain_errors import listed, located


class CommandFailed(Exception):  # noqa: N818 - it is how a command ends
    """The message says what was wrong and what would be right."""

    exit_code = 1


class WrongUse(CommandFailed):
    """An option that the command cannot make sense of."""

    exit_code = 2


def problems(error: ValidationError) -> str:
    """What is wrong where, in one line."""
    return listed(located(item, "file") for item in error.errors())
