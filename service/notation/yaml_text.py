"""YAML as people write it: `1e-3` is a number and `1:30` is none, as in YAML 1.2 and JSON, though
not in YAML 1.1.

What is read may come from anyone, so it is bounded: in length, in nesting, and in what its aliases
stand for, since a few lines of them can stand for more than a memory holds.
"""

from __future__ import annotations

import re
from typing import Any

import yaml  # type: ignore[import-untyped]

from db.texts import LARGEST, MAX_NESTING, SMALLEST

MAX_CHARACTERS = 500_000
MAX_VALUES = 50_000
"""Values that a text may stand for; those of an alias count wherever it stands."""

_NUMBER = re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")
_SIXTIETHS = re.compile(r"^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$")
"""1:30 is 90 in YAML 1.1."""
_MERGE = "tag:yaml.org,2002:merge"
_LONGEST_INTEGER = 200
"""Characters of 64 bits, in base 2 and with an underscore after each digit, and more."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """The safe loader with numbers that have an exponent, bounds, and each key once."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._n = 0
        # Of each node that is complete: how deep it is, and how many values it stands for.
        self._extents: dict[int, tuple[int, int]] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A node, once it is known to be within bounds with all that its aliases stand for."""
        mark = self.peek_event().start_mark
        is_alias = self.check_event(yaml.AliasEvent)
        self._depth += 1
        self._n += 1
        if self._depth > MAX_NESTING:
            raise _too_deep(mark)
        if self._n > MAX_VALUES:
            raise _too_many(mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if not is_alias:
            self._extents[id(node)] = self._measured(node, mark)
        elif id(node) not in self._extents:
            raise _wrong("an alias stands for something that it is a part of", mark)
        return node

    def _measured(self, node: Any, mark: Any) -> tuple[int, int]:
        if isinstance(node, yaml.ScalarNode):
            return 0, 1
        parts = node.value
        if isinstance(node, yaml.MappingNode):
            self._check_keys(node)
            parts = [part for pair in node.value for part in pair]
        extents = [self._extents[id(part)] for part in parts]
        depth = 1 + max((deep for deep, _ in extents), default=0)
        n = 1 + sum(values for _, values in extents)
        if depth > MAX_NESTING:
            raise _too_deep(mark)
        if n > MAX_VALUES:
            raise _too_many(mark)
        return depth, n

    def _check_keys(self, node: Any) -> None:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            if (key.tag, key.value) in seen:
                raise _wrong(f"key {key.value[:100]!r} is given twice", key.start_mark)
            seen.add((key.tag, key.value))

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """A value. Of text that is none, such as the date 2026-02-30, the place is told."""
        try:
            return super().construct_object(node, deep)
        except _NOT_OF_ITS_KIND as error:
            said = repr(node.value)[:100]
            raise _wrong(f"{said} is no {node.tag.rpartition(':')[2]}", node.start_mark) from error

    def construct_integer(self, node: Any) -> int:
        """An integer of 64 bits."""
        text = self.construct_scalar(node)
        if len(text) <= _LONGEST_INTEGER:
            number: int = self.construct_yaml_int(node)
            if SMALLEST <= number <= LARGEST:
                return number
        raise _wrong("an integer has more than 64 bits", node.start_mark)


_NOT_OF_ITS_KIND = (ValueError, ArithmeticError, LookupError, AttributeError, TypeError)
"""What the library's own constructors fail with."""

_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))
_Loader.yaml_implicit_resolvers = {
    first: [("tag:yaml.org,2002:str", _SIXTIETHS), *resolvers]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_integer)


def load(text: str) -> Any:
    """What a YAML or JSON text holds.

    Raises:
        yaml.YAMLError: it is neither, gives a key twice, or is beyond the bounds above; says where.
    """
    if len(text) > MAX_CHARACTERS:
        raise yaml.YAMLError(f"it has more than {MAX_CHARACTERS:,} characters")
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a safe loader
    except (ValueError, OverflowError) as error:  # of an escape such as \UFFFFFFFF
        raise yaml.YAMLError("it holds a character that does not exist") from error


def _too_deep(mark: Any) -> yaml.MarkedYAMLError:
    return _wrong(f"it is nested more than {MAX_NESTING} levels deep", mark)


def _too_many(mark: Any) -> yaml.MarkedYAMLError:
    return _wrong(f"it stands for more than {MAX_VALUES:,} values", mark)


def _wrong(what: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(None, None, what, mark)
