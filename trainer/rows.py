"""The one form every dataset's samples take, and the one place where prompts are built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rewards.scoring import AnswerType

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Row:
    """One question about one or more images.

    `answer` is the text a right response holds between its answer tags: a letter for `choice`, a
    JSON list of `[x1, y1, x2, y2]` for `boxes`.
    """

    id: str
    domain: str
    images: tuple[Image, ...]
    question: str
    answer: str
    answer_type: AnswerType
    choices: tuple[str, ...] = ()
