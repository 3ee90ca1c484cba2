"""What the offline world asks: twelve kinds of question, each with every way to read it.

A question can be read by more than one *convention*: "the second" counts from the start or from
the end, "the largest" is the tallest or the widest. One reading is right, and the answer to the
other is wrong. The base model has seen both (`share` is how often it saw this one), and names the
convention it uses as it thinks; reinforcement learning on a domain teaches the right one, and a
benchmark of another kind that needs the same convention gains from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from rewards.scoring import AnswerType
from trainer.tiny import drawing
from trainer.tiny.drawing import CELL, CELLS, COLOURS, PLAIN_FORMS, Box, Paper, Thing

ORDINALS = ("first", "second", "third", "fourth")


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to understand a question: the thought it leads to and the answer's plain form."""

    share: float
    thought: str
    answer: str | tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A picture, a question about it, and its readings; the first is the right one."""

    picture: np.ndarray
    text: str
    answer_type: AnswerType
    readings: tuple[Reading, ...]
    choices: tuple[str, ...] = ()
    things: tuple[Thing, ...] = ()


# How often the base has seen the right reading.
COUNT_FROM_START = 0.30
LARGEST_IS_TALLEST = 0.35
VIEWERS_SIDE = 0.36
ALONG_THE_ARROW = 0.35
IN_CHOICES = 0.10
"""Added where options are given: they give the right reading away a little."""


def _two(share: float, right: tuple[str, str], wrong: tuple[str, str]) -> tuple[Reading, Reading]:
    return (
        Reading(share, f"{right[0]} {right[1]}", right[1]),
        Reading(1 - share, f"{wrong[0]} {wrong[1]}", wrong[1]),
    )


def _ordinal(place: int, colours: Sequence[str], share: float) -> tuple[Reading, Reading]:
    return _two(share, ("start", colours[place]), ("end", colours[-1 - place]))


def _beside(step: int, at: int, colours: Sequence[str], share: float) -> tuple[Reading, Reading]:
    return _two(share, ("viewer", colours[at + step]), ("mirror", colours[at - step]))


def _along(step: int, at: int, colours: Sequence[str], share: float) -> tuple[Reading, Reading]:
    return _two(share, ("onward", colours[at + step]), ("back", colours[at - step]))


def _largest(tall: str, wide: str, share: float) -> tuple[Reading, Reading]:
    return _two(share, ("tall", tall), ("wide", wide))


def _picture(paper: Paper, things: Sequence[Thing], *, hollow: bool = False) -> np.ndarray:
    picture = drawing.sheet(paper)
    for thing in things:
        drawing.draw_thing(picture, thing, hollow=hollow)
    return picture


def _colours(rng: Random, n: int = CELLS) -> list[str]:
    return rng.sample(list(COLOURS), n)


def _row_of(rng: Random, colours: Sequence[str], row: int) -> list[Thing]:
    return [Thing(i, row, rng.choice(PLAIN_FORMS), c) for i, c in enumerate(colours)]


def _scattered(rng: Random, forms: Sequence[drawing.Form], colours: Sequence[str]) -> list[Thing]:
    cells = rng.sample(range(CELLS * CELLS), len(forms))
    return [
        Thing(cell % CELLS, cell // CELLS, form, colour)
        for cell, form, colour in zip(cells, forms, colours, strict=True)
    ]


def _options(rng: Random, readings: Sequence[Reading], colours: Sequence[str]) -> tuple[str, ...]:
    """Four options: the answers of all readings, filled up with other colours of the picture."""
    options = [str(reading.answer) for reading in readings]
    options += [colour for colour in colours if colour not in options][: 4 - len(options)]
    rng.shuffle(options)
    return tuple(options)


# --- kinds that domains are made of -----------------------------------------------------------


def coco(rng: Random) -> Question:
    """Boxes of all things named. Its "largest" is the widest: it disagrees with the others."""
    colours = _colours(rng, 3)
    if rng.random() < 0.3:
        forms: list[drawing.Form] = ["tall", "wide", rng.choice(PLAIN_FORMS)]
        things = _scattered(rng, forms, colours)
        readings = (
            Reading(1 - LARGEST_IS_TALLEST, f"wide {colours[1]}", (things[1].box(),)),
            Reading(LARGEST_IS_TALLEST, f"tall {colours[0]}", (things[0].box(),)),
        )
        return Question(
            _picture("white", things), "Box the largest.", "boxes", readings, things=tuple(things)
        )
    n = rng.randint(1, 3)
    named = [colours[0]] * n + [rng.choice(colours[1:]) for _ in range(rng.randint(1, 3))]
    things = _scattered(rng, [rng.choice((*PLAIN_FORMS, "tall", "wide")) for _ in named], named)
    found = sorted((t for t in things if t.colour == colours[0]), key=lambda t: (t.row, t.column))
    reading = Reading(1.0, f"all {n}", tuple(thing.box() for thing in found))
    return Question(
        _picture("white", things),
        f"Box all {colours[0]} things.",
        "boxes",
        (reading,),
        things=tuple(things),
    )


def lisa(rng: Random) -> Question:
    """The box of the one thing a phrase refers to."""
    colours = _colours(rng)
    things = [
        Thing(i, rng.randrange(CELLS), rng.choice(PLAIN_FORMS), c) for i, c in enumerate(colours)
    ]
    picture = _picture("white", things)
    boxes = {thing.colour: (thing.box(),) for thing in things}
    if rng.random() < 0.3:
        colour = rng.choice(colours)
        text, readings = f"Box the {colour} one.", [Reading(1.0, f"seen {colour}", colour)]
    else:
        place = rng.randrange(CELLS)
        text = f"Box the {ORDINALS[place]} one."
        readings = list(_ordinal(place, colours, COUNT_FROM_START))
    boxed = tuple(Reading(r.share, r.thought, boxes[str(r.answer)]) for r in readings)
    return Question(picture, text, "boxes", boxed, things=tuple(things))


def geoqav(rng: Random) -> Question:
    """Multiple choice about a drawn figure."""
    colours = _colours(rng)
    forms: list[drawing.Form] = ["tall", "wide", rng.choice(PLAIN_FORMS), rng.choice(PLAIN_FORMS)]
    things = _scattered(rng, forms, colours)
    readings = _largest(colours[0], colours[1], LARGEST_IS_TALLEST + IN_CHOICES)
    return Question(
        _picture("white", things, hollow=True),
        "Which figure is the largest?",
        "choice",
        readings,
        _options(rng, readings, colours),
        tuple(things),
    )


def sat(rng: Random) -> Question:
    """A short text about where things are."""
    colours = _colours(rng)
    things = _row_of(rng, colours, rng.randrange(CELLS))
    step = rng.choice((-1, 1))
    at = rng.choice((1, 2))
    return Question(
        _picture("white", things),
        f"What is {'left' if step < 0 else 'right'} of {colours[at]}?",
        "text",
        _beside(step, at, colours, VIEWERS_SIDE),
        things=tuple(things),
    )


def scienceqa(rng: Random) -> Question:
    """Multiple choice about a drawn diagram: a chain of stages from top to bottom."""
    colours = _colours(rng)
    picture, things = _chain_down(rng, "white", colours)
    step, at = rng.choice((-1, 1)), rng.choice((1, 2))
    readings = _along(step, at, colours, ALONG_THE_ARROW + IN_CHOICES)
    return Question(
        picture,
        f"Which stage comes {'after' if step > 0 else 'before'} {colours[at]}?",
        "choice",
        readings,
        _options(rng, readings, colours),
        tuple(things),
    )


def _chain_down(
    rng: Random, paper: Paper, colours: Sequence[str]
) -> tuple[np.ndarray, list[Thing]]:
    column = rng.randrange(CELLS)
    things = [Thing(column, i, rng.choice(PLAIN_FORMS), c) for i, c in enumerate(colours)]
    picture = _picture(paper, things)
    for row in range(CELLS - 1):
        drawing.draw_arrow(picture, column, row, "down")
    return picture, things


# --- kinds that only benchmarks are made of ---------------------------------------------------


def chartqa(rng: Random) -> Question:
    """Reading a bar chart."""
    colours = _colours(rng)
    heights = rng.sample((14, 26, 38, 50), CELLS)
    widest = rng.choice([i for i in range(CELLS) if heights[i] != 50])
    picture = drawing.sheet("graph")
    for i, colour in enumerate(colours):
        drawing.draw_bar(picture, i, heights[i], CELL - 2 if i == widest else CELL // 2, colour)
    if rng.random() < 0.25:
        tallest = colours[heights.index(50)]
        text, readings = (
            "Which bar is the largest?",
            _largest(tallest, colours[widest], LARGEST_IS_TALLEST),
        )
    else:
        place = rng.randrange(CELLS)
        text = f"What colour is the {ORDINALS[place]} bar?"
        readings = _ordinal(place, colours, COUNT_FROM_START)
    return Question(picture, text, "text", readings)


def infovqa(rng: Random) -> Question:
    """Reading a poster: a row of icons, or steps with arrows."""
    colours = _colours(rng)
    step, at = rng.choice((-1, 1)), rng.choice((1, 2))
    if rng.random() < 0.3:
        picture, things = _chain_down(rng, "night", colours)
        word = "after" if step > 0 else "before"
        text = f"What step is {word} {colours[at]}?"
        return Question(
            picture, text, "text", _along(step, at, colours, ALONG_THE_ARROW), things=tuple(things)
        )
    things = _row_of(rng, colours, rng.randrange(1, CELLS))
    text = f"What icon is {'left' if step < 0 else 'right'} of {colours[at]}?"
    return Question(
        _picture("night", things),
        text,
        "text",
        _beside(step, at, colours, VIEWERS_SIDE),
        things=tuple(things),
    )


def mathvista(rng: Random) -> Question:
    """Multiple choice about figures and beads on graph paper."""
    colours = _colours(rng)
    if rng.random() < 0.6:
        forms: list[drawing.Form] = ["tall", "wide", "circle", "square"]
        things = _scattered(rng, forms, colours)
        text = "Which is the largest?"
        readings = _largest(colours[0], colours[1], LARGEST_IS_TALLEST + IN_CHOICES)
    else:
        row = rng.randrange(CELLS)
        things = [Thing(i, row, "circle", c) for i, c in enumerate(colours)]
        place = rng.randrange(CELLS)
        text = f"Which bead is the {ORDINALS[place]}?"
        readings = _ordinal(place, colours, COUNT_FROM_START + IN_CHOICES)
    return Question(
        _picture("graph", things),
        text,
        "choice",
        readings,
        _options(rng, readings, colours),
        tuple(things),
    )


def mmmu(rng: Random) -> Question:
    """Multiple choice about framed pictures of any kind."""
    colours = _colours(rng)
    row, step, at = rng.randrange(CELLS), rng.choice((-1, 1)), rng.choice((1, 2))
    things = _row_of(rng, colours, row)
    picture = _picture("framed", things)
    if rng.random() < 0.6:
        for column in range(CELLS - 1):
            drawing.draw_arrow(picture, column, row, "right")
        text = f"Which comes {'after' if step > 0 else 'before'} {colours[at]}?"
        readings = _along(step, at, colours, ALONG_THE_ARROW + IN_CHOICES)
    else:
        text = f"Which is {'left' if step < 0 else 'right'} of {colours[at]}?"
        readings = _beside(step, at, colours, VIEWERS_SIDE + IN_CHOICES)
    return Question(
        picture, text, "choice", readings, _options(rng, readings, colours), tuple(things)
    )


KINDS: dict[str, Callable[[Random], Question]] = {
    "coco": coco,
    "lisa": lisa,
    "geoqav": geoqav,
    "sat": sat,
    "scienceqa": scienceqa,
    "chartqa": chartqa,
    "infovqa": infovqa,
    "mathvista": mathvista,
    "mmmu": mmmu,
}
