"""The paper's training rewards as TRL reward functions.

Each takes TRL's keyword arguments (the dataset's columns as lists) and returns one number a
completion, or None for rows it does not judge. Format gates the other two: a response of the wrong
form earns nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rewards.scoring import AnswerType, answer_score, format_score

Completion = str | list[dict[str, Any]]
RewardFunction = Callable[..., list[float | None]]


def text_of(completion: Completion) -> str:
    """The response text of a plain or a conversational completion."""
    if isinstance(completion, str):
        return completion
    return "".join(str(message.get("content", "")) for message in completion)


def format_reward(
    completions: Sequence[Completion], answer_type: Sequence[AnswerType], **columns: Any
) -> list[float | None]:
    """1 if the response parses, else 0; judges every row."""
    return [
        format_score(text_of(completion), kind)
        for completion, kind in zip(completions, answer_type, strict=True)
    ]


def accuracy_reward(
    completions: Sequence[Completion],
    answer: Sequence[str],
    answer_type: Sequence[AnswerType],
    **columns: Any,
) -> list[float | None]:
    """1 for exactly the right answer, else 0; judges every row but those with boxes."""
    return [
        None if kind == "boxes" else answer_score(text_of(completion), true, kind)
        for completion, true, kind in zip(completions, answer, answer_type, strict=True)
    ]


def iou_reward(
    completions: Sequence[Completion],
    answer: Sequence[str],
    answer_type: Sequence[AnswerType],
    **columns: Any,
) -> list[float | None]:
    """Matched IoU in [0, 1]; judges rows with boxes only."""
    return [
        answer_score(text_of(completion), true, kind) if kind == "boxes" else None
        for completion, true, kind in zip(completions, answer, answer_type, strict=True)
    ]


REWARDS: dict[str, RewardFunction] = {
    "format": format_reward,
    "accuracy": accuracy_reward,
    "iou": iou_reward,
}

PAPER_WEIGHTS: dict[str, float] = {"format": 1.0, "accuracy": 2.0, "iou": 2.0}
