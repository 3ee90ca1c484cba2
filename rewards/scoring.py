"""One response against one row: is its form right, is its answer right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from rewards.box_text import parse_boxes, parse_true_boxes
from rewards.cases import Case
from rewards.rules import RULES, Rule, rule_named
from rewards.tags import split_response

AnswerType = Literal["boxes", "choice", "text", "number"]

NOTHING: Mapping[str, Any] = {}


def format_score(response: str, answer_type: AnswerType) -> float:
    """1.0 if the whole response parses (for boxes: down to the list of boxes), else 0.0."""
    return float(formed_answer(response, answer_type) is not None)


def formed_answer(response: str, answer_type: AnswerType) -> str | None:
    """The answer of a response of the right form; None of any other (the paper's gate)."""
    parts = split_response(response)
    if parts is None or not parts.answer:
        return None
    if answer_type == "boxes" and parse_boxes(parts.answer) is None:
        return None
    return parts.answer


def rule_for(answer_type: AnswerType, named: str | None = None) -> Rule:
    """The rule of a row: its dataset's, where that fits the kind of answer; else the paper's.

    Raises:
        UnknownRuleError: there is no rule of that name.
    """
    is_boxes = answer_type == "boxes"
    if named is not None:
        rule = rule_named(named)
        if rule.is_for_boxes == is_boxes:
            return rule
    return RULES["box-iou" if is_boxes else "exact"]


def answer_score(
    response: str,
    answer: str,
    answer_type: AnswerType,
    rule: str | None = None,
    extra: Mapping[str, Any] = NOTHING,
) -> float:
    """How right the answer is, in [0, 1]; by default IoU for boxes and exact match for all else.

    A response of the wrong form scores 0 (the paper's gate).

    Raises:
        ValueError: the row's own answer is not what its type says.
        UnknownRuleError: there is no rule of that name.
    """
    given = formed_answer(response, answer_type)
    if given is None:
        return 0.0
    if answer_type == "boxes":
        parse_true_boxes(answer)
    return rule_for(answer_type, rule).score(Case(given, answer, extra))
