"""The engine's diagnosis of a surrogate as the wire shows it."""

from __future__ import annotations

from typing import Any

from service.evidence import Evidence
from service.schemas import SurrogateFit


def fit(known: Evidence, name: str, diagnosis: Any) -> SurrogateFit:
    raise NotImplementedError
