"""The one place where a row becomes a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, Literal

from trainer.rows import Row

LETTERS = ascii_uppercase
"""Names of a question's options, in order."""

TINY_REASONING = "Think, then answer."
"""Asks for the response form; short, because the miniature model was trained on it."""

StyleName = Literal["tiny", "reasoning", "plain"]


@dataclass(frozen=True, slots=True)
class Style:
    """How rows are put into words."""

    between: str
    """Stands between question, options and directions."""
    option_mark: str
    """Follows an option's letter."""
    reasoning: str
    """Asks for thoughts and the response form; empty where only the answer is wanted."""
    directions: bool
    """Whether the prompt says what form the answer takes."""


STYLES: dict[StyleName, Style] = {
    "tiny": Style(" ", "", TINY_REASONING, directions=False),
    "reasoning": Style(
        "\n",
        ".",
        "First write your reasoning inside <think> </think>, then only the answer inside "
        "<answer> </answer>.",
        directions=True,
    ),
    "plain": Style("\n", ".", "", directions=True),
}
"""`reasoning` asks for what the paper's does, in our words; `plain` asks for the bare answer."""

_UNITS = {
    "thousandths": "integers from 0 to 1000, in thousandths of the image's width and height",
    "pixels": "integers, in pixels of the image",
}


def messages(row: Row, style: StyleName = "tiny") -> list[dict[str, Any]]:
    """The conversation a model answers: the row's images, question, options and directions.

    Images are placeholders, as chat templates and TRL (column `images`) take them.
    """
    images = [{"type": "image"} for _ in row.images]
    text = {"type": "text", "text": prompt_text(row, STYLES[style])}
    return [{"role": "user", "content": [*images, text]}]


def prompt_text(row: Row, style: Style) -> str:
    """The words of a prompt."""
    options = (
        f"{letter}{style.option_mark} {choice}"
        for letter, choice in zip(LETTERS, row.choices, strict=False)
    )
    parts = [row.question, *options, style.reasoning]
    if style.directions:
        parts.append(_answer_form(row))
    return style.between.join(part for part in parts if part)


def _answer_form(row: Row) -> str:
    match row.answer_type:
        case "boxes":
            return (
                "The answer is a list of boxes, [{'Position': [x1, y1, x2, y2], 'Confidence': "
                f"number}}, ...]; coordinates are {_UNITS[row.coordinates]}, confidences from 0 "
                "to 1."
            )
        case "choice":
            return "The answer is the letter of the right option."
        case "number":
            return "The answer is a number."
        case _:
            return "The answer is a word or a short phrase."


def as_response(text: str, style: StyleName) -> str:
    """What a model wrote, in the form that rules read: a plain answer gets its tags."""
    if STYLES[style].reasoning:
        return text
    return f"<think></think><answer>{text.strip()}</answer>"
