"""Training rewards as TRL reward functions, by the names that a recipe weighs them by.

Each takes TRL's keyword arguments (the dataset's columns as lists) and returns one number a
completion, or None for rows it does not judge. Format gates all others: a response of the wrong
form earns and loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rewards.penalties import length_penalty as length_cost
from rewards.penalties import repetition_penalty as repetition_cost
from rewards.scoring import NOTHING, AnswerType, answer_score, format_score

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
    rule: Sequence[str | None] | None = None,
    extra: Sequence[Mapping[str, Any]] | None = None,
    **columns: Any,
) -> list[float | None]:
    """Score by the rule of the row's dataset (the paper's: exact match); every row but boxes."""
    return _judged(completions, answer, answer_type, rule, extra, boxes=False)


def iou_reward(
    completions: Sequence[Completion],
    answer: Sequence[str],
    answer_type: Sequence[AnswerType],
    rule: Sequence[str | None] | None = None,
    extra: Sequence[Mapping[str, Any]] | None = None,
    **columns: Any,
) -> list[float | None]:
    """Score by the rule of the row's dataset (the paper's: matched IoU); rows with boxes only."""
    return _judged(completions, answer, answer_type, rule, extra, boxes=True)


def math_reward(
    completions: Sequence[Completion],
    answer: Sequence[str],
    answer_type: Sequence[AnswerType],
    **columns: Any,
) -> list[float | None]:
    """1 for an answer that is mathematically equal to the right one; every row but boxes.

    Raises:
        MathVerifyMissing: math-verify is not installed.
    """
    return _judged(completions, answer, answer_type, ["math"] * len(answer), None, boxes=False)


def box_greedy_reward(
    completions: Sequence[Completion],
    answer: Sequence[str],
    answer_type: Sequence[AnswerType],
    **columns: Any,
) -> list[float | None]:
    """Visual-RFT's greedy matching with IoU > 0.5; rows with boxes only."""
    return _judged(completions, answer, answer_type, ["box-greedy"] * len(answer), None, boxes=True)


def length_penalty(
    completions: Sequence[Completion],
    answer_type: Sequence[AnswerType],
    completion_ids: Sequence[Sequence[int]],
    token_limit: Sequence[int],
    **columns: Any,
) -> list[float | None]:
    """0 to -1 over the last fifth of the tokens allowed; judges every row."""
    return [
        length_cost(len(ids), limit) if format_score(text_of(completion), kind) else 0.0
        for completion, kind, ids, limit in zip(
            completions, answer_type, completion_ids, token_limit, strict=True
        )
    ]


def repetition_penalty(
    completions: Sequence[Completion], answer_type: Sequence[AnswerType], **columns: Any
) -> list[float | None]:
    """Minus the share of repeated word triples; judges every row."""
    return [
        repetition_cost(text) if format_score(text, kind) else 0.0
        for text, kind in zip(map(text_of, completions), answer_type, strict=True)
    ]


def _judged(
    completions: Sequence[Completion],
    answers: Sequence[str],
    kinds: Sequence[AnswerType],
    rules: Sequence[str | None] | None,
    extras: Sequence[Mapping[str, Any]] | None,
    *,
    boxes: bool,
) -> list[float | None]:
    return [
        answer_score(text_of(completion), answer, kind, rule, extra)
        if (kind == "boxes") == boxes
        else None
        for completion, answer, kind, rule, extra in zip(
            completions,
            answers,
            kinds,
            rules or [None] * len(answers),
            extras or [NOTHING] * len(answers),
            strict=True,
        )
    ]


REWARDS: dict[str, RewardFunction] = {
    "format": format_reward,
    "accuracy": accuracy_reward,
    "iou": iou_reward,
    "math": math_reward,
    "box-greedy": box_greedy_reward,
    "length-penalty": length_penalty,
    "repetition-penalty": repetition_penalty,
}
"""Rewards are in [0, 1], penalties in [-1, 0]; weights above 0 make each do what it says."""

PAPER_WEIGHTS: dict[str, float] = {"format": 1.0, "accuracy": 2.0, "iou": 2.0}
