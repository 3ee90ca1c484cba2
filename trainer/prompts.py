"""The one place where a row becomes a prompt."""

from __future__ import annotations

from typing import Any

from trainer.rows import Row

TINY_REASONING = "Think, then answer."
"""Asks for the response form; short, because the miniature model has read it a million times."""

LETTERS = "ABCDEFGH"


def messages(row: Row, reasoning: str = TINY_REASONING) -> list[dict[str, Any]]:
    """The conversation a model answers: the row's images, question, options and reasoning prompt.

    Images are placeholders, as chat templates and TRL (column `images`) take them.
    """
    images = [{"type": "image"} for _ in row.images]
    text = {"type": "text", "text": f"{question(row)} {reasoning}"}
    return [{"role": "user", "content": [*images, text]}]


def question(row: Row) -> str:
    """The question with its options, lettered, appended."""
    options = (f"{letter} {choice}" for letter, choice in zip(LETTERS, row.choices, strict=False))
    return " ".join([row.question, *options])
