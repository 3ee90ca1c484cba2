"""One look for a domain everywhere: its place in the study picks a colour and a hatching.

Colours are those of Okabe and Ito (2008), told apart with every common kind of colour blindness;
grey stands for their black so that it shows on dark pages too. From the ninth domain on the
colours come again with a hatching. The stylesheet has the same colours as `--d0` to `--d7`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
HATCHINGS = 4
"""None, and three kinds of lines; the look repeats after 32 domains."""

DASHES = ("solid", "dash", "dot", "dashdot")
"""A line's pattern for each hatching of a bar."""


@dataclass(frozen=True, slots=True)
class Look:
    """Classes of the stylesheet: `d0` to `d7` and `h0` to `h3`."""

    colour: int
    hatching: int

    @property
    def classes(self) -> str:
        return f"d{self.colour} h{self.hatching}"


@dataclass(frozen=True, slots=True)
class Segment:
    """One domain's part of a stacked bar; `start` and `weight` are fractions of its length."""

    domain: str
    look: Look
    start: float
    weight: float


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


def largest(parts: Sequence[Segment], limit: int) -> list[Segment]:
    """The heaviest segments, in the order they came."""
    kept = sorted(parts, key=lambda part: -part.weight)[:limit]
    return [part for part in parts if part in kept]
