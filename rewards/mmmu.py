"""MMMU's rules for multiple-choice and open questions.

As the benchmark's authors score (`mmmu/utils/eval_utils.py`), written anew, with two differences
that vectors and tests hold: where theirs draws an option at random because it found none, the score
here is 0; and an empty right answer, which is part of every text, is never found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from string import ascii_uppercase

from rewards.cases import Case
from rewards.numbers import to_float, written_in

EDGES = ",.!?;:'"
"""Removed from both ends of a response, one sign after the other in this order."""

FEW_WORDS = 5
"""A response of more words may name an option by its text."""

CUES = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
"""What an open answer stands behind; in the last line `=` too."""

TRIVIAL = frozenset(":,.!?;'")
DECIMALS = 2


def score(case: Case) -> float:
    """By the question's kind: `question_type` of `extra`, else whether it has `options`."""
    kind = case.extra.get("question_type")
    multiple = kind == "multiple-choice" if kind else bool(case.texts("options"))
    return choice(case) if multiple else open_ended(case)


def choice(case: Case) -> float:
    """1 if the option that the response names is right."""
    named = named_option(case.response, case.texts("options"))
    return float(named is not None and named in case.accepted)


def named_option(response: str, options: Sequence[str]) -> str | None:
    """The letter that a response names last, or None where it names none.

    Looked for in turn: letters in brackets, letters between spaces, and, in a response of more than
    five words, the options' texts.
    """
    for sign in EDGES:
        response = response.strip(sign)
    response = f" {response} "
    letters = ascii_uppercase[: len(options)]
    for place_of in (
        lambda i: response.rfind(f"({letters[i]})"),
        lambda i: response.rfind(f" {letters[i]} "),
    ):
        found = _last(letters, place_of)
        if found is not None:
            return found
    if len(response.split()) <= FEW_WORDS:
        return None
    lowered = response.lower()
    return _last(letters, lambda i: lowered.rfind(options[i].lower()) if options[i] else -1)


def _last(letters: str, place_of: Callable[[int], int]) -> str | None:
    places = [place_of(i) for i in range(len(letters))]
    last = max(places, default=-1)
    return None if last < 0 else letters[places.index(last)]


def open_ended(case: Case) -> float:
    """1 if an accepted number is among the response's numbers, or an accepted text in its words.

    Only what follows a cue such as "answer is" counts, line by line, where there is one. Numbers
    are compared with two decimals.
    """
    right = [form for answer in case.accepted if answer.strip() for form in _forms(answer)]
    passages = _passages(case.response)
    numbers = [number for passage in passages for number in written_in(passage)]
    given = [form for text in dict.fromkeys((*passages, *numbers)) for form in _forms(text)]
    return float(
        any(
            form in right
            if isinstance(form, float)
            else any(isinstance(answer, str) and answer in form for answer in right)
            for form in given
        )
    )


def _passages(response: str) -> list[str]:
    """The shortest tail behind a cue, of each line that has one; else the whole response."""
    text = response.strip().strip(".").lower()
    lines = text.split("\n")
    passages = []
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        cues = (*CUES, "=") if number == len(lines) else CUES
        tail = _shortest([line.rpartition(cue)[2].strip() for cue in cues if cue in line])
        if tail and tail not in TRIVIAL:
            passages.append(tail)
    return passages or [text]


def _shortest(tails: Sequence[str]) -> str:
    """The shortest tail; one that says nothing gives way to the next cue's, as published."""
    shortest = ""
    for tail in tails:
        if not shortest or len(tail) < len(shortest):
            shortest = tail
    return shortest


def _forms(text: str) -> list[float | str]:
    """A text as it is compared: a rounded number, or lower-case words.

    A single character only counts with a space beside it, or it would be found in any word.
    """
    text = text.strip()
    number = to_float(text.replace(",", ""))
    if number is not None:
        return [round(number, DECIMALS)]
    text = text.lower()
    return [f" {text}", f"{text} "] if len(text) == 1 else [text]
