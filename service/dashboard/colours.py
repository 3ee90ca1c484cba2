"""One look for a domain everywhere: its place in the study picks a colour and a hatching.

Colours are those of Okabe and Ito (2008), told apart with every common kind of colour blindness;
grey stands for their black so that it shows on dark pages too. From the ninth domain on the
colours come again with a hatching, so that no two of 64 look alike, which is the most that a study
has. The stylesheet has the same colours as `--d0` to `--d7`, and the hatchings as `h1` to `h7`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

OKABE_ITO = (
    "#e69f00",
    "#56b4e9",
    "#009e73",
    "#f0e442",
    "#0072b2",
    "#d55e00",
    "#cc79a7",
    "#8c8c8c",
)
DASHES = (
    "solid",
    "dash",
    "dot",
    "dashdot",
    "longdash",
    "longdashdot",
    "14px,3px,2px,3px,2px,3px",
    "1px,8px",
)
"""A line's pattern for each hatching of a bar, the first for none."""

SYMBOLS = (
    "square",
    "diamond-tall",
    "triangle-up",
    "hexagram",
    "cross",
    "hourglass",
    "triangle-down",
    "bowtie",
)
"""A mark's shape for each of them. Circles are runs."""

HATCHINGS = len(DASHES)

SEPARATE = 12
"""Domains of a mixture up to which none is put together with others for being small."""

SMALL = 0.5
"""Of an equal share of all domains: what weighs less is small."""


@dataclass(frozen=True, slots=True)
class Look:
    """Classes of the stylesheet: `d0` to `d7` and `h0` to `h7`."""

    colour: int
    hatching: int

    @property
    def classes(self) -> str:
        return f"d{self.colour} h{self.hatching}"

    @property
    def dash(self) -> str:
        return DASHES[self.hatching]

    @property
    def symbol(self) -> str:
        return SYMBOLS[self.hatching]


@dataclass(frozen=True, slots=True)
class Segment:
    """One domain's part of a stacked bar; `start` and `weight` are fractions of its length."""

    domain: str
    look: Look
    start: float
    weight: float


@dataclass(frozen=True, slots=True)
class Grouped:
    """A mixture as a bar or a list shows it, in the study's domain order.

    Attributes:
        parts: of domains shown by themselves, one after the other from 0.
        other: the rest, which is shown as one.
    """

    parts: list[Segment]
    other: list[Segment]

    @property
    def rest(self) -> float:
        """What the others weigh together."""
        return sum(part.weight for part in self.other)


def look(place: int) -> Look:
    """Look of the domain at a place of the study's list."""
    turns, colour = divmod(place, len(OKABE_ITO))
    return Look(colour, turns % HATCHINGS)


def looks(domains: Sequence[str]) -> dict[str, Look]:
    return {domain: look(place) for place, domain in enumerate(domains)}


def segments(domains: Sequence[str], mixture: Mapping[str, float]) -> list[Segment]:
    """A mixture as a stacked bar in the study's domain order; domains without weight left out."""
    parts: list[Segment] = []
    start = 0.0
    for place, domain in enumerate(domains):
        weight = mixture.get(domain, 0.0)
        if weight > 0:
            parts.append(Segment(domain, look(place), start, weight))
        start += weight
    return parts


def grouped(domains: Sequence[str], mixture: Mapping[str, float], most: int = 64) -> Grouped:
    """A mixture with what is small put together.

    By itself stands each of the `most` heaviest domains; where more than `SEPARATE` have weight,
    only if it has `SMALL` of an equal share. A single one is never put away: it needs no less room.
    """
    parts = segments(domains, mixture)
    heaviest = sorted(parts, key=lambda part: -part.weight)[:most]
    least = SMALL / len(domains) if len(parts) > SEPARATE else 0.0
    kept = {part.domain for part in heaviest if part.weight >= least}
    if len(parts) - len(kept) < 2:
        return Grouped(parts, [])
    own, start = [], 0.0
    for part in parts:
        if part.domain in kept:
            own.append(replace(part, start=start))
            start += part.weight
    return Grouped(own, [part for part in parts if part.domain not in kept])
