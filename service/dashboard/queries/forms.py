"""What forms send in addresses."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from db.texts import storable


def _none_of_empty(value: Any) -> Any:
    return None if value == "" else value


Unset = BeforeValidator(_none_of_empty)
"""Of a field that asks for nothing when a form leaves it empty."""

Sought = Annotated[str, Field(max_length=200), AfterValidator(storable)]
"""A text that is looked for."""
