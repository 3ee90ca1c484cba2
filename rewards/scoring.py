"""One response against one row: is its form right, is its answer right."""

from __future__ import annotations

from typing import Literal

from rewards.boxes import matched_iou, parse_boxes, parse_true_boxes
from rewards.tags import split_response

AnswerType = Literal["boxes", "choice", "text", "number"]


def format_score(response: str, answer_type: AnswerType) -> float:
    """1.0 if the whole response parses (for boxes: down to the list of boxes), else 0.0."""
    parts = split_response(response)
    if parts is None or not parts.answer:
        return 0.0
    if answer_type == "boxes" and parse_boxes(parts.answer) is None:
        return 0.0
    return 1.0


def answer_score(response: str, answer: str, answer_type: AnswerType) -> float:
    """How right the answer is, in [0, 1]: IoU for boxes, exact match for all else.

    A response of the wrong form scores 0 (the paper's gate).
    """
    parts = split_response(response)
    if parts is None:
        return 0.0
    if answer_type == "boxes":
        predicted = parse_boxes(parts.answer)
        return 0.0 if predicted is None else matched_iou(predicted, parse_true_boxes(answer))
    return float(parts.answer == answer.strip())
