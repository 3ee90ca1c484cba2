"""MathVista's rule: extract the answer, bring it into the question's form, compare as text.

Extraction follows lmms-eval (`tasks/mathvista/mathvista_evals.py`) up to where it asks a language
model, normalisation follows `evaluation/calculate_score.py`; both are written anew. In the language
model's place stands `_said`, which looks for a letter or a number: where it is reached, scores are
this project's and not the benchmark's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase

from rapidfuzz.distance import Levenshtein

from rewards.anls import MAX_COMPARED
from rewards.cases import Case
from rewards.numbers import last_in
from rewards.plain import plain

_QUOTE, _UNQUOTE = 'The answer is "', '".'
_BRACKETED = re.compile(r"\(([a-zA-Z])\)")
_LETTER = re.compile(
    r"\b(?i:answer|option|choice)\b(?:\s++is\b)?+\s*+(?::\s*+)?\(?([A-Z])\b|^\W*+([A-Z])(?:[.:,)]|$)"
)
_LIST = re.compile(r"\[[^\[\]]*\]")


def score(case: Case) -> float:
    """1 if the response's answer, extracted and normalised, is the right one; 0 for no response."""
    return _compared(extracted(case), case)


def score_extracted(case: Case) -> float:
    """The same for a response that is an extracted answer already."""
    return _compared(case.response, case)


def _compared(answer: str, case: Case) -> float:
    normal = normalised(answer, case) if answer else None
    return float(normal is not None and normal in case.accepted)


def extracted(case: Case) -> str:
    """The answer in a response; empty where there is none."""
    response = case.response.strip()
    if not response or response in _choices(case):
        return response
    kind = case.extra.get("answer_type")
    try:
        if kind == "integer":
            return str(int(response))
        if kind == "float":
            return str(float(response))
    except ValueError:
        pass
    quoted = _quoted(response)
    return _said(response, case) if quoted is None else quoted


def _quoted(response: str) -> str | None:
    """What stands in `The answer is "…".`, within a line."""
    for line in response.split("\n"):
        _, found, rest = line.partition(_QUOTE)
        inside, closed, _ = rest.rpartition(_UNQUOTE)
        if found and closed:
            return inside
    return None


def _said(response: str, case: Case) -> str:
    """A letter, a number or a list out of a sentence; the sentence where there is none."""
    if _choices(case):
        letter = _LETTER.search(plain(response))
        return (letter[1] or letter[2]) if letter else response
    match case.extra.get("answer_type"):
        case "integer" | "float":
            return last_in(response) or response
        case "list":
            lists = _LIST.findall(response)
            return lists[-1] if lists else response
    return response


def normalised(answer: str, case: Case) -> str | None:
    """An extracted answer in the form of the right ones; None where it has no such form."""
    choices = _choices(case)
    if choices:
        return _chosen(answer.strip(), choices)
    try:
        match case.extra.get("answer_type"):
            case "integer":
                return str(int(float(answer)))
            case "float":
                return str(_rounded(float(answer), case.extra.get("precision")))
    except (ValueError, OverflowError):
        return None
    return answer


def _choices(case: Case) -> tuple[str, ...]:
    return case.texts("choices") if case.extra.get("question_type") == "multi_choice" else ()


def _chosen(answer: str, choices: Sequence[str]) -> str | None:
    """The choice of a letter, in brackets or alone; of any other text the most similar one."""
    bracketed = _BRACKETED.search(answer)
    letter = bracketed[1].upper() if bracketed else answer
    letters = ascii_uppercase[: len(choices)]
    if len(letter) == 1 and letter in letters:
        return choices[letters.index(letter)]
    if len(letter) > MAX_COMPARED or any(len(choice) > MAX_COMPARED for choice in choices):
        return None
    return min(choices, key=lambda choice: Levenshtein.distance(letter, choice))


def _rounded(number: float, precision: object) -> float:
    """To so many decimals; as it is where the question does not say."""
    return round(number, int(precision)) if isinstance(precision, int | float) else number
