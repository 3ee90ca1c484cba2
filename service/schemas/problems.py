"""What every call may answer instead."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Problem(BaseModel):
    """An error, as RFC 9457 problem details with a stable `code`."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    hint: str = ""
    """What to do about it, in the words of HTTP; a command line or a page has others."""
    errors: list[dict[str, Any]] = Field(default_factory=list)
