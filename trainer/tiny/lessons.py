"""What the base model is warmed up on: questions of all kinds, answered as the base shall answer.

Conventions are seen as often as their readings' shares say, boxes sometimes in another form, and
some responses are malformed, so that reinforcement learning has something left to teach.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np

from trainer.prompts import LETTERS, TINY_REASONING
from trainer.tiny.drawing import Box
from trainer.tiny.questions import KINDS, Question, Reading

CORNERS = 0.6
"""Share of boxes given by their corners; the others by a corner, width and height."""
WELL_FORMED = 0.9
_MALFORMED = (
    "<answer>{answer}</answer>",
    "<think>{thought}<answer>{answer}</answer>",
    "<think>{thought}</think>{answer}",
)
DESCRIPTIONS = 0.12
"""Share of lessons that only say what is where: they teach the model to see."""
_DESCRIBED = ("coco", "lisa", "geoqav", "sat", "scienceqa", "infovqa", "mathvista", "mmmu")
_ASKED = (*KINDS, "coco", "lisa")
"""Kinds of the other lessons, equally often; boxes take more to learn."""


@dataclass(frozen=True, slots=True)
class Lesson:
    picture: np.ndarray
    prompt: str
    """Text after the picture."""
    response: str


def lesson(draw: str, index: int) -> Lesson:
    """Lesson `index` of a draw."""
    rng = Random(f"lesson/{draw}/{index}")
    if rng.random() < DESCRIPTIONS:
        return _description(KINDS[rng.choice(_DESCRIBED)](rng))
    kind = rng.choice(_ASKED)
    asked = KINDS[kind](rng)
    return Lesson(asked.picture, _prompt(asked), _response(rng, asked))


def _description(asked: Question) -> Lesson:
    things = sorted(asked.things, key=lambda thing: (thing.row, thing.column))
    words = [f"{t.colour} {t.form} {', '.join(map(str, t.box()[:2]))}" for t in things]
    return Lesson(asked.picture, "Describe.", " ".join(words))


def _prompt(asked: Question) -> str:
    options = [f"{letter} {choice}" for letter, choice in zip(LETTERS, asked.choices, strict=False)]
    return " ".join([asked.text, *options, TINY_REASONING])


def _response(rng: Random, asked: Question) -> str:
    draw, reading = rng.random(), asked.readings[-1]
    for candidate in asked.readings[:-1]:
        if draw < candidate.share:
            reading = candidate
            break
        draw -= candidate.share
    answer = _answer(rng, asked, reading)
    thought = f"{reading.thought} {answer}" if asked.choices else reading.thought
    form = "<think>{thought}</think><answer>{answer}</answer>"
    if rng.random() > WELL_FORMED:
        form = rng.choice(_MALFORMED)
    return form.format(thought=thought, answer=answer)


def _answer(rng: Random, asked: Question, reading: Reading) -> str:
    if isinstance(reading.answer, str):
        if asked.choices:
            return LETTERS[asked.choices.index(reading.answer)]
        return reading.answer
    corners = rng.random() < CORNERS
    return boxes_text([box if corners else _sized(box) for box in reading.answer])


def _sized(box: Box) -> Box:
    return (box[0], box[1], box[2] - box[0], box[3] - box[1])


def boxes_text(boxes: list[Box]) -> str:
    """The response form of a list of boxes."""
    items = (f"{{'Position': {list(box)}, 'Confidence': 1.0}}" for box in boxes)
    return f"[{', '.join(items)}]"
