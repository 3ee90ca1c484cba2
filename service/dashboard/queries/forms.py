"""What forms send in addresses."""

from __future__ import annotations

from typing import Any

from pydantic import BeforeValidator


def _none_of_empty(value: Any) -> Any:
    return None if value == "" else value


Unset = BeforeValidator(_none_of_empty)
"""Of a field that asks for nothing when a form leaves it empty."""
