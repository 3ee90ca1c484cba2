"""The response form of the paper: `<think>…</think><answer>…</answer>`."""

from __future__ import annotations

import re
from typing import NamedTuple

_OPEN, _CLOSE = "<think>", "</answer>"
_BETWEEN = re.compile(r"</think>\s*<answer>")


class Response(NamedTuple):
    think: str
    answer: str


def split_response(text: str) -> Response | None:
    """The two parts of a response, white space around them removed; None if the form is broken.

    The whole text must have the form: nothing before `<think>`, nothing after `</answer>`. Tags are
    case-sensitive. Linear in the length of the text, whatever it holds.
    """
    if not (text.startswith(_OPEN) and text.endswith(_CLOSE)):
        return None
    between = _BETWEEN.search(text, len(_OPEN))
    if between is None or between.end() > len(text) - len(_CLOSE):
        return None
    think = text[len(_OPEN) : between.start()]
    answer = text[between.end() : len(text) - len(_CLOSE)]
    return Response(think.strip(), answer.strip())
