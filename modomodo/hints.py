"""What the service refuses, in the words of the command line.

The service says what was wrong, and apart from that what a caller of HTTP may do about it. Who
typed a command is told here which command or setting helps, by the problem's stable `code`.
"""

from __future__ import annotations

import re

from service.client import ServiceError
from service.plain_errors import at, listed

HINTS = {
    "study-not-found": "`modomodo study list` lists them",
    "study-exists": "use the file that it was created from, or another name; `modomodo study edit` "
    "changes it, `study pause` and `study resume` its state",
    "trial-not-found": "`modomodo trial list STUDY` lists them",
    "key-required": "set MODOMODO_API_KEY to a valid one (`modomodo key create` makes one, where "
    "the service's database is)",
    "scope-needed": "set MODOMODO_API_KEY to such a one (`modomodo key create NAME --scope SCOPE` "
    "makes one, where the service's database is)",
    "not-owner": "`modomodo owner list` lists owners; set MODOMODO_API_KEY to a key of that one "
    "(`modomodo key create NAME --scope SCOPE --owner OWNER` makes one, where the service's "
    "database is)",
    "owner-not-found": "`modomodo owner set OWNER --no-limit` makes one",
    "surrogate-unsuited": "ask for surrogate `auto`, which takes every study",
    "not-found": "its version may be another than this command's (`modomodo --version`)",
    "method-not-allowed": "its version may be another than this command's (`modomodo --version`)",
    "too-many-wrong-keys": "set MODOMODO_API_KEY to a valid one",
}

_PART = re.compile(r"^(?:path|query|body)(?:\.|$)")
"""Where in an HTTP call a field was: nothing that was typed."""


def in_words(error: ServiceError) -> str:
    """What a command says of a call that the service refused."""
    if error.code == "invalid-request":
        if error.faults:
            return listed(at(_PART.sub("", where), what) for where, what in error.faults)
        return _PART.sub("", error.detail)
    hint = HINTS.get(error.code)
    return f"{error.detail}; {hint}" if hint else error.detail
