"""Boxes in text: the paper's list, and the other spellings that models use.

Regular expressions only, item by item, so that time is linear in the text; nothing is evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

from rewards.boxes import Box, Detection

MAX_BOXES = 100
"""A longer list is not an answer but a flood; it does not parse."""

MAX_COORDINATE = 1e9

_NUMBER = r"[+-]?(?:\d{1,9}(?:\.\d{0,17})?|\.\d{1,17})(?:[eE][+-]?\d{1,2})?"
_GROUPED = rf"({_NUMBER})\s*,\s*({_NUMBER})\s*,\s*({_NUMBER})\s*,\s*({_NUMBER})"
_COORDINATES = rf"[\[(]\s*{_GROUPED}\s*[\])]"
_POSITION = rf"['\"]Position['\"]\s*:\s*(?:[\[(]\s*(?=[\[(]))?{_COORDINATES}(?:\s*[\])])?"
_CONFIDENCE = rf"['\"]Confidence['\"]\s*:\s*({_NUMBER})"
_LABELLED = re.compile(rf"\{{\s*{_POSITION}\s*,\s*{_CONFIDENCE}\s*,?\s*\}}")
_BARE = re.compile(_COORDINATES)
_LIST_START = re.compile(r"\s*\[\s*")
_LIST_NEXT = re.compile(r"\s*,\s*(?!\])")
_LIST_END = re.compile(r"\s*,?\s*\]\s*\Z")

_KEYED = re.compile(
    rf"['\"](?:position|bbox_2d|bbox|box)['\"]\s*:\s*(?:[\[(]\s*(?=[\[(]))?{_COORDINATES}",
    re.IGNORECASE,
)
"""Qwen2.5-VL says `bbox_2d`; others leave out the confidence or change the order."""
_CORNERS = re.compile(
    rf"\(\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\)\s*,\s*\(\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\)"
)
"""Qwen2-VL's grounding form: `(x1,y1),(x2,y2)`."""
_FOUR = re.compile(rf"\s*{_GROUPED}\s*")


def parse_detections(text: str) -> list[Detection] | None:
    """Boxes of `[{'Position': [x1, y1, x2, y2], 'Confidence': c}, …]`, single or double quotes.

    The whole text must be that list; None where it is not, where it is empty, or where it has more
    than `MAX_BOXES` boxes.
    """
    found = _parse_list(text, _LABELLED)
    if found is None:
        return None
    boxes = _boxes(found)
    if boxes is None:
        return None
    return [Detection(box, float(match[5])) for box, match in zip(boxes, found, strict=True)]


def parse_boxes(text: str) -> list[Box] | None:
    """The boxes of `parse_detections`: the form that the format reward asks for."""
    found = _parse_list(text, _LABELLED)
    return None if found is None else _boxes(found)


def parse_true_boxes(text: str) -> list[Box]:
    """Boxes of a row's answer: a JSON list of `[x1, y1, x2, y2]`.

    Raises:
        ValueError: the answer is not such a list, so the row is wrong, not the model.
    """
    found = _parse_list(text, _BARE)
    boxes = None if found is None else _boxes(found)
    if boxes is None:
        raise ValueError(f"the true answer {text[:80]!r} is not a list of [x1, y1, x2, y2]")
    return boxes


def read_boxes(text: str) -> list[Box]:
    """Boxes of a text in whatever spelling it has them; none where there are none or too many.

    The paper's list; objects with another key (`bbox_2d`, `bbox`, `box`) or without a confidence;
    `(x1,y1),(x2,y2)`; bare `[x1, y1, x2, y2]` or `(x1, y1, x2, y2)`, one or several; four numbers.
    """
    strict = parse_boxes(text)
    if strict is not None:
        return strict
    four = _FOUR.fullmatch(text)
    if four is not None:
        return _boxes([four]) or []
    for spelling in (_KEYED, _CORNERS, _BARE):
        found = list(islice(spelling.finditer(text), MAX_BOXES + 1))
        if found:
            return (_boxes(found) or []) if len(found) <= MAX_BOXES else []
    return []


def _parse_list(text: str, item: re.Pattern[str]) -> list[re.Match[str]] | None:
    start = _LIST_START.match(text)
    if start is None:
        return None
    items: list[re.Match[str]] = []
    position = start.end()
    while len(items) < MAX_BOXES:
        found = item.match(text, position)
        if found is None:
            return None
        items.append(found)
        if _LIST_END.match(text, found.end()):
            return items
        separator = _LIST_NEXT.match(text, found.end())
        if separator is None:
            return None
        position = separator.end()
    return None


def _boxes(found: Iterable[re.Match[str]]) -> list[Box] | None:
    boxes = [Box(*map(float, match.group(1, 2, 3, 4))) for match in found]
    if any(abs(number) > MAX_COORDINATE for box in boxes for number in box):
        return None
    return boxes
