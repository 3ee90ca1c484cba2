"""YAML as people write it: `1e-3` is a number, as in YAML 1.2 and JSON, though not in YAML 1.1."""

from __future__ import annotations

import re
from typing import Any

import yaml  # type: ignore[import-untyped]

_NUMBER = re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """The safe loader with numbers that have an exponent."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))


def load(text: str) -> Any:
    """What a YAML or JSON text holds.

    Raises:
        yaml.YAMLError: it is neither.
    """
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a safe loader
