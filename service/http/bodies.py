"""Bodies of calls, read so that a large one holds up no other call.

The loop that answers all calls stands still while it parses: for seconds with half a million keys.
So a large body is parsed and checked in a thread, and FastAPI is handed the model that it is.
"""

from __future__ import annotations

import json
from typing import Any

from anyio import to_thread
from fastapi import HTTPException, Request
from pydantic import BaseModel, ValidationError

LARGE = 64 * 1024
"""Bytes from which on a body is parsed in a thread; fewer take some milliseconds."""

MOST_FAULTS = 1000
"""Faults that an answer lists: listing takes longer than finding them."""


class InvalidBody(HTTPException):
    """A large body that is not what the call takes.

    Attributes:
        errors: what is wrong where, as pydantic tells it.
    """

    def __init__(self, errors: list[Any]) -> None:
        super().__init__(422)
        self.errors = errors


class Call(Request):
    """A call whose JSON body is parsed and checked in a thread, if it is large.

    Args:
        kind: what the body is to be.
    """

    def __init__(self, request: Request, kind: type[BaseModel]) -> None:
        super().__init__(request.scope, request.receive)
        self._kind = kind

    async def json(self) -> Any:
        """The body; a large one as the model.

        Raises:
            JSONDecodeError: it is no JSON.
            InvalidBody: it is large, and not of this kind.
        """
        body = await self.body()
        if len(body) < LARGE:
            return await super().json()
        return await to_thread.run_sync(_read, body, self._kind)


def _read(body: bytes, kind: type[BaseModel]) -> BaseModel:
    try:
        return kind.model_validate(json.loads(body))
    except ValidationError as error:
        n = error.error_count()
        if n > MOST_FAULTS:
            says = f"{n:,} places are not valid; send less at once to be told which"
            raise InvalidBody([{"loc": ("body",), "msg": says, "type": "too_many"}]) from None
        found = error.errors(include_url=False, include_input=False)
        raise InvalidBody([item | {"loc": ("body", *item["loc"])} for item in found]) from None
