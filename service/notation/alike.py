"""How alike domains are said to be: pairs of names with a number from 0 to 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml  # type: ignore[import-untyped]

from service.notation import yaml_text
from service.notation.numbers import as_given

MOST = 40
"""Domains of a study that says how alike they are: their pairs are compared pair by pair."""

Given = Mapping[str, Mapping[str, float]]
"""From 0, nothing in common, to 1, the same, by the names of both; 0 where nothing is said."""

Pair = tuple[str, str]

KEY = "similarity"
"""What the pairs stand under in a study's file; a text of nothing else may leave it out."""


def read(text: str) -> dict[str, dict[str, float]]:
    """Pairs from YAML, as a study has them.

    Raises:
        ValueError: it is no YAML, or holds something else.
    """
    try:
        found = yaml_text.load(text) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"this is not YAML: {error}") from error
    given = found.get(KEY, found) if isinstance(found, dict) else None
    if not isinstance(given, dict) or not all(map(_is_of_numbers, given.values())):
        raise ValueError(
            "pairs of domains with a number from 0 to 1 are wanted, as `coco: {lisa: 0.5}`"
        )
    return {
        str(one): {str(other): float(value) for other, value in others.items()}
        for one, others in given.items()
    }


def _is_of_numbers(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(number, int | float) and not isinstance(number, bool)
        for number in value.values()
    )


def pairs(given: Given, domains: Sequence[str]) -> dict[Pair, float]:
    """Each pair once, in the order of the domains.

    Raises:
        ValueError: an unknown domain, a number that is none from 0 to 1, a pair that is said twice
            and differently, or too many domains; says which, and what would be right.
    """
    if given and len(domains) > MOST:
        raise ValueError(
            f"similarity is taken of at most {MOST} domains, and there are {len(domains)}; leave "
            "`similarity` out"
        )
    place = {name: i for i, name in enumerate(domains)}
    found: dict[Pair, float] = {}
    for one, others in given.items():
        for other, value in others.items():
            for name in (one, other):
                if name not in place:
                    raise ValueError(
                        f"similarity names unknown domain {name!r} (known: {', '.join(domains)})"
                    )
            if not 0 <= value <= 1:
                raise ValueError(
                    f"similarity of {one!r} and {other!r} is {as_given(value)}; give a number from "
                    "0, nothing in common, to 1, the same"
                )
            if one == other:
                if value != 1:
                    raise ValueError(
                        f"similarity of {one!r} and itself is {as_given(value)}; it is 1, and need "
                        "not be said"
                    )
                continue
            first, second = sorted((one, other), key=place.__getitem__)
            if found.setdefault((first, second), value) != value:
                raise ValueError(
                    f"similarity of {first!r} and {second!r} is said twice, as "
                    f"{found[first, second]:g} and {value:g}; once is enough"
                )
    return dict(sorted(found.items(), key=lambda item: tuple(map(place.__getitem__, item[0]))))


def nested(of: Mapping[Pair, float]) -> dict[str, dict[str, float]]:
    """Pairs as a study has them: by the name of the first, then by that of the second."""
    found: dict[str, dict[str, float]] = {}
    for (one, other), value in of.items():
        found.setdefault(one, {})[other] = value
    return found


def spread(
    of: Mapping[Pair, float], shares: Mapping[str, Mapping[str, float]]
) -> dict[Pair, float]:
    """Pairs after domains gave way to others (by their names, with the shares that these get).

    Who takes a domain's place is as alike to others as that was, of several the mean. Of two that
    took the place of one nothing is known.
    """
    values: dict[Pair, list[float]] = {}
    for (one, other), value in of.items():
        for first in shares.get(one, {one: 1.0}):
            for second in shares.get(other, {other: 1.0}):
                if first != second:
                    pair = (first, second) if (second, first) not in values else (second, first)
                    values.setdefault(pair, []).append(value)
    return {pair: sum(each) / len(each) for pair, each in values.items()}
