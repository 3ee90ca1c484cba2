"""The response form of the paper: `<think>…</think><answer>…</answer>`."""

from __future__ import annotations

import re
from typing import NamedTuple

_OPEN, _CLOSE = "<think>", "</answer>"
_BETWEEN = re.compile(r"</think>\s*<answer>")
_ANSWER_TAG = re.compile(r"</?answer>")


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


def answer_part(text: str) -> str:
    """What of a response a benchmark's own rule reads; never a thought.

    The content of the answer tags where the response has the form. Else all of it but the thoughts:
    what stands before `</think>` (or after a `<think>` that nothing closes) and the tags go.
    """
    parts = split_response(text)
    if parts is not None:
        return parts.answer
    _, closed, after = text.rpartition("</think>")
    outside = after if closed else text
    return _ANSWER_TAG.sub("", outside.partition(_OPEN)[0]).strip()
